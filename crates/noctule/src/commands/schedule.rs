//! `noctule schedule`: when a pipeline runs next, and what became of what was due before.

use jiff::Timestamp;
use noctule_artifacts::PipelineName;

use crate::cli::{Global, Schedule};
use crate::documents::occurrences::{self, OccurrenceDocument, OccurrencesDocument, OccurrencesWanted};
use crate::documents::pipelines;
use crate::documents::schedule::{self, ScheduleDocument, UpcomingDocument};
use crate::exit::Exit;
use crate::place::Place;
use crate::remote::Ask;
use crate::report::Trouble;
use crate::terminal::table;

pub async fn run(arguments: &Schedule, global: &Global) -> Result<Exit, Trouble> {
    if arguments.past {
        return past(arguments, global).await;
    }
    let limit = arguments.limit;
    let document: ScheduleDocument = if global.server.is_none() && arguments.pipeline.is_file() {
        let (file, bytes) = crate::pipeline::read(&arguments.pipeline)?;
        let pipeline = schedule::parse(&file, bytes)?;
        schedule::gather(&pipeline, None, Timestamp::now(), limit as usize)?
    } else {
        let name = name(arguments)?;
        match Place::of(global).await? {
            Place::Here(open) => {
                pipelines::schedule(&open.controller, &name, Timestamp::now(), limit as usize).await?
            }
            Place::There(remote) => {
                remote.get(Ask::at(&["pipelines", name.as_str(), "schedule"]).with("limit", limit)).await?
            }
        }
    };
    match global.json {
        true => super::print_json(&document),
        false => println!("{}", page(&document)),
    }
    Ok(Exit::Done)
}

fn name(arguments: &Schedule) -> Result<PipelineName, Trouble> {
    let named = arguments.pipeline.to_string_lossy();
    named.parse().map_err(|_| {
        Trouble::usage(format!(
            "`{named}` is neither a pipeline file that is there nor the name of a pipeline"
        ))
    })
}

fn page(document: &ScheduleDocument) -> String {
    let mut text = format!("{}: {}", document.pipeline, super::pipelines::words(&document.schedule));
    if let Some(data) = &document.schedule.waits_for {
        text += &format!("\neach waits for {data}");
    }
    if let Some(paused) = &document.paused {
        let why = paused.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        text += &format!("\npaused by {} at {}{why}", paused.by, paused.at);
    }
    if document.next.is_empty() {
        return text;
    }
    let mut page = table::table(&["CIVIL TIME", "OFFSET", "UTC", "COVERS", "CLOCK"]);
    for upcoming in &document.next {
        page.add_row(vec![
            upcoming.id.clone(),
            upcoming.offset.clone(),
            upcoming.at.to_string(),
            format!("{} to {}", upcoming.interval.start, upcoming.interval.end),
            mark(upcoming),
        ]);
    }
    format!("{text}\n\n{}", table::text(&page))
}

/// What a clock change does to an occurrence.
fn mark(upcoming: &UpcomingDocument) -> String {
    let mut parts = Vec::new();
    if let Some(change) = &upcoming.change {
        parts.push(format!("the clock changed from {} to {} at {}", change.before, change.after, change.at));
    }
    match &*upcoming.shown {
        "never" => parts.push("the clock jumps over this time: it runs at the jump".to_owned()),
        "twice" => parts.push("the clock shows this time twice: it runs the first time".to_owned()),
        _ => {}
    }
    parts.join("; ")
}

async fn past(arguments: &Schedule, global: &Global) -> Result<Exit, Trouble> {
    let name = name(arguments)?;
    let document: OccurrencesDocument = match Place::of(global).await? {
        Place::Here(open) => {
            let wanted = OccurrencesWanted {
                pipeline: Some(name),
                limit: arguments.limit,
                ..OccurrencesWanted::default()
            };
            occurrences::gather(&open.controller, &wanted).await?
        }
        Place::There(remote) => {
            let ask = Ask::at(&["occurrences"]).with("pipeline", name).with("limit", arguments.limit);
            remote.get(ask).await?
        }
    };
    match global.json {
        true => super::print_json(&document.occurrences),
        false => println!("{}", occurrences_page(&document.occurrences)),
    }
    Ok(Exit::Done)
}

/// A table of what was due.
pub fn occurrences_page(rows: &[OccurrenceDocument]) -> String {
    let mut page = table::table(&["OCCURRENCE", "DUE", "STATE", "RUN", "WHAT BECAME OF IT"]);
    for row in rows {
        let reason = match (&row.reason, &row.sentence) {
            (Some(reason), Some(sentence)) => format!("{reason}: {sentence}"),
            (Some(reason), None) => reason.clone(),
            (None, _) => row.status.clone().unwrap_or_default(),
        };
        page.add_row(vec![
            row.id.clone(),
            row.due.to_string(),
            row.state.clone(),
            row.run.as_ref().map(ToString::to_string).unwrap_or_default(),
            reason,
        ]);
    }
    table::text(&page)
}

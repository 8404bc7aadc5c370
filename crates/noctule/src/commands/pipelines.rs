//! `noctule pipelines`: what a server has loaded.

use jiff::Timestamp;

use crate::cli::{Global, Pipelines};
use crate::documents::pipelines::{self, PipelineDocument, PipelineListed, PipelinesDocument};
use crate::documents::schedule::ScheduleSummary;
use crate::exit::Exit;
use crate::place::Place;
use crate::remote::Ask;
use crate::report::Trouble;
use crate::terminal::style::{BAD, paint};
use crate::terminal::table;

pub async fn run(arguments: &Pipelines, global: &Global) -> Result<Exit, Trouble> {
    let place = Place::of(global).await?;
    let now = Timestamp::now();
    if let Some(name) = &arguments.pipeline {
        let document: PipelineDocument = match &place {
            Place::Here(open) => pipelines::gather_one(&open.controller, name, now).await?,
            Place::There(remote) => remote.get(Ask::at(&["pipelines", name.as_str()])).await?,
        };
        match global.json {
            true => super::print_json(&document),
            false => one(&document),
        }
        return Ok(Exit::Done);
    }
    let document: PipelinesDocument = match &place {
        Place::Here(open) => pipelines::gather(&open.controller, None, now).await?,
        Place::There(remote) => remote.get(Ask::at(&["pipelines"])).await?,
    };
    match global.json {
        true => super::print_json(&document),
        false => all(&document),
    }
    Ok(Exit::Done)
}

fn all(document: &PipelinesDocument) {
    let mut page = table::table(&["PIPELINE", "FILE", "SCHEDULE", "NEXT", "STATE"]);
    for row in &document.pipelines {
        page.add_row(vec![
            row.pipeline.to_string(),
            row.file.clone(),
            row.schedule.as_ref().map(words).unwrap_or_default(),
            next(row),
            state(row).to_owned(),
        ]);
    }
    println!("{}", table::text(&page));
    let broken = document.pipelines.iter().filter_map(|row| row.problem.as_ref());
    for problem in broken.chain(&document.problems) {
        anstream::println!("\n{}", paint(BAD, format!("since {}:", problem.since)));
        println!("{}", problem.text.trim_end());
    }
}

fn state(row: &PipelineListed) -> &'static str {
    match (&row.problem, &row.paused) {
        (Some(_), _) => "broken, see below",
        (None, Some(_)) => "paused",
        (None, None) => "good",
    }
}

fn next(row: &PipelineListed) -> String {
    match (&row.next, &row.paused) {
        (Some(next), None) => format!("{} {}", next.id, next.offset),
        _ => String::new(),
    }
}

/// A schedule in a few words.
pub fn words(schedule: &ScheduleSummary) -> String {
    match (&schedule.cron, &schedule.follows) {
        (Some(cron), _) => format!("{cron} {}", schedule.timezone.as_deref().unwrap_or_default()),
        (None, Some(follows)) => format!("after each promotion of {follows}"),
        (None, None) => String::new(),
    }
}

fn one(document: &PipelineDocument) {
    let row = &document.pipeline;
    println!("{}", row.pipeline);
    if let Some(description) = &document.description {
        println!("  {description}");
    }
    println!("  file      {}, loaded {}", row.file, row.loaded);
    println!("  digest    {}", row.digest);
    if let Some(owner) = &document.owner {
        println!("  owner     {owner}");
    }
    if let Some(schedule) = &row.schedule {
        println!("  schedule  {}", words(schedule));
        println!("  next      {}", next(row));
        println!("  waiting   {} for data, {} for their turn", document.waiting, document.queued);
    }
    if let Some(paused) = &row.paused {
        let why = paused.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        println!("  paused    by {} at {}{why}", paused.by, paused.at);
    }
    for run in &document.runs {
        println!("  run       {} {} for {}", run.run, run.status, run.interval.start);
    }
    if let Some(problem) = &row.problem {
        println!("\n{}", problem.text.trim_end());
    }
}

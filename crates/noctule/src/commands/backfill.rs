//! `noctule backfill`: a pipeline for every interval of a range.

use noctule_artifacts::PipelineName;
use noctule_controller::serve::Desk;
use noctule_store::BackfillId;
use serde_json::json;

use crate::acts;
use crate::cli::{Backfill, BackfillCommand, BackfillWish, Global, Order};
use crate::documents::backfills::{self, BackfillDocument, BackfillsDocument, EnteredDocument};
use crate::documents::occurrences::{self, OccurrencesDocument, OccurrencesWanted};
use crate::exit::Exit;
use crate::pipeline;
use crate::place::Place;
use crate::remote::Ask;
use crate::report::Trouble;
use crate::server::routes::backfills::{BackfillBody, OrderWord, enter, wish};
use crate::terminal::table;

pub async fn run(arguments: &Backfill, global: &Global) -> Result<Exit, Trouble> {
    let place = Place::of(global).await?;
    match (&arguments.command, &arguments.wish) {
        (Some(command), _) => about(command, &place, global).await,
        (None, Some(wish)) => create(wish, &place, global).await,
        (None, None) => {
            Err(Trouble::usage("name a pipeline and a range: `noctule backfill PIPELINE --from … --to …`"))
        }
    }
}

async fn create(arguments: &BackfillWish, place: &Place, global: &Global) -> Result<Exit, Trouble> {
    let body = BackfillBody {
        pipeline: arguments.pipeline.to_string(),
        from: arguments.from.clone(),
        to: arguments.to.clone(),
        order: match arguments.order {
            Order::Oldest => OrderWord::Oldest,
            Order::Newest => OrderWord::Newest,
        },
        at_once: arguments.at_once,
        promote: arguments.promote,
        dry_run: arguments.dry_run,
        params: pipeline::params(&arguments.params)?,
        why: arguments.why.clone(),
    };
    let entered: EnteredDocument = match place {
        Place::Here(open) => {
            let desk = Desk::new(open.controller.clone(), 1);
            let wish = wish(&open.controller, &body).await?;
            let who = acts::who(arguments.why.as_deref());
            enter(&open.controller, &desk, &wish, body.dry_run, &who).await?
        }
        Place::There(remote) => remote.post(Ask::at(&["backfills"]), &body).await?,
    };
    if global.json {
        super::print_json(&entered);
        return Ok(Exit::Done);
    }
    if arguments.dry_run {
        for interval in &entered.planned.intervals {
            println!("{} to {}", interval.start, interval.end);
        }
    }
    let number = entered.planned.intervals.len();
    match &entered.backfill {
        None => anstream::eprintln!("{number} intervals; nothing was begun"),
        Some(backfill) => anstream::eprintln!(
            "backfill {}: {number} intervals of {}, {} at once; the server that leads runs them (`noctule backfill show {}`)",
            backfill.id,
            backfill.pipeline,
            backfill.at_once,
            backfill.id
        ),
    }
    Ok(Exit::Done)
}

async fn about(command: &BackfillCommand, place: &Place, global: &Global) -> Result<Exit, Trouble> {
    match command {
        BackfillCommand::List { pipeline, open } => list(pipeline.as_ref(), *open, place, global).await,
        BackfillCommand::Show { id } => show(*id, place, global).await,
        BackfillCommand::Pause { id, why } => change(*id, Change::Pause, why, place, global).await,
        BackfillCommand::Resume { id, why } => change(*id, Change::Resume, why, place, global).await,
        BackfillCommand::Cancel { id, why } => change(*id, Change::Cancel, why, place, global).await,
    }
}

async fn list(
    pipeline: Option<&PipelineName>,
    only_open: bool,
    place: &Place,
    global: &Global,
) -> Result<Exit, Trouble> {
    const MOST: u32 = 1000;
    let document: BackfillsDocument = match place {
        Place::Here(open) => backfills::list(&open.controller, pipeline, only_open, MOST).await?,
        Place::There(remote) => {
            let ask = Ask::at(&["backfills"])
                .with("limit", MOST)
                .with("open", only_open)
                .with_some("pipeline", pipeline.as_ref());
            remote.get(ask).await?
        }
    };
    if global.json {
        super::print_json(&document.backfills);
        return Ok(Exit::Done);
    }
    let mut page = table::table(&[
        ">ID", "PIPELINE", "FROM", "TO", "STATE", ">QUEUED", ">LIVE", ">GOOD", ">BAD", ">SKIPPED",
    ]);
    for row in &document.backfills {
        let mut cells = vec![
            row.id.to_string(),
            row.pipeline.to_string(),
            row.range.start.to_string(),
            row.range.end.to_string(),
            row.state.clone(),
        ];
        let progress = row.progress;
        let numbers = [progress.queued, progress.live, progress.good, progress.bad, progress.skipped];
        cells.extend(numbers.map(|number| number.to_string()));
        page.add_row(cells);
    }
    println!("{}", table::text(&page));
    Ok(Exit::Done)
}

async fn show(id: u32, place: &Place, global: &Global) -> Result<Exit, Trouble> {
    let (number, id) = (id.to_string(), BackfillId(u64::from(id)));
    const MOST: u32 = 1000;
    let (backfill, rows): (BackfillDocument, OccurrencesDocument) = match place {
        Place::Here(open) => {
            let wanted =
                OccurrencesWanted { backfill: Some(id), limit: MOST, ..OccurrencesWanted::default() };
            let backfill = backfills::gather(&open.controller, id).await?;
            (backfill, occurrences::gather(&open.controller, &wanted).await?)
        }
        Place::There(remote) => {
            let backfill = remote.get(Ask::at(&["backfills", &number])).await?;
            let ask = Ask::at(&["occurrences"]).with("backfill", &number).with("limit", MOST);
            (backfill, remote.get(ask).await?)
        }
    };
    if global.json {
        super::print_json(&json!({"backfill": backfill, "occurrences": rows.occurrences}));
        return Ok(Exit::Done);
    }
    println!("{}", head(&backfill));
    println!("\n{}", super::schedule::occurrences_page(&rows.occurrences));
    Ok(Exit::Done)
}

fn head(backfill: &BackfillDocument) -> String {
    let progress = backfill.progress;
    let why = backfill.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let promote = if backfill.promote { "may promote" } else { "promotes nothing" };
    format!(
        "backfill {} of {}: {}\n  range     {} to {}, {} first, {} at once, {promote}\n  by        {} at {}{why}\n  \
         intervals {} queued, {} live, {} good, {} bad, {} skipped",
        backfill.id,
        backfill.pipeline,
        backfill.state,
        backfill.range.start,
        backfill.range.end,
        backfill.order,
        backfill.at_once,
        backfill.by,
        backfill.created,
        progress.queued,
        progress.live,
        progress.good,
        progress.bad,
        progress.skipped
    )
}

#[derive(Clone, Copy)]
enum Change {
    Pause,
    Resume,
    Cancel,
}

async fn change(id: u32, change: Change, why: &str, place: &Place, global: &Global) -> Result<Exit, Trouble> {
    if why.trim().is_empty() {
        return Err(Trouble::usage("`--why` is empty: say why"));
    }
    let document: BackfillDocument = match place {
        Place::Here(open) => {
            let (desk, who) = (Desk::new(open.controller.clone(), 1), acts::who(Some(why)));
            let id = BackfillId(u64::from(id));
            match change {
                Change::Pause => desk.pause_backfill(id, &who).await?,
                Change::Resume => desk.resume_backfill(id, &who).await?,
                Change::Cancel => desk.cancel_backfill(id, &who).await?,
            }
            backfills::gather(&open.controller, id).await?
        }
        Place::There(remote) => {
            let verb = match change {
                Change::Pause => "pause",
                Change::Resume => "resume",
                Change::Cancel => "cancel",
            };
            let number = id.to_string();
            remote.post(Ask::at(&["backfills", &number, verb]), &json!({"why": why})).await?
        }
    };
    match global.json {
        true => super::print_json(&document),
        false => anstream::eprintln!("backfill {} is {}", document.id, document.state),
    }
    Ok(Exit::Done)
}

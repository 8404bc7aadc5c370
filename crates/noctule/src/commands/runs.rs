//! `noctule runs`: the list, newest first.

use noctule_store::RunFilter;
use serde_json::json;

use crate::cli::{Global, Runs};
use crate::exit::Exit;
use crate::report::Trouble;
use crate::terminal::{amounts, table};

pub async fn run(arguments: &Runs, global: &Global) -> Result<Exit, Trouble> {
    let open = super::open_existing(global).await?;
    let filter = RunFilter {
        pipeline: arguments.pipeline.clone(),
        limit: Some(arguments.limit),
        ..RunFilter::default()
    };
    let rows = open.controller.store.runs(&filter).await?;
    if global.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "run": row.run,
                    "pipeline": row.pipeline,
                    "interval": {"start": row.interval.start, "end": row.interval.end},
                    "status": row.status.word(),
                    "created": row.created,
                    "ended": row.ended,
                })
            })
            .collect();
        super::print_json(&json!(rows));
        return Ok(Exit::Done);
    }
    let mut page = table::table(&["RUN", "PIPELINE", "INTERVAL", "STATUS", "BEGAN", ">TOOK"]);
    for row in rows {
        let took =
            row.ended.map(|ended| amounts::duration(row.created.duration_until(ended))).unwrap_or_default();
        page.add_row(vec![
            row.run.to_string(),
            row.pipeline.to_string(),
            row.interval.start.to_string(),
            row.status.word().to_owned(),
            row.created.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            took,
        ]);
    }
    println!("{}", table::text(&page));
    Ok(Exit::Done)
}

//! `noctule show`: one run.

use serde_json::{Value, json};

use crate::cli::{Global, RunArgument};
use crate::exit::Exit;
use crate::report::Trouble;
use crate::summary::Summary;

pub async fn run(arguments: &RunArgument, global: &Global) -> Result<Exit, Trouble> {
    let open = super::open_existing(global).await?;
    let id = super::find_run(&open.controller.store, &arguments.run).await?;
    let (_, run) = open.controller.fold(&id).await?;
    let notes = open.controller.store.notes(&id).await?;
    let driver = noctule_controller::drive::driver(&open.controller, &id).await?;
    let summary = Summary::of(&open.controller, run).await?;
    if global.json {
        let mut document = summary.to_json();
        if let Value::Object(map) = &mut document {
            let notes: Vec<_> = notes
                .iter()
                .map(|note| json!({"step": note.step, "at": note.at, "text": note.text}))
                .collect();
            map.insert("notes".to_owned(), json!(notes));
            map.insert("driven_by".to_owned(), json!(driver));
        }
        super::print_json(&document);
        return Ok(Exit::Done);
    }
    anstream::println!("{}", summary.to_text());
    if summary.run.ended().is_none() {
        match driver {
            Some(driver) => println!("Driven by {driver}."),
            None => println!("Nobody drives it: `noctule resume {id}` goes on with it."),
        }
    }
    for note in notes {
        println!("{}", note.text);
    }
    if let Some(report) = summary.gate_report(&open.controller).await? {
        println!("\n{}", report.trim_end());
    }
    Ok(Exit::Done)
}

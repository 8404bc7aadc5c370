//! `noctule show`: one run.

use crate::cli::{Global, RunArgument};
use crate::documents::find_run;
use crate::documents::run::{self, GateDocument, RunDocument};
use crate::exit::Exit;
use crate::pages;
use crate::place::Place;
use crate::remote::Ask;
use crate::report::{Code, Trouble};

pub async fn run(arguments: &RunArgument, global: &Global) -> Result<Exit, Trouble> {
    let place = Place::of(global).await?;
    let document: RunDocument = match &place {
        Place::Here(open) => {
            let id = find_run(&open.controller.store, &arguments.run).await?;
            run::gather(&open.controller, &id).await?
        }
        Place::There(remote) => remote.get(Ask::at(&["runs", &arguments.run])).await?,
    };
    if global.json {
        super::print_json(&document);
        return Ok(Exit::Done);
    }
    anstream::println!("{}", pages::run::page(&document));
    for line in pages::run::below(&document) {
        println!("{line}");
    }
    if document.verdict.is_none() {
        return Ok(Exit::Done);
    }
    let report = match &place {
        Place::Here(open) => run::gate_report(&open.controller, &document.run).await,
        Place::There(remote) => {
            remote.get::<GateDocument>(Ask::at(&["runs", document.run.as_str(), "gate"])).await
        }
    };
    match report {
        Ok(gate) => println!("\n{}", gate.report.trim_end()),
        Err(trouble) if trouble.code == Code::NoSuchReport => {}
        Err(trouble) => return Err(trouble),
    }
    Ok(Exit::Done)
}

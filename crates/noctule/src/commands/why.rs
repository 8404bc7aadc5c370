//! `noctule why`: why a step was run or reused.

use crate::cli::{Global, Why};
use crate::documents::find_run;
use crate::documents::why::{self, WhyDocument};
use crate::exit::Exit;
use crate::place::Place;
use crate::remote::Ask;
use crate::report::Trouble;

pub async fn run(arguments: &Why, global: &Global) -> Result<Exit, Trouble> {
    let document: WhyDocument = match Place::of(global).await? {
        Place::Here(open) => {
            let id = find_run(&open.controller.store, &arguments.run).await?;
            why::gather(&open.controller, &id, &arguments.step).await?
        }
        Place::There(remote) => {
            let path = ["runs", arguments.run.as_str(), "steps", arguments.step.as_str(), "why"];
            remote.get(Ask::at(&path)).await?
        }
    };
    if global.json {
        super::print_json(&document);
    } else {
        println!("{}: {}", document.step, document.why);
        for line in document.changed {
            println!("  {line}");
        }
    }
    Ok(Exit::Done)
}

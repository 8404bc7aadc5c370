//! `noctule pause` and `unpause`: whether a schedule begins anything.

use noctule_controller::serve::Desk;
use serde_json::json;

use crate::acts;
use crate::cli::{Global, Paused};
use crate::documents::changed::PausedDocument;
use crate::exit::Exit;
use crate::place::Place;
use crate::remote::Ask;
use crate::report::Trouble;

pub async fn run(arguments: &Paused, pause: bool, global: &Global) -> Result<Exit, Trouble> {
    let Paused { pipeline, why } = arguments;
    if why.trim().is_empty() {
        return Err(Trouble::usage("`--why` is empty: say why"));
    }
    let document: PausedDocument = match Place::of(global).await? {
        Place::Here(open) => {
            let (desk, who) = (Desk::new(open.controller, 1), acts::who(Some(why)));
            match pause {
                true => desk.pause(pipeline, &who).await?,
                false => desk.resume_schedule(pipeline, &who).await?,
            }
            PausedDocument { pipeline: pipeline.clone(), paused: pause }
        }
        Place::There(remote) => {
            let verb = if pause { "pause" } else { "unpause" };
            remote.post(Ask::at(&["pipelines", pipeline.as_str(), verb]), &json!({"why": why})).await?
        }
    };
    if global.json {
        super::print_json(&document);
    } else if document.paused {
        anstream::eprintln!("the schedule of {pipeline} begins nothing until `noctule unpause {pipeline}`");
    } else {
        anstream::eprintln!("the schedule of {pipeline} goes on");
    }
    Ok(Exit::Done)
}

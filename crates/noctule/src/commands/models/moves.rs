//! Aliases moved by a person, with a reason.

use noctule_artifacts::{AliasName, ModelName, VersionNumber};
use serde_json::json;

use crate::acts;
use crate::cli::Global;
use crate::commands::print_json;
use crate::documents::changed::MovedDocument;
use crate::exit::Exit;
use crate::place::Place;
use crate::remote::Ask;
use crate::report::Trouble;
use crate::server::routes::models::{PromoteBody, RollbackBody, UnpinBody};

pub async fn promote(
    place: &Place,
    model: &ModelName,
    version: VersionNumber,
    alias: &AliasName,
    reason: &str,
    global: &Global,
) -> Result<Exit, Trouble> {
    let moved = match place {
        Place::Here(open) => {
            acts::promote(&open.controller, model, version, alias, &acts::who(Some(reason))).await?
        }
        Place::There(remote) => {
            let body = PromoteBody { version: version.0, alias: alias.to_string(), why: reason.to_owned() };
            remote.post_patiently(Ask::at(&["models", model.as_str(), "promote"]), &body).await?
        }
    };
    tell(&moved, global)
}

pub async fn roll_back(
    place: &Place,
    model: &ModelName,
    to: Option<VersionNumber>,
    alias: &AliasName,
    reason: &str,
    global: &Global,
) -> Result<Exit, Trouble> {
    let moved = match place {
        Place::Here(open) => {
            acts::roll_back(&open.controller, model, to, alias, &acts::who(Some(reason))).await?
        }
        Place::There(remote) => {
            let body =
                RollbackBody { to: to.map(|to| to.0), alias: alias.to_string(), why: reason.to_owned() };
            remote.post(Ask::at(&["models", model.as_str(), "rollback"]), &body).await?
        }
    };
    tell(&moved, global)
}

pub async fn unpin(
    place: &Place,
    model: &ModelName,
    alias: &AliasName,
    reason: &str,
    global: &Global,
) -> Result<Exit, Trouble> {
    let moved: MovedDocument = match place {
        Place::Here(open) => acts::unpin(&open.controller, model, alias, &acts::who(Some(reason))).await?,
        Place::There(remote) => {
            let body = UnpinBody { alias: alias.to_string(), why: reason.to_owned() };
            remote.post(Ask::at(&["models", model.as_str(), "unpin"]), &body).await?
        }
    };
    if global.json {
        print_json(&json!({
            "model": moved.model, "alias": moved.alias, "version": moved.version, "pinned": moved.pinned,
        }));
    } else {
        anstream::eprintln!("{model}@{alias} stays at version {}, and runs may move it again", moved.version);
    }
    owed(&moved);
    Ok(Exit::Done)
}

fn tell(moved: &MovedDocument, global: &Global) -> Result<Exit, Trouble> {
    let MovedDocument { model, alias, version, .. } = moved;
    let text = match (moved.moved, moved.pinned) {
        (true, false) => format!("{model}@{alias} now is version {version}"),
        (true, true) => {
            format!(
                "{model}@{alias} now is version {version}, and stays there until `noctule models unpin {model} --reason …`"
            )
        }
        (false, false) => format!("{model}@{alias} is version {version} already"),
        (false, true) => format!("{model}@{alias} is pinned to version {version}"),
    };
    if global.json {
        print_json(&json!({"model": model, "alias": alias, "version": version, "moved": moved.moved}));
    } else {
        anstream::eprintln!("{text}");
    }
    owed(moved);
    Ok(Exit::Done)
}

fn owed(moved: &MovedDocument) {
    for what in &moved.owed {
        super::say_owed(what);
    }
}

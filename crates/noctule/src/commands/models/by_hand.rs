//! Aliases moved by a person, with a reason.

use jiff::Timestamp;
use noctule_artifacts::{AliasName, ModelName, VersionNumber};
use noctule_controller::{Controller, outbox};
use noctule_registry::{Decision, Held, Person};
use noctule_store::ByHand;
use serde_json::json;

use crate::cli::Global;
use crate::commands::{person, print_json};
use crate::exit::Exit;
use crate::report::Trouble;

fn wish(model: &ModelName, alias: &AliasName, reason: &str) -> Result<ByHand, Trouble> {
    let person = Person::new(&person(), reason).map_err(|refusal| Trouble::usage(refusal.to_string()))?;
    Ok(ByHand { model: model.clone(), alias: alias.clone(), person, seen: None, at: Timestamp::now() })
}

pub async fn promote(
    controller: &Controller,
    model: &ModelName,
    version: VersionNumber,
    alias: &AliasName,
    reason: &str,
    global: &Global,
) -> Result<Exit, Trouble> {
    // What readers will follow must be whole before the alias points at it.
    let manifest = controller.depot.version(model, version).await?;
    let faults = controller.depot.verify_version(&manifest).await?;
    if let Some(fault) = faults.first() {
        return Err(Trouble::own(format!("version {version} of {model} is not promoted: {}", fault.error)));
    }
    let decision = controller.store.promote(wish(model, alias, reason)?, version, outbox::announce).await?;
    tell(&decision, model, alias, global)
}

pub async fn roll_back(
    controller: &Controller,
    model: &ModelName,
    to: Option<VersionNumber>,
    alias: &AliasName,
    reason: &str,
    global: &Global,
) -> Result<Exit, Trouble> {
    let decision = controller.store.roll_back(wish(model, alias, reason)?, to, outbox::announce).await?;
    tell(&decision, model, alias, global)
}

pub async fn unpin(
    controller: &Controller,
    model: &ModelName,
    alias: &AliasName,
    reason: &str,
    global: &Global,
) -> Result<Exit, Trouble> {
    let row = controller.store.unpin(wish(model, alias, reason)?, outbox::announce).await?;
    if global.json {
        print_json(&json!({"model": model, "alias": alias, "version": row.to, "pinned": row.pinned}));
    } else {
        anstream::eprintln!("{model}@{alias} stays at version {}, and runs may move it again", row.to);
    }
    Ok(Exit::Done)
}

fn tell(decision: &Decision, model: &ModelName, alias: &AliasName, global: &Global) -> Result<Exit, Trouble> {
    let (version, moved, text) = match decision {
        Decision::Promoted(row) => {
            let pinned = if row.pinned { ", and stays there until `noctule models unpin`" } else { "" };
            (row.to, true, format!("{model}@{alias} now is version {}{pinned}", row.to))
        }
        Decision::AlreadyChampion { version } => {
            (*version, false, format!("{model}@{alias} is version {version} already"))
        }
        Decision::Held(Held::Pinned { at }) => {
            (*at, false, format!("{model}@{alias} is pinned to version {at}"))
        }
        Decision::Held(Held::Moved { found, .. }) => {
            let found = found.map_or("nowhere".to_owned(), |version| format!("version {version}"));
            return Err(Trouble::new(Exit::Held, format!("{model}@{alias} moved meanwhile, to {found}")));
        }
    };
    if global.json {
        print_json(&json!({"model": model, "alias": alias, "version": version, "moved": moved}));
    } else {
        anstream::eprintln!("{text}");
    }
    Ok(Exit::Done)
}

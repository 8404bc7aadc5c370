//! Aliases moved by a person or a token, with a reason, and kept in the audit table.

use std::future::Future;

use jiff::Timestamp;
use noctule_artifacts::{AliasName, ModelName, VersionNumber};
use noctule_controller::serve::Who;
use noctule_controller::{Controller, outbox};
use noctule_registry::{Decision, Held, Person};
use noctule_store::{AuditEntry, ByHand, Store, Via};

use crate::documents::changed::MovedDocument;
use crate::report::{Code, Trouble};

/// Who is at the keyboard, for the history.
pub fn person() -> String {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    name.ok().filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// The same as somebody who asks for something.
pub fn who(why: Option<&str>) -> Who {
    Who { name: person(), via: Via::Cli, why: why.map(str::to_owned) }
}

/// Does something, and keeps who wanted it and what came of it.
pub async fn audited<T>(
    store: &Store,
    who: &Who,
    action: &str,
    about: &str,
    deed: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let entry = AuditEntry {
        at: Timestamp::now(),
        who: who.name.clone(),
        via: who.via,
        action: action.to_owned(),
        about: about.to_owned(),
        why: who.why.clone(),
        outcome: "begun".to_owned(),
    };
    let id = store.audit(&entry).await?;
    let done = deed.await;
    let outcome = match &done {
        Ok(_) => "done".to_owned(),
        Err(trouble) => format!("refused: {}", trouble.message),
    };
    if let Err(error) = store.audit_outcome(id, &outcome).await {
        tracing::warn!(%error, action, about, "the outcome is missing from the audit table");
    }
    done
}

fn wish(model: &ModelName, alias: &AliasName, who: &Who) -> Result<ByHand, Trouble> {
    let reason = who.why.as_deref().unwrap_or_default();
    let person = Person::new(&who.name, reason).map_err(|refusal| Trouble::usage(refusal.to_string()))?;
    Ok(ByHand { model: model.clone(), alias: alias.clone(), person, seen: None, at: Timestamp::now() })
}

/// Moves an alias to a version, past the gate.
pub async fn promote(
    controller: &Controller,
    model: &ModelName,
    version: VersionNumber,
    alias: &AliasName,
    who: &Who,
) -> Result<MovedDocument, Trouble> {
    let deed = async {
        let wish = wish(model, alias, who)?;
        controller.store.version(model, version).await?;
        // What readers will follow must be whole before the alias points at it.
        let manifest = controller.depot.version(model, version).await?;
        let faults = controller.depot.verify_version(&manifest).await?;
        if let Some(fault) = faults.first() {
            let message = format!("version {version} of {model} is not promoted: {}", fault.error);
            return Err(Trouble::coded(Code::Damaged, message));
        }
        moved(controller.store.promote(wish, version, outbox::announce).await?, model, alias)
    };
    let moved = audited(&controller.store, who, "model.promote", &format!("{model}@{alias}"), deed).await?;
    delivered(controller, moved).await
}

/// Moves an alias back, and pins it.
pub async fn roll_back(
    controller: &Controller,
    model: &ModelName,
    to: Option<VersionNumber>,
    alias: &AliasName,
    who: &Who,
) -> Result<MovedDocument, Trouble> {
    let deed = async {
        let wish = wish(model, alias, who)?;
        moved(controller.store.roll_back(wish, to, outbox::announce).await?, model, alias)
    };
    let moved = audited(&controller.store, who, "model.rollback", &format!("{model}@{alias}"), deed).await?;
    delivered(controller, moved).await
}

/// Lets runs move an alias again.
pub async fn unpin(
    controller: &Controller,
    model: &ModelName,
    alias: &AliasName,
    who: &Who,
) -> Result<MovedDocument, Trouble> {
    let deed = async {
        let row = controller.store.unpin(wish(model, alias, who)?, outbox::announce).await?;
        Ok(MovedDocument {
            model: model.clone(),
            alias: alias.clone(),
            version: row.to,
            moved: false,
            pinned: row.pinned,
            owed: Vec::new(),
        })
    };
    let moved = audited(&controller.store, who, "model.unpin", &format!("{model}@{alias}"), deed).await?;
    delivered(controller, moved).await
}

/// Writes to the store what is owed to it, by this change or one before.
async fn delivered(controller: &Controller, moved: MovedDocument) -> Result<MovedDocument, Trouble> {
    let owed = outbox::deliver(&controller.store, &controller.depot).await?;
    let owed = owed.into_iter().map(|owed| format!("{} ({})", owed.about, owed.error)).collect();
    Ok(MovedDocument { owed, ..moved })
}

fn moved(decision: Decision, model: &ModelName, alias: &AliasName) -> Result<MovedDocument, Trouble> {
    let (version, moved, pinned) = match decision {
        Decision::Promoted(row) => (row.to, true, row.pinned),
        Decision::AlreadyChampion { version } => (version, false, false),
        Decision::Held(Held::Pinned { at }) => (at, false, true),
        Decision::Held(Held::Moved { found, .. }) => {
            let found = found.map_or("nowhere".to_owned(), |version| format!("version {version}"));
            return Err(Trouble::coded(Code::Held, format!("{model}@{alias} moved meanwhile, to {found}")));
        }
    };
    Ok(MovedDocument { model: model.clone(), alias: alias.clone(), version, moved, pinned, owed: Vec::new() })
}

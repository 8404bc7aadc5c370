//! `noctule prune`: sweeps what no model, run or pipeline needs, in two steps a day apart.

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::layout;
use noctule_spec::Span;
use noctule_store::Tombstone;
use serde_json::json;

use crate::cli::{Global, Prune};
use crate::exit::Exit;
use crate::report::Trouble;

/// How long a tombstone stands before its artifact is deleted.
const MOURNING: SignedDuration = SignedDuration::from_hours(24);
/// How many candidates are looked at in one go.
const BATCH: u32 = 10_000;

pub async fn run(arguments: &Prune, global: &Global) -> Result<Exit, Trouble> {
    let keep: Span = arguments
        .keep
        .parse()
        .map_err(|error| Trouble::usage(format!("`--keep {}` is no span: {error}", arguments.keep)))?;
    let open = super::open_existing(global).await?;
    let (store, depot) = (&open.controller.store, &open.controller.depot);
    let now = Timestamp::now();
    let since = now - SignedDuration::from_secs(i64::try_from(keep.seconds()).unwrap_or(i64::MAX / 4));

    let mut marked = Vec::new();
    let mut kept = 0;
    for artifact in store.unused_since(since, BATCH).await? {
        if arguments.dry_run {
            match store.reference_to(&artifact.manifest).await? {
                None => marked.push(artifact.manifest),
                Some(_) => kept += 1,
            }
            continue;
        }
        match store.set_tombstone(&artifact.manifest, now).await? {
            Tombstone::Set => marked.push(artifact.manifest),
            Tombstone::Kept(_) => kept += 1,
            Tombstone::NotLive(_) | Tombstone::Unknown => {}
        }
    }

    let before = now - MOURNING;
    let mut deleted = Vec::new();
    for artifact in store.deletable(before).await? {
        if arguments.dry_run {
            deleted.push(artifact.manifest);
            continue;
        }
        if store.begin_deletion(&artifact.manifest, before).await? {
            depot.expire(&artifact.run, &artifact.step, artifact.attempt, now).await?;
            store.end_deletion(&artifact.manifest).await?;
            deleted.push(layout::attempt_prefix(&artifact.run, &artifact.step, artifact.attempt));
        }
    }
    let scratch = if arguments.dry_run { 0 } else { depot.sweep_scratch().await? };
    if global.json {
        super::print_json(&json!({
            "dry_run": arguments.dry_run,
            "marked": marked,
            "kept": kept,
            "deleted": deleted,
            "scratch": scratch,
        }));
    } else {
        let would = if arguments.dry_run { "would be " } else { "" };
        anstream::eprintln!(
            "{} artifacts {would}marked, to be deleted after 24 hours unless a run uses them; {} {would}deleted; {kept} kept for a model or a run",
            marked.len(),
            deleted.len()
        );
    }
    Ok(Exit::Done)
}

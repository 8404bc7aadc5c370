//! Clearing away what no model, run or pipeline needs.
//!
//! An artifact goes in two steps a day apart: a tombstone, set in a transaction that checks references, and the deletion.
//! A reuse in between takes the tombstone off, so that a sweep and a reuse that meet never both win.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{RunId, layout};
use noctule_launcher::SeenState;
use noctule_store::{StoreError, Tombstone};

use crate::Controller;
use crate::error::ControllerError;

/// How long a tombstone stands before its artifact is deleted.
pub const MOURNING: SignedDuration = SignedDuration::from_hours(24);
/// How many candidates are looked at in one go.
const BATCH: u32 = 10_000;
/// How many runs are forgotten in one transaction.
const RUNS: u32 = 100;
/// Rows of occurrences outlive their runs by so much, since they keep a due time from being entered twice.
const OCCURRENCES: SignedDuration = SignedDuration::from_hours(24 * 30);

/// What is to be swept.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// Artifacts whose last use ended before this get a tombstone.
    pub unused_since: Timestamp,
    pub now: Timestamp,
    /// Nothing is done: it is only told what would be.
    pub dry_run: bool,
}

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Manifests that got a tombstone.
    pub marked: Vec<String>,
    /// How many candidates something needs.
    pub kept: usize,
    /// Prefixes of attempts whose files were deleted; in a dry run the manifests.
    pub deleted: Vec<String>,
    /// Working folders that killed processes had left.
    pub scratch: usize,
}

/// Sets tombstones, and deletes what has had one for a day.
pub async fn sweep(controller: &Controller, wish: Sweep) -> Result<Swept, ControllerError> {
    let Controller { store, depot, .. } = controller;
    let Sweep { unused_since, now, dry_run } = wish;
    let mut swept = Swept::default();
    for artifact in store.unused_since(unused_since, BATCH).await? {
        if dry_run {
            match store.reference_to(&artifact.manifest).await? {
                None => swept.marked.push(artifact.manifest),
                Some(_) => swept.kept += 1,
            }
            continue;
        }
        match store.set_tombstone(&artifact.manifest, now).await? {
            Tombstone::Set => swept.marked.push(artifact.manifest),
            Tombstone::Kept(_) => swept.kept += 1,
            Tombstone::NotLive(_) | Tombstone::Unknown => {}
        }
    }
    let before = now - MOURNING;
    for artifact in store.deletable(before).await? {
        if dry_run {
            swept.deleted.push(artifact.manifest);
            continue;
        }
        if store.begin_deletion(&artifact.manifest, before).await? {
            depot.expire(&artifact.run, &artifact.step, artifact.attempt, now).await?;
            store.end_deletion(&artifact.manifest).await?;
            swept.deleted.push(layout::attempt_prefix(&artifact.run, &artifact.step, artifact.attempt));
        }
    }
    if !dry_run {
        swept.scratch = depot.sweep_scratch().await?;
    }
    Ok(swept)
}

/// Forgets runs that ended before this instant, with their launch documents and logs, and the occurrences of those that
/// are long forgotten. Says how many runs there were.
pub async fn expire_runs(controller: &Controller, before: Timestamp) -> Result<usize, ControllerError> {
    let Controller { store, depot, .. } = controller;
    let mut forgotten = 0;
    loop {
        let expired = store.expire_runs(before, RUNS).await?;
        for run in &expired.runs {
            for listed in depot.list(&format!("runs/{run}/")).await? {
                if is_beside_attempts(&listed.path) {
                    depot.delete(&listed.path).await?;
                }
            }
        }
        forgotten += expired.runs.len();
        if !expired.more {
            break;
        }
    }
    let older = before.checked_sub(OCCURRENCES).unwrap_or(Timestamp::MIN);
    while store.expire_occurrences(older, BATCH).await? == u64::from(BATCH) {}
    Ok(forgotten)
}

/// Whether a path is of a launch document or a log, which stand beside the prefixes of attempts.
fn is_beside_attempts(path: &str) -> bool {
    path.split('/').count() == 4 && (path.ends_with(".launch.json") || path.ends_with(".log"))
}

/// Deletes what attempts wrote that left no artifact, once the newest of it is older than this instant and their run has
/// ended. Says how many attempts there were.
pub async fn clear_attempts(controller: &Controller, before: Timestamp) -> Result<usize, ControllerError> {
    let Controller { store, depot, .. } = controller;
    let mut ended: BTreeMap<RunId, bool> = BTreeMap::new();
    let mut cleared = 0;
    for attempt in depot.attempts().await? {
        if attempt.expired || attempt.newest >= before {
            continue;
        }
        if attempt.committed {
            let manifest = layout::attempt_manifest(&attempt.run, &attempt.step, attempt.attempt);
            if store.artifact(&manifest).await?.is_some() {
                continue;
            }
        }
        if !ended.contains_key(&attempt.run) {
            ended.insert(attempt.run.clone(), has_ended(controller, &attempt.run).await?);
        }
        if ended[&attempt.run] {
            depot
                .delete_prefix(&layout::attempt_prefix(&attempt.run, &attempt.step, attempt.attempt))
                .await?;
            cleared += 1;
        }
    }
    Ok(cleared)
}

/// Lets the launcher forget ended attempts of runs that have ended and that nobody drives. Says how many there were.
pub async fn forget_ended(
    controller: &Controller,
    is_driven: impl Fn(&RunId) -> bool,
) -> Result<usize, ControllerError> {
    let mut forgotten = 0;
    for seen in controller.launcher.list().await? {
        let is_over = matches!(seen.state, SeenState::Ended { .. });
        if is_over && !is_driven(&seen.key.run) && has_ended(controller, &seen.key.run).await? {
            controller.launcher.forget(&seen.key).await?;
            forgotten += 1;
        }
    }
    Ok(forgotten)
}

/// Whether a run has ended, or is forgotten already.
async fn has_ended(controller: &Controller, run: &RunId) -> Result<bool, ControllerError> {
    match controller.store.run(run).await {
        Ok(row) => Ok(row.status.is_terminal()),
        Err(StoreError::NoSuchRun { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

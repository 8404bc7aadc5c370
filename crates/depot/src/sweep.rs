//! What a sweep needs: what lies below `runs/`, and ways to let it go.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, RunId, StepName, layout};
use serde::Serialize;

use crate::depot::{Depot, PlaceOf, Put};
use crate::error::Result;
use crate::names::check_prefix;

/// Beside a manifest whose files were swept: so that they count as expired, not as lost.
const EXPIRED: &str = "expired.json";

/// What one attempt has in the store, committed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptFiles {
    pub run: RunId,
    pub step: StepName,
    pub attempt: AttemptNumber,
    /// Whether its manifest stands.
    pub committed: bool,
    /// Whether its files were let go by [`Depot::expire`].
    pub expired: bool,
    pub files: u64,
    pub bytes: u64,
    /// When the newest of its files was written.
    pub newest: Timestamp,
}

#[derive(Serialize)]
struct Expired {
    format: u32,
    at: Timestamp,
}

/// Where the marker of the attempt that wrote a file would lie; `None` for a file that is no attempt's.
pub(crate) fn expired_marker(path: &str) -> Option<String> {
    let (run, step, attempt, _) = attempt_of(path)?;
    Some(format!("{}{EXPIRED}", layout::attempt_prefix(&run, &step, attempt)))
}

/// Splits a path below an attempt's prefix into the attempt and the rest.
fn attempt_of(path: &str) -> Option<(RunId, StepName, AttemptNumber, &str)> {
    let mut parts = path.splitn(5, '/');
    let (runs, run, step, attempt) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let rest = parts.next()?;
    if runs != "runs" {
        return None;
    }
    Some((run.parse().ok()?, step.parse().ok()?, attempt.parse().ok()?, rest))
}

impl Depot {
    /// Everything that attempts have written, in the order of run, step and attempt.
    pub async fn attempts(&self) -> Result<Vec<AttemptFiles>> {
        let mut found: BTreeMap<(RunId, StepName, AttemptNumber), AttemptFiles> = BTreeMap::new();
        for listed in self.list("runs/").await? {
            let Some((run, step, attempt, rest)) = attempt_of(&listed.path) else { continue };
            let one = found.entry((run.clone(), step.clone(), attempt)).or_insert(AttemptFiles {
                run,
                step,
                attempt,
                committed: false,
                expired: false,
                files: 0,
                bytes: 0,
                newest: listed.modified,
            });
            one.committed |= rest == layout::MANIFEST;
            one.expired |= rest == EXPIRED;
            one.files += 1;
            one.bytes += listed.size;
            one.newest = one.newest.max(listed.modified);
        }
        Ok(found.into_values().collect())
    }

    /// Lets the files of a committed attempt go and keeps its manifest, so that what it was can still be told.
    pub async fn expire(
        &self,
        run: &RunId,
        step: &StepName,
        attempt: AttemptNumber,
        at: Timestamp,
    ) -> Result<()> {
        let prefix = layout::attempt_prefix(run, step, attempt);
        let bytes = serde_json::to_vec(&Expired { format: 1, at }).expect("it has only text keys");
        match self.put_new(&format!("{prefix}{EXPIRED}"), bytes).await? {
            // An earlier sweep that was cut short is carried on.
            Put::Created | Put::Same | Put::Other(_) => {}
        }
        for listed in self.list(&prefix).await? {
            let name = &listed.path[prefix.len()..];
            if name != layout::MANIFEST && name != EXPIRED {
                self.delete(&listed.path).await?;
            }
        }
        Ok(())
    }

    /// Deletes everything below a prefix. In a folder store it vanishes at once; elsewhere manifests go first.
    pub async fn delete_prefix(&self, prefix: &str) -> Result<()> {
        check_prefix(prefix)?;
        match self.place() {
            PlaceOf::Folder(folder) => folder.delete_prefix(prefix).await,
            PlaceOf::Bucket(bucket) => bucket.delete_prefix(prefix, &[layout::MANIFEST]).await,
        }
    }

    /// Removes working folders of processes that were killed. Returns how many there were.
    pub async fn sweep_scratch(&self) -> Result<usize> {
        match self.place() {
            PlaceOf::Folder(folder) => folder.sweep_scratch(),
            PlaceOf::Bucket(_) => self.cache().sweep(),
        }
    }
}

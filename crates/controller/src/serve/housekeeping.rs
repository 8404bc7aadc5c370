//! What a server clears away: old runs, artifacts that nothing needs, files of attempts that left none.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::fleet::Fleet;
use crate::Controller;
use crate::sweep::{self, Sweep};

const EVERY: Duration = Duration::from_secs(3600);
/// A server that has just begun has other things to do.
const AT_FIRST: Duration = Duration::from_secs(300);

/// How long what is not needed any more is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Runs that have ended, with their logs.
    pub runs: Duration,
    /// Files of attempts that left no artifact.
    pub attempts: Duration,
    /// Artifacts, after the last run that used them.
    pub artifacts: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            runs: Duration::from_secs(90 * DAY),
            attempts: Duration::from_secs(14 * DAY),
            artifacts: Duration::from_secs(30 * DAY),
        }
    }
}

pub(crate) struct Housekeeping {
    retention: Retention,
    next: Instant,
    going: Option<JoinHandle<()>>,
}

impl Housekeeping {
    pub fn new(retention: Retention) -> Self {
        Self { retention, next: Instant::now() + AT_FIRST, going: None }
    }

    /// Begins to clear away, when it is time and the last time is over.
    pub fn turn(&mut self, controller: &Controller, fleet: &Fleet, now: Timestamp) {
        if self.next > Instant::now() || self.going.as_ref().is_some_and(|going| !going.is_finished()) {
            return;
        }
        self.next = Instant::now() + EVERY;
        let (controller, fleet, retention) = (controller.clone(), fleet.clone(), self.retention);
        self.going = Some(tokio::spawn(async move { clear(&controller, &fleet, retention, now).await }));
    }

    /// Every step of it may be cut short and is carried on the next time.
    pub async fn stop(&mut self) {
        if let Some(going) = self.going.take() {
            going.abort();
            let _ = going.await;
        }
    }
}

async fn clear(controller: &Controller, fleet: &Fleet, retention: Retention, now: Timestamp) {
    let before = |age: Duration| {
        let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
        now.checked_sub(age).unwrap_or(Timestamp::MIN)
    };
    match sweep::expire_runs(controller, before(retention.runs)).await {
        Ok(0) => {}
        Ok(runs) => tracing::info!(runs, "old runs were forgotten"),
        Err(error) => tracing::warn!(%error, "old runs could not be forgotten"),
    }
    let wish = Sweep { unused_since: before(retention.artifacts), now, dry_run: false };
    match sweep::sweep(controller, wish).await {
        Ok(swept) => tracing::info!(
            marked = swept.marked.len(),
            deleted = swept.deleted.len(),
            "artifacts that nothing needs were swept"
        ),
        Err(error) => tracing::warn!(%error, "the sweep was cut short"),
    }
    match sweep::clear_attempts(controller, before(retention.attempts)).await {
        Ok(0) => {}
        Ok(attempts) => tracing::info!(attempts, "files of attempts that left no artifact were deleted"),
        Err(error) => tracing::warn!(%error, "files of old attempts could not be deleted"),
    }
    match sweep::forget_ended(controller, |run| fleet.drives(run)).await {
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "ended attempts could not be forgotten"),
    }
}

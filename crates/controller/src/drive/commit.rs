//! Writing down what happened, before anything follows from it.

use std::time::Duration;

use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, StepName};
use noctule_engine::{Command, Event, Run};
use noctule_store::{Change, Effects};
use tokio::time::Instant;

use super::Drive;
use crate::error::ControllerError;
use crate::watch::Seen;
use crate::words;

/// How long a store that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

impl Drive {
    /// Commits an event, and only then lets anything follow from it.
    pub(crate) async fn record(&mut self, event: Event, effects: Effects) -> Result<(), ControllerError> {
        let at = Timestamp::now();
        let mut next = self.run.clone();
        let commands = next
            .apply(at, &event)
            .map_err(|cause| ControllerError::Illegal { run: self.position.run.clone(), cause })?;
        let effects = Effects { release: released(&self.run, &next), ..effects };
        let change = Change { at, events: vec![event], status: next.status(), effects };
        let last = self.commit(&change).await?;
        self.advance(next, commands, last);
        Ok(())
    }

    /// A commit whose answer was lost may have happened: the log says so.
    async fn commit(&self, change: &Change) -> Result<u64, ControllerError> {
        let (store, position) = (&self.controller.store, &self.position);
        let begun = Instant::now();
        loop {
            match store.commit(position, change).await {
                Err(error) if error.is_temporary() && begun.elapsed() < PATIENCE => {
                    tracing::warn!(%error, "the store is away; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if let Ok(newer) = store.load_after(&position.run, position.after).await
                        && let Some(last) = newer.last()
                        && newer.iter().map(|logged| &logged.event).eq(&change.events)
                    {
                        return Ok(last.sequence);
                    }
                }
                other => return Ok(other?),
            }
        }
    }

    /// Takes the committed state over and tells what changed.
    pub(crate) fn advance(&mut self, next: Run, commands: Vec<Command>, last: u64) {
        let before = std::mem::replace(&mut self.run, next);
        self.position.after = last;
        self.pending.extend(commands);
        if let Some(hook) = self.after_event {
            hook(last);
        }
        if !released(&before, &self.run).is_empty() {
            self.controller.slots.free();
        }
        for (old, new) in before.steps().iter().zip(self.run.steps()) {
            let number = new.attempts().last().map_or(AttemptNumber(1), |attempt| attempt.number);
            if old.state() != new.state() || old.retry_at() != new.retry_at() {
                self.watch.tell(Seen::Step {
                    step: new.plan().name.clone(),
                    attempt: number,
                    state: new.state(),
                    sentence: words::of_step(new),
                });
            }
        }
    }

    pub(super) async fn note(&mut self, step: Option<StepName>, text: String) -> Result<(), ControllerError> {
        self.watch.tell(Seen::Note { step: step.clone(), text: text.clone() });
        self.record(Event::Noted { step, text }, Effects::default()).await
    }
}

/// The attempts that were live and are not any more: their slots are free.
pub(crate) fn released(before: &Run, after: &Run) -> Vec<(StepName, AttemptNumber)> {
    let steps = before.steps().iter().zip(after.steps());
    steps
        .filter_map(|(before, after)| {
            let live = before.live()?.number;
            let is_live = after.live().is_some_and(|attempt| attempt.number == live);
            (!is_live).then(|| (before.plan().name.clone(), live))
        })
        .collect()
}

/// Does something again as long as its trouble is one that may pass.
pub(super) async fn patiently<T, F, Fut>(mut what: F) -> Result<T, ControllerError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ControllerError>>,
{
    let begun = Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        match what().await {
            Err(error) if error.is_temporary() && begun.elapsed() < PATIENCE => {
                tracing::warn!(%error, "trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
            other => return other,
        }
    }
}

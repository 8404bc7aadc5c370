//! Attempts that are prepared and find no slot.

use std::time::Duration;

use noctule_artifacts::{AttemptNumber, Digest, StepName};
use noctule_engine::Event;
use noctule_store::{Effects, Pool, SlotLimits, SlotWish, StoreError, TakeSlot};
use tokio::time::Instant;

use super::Drive;
use crate::error::ControllerError;
use crate::watch::Seen;

/// What an attempt reads was fixed when it was prepared: one that has waited longer is prepared anew when its turn
/// comes.
const STALE: Duration = Duration::from_secs(60);
/// Who has waited a while asks less often, and often enough to keep its place in the queue.
const AT_FIRST: Duration = Duration::from_secs(10);
const LATER: Duration = Duration::from_secs(4);

/// An attempt that is prepared and has no slot.
#[derive(Debug, Clone)]
pub(super) struct Parked {
    attempt: AttemptNumber,
    fresh: bool,
    launch: Digest,
    prepared: Instant,
    since: Instant,
    asked: Instant,
}

impl Parked {
    pub fn new(attempt: AttemptNumber, fresh: bool, launch: Digest) -> Self {
        let now = Instant::now();
        Self { attempt, fresh, launch, prepared: now, since: now, asked: now }
    }

    fn is_due(&self) -> bool {
        self.since.elapsed() < AT_FIRST || self.asked.elapsed() >= LATER
    }
}

impl Drive {
    /// Commits the intent, with the slot that the attempt takes.
    pub(super) async fn intend(&mut self, step: StepName, parked: Parked) -> Result<(), ControllerError> {
        let (attempt, launch) = (parked.attempt, parked.launch);
        let take = TakeSlot { attempt, wish: self.wish(&step) };
        let effects = Effects { take: Some(take), ..Effects::default() };
        let event = Event::AttemptIntended { step: step.clone(), attempt, launch };
        match self.record(event, effects).await {
            Err(ControllerError::Store(StoreError::NoSlot(why))) => {
                let text = format!("it waits: {why}");
                self.watch.tell(Seen::Note { step: Some(step.clone()), text });
                let wish = self.wish(&step);
                self.parked.insert(step, parked);
                self.has_slot(&wish).await.map(drop)
            }
            other => other,
        }
    }

    fn wish(&self, step: &StepName) -> SlotWish {
        let limits = self.controller.slots.limits();
        let pool = self.pipeline.step(step).and_then(|step| step.pool.clone());
        // A pool that the configuration does not declare limits nothing; where it is known, such a step was refused.
        let pool = pool.and_then(|name| Some(Pool { slots: *limits.pools.get(&name)?, name }));
        SlotWish {
            step: step.clone(),
            limits: SlotLimits { overall: limits.attempts, pipeline: self.pipeline.limits.attempts, pool },
            priority: self.pipeline.priority,
            deadline: self.definition.deadline,
        }
    }

    /// Stands in line, and looks whether it is its turn.
    async fn has_slot(&self, wish: &SlotWish) -> Result<bool, ControllerError> {
        match self.controller.store.wait_for_slot(&self.position.run, wish).await {
            Err(error) if error.is_temporary() => {
                tracing::warn!(%error, "the store is away");
                Ok(false)
            }
            other => Ok(other?.is_none()),
        }
    }

    /// Asks again for those that wait.
    pub(super) async fn try_parked(&mut self) -> Result<(), ControllerError> {
        let due: Vec<StepName> =
            self.parked.iter().filter(|(_, parked)| parked.is_due()).map(|(step, _)| step.clone()).collect();
        for step in due {
            self.try_again(step).await?;
        }
        Ok(())
    }

    async fn try_again(&mut self, step: StepName) -> Result<(), ControllerError> {
        let Some(mut parked) = self.parked.remove(&step) else { return Ok(()) };
        if !self.is_wanted(&step, parked.attempt) {
            return Ok(self.controller.store.stop_waiting(&self.position.run, &step).await?);
        }
        if !self.has_slot(&self.wish(&step)).await? {
            parked.asked = Instant::now();
            self.parked.insert(step, parked);
            return Ok(());
        }
        if parked.prepared.elapsed() < STALE {
            return self.intend(step, parked).await;
        }
        self.answer(&step, parked.attempt, parked.fresh).await?;
        match self.parked.get_mut(&step) {
            Some(again) => again.since = parked.since,
            // It was reused or could not be prepared: it needs no slot.
            None => self.controller.store.stop_waiting(&self.position.run, &step).await?,
        }
        Ok(())
    }
}

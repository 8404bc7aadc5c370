//! What a run is to do: its steps, their order, and how patient to be with each.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use noctule_artifacts::launch::Interval;
use noctule_artifacts::{AliasName, ModelName, PipelineName, RunId, StepName};

#[derive(Debug, Clone, PartialEq)]
pub struct RunPlan {
    pub run: RunId,
    pub pipeline: PipelineName,
    /// Where the jitter of back-offs comes from.
    pub seed: u64,
    /// How many attempts may be live at a time; at least one.
    pub parallel: u32,
    pub interval: Interval,
    /// Each step after those it needs.
    pub steps: Vec<StepPlan>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StepPlan {
    pub name: StepName,
    /// The step kind, such as `train`.
    pub kind: String,
    /// The steps that have to end before this one begins.
    pub needs: Vec<StepName>,
    /// Those of `needs` whose artifacts this step reads.
    pub reads: Vec<StepName>,
    /// Why the step is not to run, when its `when` was false.
    pub disabled: Option<String>,
    /// Run even if a needed step failed, was skipped or was cancelled.
    pub always: bool,
    /// Never start a new attempt while an old one has not been seen gone.
    pub exclusive: bool,
    pub retry: RetryPolicy,
    pub timeouts: Timeouts,
    pub role: Role,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RetryPolicy {
    /// All attempts, the first one included; at least one.
    pub attempts: u32,
    pub backoff: Backoff,
    /// Exit codes that are as temporary as 75.
    pub on_exit: BTreeSet<i32>,
}

/// The pause before retry `n` is `initial * factor^(n-1)`, at most `max`; jitter takes up to half of it away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    pub initial: SignedDuration,
    pub factor: f64,
    pub max: SignedDuration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start to being placed on a machine.
    pub queue: SignedDuration,
    /// From being placed to the beginning of the main process.
    pub start: SignedDuration,
    /// From the beginning of the main process to its end.
    pub run: SignedDuration,
    /// From the request to end to the end by force.
    pub grace: SignedDuration,
    /// From the request to end to giving up on seeing it gone.
    pub stop: SignedDuration,
}

/// What a step is to the publication of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    Plain,
    Evaluate,
    Gate { evaluation: StepName },
    Publish { gate: StepName, model: ModelName, alias: AliasName },
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { attempts: 3, backoff: Backoff::default(), on_exit: BTreeSet::new() }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: SignedDuration::from_secs(10), factor: 2.0, max: SignedDuration::from_mins(10) }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            queue: SignedDuration::from_mins(30),
            start: SignedDuration::from_mins(5),
            run: SignedDuration::from_hours(2),
            grace: SignedDuration::from_secs(30),
            stop: SignedDuration::from_mins(10),
        }
    }
}

/// A plan that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the plan allows no attempt at a time: `parallel` must be at least 1")]
    NoParallel,
    #[error("the plan has no steps")]
    Empty,
    #[error("the plan has two steps named `{0}`")]
    Twice(StepName),
    #[error("`{step}` needs `{needs}`, which is not a step before it")]
    Order { step: StepName, needs: StepName },
    #[error("`{step}` reads `{reads}`, which it does not need")]
    Unneeded { step: StepName, reads: StepName },
    #[error("`{step}` has no attempts: `retry.attempts` must be at least 1")]
    NoAttempts { step: StepName },
    #[error("`{step}` takes `{named}` for {wanted}, and it is none")]
    WrongRole { step: StepName, named: StepName, wanted: &'static str },
}

impl RunPlan {
    /// Checks what the state machine relies on.
    pub fn check(&self) -> Result<(), PlanError> {
        if self.parallel == 0 {
            return Err(PlanError::NoParallel);
        }
        if self.steps.is_empty() {
            return Err(PlanError::Empty);
        }
        let mut before: BTreeMap<&StepName, &Role> = BTreeMap::new();
        for step in &self.steps {
            step.check(&before)?;
            if before.insert(&step.name, &step.role).is_some() {
                return Err(PlanError::Twice(step.name.clone()));
            }
        }
        Ok(())
    }
}

impl StepPlan {
    fn check(&self, before: &BTreeMap<&StepName, &Role>) -> Result<(), PlanError> {
        let step = self.name.clone();
        if let Some(needs) = self.needs.iter().find(|name| !before.contains_key(name)) {
            return Err(PlanError::Order { step, needs: needs.clone() });
        }
        if let Some(reads) = self.reads.iter().find(|name| !self.needs.contains(name)) {
            return Err(PlanError::Unneeded { step, reads: reads.clone() });
        }
        if self.retry.attempts == 0 {
            return Err(PlanError::NoAttempts { step });
        }
        match &self.role {
            Role::Gate { evaluation } if before.get(evaluation) != Some(&&Role::Evaluate) => {
                Err(PlanError::WrongRole { step, named: evaluation.clone(), wanted: "an evaluation" })
            }
            Role::Publish { gate, .. } if !matches!(before.get(gate), Some(Role::Gate { .. })) => {
                Err(PlanError::WrongRole { step, named: gate.clone(), wanted: "a gate" })
            }
            _ => Ok(()),
        }
    }
}

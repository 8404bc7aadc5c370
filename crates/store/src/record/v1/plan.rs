//! Format 1 of a run's plan.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{AliasName, ModelName, PipelineName, RunId, StepName, launch};
use noctule_engine::plan;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunPlan {
    run: RunId,
    pipeline: PipelineName,
    seed: u64,
    parallel: u32,
    interval: Interval,
    steps: Vec<StepPlan>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Interval {
    start: Timestamp,
    end: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepPlan {
    name: StepName,
    kind: String,
    needs: Vec<StepName>,
    reads: Vec<StepName>,
    disabled: Option<String>,
    always: bool,
    exclusive: bool,
    retry: RetryPolicy,
    timeouts: Timeouts,
    role: Role,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryPolicy {
    attempts: u32,
    initial: SignedDuration,
    /// As text: the reader of JSON numbers may miss the last bit.
    #[serde(with = "exact")]
    factor: f64,
    max: SignedDuration,
    on_exit: BTreeSet<i32>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Timeouts {
    queue: SignedDuration,
    start: SignedDuration,
    run: SignedDuration,
    grace: SignedDuration,
    stop: SignedDuration,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
enum Role {
    Plain,
    Evaluate,
    Gate { evaluation: StepName },
    Publish { gate: StepName, model: ModelName, alias: AliasName },
}

mod exact {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl From<plan::RunPlan> for RunPlan {
    fn from(living: plan::RunPlan) -> Self {
        let plan::RunPlan { run, pipeline, seed, parallel, interval, steps } = living;
        let launch::Interval { start, end } = interval;
        let steps = steps.into_iter().map(Into::into).collect();
        Self { run, pipeline, seed, parallel, interval: Interval { start, end }, steps }
    }
}

impl From<RunPlan> for plan::RunPlan {
    fn from(record: RunPlan) -> Self {
        let RunPlan { run, pipeline, seed, parallel, interval: Interval { start, end }, steps } = record;
        let steps = steps.into_iter().map(Into::into).collect();
        Self { run, pipeline, seed, parallel, interval: launch::Interval { start, end }, steps }
    }
}

impl From<plan::StepPlan> for StepPlan {
    fn from(living: plan::StepPlan) -> Self {
        let plan::StepPlan { name, kind, needs, reads, disabled, always, exclusive, retry, timeouts, role } =
            living;
        let (retry, timeouts, role) = (retry.into(), timeouts.into(), role.into());
        Self { name, kind, needs, reads, disabled, always, exclusive, retry, timeouts, role }
    }
}

impl From<StepPlan> for plan::StepPlan {
    fn from(record: StepPlan) -> Self {
        let StepPlan { name, kind, needs, reads, disabled, always, exclusive, retry, timeouts, role } =
            record;
        let (retry, timeouts, role) = (retry.into(), timeouts.into(), role.into());
        Self { name, kind, needs, reads, disabled, always, exclusive, retry, timeouts, role }
    }
}

impl From<plan::RetryPolicy> for RetryPolicy {
    fn from(living: plan::RetryPolicy) -> Self {
        let plan::RetryPolicy { attempts, backoff, on_exit } = living;
        let plan::Backoff { initial, factor, max } = backoff;
        Self { attempts, initial, factor, max, on_exit }
    }
}

impl From<RetryPolicy> for plan::RetryPolicy {
    fn from(record: RetryPolicy) -> Self {
        let RetryPolicy { attempts, initial, factor, max, on_exit } = record;
        Self { attempts, backoff: plan::Backoff { initial, factor, max }, on_exit }
    }
}

impl From<plan::Timeouts> for Timeouts {
    fn from(living: plan::Timeouts) -> Self {
        let plan::Timeouts { queue, start, run, grace, stop } = living;
        Self { queue, start, run, grace, stop }
    }
}

impl From<Timeouts> for plan::Timeouts {
    fn from(record: Timeouts) -> Self {
        let Timeouts { queue, start, run, grace, stop } = record;
        Self { queue, start, run, grace, stop }
    }
}

impl From<plan::Role> for Role {
    fn from(living: plan::Role) -> Self {
        match living {
            plan::Role::Plain => Self::Plain,
            plan::Role::Evaluate => Self::Evaluate,
            plan::Role::Gate { evaluation } => Self::Gate { evaluation },
            plan::Role::Publish { gate, model, alias } => Self::Publish { gate, model, alias },
        }
    }
}

impl From<Role> for plan::Role {
    fn from(record: Role) -> Self {
        match record {
            Role::Plain => Self::Plain,
            Role::Evaluate => Self::Evaluate,
            Role::Gate { evaluation } => Self::Gate { evaluation },
            Role::Publish { gate, model, alias } => Self::Publish { gate, model, alias },
        }
    }
}

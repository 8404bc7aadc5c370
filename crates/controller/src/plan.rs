//! A checked pipeline to what the engine runs.

use jiff::SignedDuration;
use noctule_artifacts::RunId;
use noctule_artifacts::launch::Interval;
use noctule_engine::plan::{Backoff, RetryPolicy, Role, RunPlan, StepPlan, Timeouts};
use noctule_spec::{Pipeline, Span, Step, StepKind};

/// The plan of a run of this pipeline.
pub fn run_plan(pipeline: &Pipeline, run: RunId, seed: u64, parallel: u32, interval: Interval) -> RunPlan {
    RunPlan {
        run,
        pipeline: pipeline.name.clone(),
        seed,
        parallel,
        interval,
        steps: pipeline.steps.iter().map(step_plan).collect(),
    }
}

fn step_plan(step: &Step) -> StepPlan {
    let mut reads: Vec<_> = step.inputs.iter().map(|input| input.step.clone()).collect();
    reads.sort();
    reads.dedup();
    StepPlan {
        name: step.name.clone(),
        kind: step.kind.name().to_owned(),
        needs: step.needs.clone(),
        reads,
        disabled: step.disabled.clone(),
        always: step.always,
        exclusive: step.exclusive,
        retry: RetryPolicy {
            attempts: step.retry.attempts,
            backoff: Backoff {
                initial: duration(step.retry.backoff.initial),
                factor: step.retry.backoff.factor,
                max: duration(step.retry.backoff.max),
            },
            on_exit: step.retry.on_exit.iter().map(|code| i32::from(*code)).collect(),
        },
        timeouts: Timeouts {
            queue: duration(step.timeouts.queue),
            start: duration(step.timeouts.start),
            run: duration(step.timeouts.run),
            grace: duration(step.timeouts.grace),
            stop: duration(step.timeouts.stop),
        },
        role: role(step),
    }
}

fn role(step: &Step) -> Role {
    match &step.kind {
        StepKind::Evaluate(_) => Role::Evaluate,
        StepKind::Gate(settings) => Role::Gate { evaluation: settings.evaluation.step().clone() },
        StepKind::Publish(settings) => Role::Publish {
            gate: settings.gate.step().clone(),
            model: settings.name.clone(),
            alias: settings.alias.clone(),
        },
        _ => Role::Plain,
    }
}

fn duration(span: Span) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(span.seconds()).unwrap_or(i64::MAX))
}

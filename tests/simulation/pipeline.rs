//! Random pipelines: a few steps in any shape, and often a model to publish.

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::launch::Interval;
use noctule_artifacts::{RunId, StepName};
use noctule_engine::plan::{Backoff, RetryPolicy, Timeouts};
use noctule_engine::{Role, RunPlan, StepPlan};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

pub fn random(rng: &mut ChaCha8Rng) -> RunPlan {
    let mut steps: Vec<StepPlan> = Vec::new();
    for i in 0..rng.random_range(1..5) {
        let needs = some_of(rng, &steps, 0.4);
        let mut step = step(&format!("s{i}"), needs, rng);
        step.disabled = rng.random_bool(0.05).then(|| "`when` is false".to_owned());
        step.exclusive = rng.random_bool(0.15);
        steps.push(step);
    }
    if rng.random_bool(0.7) {
        publishing(&mut steps, rng);
    }
    if rng.random_bool(0.3) {
        let needs = some_of(rng, &steps, 0.6);
        let reads = if rng.random_bool(0.5) { vec![] } else { needs.clone() };
        steps.push(StepPlan { always: true, reads, ..step("tidy", needs, rng) });
    }
    let start = Timestamp::UNIX_EPOCH;
    RunPlan {
        run: RunId::from_random(rng.random()),
        pipeline: "nightly".parse().expect("a name"),
        seed: rng.random(),
        parallel: rng.random_range(1..4),
        interval: Interval { start, end: start + SignedDuration::from_hours(24) },
        steps,
    }
}

fn publishing(steps: &mut Vec<StepPlan>, rng: &mut ChaCha8Rng) {
    let data = some_of(rng, steps, 0.7);
    let name = |text: &str| -> StepName { text.parse().expect("a name") };
    steps.push(step("model", data, rng));
    steps.push(StepPlan { role: Role::Evaluate, ..step("quality", vec![name("model")], rng) });
    steps.push(StepPlan {
        role: Role::Gate { evaluation: name("quality") },
        ..step("gate", vec![name("quality")], rng)
    });
    let aliases = if rng.random_bool(0.3) { 2 } else { 1 };
    for (own, alias) in [("publish", "champion"), ("second", "reference")].into_iter().take(aliases) {
        steps.push(StepPlan {
            role: Role::Publish {
                gate: name("gate"),
                model: "home-feed".parse().expect("a name"),
                alias: alias.parse().expect("a name"),
            },
            ..step(own, vec![name("model"), name("gate")], rng)
        });
    }
}

fn some_of(rng: &mut ChaCha8Rng, steps: &[StepPlan], share: f64) -> Vec<StepName> {
    steps.iter().filter(|_| rng.random_bool(share)).map(|step| step.name.clone()).collect()
}

fn step(name: &str, needs: Vec<StepName>, rng: &mut ChaCha8Rng) -> StepPlan {
    let seconds = SignedDuration::from_secs;
    StepPlan {
        name: name.parse().expect("a name"),
        kind: "shell".into(),
        reads: needs.clone(),
        needs,
        disabled: None,
        always: false,
        exclusive: false,
        retry: RetryPolicy {
            attempts: rng.random_range(1..4),
            backoff: Backoff { initial: seconds(10), factor: 2.0, max: seconds(120) },
            on_exit: [42].into(),
        },
        timeouts: Timeouts {
            queue: seconds(1800),
            start: seconds(300),
            run: seconds(3600),
            grace: seconds(30),
            stop: seconds(600),
        },
        role: Role::Plain,
    }
}

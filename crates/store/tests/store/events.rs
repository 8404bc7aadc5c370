//! One event of every kind, with every variant of what they hold: what the log must be able to keep.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use noctule_artifacts::{AttemptNumber, Outcome, VersionNumber};
use noctule_engine::failure::{Disruption, Waiting, WaitingReason};
use noctule_engine::plan::{Backoff, RetryPolicy, Timeouts};
use noctule_engine::{ArtifactRef, Event, Evidence, Handle, Phase, Publication, Role, RunPlan, StepPlan};

use crate::world::{day, digest, run_id};

fn step(name: &str, role: Role) -> StepPlan {
    StepPlan {
        name: name.parse().unwrap(),
        kind: "train".to_owned(),
        needs: vec![],
        reads: vec![],
        disabled: None,
        always: false,
        exclusive: false,
        retry: RetryPolicy::default(),
        timeouts: Timeouts::default(),
        role,
    }
}

/// A chain of the four roles.
pub fn plan() -> RunPlan {
    let mut model = step("model", Role::Plain);
    model.disabled = Some("`when` is false: params.train".to_owned());
    model.always = true;
    model.exclusive = true;
    model.retry = RetryPolicy {
        attempts: 7,
        backoff: Backoff {
            initial: SignedDuration::new(1, 500_000_001),
            factor: 1.1 + 0.1 + 0.1,
            max: SignedDuration::from_hours(3),
        },
        on_exit: BTreeSet::from([-1, 3, 139]),
    };
    let mut quality = step("quality", Role::Evaluate);
    quality.needs = vec!["model".parse().unwrap()];
    quality.reads = quality.needs.clone();
    let mut gate = step("gate", Role::Gate { evaluation: "quality".parse().unwrap() });
    gate.needs = vec!["quality".parse().unwrap()];
    let mut publish = step(
        "publish",
        Role::Publish {
            gate: "gate".parse().unwrap(),
            model: "home-feed".parse().unwrap(),
            alias: "champion".parse().unwrap(),
        },
    );
    publish.needs = vec!["gate".parse().unwrap()];
    RunPlan {
        run: run_id(1),
        pipeline: "nightly".parse().unwrap(),
        seed: u64::MAX,
        parallel: 2,
        interval: day(1),
        steps: vec![model, quality, gate, publish],
    }
}

pub fn artifact() -> ArtifactRef {
    ArtifactRef { manifest: format!("runs/{}/model/2/manifest.json", run_id(1)), digest: digest("model") }
}

fn phases() -> Vec<Phase> {
    let reasons = [
        WaitingReason::ImagePull,
        WaitingReason::Config,
        WaitingReason::InvalidImageName,
        WaitingReason::ImageNeverPull,
        WaitingReason::Other,
    ];
    let waiting =
        |reason| Phase::Starting { waiting: Some(Waiting { reason, message: "Back-off".to_owned() }) };
    let mut phases: Vec<Phase> = reasons.into_iter().map(waiting).collect();
    phases.extend([
        Phase::Starting { waiting: None },
        Phase::Queued { reason: None },
        Phase::Queued { reason: Some("0/3 nodes are available".to_owned()) },
        Phase::Running,
    ]);
    phases
}

fn evidence() -> Vec<Evidence> {
    let text = || "it said:\n\"no\" \u{1f987}".to_owned();
    let mut all = vec![
        Evidence::Exited { code: 65 },
        Evidence::Signalled { signal: 11 },
        Evidence::MemoryLimit { limit_bytes: Some(u64::MAX), peak_bytes: None },
        Evidence::EphemeralStorage { message: text() },
        Evidence::NotSpawned { message: text() },
        Evidence::StillWaiting(Waiting { reason: WaitingReason::Other, message: text() }),
        Evidence::NotPlaced { reason: text() },
        Evidence::Rejected { message: text() },
        Evidence::Unpreparable { message: text() },
        Evidence::Unreachable { message: text() },
        Evidence::TimedOut { limit: SignedDuration::new(7200, 1) },
        Evidence::Lost,
        Evidence::StopRequested,
    ];
    let disruptions = [
        Disruption::Evicted,
        Disruption::Preempted,
        Disruption::Tainted,
        Disruption::NodeLost,
        Disruption::StatusUnknown,
        Disruption::Other,
    ];
    all.extend(disruptions.map(Evidence::Disrupted));
    all
}

fn publications() -> Vec<Option<Publication>> {
    let version = VersionNumber(3);
    vec![
        None,
        Some(Publication::Promoted { version, from: None, sequence: 1 }),
        Some(Publication::Promoted { version, from: Some(VersionNumber(2)), sequence: u64::MAX >> 1 }),
        Some(Publication::Unchanged { version }),
        Some(Publication::Registered { version }),
        Some(Publication::Pinned { version, to: VersionNumber(1) }),
        Some(Publication::Moved { version, expected: None, found: Some(VersionNumber(2)) }),
    ]
}

/// What people ask for, with who and why.
pub fn requests() -> Vec<Event> {
    let (step, by) = ("model".parse::<noctule_artifacts::StepName>().unwrap(), "ada".to_owned());
    let why = || Some("the \"disk\" is back \u{1f987}".to_owned());
    vec![
        Event::CancelRequested { by: by.clone(), at_once: false, why: why() },
        Event::Resumed { by: by.clone(), why: why() },
        Event::Rerun { step: step.clone(), by: by.clone(), why: None },
        Event::Rerun { step: step.clone(), by: by.clone(), why: why() },
        Event::Ignored { step, by, why: "a flaky audit".to_owned() },
    ]
}

/// Everything but [`requests`]. A new kind of event that is in neither fails [`every_kind_is_here`].
pub fn all() -> Vec<Event> {
    let (step, attempt) = ("model".parse::<noctule_artifacts::StepName>().unwrap(), AttemptNumber(2));
    let mut all = vec![
        Event::RunCreated { plan: Box::new(plan()) },
        Event::AlreadyPublished { step: step.clone(), attempt, version: VersionNumber(3) },
        Event::AttemptIntended { step: step.clone(), attempt, launch: digest("launch") },
        Event::AttemptGone { step: step.clone(), attempt },
        Event::CancelRequested { by: "ada".to_owned(), at_once: true, why: None },
        Event::Woken,
        Event::Resumed { by: "ada".to_owned(), why: None },
        Event::Noted { step: None, text: String::new() },
        Event::Noted { step: Some(step.clone()), text: "a\u{0}b \"quoted\" \\ \u{1f987}".to_owned() },
    ];
    let handles = [
        Handle::Process { pid: 4711, start_time: u64::MAX, boot_id: "b0-07".to_owned() },
        Handle::Job { namespace: "recs".to_owned(), name: "noctule-x".to_owned(), uid: "u".to_owned() },
    ];
    all.extend(handles.map(|handle| Event::AttemptStarted { step: step.clone(), attempt, handle }));
    let outcomes = [Outcome::Ok, Outcome::DataStop, Outcome::GateRejected, Outcome::GateInconclusive];
    all.extend(outcomes.map(|outcome| Event::StepReused {
        step: step.clone(),
        attempt,
        artifact: artifact(),
        outcome,
        from: run_id(9),
    }));
    all.extend(phases().into_iter().map(|phase| Event::AttemptObserved {
        step: step.clone(),
        attempt,
        phase,
    }));
    all.extend(publications().into_iter().map(|publication| Event::AttemptSucceeded {
        step: step.clone(),
        attempt,
        artifact: artifact(),
        outcome: Outcome::Ok,
        publication,
    }));
    all.extend(
        evidence().into_iter().zip([None, Some("last word".to_owned())].into_iter().cycle()).map(
            |(evidence, message)| Event::AttemptFailed { step: step.clone(), attempt, evidence, message },
        ),
    );
    all
}

#[test]
fn every_kind_is_here() {
    let names: BTreeSet<_> = all().iter().chain(&requests()).map(Event::name).collect();
    let expected = BTreeSet::from([
        "RunCreated",
        "StepReused",
        "AlreadyPublished",
        "AttemptIntended",
        "AttemptStarted",
        "AttemptObserved",
        "AttemptSucceeded",
        "AttemptFailed",
        "AttemptGone",
        "CancelRequested",
        "Woken",
        "Resumed",
        "Rerun",
        "Ignored",
        "Noted",
    ]);
    assert_eq!(names, expected);
}

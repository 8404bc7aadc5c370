//! Failure classes, their budgets, and the timers.

use noctule_artifacts::{AttemptNumber, Digest};
use noctule_engine::failure::{Disruption, Waiting, WaitingReason};
use noctule_engine::plan::RetryPolicy;
use noctule_engine::{Event, Evidence, FailureClass, Phase, StepPlan};

use crate::rig::{Rig, artifact, name, plan, seconds, step};

const NOTHING: [&str; 0] = [];

#[test]
fn classes_follow_from_evidence() {
    let retry = RetryPolicy { on_exit: [42].into(), ..RetryPolicy::default() };
    let waiting = |reason| Evidence::StillWaiting(Waiting { reason, message: "Back-off pulling".into() });
    let text = || "words".to_owned();
    for (evidence, class) in [
        (Evidence::Exited { code: 0 }, FailureClass::Failed),
        (Evidence::Exited { code: 1 }, FailureClass::Failed),
        (Evidence::Exited { code: 137 }, FailureClass::Failed),
        (Evidence::Exited { code: 75 }, FailureClass::Transient),
        (Evidence::Exited { code: 42 }, FailureClass::Transient),
        (Evidence::Exited { code: 65 }, FailureClass::Invalid),
        (Evidence::Exited { code: 78 }, FailureClass::Invalid),
        (Evidence::Signalled { signal: 9 }, FailureClass::Failed),
        (Evidence::MemoryLimit { limit_bytes: Some(1), peak_bytes: None }, FailureClass::OutOfMemory),
        (Evidence::Disrupted(Disruption::Preempted), FailureClass::Disrupted),
        (Evidence::Disrupted(Disruption::StatusUnknown), FailureClass::Disrupted),
        (Evidence::EphemeralStorage { message: text() }, FailureClass::Failed),
        (Evidence::NotSpawned { message: text() }, FailureClass::NeverStarted),
        (waiting(WaitingReason::ImagePull), FailureClass::NeverStarted),
        (waiting(WaitingReason::Config), FailureClass::NeverStarted),
        (waiting(WaitingReason::ImageNeverPull), FailureClass::Invalid),
        (waiting(WaitingReason::InvalidImageName), FailureClass::Invalid),
        (Evidence::NotPlaced { reason: text() }, FailureClass::Unschedulable),
        (Evidence::Rejected { message: text() }, FailureClass::Invalid),
        (Evidence::Unpreparable { message: text() }, FailureClass::Invalid),
        (Evidence::Unreachable { message: text() }, FailureClass::Transient),
        (Evidence::TimedOut { limit: seconds(1) }, FailureClass::TimedOut),
        (Evidence::Lost, FailureClass::Lost),
    ] {
        assert_eq!(evidence.class(&retry), class, "{evidence:?}");
    }
    let listed_65 = RetryPolicy { on_exit: [65].into(), ..RetryPolicy::default() };
    assert_eq!(Evidence::Exited { code: 65 }.class(&listed_65), FailureClass::Transient);
}

#[test]
fn a_failed_step_is_tried_again_after_a_pause() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.launch("a");
    assert_eq!(rig.fail("a", Evidence::Exited { code: 1 }), NOTHING);
    assert_eq!(rig.states(), ["a waiting"]);
    let pause = rig.run.next_wake().unwrap().duration_since(rig.now);
    assert!(pause >= seconds(4) && pause <= seconds(8), "{pause}");
    assert_eq!(rig.tell(Event::Woken), NOTHING, "too early");
    assert_eq!(rig.wake(), ["prepare a/2"]);
    rig.launch("a");
    rig.fail("a", Evidence::Exited { code: 1 });
    assert_eq!(rig.states(), ["a failed"]);
    assert_eq!(rig.status(), "failed");
}

#[test]
fn disruptions_do_not_spend_retries() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    for n in 1..=5 {
        rig.launch("a");
        rig.fail("a", Evidence::Disrupted(Disruption::Evicted));
        assert_eq!(rig.wake(), [format!("prepare a/{}", n + 1)]);
    }
    rig.launch("a");
    rig.fail("a", Evidence::Exited { code: 1 });
    assert_eq!(rig.wake(), ["prepare a/7"]);
    rig.launch("a");
    rig.fail("a", Evidence::Lost);
    assert_eq!(rig.states(), ["a failed (lost)"]);
}

#[test]
fn a_step_that_cannot_be_prepared_fails_without_an_intent() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.fail("a", Evidence::Unreachable { message: "connection refused".into() });
    assert_eq!(rig.wake(), ["prepare a/2"]);
    rig.fail("a", Evidence::Unpreparable { message: "no such file".into() });
    assert_eq!(rig.states(), ["a failed (invalid)"]);
    assert_eq!(rig.run.step(&name("a")).unwrap().attempts().len(), 2);
}

#[test]
fn a_run_timeout_stops_then_kills_then_waits_to_see_it_gone() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.launch("a");
    let running = rig.now;
    assert_eq!(rig.wake(), ["stop a/1"]);
    assert_eq!(rig.now.duration_since(running), seconds(3600));
    assert_eq!(rig.states(), ["a stopping"]);
    assert_eq!(rig.wake(), ["kill a/1"]);
    assert_eq!(rig.now.duration_since(running), seconds(3630));
    // Killed by us: the signal is not evidence of anything.
    assert_eq!(rig.fail("a", Evidence::Signalled { signal: 9 }), NOTHING);
    assert_eq!(rig.wake(), ["prepare a/2"]);
    rig.launch("a");
    rig.wake();
    rig.gone("a");
    assert_eq!(rig.states(), ["a failed (timed-out)"]);
}

#[test]
fn one_that_commits_while_it_is_stopped_has_succeeded() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.launch("a");
    rig.wake();
    rig.succeed("a");
    assert_eq!(rig.status(), "succeeded");
}

#[test]
fn one_that_cannot_be_seen_gone_is_abandoned_and_fenced_off() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.launch("a");
    rig.wake();
    let stopping = rig.now;
    rig.wake();
    assert_eq!(rig.wake(), ["abandon a/1"]);
    assert_eq!(rig.now.duration_since(stopping), seconds(600));
    assert_eq!(rig.wake(), ["prepare a/2"]);
    rig.launch("a");
    // The silent node comes back with a result: too late.
    let late = Event::AttemptSucceeded {
        step: name("a"),
        attempt: AttemptNumber(1),
        artifact: artifact("a", AttemptNumber(1)),
        outcome: noctule_artifacts::Outcome::Ok,
        publication: None,
    };
    assert!(rig.run.step(&name("a")).unwrap().attempts()[0].abandoned);
    assert_eq!(rig.tell(late), NOTHING);
    assert_eq!(rig.states(), ["a running"]);
    assert!(!rig.run.step(&name("a")).unwrap().attempts()[0].abandoned);
    rig.succeed("a");
    assert_eq!(rig.run.step(&name("a")).unwrap().artifact(), Some(&artifact("a", AttemptNumber(2))));
}

#[test]
fn an_exclusive_step_waits_however_long_it_takes() {
    let (mut rig, _) = Rig::begin(plan(1, vec![StepPlan { exclusive: true, ..step("a") }]));
    rig.launch("a");
    rig.wake();
    rig.wake();
    assert_eq!(rig.run.next_wake(), None);
    assert_eq!(rig.states(), ["a stopping"]);
    rig.gone("a");
    assert_eq!(rig.wake(), ["prepare a/2"]);
}

#[test]
fn each_phase_of_a_start_has_its_own_timer() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.intend("a");
    let said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.";
    rig.observe("a", Phase::Queued { reason: Some(said.into()) });
    assert_eq!(rig.run.next_wake().unwrap().duration_since(rig.now), seconds(1799));
    assert_eq!(rig.wake(), ["stop a/1"]);
    rig.gone("a");
    assert_eq!(rig.states(), ["a failed (unschedulable)"]);
    let attempt = &rig.run.step(&name("a")).unwrap().attempts()[0];
    assert!(format!("{:?}", attempt.result).contains(said));
}

#[test]
fn what_waits_for_its_image_is_tried_three_times_more_and_then_invalid() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    let pull = Waiting { reason: WaitingReason::ImagePull, message: "not found".into() };
    for n in 1..=4 {
        rig.intend("a");
        rig.observe("a", Phase::Starting { waiting: Some(pull.clone()) });
        assert_eq!(rig.run.next_wake().unwrap().duration_since(rig.now), seconds(300));
        assert_eq!(rig.wake(), [format!("stop a/{n}")]);
        rig.gone("a");
        if n < 4 {
            rig.wake();
        }
    }
    assert_eq!(rig.states(), ["a failed (invalid)"]);
}

#[test]
fn what_can_never_start_is_stopped_at_once() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.intend("a");
    let never = Waiting { reason: WaitingReason::ImageNeverPull, message: "x".into() };
    assert_eq!(rig.observe("a", Phase::Starting { waiting: Some(never) }), ["stop a/1"]);
    rig.gone("a");
    assert_eq!(rig.states(), ["a failed (invalid)"]);
}

#[test]
fn an_intent_without_a_start_is_outstanding_and_a_repeated_one_changes_nothing() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.intend("a");
    let folded = rig.fold();
    assert_eq!(folded.outstanding().len(), 1);
    assert_eq!(rig.intend("a"), NOTHING);
    let other = Event::AttemptIntended {
        step: name("a"),
        attempt: AttemptNumber(1),
        launch: Digest::of(b"another document"),
    };
    assert!(rig.try_tell(other).is_err());
    rig.start("a");
    assert!(rig.run.outstanding().is_empty());
}

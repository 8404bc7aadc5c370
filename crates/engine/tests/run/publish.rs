//! Publishing: an alias that moved, a pin, and a candidate that is the champion already.

use noctule_artifacts::{AttemptNumber, Outcome, VersionNumber};
use noctule_engine::{Event, Evidence, Publication, StepPlan};

use crate::rig::{Rig, name, plan, publishing, second_publish, step};

fn at_publish() -> Rig {
    let (mut rig, _) = Rig::begin(plan(1, publishing()));
    rig.complete("model");
    rig.complete("quality");
    rig.complete("gate");
    rig.launch("publish");
    rig
}

fn moved() -> Option<Publication> {
    Some(Publication::Moved {
        version: VersionNumber(4),
        expected: Some(VersionNumber(2)),
        found: Some(VersionNumber(3)),
    })
}

#[test]
fn a_promotion_ends_the_run() {
    let mut rig = at_publish();
    rig.succeed("publish");
    assert_eq!(rig.status(), "succeeded");
}

#[test]
fn a_moved_alias_is_judged_again_twice_and_then_the_candidate_is_held() {
    let mut rig = at_publish();
    for n in 2..=3 {
        assert_eq!(rig.commit("publish", Outcome::Ok, moved()), [format!("prepare quality/{n}")]);
        assert_eq!(rig.states(), ["model done", "quality ready", "gate waiting", "publish waiting"]);
        rig.complete("quality");
        rig.complete("gate");
        rig.launch("publish");
    }
    rig.commit("publish", Outcome::Ok, moved());
    assert_eq!(rig.states()[3], "publish stopped (held: moved)");
    assert_eq!(rig.status(), "held: moved");
    assert_eq!(rig.resume(), ["prepare quality/4"], "taken up again, it is judged again");
}

/// Two aliases past one gate.
fn at_both_publishes() -> Rig {
    let mut steps = publishing();
    steps.push(second_publish());
    let (mut rig, _) = Rig::begin(plan(2, steps));
    rig.complete("model");
    rig.complete("quality");
    rig.complete("gate");
    rig.launch("publish");
    rig.launch("second");
    rig
}

#[test]
fn an_evaluation_that_is_under_way_again_is_left_alone() {
    let mut rig = at_both_publishes();
    assert_eq!(rig.commit("publish", Outcome::Ok, moved()), ["prepare quality/2"]);
    rig.launch("quality");
    assert!(rig.commit("second", Outcome::Ok, moved()).is_empty());
    assert_eq!(rig.states()[1..], ["quality running", "gate waiting", "publish waiting", "second waiting"]);
    rig.succeed("quality");
    assert_eq!(rig.complete("gate"), ["prepare publish/2", "prepare second/2"]);
}

#[test]
fn a_gate_that_rejects_the_second_time_decides_for_all() {
    let mut rig = at_both_publishes();
    rig.commit("publish", Outcome::Ok, moved());
    rig.complete("quality");
    rig.launch("gate");
    rig.commit("gate", Outcome::GateRejected, None);
    assert!(rig.commit("second", Outcome::Ok, moved()).is_empty());
    assert_eq!(rig.states()[4], "second skipped (`gate` stopped: gate-rejected: fail)");
    assert_eq!(rig.status(), "gate-rejected: fail");
}

#[test]
fn a_pause_that_ends_while_a_needed_step_is_judged_again_wakes_nobody() {
    let mut steps = publishing();
    steps.push(StepPlan { always: true, reads: vec![], ..step("tidy < gate") });
    let (mut rig, _) = Rig::begin(plan(2, steps));
    rig.complete("model");
    rig.complete("quality");
    rig.complete("gate");
    rig.launch("publish");
    rig.launch("tidy");
    rig.fail("tidy", Evidence::Exited { code: 1 });
    rig.commit("publish", Outcome::Ok, moved());
    rig.wake();
    assert_eq!(rig.states()[1..], ["quality ready", "gate waiting", "publish waiting", "tidy waiting"]);
    assert_eq!(rig.run.next_wake(), None);
    rig.complete("quality");
    assert_eq!(rig.complete("gate"), ["prepare publish/2", "prepare tidy/2"]);
}

#[test]
fn judged_again_the_gate_may_reject() {
    let mut rig = at_publish();
    rig.commit("publish", Outcome::Ok, moved());
    rig.complete("quality");
    rig.launch("gate");
    rig.commit("gate", Outcome::GateRejected, None);
    assert_eq!(rig.states()[3], "publish skipped (`gate` stopped: gate-rejected: fail)");
    assert_eq!(rig.status(), "gate-rejected: fail");
}

#[test]
fn a_cancelled_run_judges_nothing_again() {
    let mut rig = at_publish();
    rig.cancel(false);
    rig.commit("publish", Outcome::Ok, moved());
    assert_eq!(rig.status(), "held: moved");
}

#[test]
fn a_pin_holds_the_candidate() {
    let mut rig = at_publish();
    let pinned = Publication::Pinned { version: VersionNumber(4), to: VersionNumber(2) };
    rig.commit("publish", Outcome::Ok, Some(pinned));
    assert_eq!(rig.status(), "held: pinned");
    assert_eq!(rig.resume(), ["prepare publish/2"]);
}

#[test]
fn a_candidate_that_is_the_champion_needs_no_attempt() {
    let (mut rig, _) = Rig::begin(plan(1, publishing()));
    rig.complete("model");
    rig.complete("quality");
    rig.complete("gate");
    let event = |step: &str| Event::AlreadyPublished {
        step: name(step),
        attempt: AttemptNumber(1),
        version: VersionNumber(2),
    };
    rig.tell(event("publish"));
    assert_eq!(rig.states()[3], "publish reused");
    assert_eq!(rig.status(), "succeeded");
}

#[test]
fn only_a_publishing_step_may_speak_of_a_publication() {
    let mut rig = at_publish();
    let unsaid = Event::AttemptSucceeded {
        step: name("publish"),
        attempt: AttemptNumber(1),
        artifact: crate::rig::artifact("publish", AttemptNumber(1)),
        outcome: Outcome::Ok,
        publication: None,
    };
    let before = rig.run.clone();
    assert!(rig.try_tell(unsaid).is_err());
    assert_eq!(rig.run, before);
}

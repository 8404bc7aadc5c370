//! Cancelling, and taking up again.

use noctule_engine::{Evidence, StepPlan};

use crate::rig::{Rig, name, plan, step};

const NOTHING: [&str; 0] = [];

#[test]
fn an_orderly_end_gives_grace_and_lets_always_steps_run() {
    let tidy = StepPlan { always: true, reads: vec![], ..step("tidy < b") };
    let (mut rig, _) = Rig::begin(plan(2, vec![step("a"), step("b < a"), tidy]));
    rig.launch("a");
    assert_eq!(rig.cancel(false), ["stop a/1", "prepare tidy/1"]);
    assert_eq!(rig.states(), ["a stopping", "b cancelled", "tidy ready"]);
    assert_eq!(rig.status(), "stopping");
    rig.complete("tidy");
    assert_eq!(rig.status(), "stopping", "terminal means gone");
    rig.gone("a");
    assert_eq!(rig.states(), ["a cancelled", "b cancelled", "tidy done"]);
    assert_eq!(rig.status(), "cancelled");
}

#[test]
fn the_second_time_nothing_is_given_time() {
    let tidy = StepPlan { always: true, reads: vec![], ..step("tidy < b") };
    let (mut rig, _) = Rig::begin(plan(2, vec![step("a"), step("b < a"), tidy]));
    rig.launch("a");
    rig.cancel(false);
    rig.launch("tidy");
    assert_eq!(rig.cancel(true), ["kill a/1", "stop tidy/1", "kill tidy/1"]);
    rig.fail("a", Evidence::Signalled { signal: 9 });
    rig.gone("tidy");
    assert_eq!(rig.states(), ["a cancelled", "b cancelled", "tidy cancelled"]);
}

#[test]
fn a_step_that_was_being_prepared_never_starts() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    assert_eq!(rig.cancel(false), NOTHING);
    assert_eq!(rig.status(), "cancelled");
    rig.resume();
    assert_eq!(rig.run.outstanding().len(), 1);
    // The answer to the first request comes after all.
    let late = noctule_engine::Event::AttemptIntended {
        step: name("a"),
        attempt: noctule_artifacts::AttemptNumber(1),
        launch: noctule_artifacts::Digest::of(b"late"),
    };
    assert_eq!(rig.tell(late), NOTHING);
    assert_eq!(rig.intend("a"), ["start a/2"]);
}

#[test]
fn a_pause_before_a_retry_ends_with_the_run() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.launch("a");
    rig.fail("a", Evidence::Exited { code: 1 });
    rig.cancel(false);
    assert_eq!(rig.status(), "cancelled");
    assert_eq!(rig.run.next_wake(), None);
}

#[test]
fn a_timed_out_step_is_not_tried_again_after_a_cancel() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.launch("a");
    rig.wake();
    rig.cancel(false);
    rig.gone("a");
    assert_eq!(rig.status(), "cancelled");
}

#[test]
fn resuming_keeps_what_is_done_and_gives_the_rest_a_fresh_start() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a"), step("b < a"), step("c < b")]));
    rig.complete("a");
    rig.launch("b");
    rig.fail("b", Evidence::Exited { code: 1 });
    rig.wake();
    rig.launch("b");
    rig.fail("b", Evidence::Exited { code: 1 });
    assert_eq!(rig.status(), "failed");
    assert_eq!(rig.resume(), ["prepare b/3"]);
    assert_eq!(rig.states(), ["a done", "b ready", "c waiting"]);
    rig.launch("b");
    rig.fail("b", Evidence::Exited { code: 1 });
    assert_eq!(rig.wake(), ["prepare b/4"], "the budget is whole again");
    rig.complete("b");
    rig.complete("c");
    assert_eq!(rig.status(), "succeeded");
    let ended = rig.run.ended();
    assert_eq!(rig.resume(), NOTHING);
    assert_eq!(rig.run.ended(), ended);
}

#[test]
fn resuming_while_a_step_still_stops_starts_it_again_when_it_is_gone() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    rig.launch("a");
    rig.cancel(false);
    assert_eq!(rig.resume(), NOTHING);
    assert_eq!(rig.gone("a"), ["prepare a/2"]);
}

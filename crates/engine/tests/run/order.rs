//! Who runs when, and who is skipped.

use noctule_artifacts::{AttemptNumber, Digest, Outcome, RunId};
use noctule_engine::plan::PlanError;
use noctule_engine::{Event, Evidence, IllegalEvent, Run, StepPlan};

use crate::rig::{Rig, artifact, name, plan, step};

const NOTHING: [&str; 0] = [];

#[test]
fn steps_begin_when_what_they_need_has_ended() {
    let (mut rig, first) = Rig::begin(plan(4, vec![step("a"), step("b"), step("c < a b"), step("d < c")]));
    assert_eq!(first, ["prepare a/1", "prepare b/1"]);
    assert_eq!(rig.status(), "queued");
    assert_eq!(rig.intend("a"), ["start a/1"]);
    assert_eq!(rig.status(), "running");
    assert_eq!(rig.start("a"), NOTHING);
    assert_eq!(rig.succeed("a"), NOTHING);
    assert_eq!(rig.complete("b"), ["prepare c/1"]);
    assert_eq!(rig.complete("c"), ["prepare d/1"]);
    assert_eq!(rig.complete("d"), NOTHING);
    assert_eq!(rig.status(), "succeeded");
    assert_eq!(rig.run.ended(), Some(rig.now));
    assert_eq!(rig.run.next_wake(), None);
}

#[test]
fn no_more_attempts_are_live_than_the_plan_allows() {
    let (mut rig, first) = Rig::begin(plan(2, vec![step("a"), step("b"), step("c")]));
    assert_eq!(first, ["prepare a/1", "prepare b/1"]);
    rig.launch("a");
    rig.launch("b");
    assert_eq!(rig.fail("b", Evidence::Exited { code: 65 }), ["prepare c/1"]);
}

#[test]
fn a_failure_skips_what_needs_it_and_names_the_root() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a"), step("b < a"), step("c < b"), step("d")]));
    rig.launch("a");
    assert_eq!(rig.fail("a", Evidence::Exited { code: 65 }), ["prepare d/1"]);
    assert_eq!(
        rig.states(),
        [
            "a failed (invalid)",
            "b skipped (`a` failed: invalid)",
            "c skipped (`a` failed: invalid)",
            "d ready"
        ]
    );
    rig.complete("d");
    assert_eq!(rig.status(), "failed");
}

#[test]
fn a_disabled_step_is_skipped_and_the_run_still_succeeds() {
    let off = StepPlan { disabled: Some("`when` is false".into()), ..step("b < a") };
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a"), off, step("c < b")]));
    rig.complete("a");
    assert_eq!(
        rig.states(),
        ["a done", "b skipped (`when` is false)", "c skipped (`b` was skipped: `when` is false)"]
    );
    assert_eq!(rig.status(), "succeeded");
}

#[test]
fn an_always_step_runs_after_a_failure_if_it_has_what_it_reads() {
    let tidy = StepPlan { always: true, reads: vec![], ..step("tidy < b") };
    let mail = StepPlan { always: true, ..step("mail < b") };
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a"), step("b < a"), tidy, mail]));
    rig.launch("a");
    assert_eq!(rig.fail("a", Evidence::Exited { code: 65 }), ["prepare tidy/1"]);
    assert_eq!(rig.states()[3], "mail skipped (`b` left nothing to read)");
    rig.complete("tidy");
    assert_eq!(rig.status(), "failed");
}

#[test]
fn a_stopped_step_still_has_its_report() {
    let mail = StepPlan { always: true, ..step("mail < b") };
    let (mut rig, _) = Rig::begin(plan(1, vec![step("b"), mail, step("c < b")]));
    rig.launch("b");
    assert_eq!(rig.commit("b", Outcome::DataStop, None), ["prepare mail/1"]);
    assert_eq!(rig.states()[2], "c skipped (`b` stopped: data-stop)");
    rig.complete("mail");
    assert_eq!(rig.status(), "data-stop");
}

#[test]
fn a_reused_artifact_takes_the_place_of_an_attempt() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a"), step("b < a")]));
    let reuse = |step: &str, outcome| Event::StepReused {
        step: name(step),
        attempt: AttemptNumber(1),
        artifact: artifact(step, AttemptNumber(1)),
        outcome,
        from: RunId::from_random(9),
    };
    assert_eq!(rig.tell(reuse("a", Outcome::Ok)), ["prepare b/1"]);
    assert_eq!(rig.tell(reuse("b", Outcome::GateInconclusive)), NOTHING);
    assert_eq!(rig.states(), ["a reused", "b stopped (gate-rejected: inconclusive)"]);
    assert_eq!(rig.status(), "gate-rejected: inconclusive");
    assert!(rig.run.step(&name("a")).unwrap().attempts().is_empty());
}

#[test]
fn what_cannot_have_happened_is_refused_by_name() {
    let (mut rig, _) = Rig::begin(plan(1, vec![step("a")]));
    let intended = |step: &str, n| Event::AttemptIntended {
        step: name(step),
        attempt: AttemptNumber(n),
        launch: Digest::of(b"x"),
    };
    let before = rig.run.clone();
    let error = rig.try_tell(intended("b", 1)).unwrap_err();
    assert_eq!(error.to_string(), "`AttemptIntended` names the step `b`, which the plan does not have");
    let error = rig.try_tell(intended("a", 2)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`AttemptIntended` is about attempt 2 of `a`, and the last one given out is 1"
    );
    let gone = Event::AttemptGone { step: name("a"), attempt: AttemptNumber(1) };
    let error = rig.try_tell(gone).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`AttemptGone` of attempt 1 of `a` is not possible while it is being prepared and was not intended"
    );
    assert_eq!(rig.run, before);
    assert_eq!(Run::fold([(rig.now, &Event::Woken)]), Err(IllegalEvent::NoBeginning("Woken")));
    assert_eq!(Run::fold([]), Ok(None));
}

#[test]
fn a_plan_out_of_order_is_refused() {
    let refused = |steps| match Run::begin(jiff::Timestamp::UNIX_EPOCH, plan(1, steps)) {
        Err(IllegalEvent::Plan(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(vec![step("b < a"), step("a")]),
        PlanError::Order { step: name("b"), needs: name("a") }
    );
    assert_eq!(refused(vec![step("a < a")]), PlanError::Order { step: name("a"), needs: name("a") });
    assert_eq!(refused(vec![step("a"), step("a")]), PlanError::Twice(name("a")));
    assert_eq!(refused(vec![]), PlanError::Empty);
}

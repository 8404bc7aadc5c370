//! A step once more, and a failure that is not to count.

use noctule_artifacts::{Outcome, VersionNumber};
use noctule_engine::{Evidence, Publication, StepPlan};

use crate::rig::{Rig, name, plan, publishing, seconds, step};

const NOTHING: [&str; 0] = [];

fn exit(code: i32) -> Evidence {
    Evidence::Exited { code }
}

/// `a` and `b`, then `c` of both and `d` of `b` alone, all done.
fn done() -> Rig {
    let (mut rig, _) = Rig::begin(plan(4, vec![step("a"), step("b"), step("c < a b"), step("d < b")]));
    for step in ["a", "b", "c", "d"] {
        rig.complete(step);
    }
    assert_eq!(rig.status(), "succeeded");
    rig
}

#[test]
fn a_step_and_all_that_follows_start_over() {
    let mut rig = done();
    let ended = rig.run.ended();
    assert_eq!(rig.rerun("a"), ["prepare fresh a/2"]);
    assert_eq!(rig.states(), ["a ready", "b done", "c waiting", "d done"]);
    assert_eq!((rig.status().as_str(), rig.run.ended()), ("running", None));
    assert!(rig.run.step(&name("c")).unwrap().artifact().is_none());
    rig.launch("a");
    assert_eq!(rig.succeed("a"), ["prepare c/2"]);
    // What follows may take over what there is.
    rig.reuse("c").unwrap();
    assert_eq!(rig.states(), ["a done", "b done", "c reused", "d done"]);
    assert!(rig.run.ended() > ended);
}

#[test]
fn nothing_is_taken_over_in_its_place_until_it_has_run() {
    let mut rig = done();
    rig.rerun("a");
    let refused = rig.reuse("a").unwrap_err().to_string();
    assert!(refused.ends_with("it is to run in any case: nothing is taken over"), "{refused}");
    // Neither after a failure, nor after a cancellation.
    rig.launch("a");
    rig.fail("a", exit(1));
    assert_eq!(rig.wake(), ["prepare fresh a/3"]);
    rig.cancel(true);
    assert_eq!(rig.status(), "cancelled");
    assert_eq!(rig.resume(), ["prepare fresh a/4"]);
    assert_eq!(rig.run.outstanding().len(), 1);
    rig.complete("a");
    rig.complete("c");
    assert_eq!(rig.status(), "succeeded");
    // Once it has run, it is a step as any other.
    assert_eq!(rig.rerun("b"), ["prepare fresh b/2"]);
    rig.complete("b");
    rig.reuse("c").unwrap();
    rig.reuse("d").unwrap();
    assert_eq!(rig.status(), "succeeded");
}

#[test]
fn budgets_are_fresh() {
    let mut rig = done();
    rig.rerun("b");
    rig.launch("b");
    rig.fail("b", exit(1));
    rig.wake();
    rig.launch("b");
    rig.fail("b", exit(1));
    assert_eq!(rig.states(), ["a done", "b failed", "c skipped (`b` failed)", "d skipped (`b` failed)"]);
    assert_eq!(rig.run.step(&name("b")).unwrap().spent().retries, 1);
    assert_eq!(rig.rerun("b"), ["prepare fresh b/4"]);
    assert_eq!(rig.run.step(&name("b")).unwrap().spent().retries, 0);
}

#[test]
fn what_cannot_run_again_is_refused_with_the_reason() {
    let off = StepPlan { disabled: Some("`when` is false".into()), ..step("off") };
    let (mut rig, _) = Rig::begin(plan(4, vec![step("a"), step("b < a"), off]));
    let refused = |rig: &mut Rig, step: &str| {
        let before = rig.run.clone();
        let refused = rig.try_rerun(step).unwrap_err().to_string();
        assert_eq!(rig.run, before);
        refused
    };
    assert_eq!(
        refused(&mut rig, "a"),
        "`a` cannot run again: the run has not ended; wait until it has, or cancel it"
    );
    rig.launch("a");
    rig.fail("a", exit(65));
    assert_eq!(rig.status(), "failed");
    assert_eq!(
        refused(&mut rig, "b"),
        "`b` cannot run again: `a`, which it needs, is failed (invalid); run that again, or resume the run"
    );
    assert_eq!(refused(&mut rig, "off"), "`off` cannot run again: `when` is false");
    assert_eq!(refused(&mut rig, "c"), "`Rerun` names the step `c`, which the plan does not have");
}

#[test]
fn one_step_of_a_cancelled_run_runs_again_alone() {
    let (mut rig, _) = Rig::begin(plan(4, vec![step("a"), step("b"), step("c < a")]));
    rig.complete("a");
    rig.cancel(true);
    assert_eq!(rig.states(), ["a done", "b cancelled", "c cancelled"]);
    assert_eq!(rig.rerun("c"), ["prepare fresh c/2"]);
    rig.complete("c");
    assert_eq!(rig.states(), ["a done", "b cancelled", "c done"]);
    assert_eq!(rig.status(), "cancelled");
}

#[test]
fn a_publication_that_was_held_is_judged_again() {
    let (mut rig, _) = Rig::begin(plan(1, publishing()));
    for step in ["model", "quality", "gate"] {
        rig.complete(step);
    }
    let v = VersionNumber(1);
    let moved = || Some(Publication::Moved { version: v, expected: None, found: Some(v) });
    for _ in 0..3 {
        rig.launch("publish");
        rig.commit("publish", Outcome::Ok, moved());
        if rig.run.ended().is_none() {
            rig.complete("quality");
            rig.complete("gate");
        }
    }
    assert_eq!(rig.status(), "held: moved");
    // Against the alias as it is now: the gate's comparison is of no use any more.
    assert_eq!(rig.rerun("publish"), ["prepare quality/4"]);
    rig.complete("quality");
    rig.complete("gate");
    rig.complete("publish");
    assert_eq!(rig.status(), "succeeded");
    // And of a run that promoted, the training again: evaluation, gate and publication follow.
    assert_eq!(rig.rerun("model"), ["prepare fresh model/2"]);
    assert_eq!(rig.states(), ["model ready", "quality waiting", "gate waiting", "publish waiting"]);
}

/// An audit that fails, a report that reads it, and a mail that only comes after it.
fn audited() -> Rig {
    let mail = StepPlan { reads: vec![], ..step("mail < audit") };
    let after = StepPlan { reads: vec![], ..step("after < mail") };
    let (mut rig, _) = Rig::begin(plan(
        4,
        vec![step("a"), step("audit < a"), step("report < audit"), mail, after, step("z < a")],
    ));
    rig.complete("a");
    rig.launch("audit");
    rig.fail("audit", exit(65));
    rig
}

#[test]
fn what_only_needs_an_ignored_step_runs_and_what_reads_it_does_not() {
    let mut rig = audited();
    rig.complete("z");
    assert_eq!(rig.status(), "failed");
    let ended = rig.run.step(&name("audit")).unwrap().ended();
    rig.now += seconds(3600);
    assert_eq!(rig.ignore("audit"), ["prepare mail/1"]);
    assert_eq!(
        rig.states(),
        [
            "a done",
            "audit ignored (invalid)",
            "report skipped (`audit` left nothing to read)",
            "mail ready",
            "after waiting",
            "z done"
        ]
    );
    rig.complete("mail");
    rig.complete("after");
    assert_eq!(rig.status(), "succeeded");
    let audit = rig.run.step(&name("audit")).unwrap();
    assert_eq!(audit.ended(), ended, "it ended when it failed");
    let asked = audit.ignored().unwrap();
    assert_eq!((asked.by.as_str(), asked.why.as_deref()), ("ann", Some("a flaky audit")));
    // It does not count: there is nothing to resume.
    assert_eq!(rig.resume(), NOTHING);
    // Until it runs again.
    assert_eq!(rig.rerun("audit"), ["prepare fresh audit/2"]);
    rig.complete("audit");
    assert!(rig.run.step(&name("audit")).unwrap().ignored().is_none());
    assert_eq!(rig.states()[2], "report ready");
}

#[test]
fn a_failure_is_ignored_while_the_run_goes_on() {
    let mut rig = audited();
    rig.launch("z");
    assert_eq!(rig.ignore("audit"), ["prepare mail/1"]);
    assert_eq!(rig.status(), "running");
    rig.succeed("z");
    rig.complete("mail");
    rig.complete("after");
    assert_eq!(rig.status(), "succeeded");
}

#[test]
fn another_failure_still_counts() {
    let both = StepPlan { reads: vec![], ..step("both < audit other") };
    let (mut rig, _) = Rig::begin(plan(4, vec![step("audit"), step("other"), both]));
    for step in ["audit", "other"] {
        rig.launch(step);
        rig.fail(step, exit(65));
    }
    assert_eq!(rig.states()[2], "both skipped (`audit` failed: invalid)");
    assert_eq!(rig.ignore("audit"), NOTHING);
    assert_eq!(rig.states()[2], "both skipped (`other` failed: invalid)");
    assert_eq!(rig.status(), "failed");
    assert_eq!(rig.ignore("other"), ["prepare both/1"]);
}

#[test]
fn only_a_failure_of_a_plain_step_can_be_ignored() {
    let (mut rig, _) = Rig::begin(plan(1, publishing()));
    let refused = |rig: &mut Rig, step: &str| {
        let before = rig.run.clone();
        let refused = rig.try_ignore(step).unwrap_err().to_string();
        assert_eq!(rig.run, before);
        refused
    };
    assert_eq!(
        refused(&mut rig, "model"),
        "`model` cannot be ignored: it is ready, and only a failed step can be"
    );
    rig.complete("model");
    assert_eq!(
        refused(&mut rig, "model"),
        "`model` cannot be ignored: it is done, and only a failed step can be"
    );
    rig.launch("quality");
    rig.fail("quality", exit(65));
    for step in ["quality", "gate", "publish"] {
        let refused = refused(&mut rig, step);
        assert!(refused.contains("there is no way around the gate"), "{refused}");
    }
    assert!(refused(&mut rig, "nobody").contains("which the plan does not have"));
    let mut rig = audited();
    rig.ignore("audit");
    assert_eq!(refused(&mut rig, "audit"), "`audit` cannot be ignored: it is ignored already");
}

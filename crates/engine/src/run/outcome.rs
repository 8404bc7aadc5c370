//! What an end means for the step: retry, end, or evaluate again because the alias moved.

use noctule_artifacts::Outcome;

use super::Run;
use crate::event::Publication;
use crate::failure::Evidence;
use crate::plan::Role;
use crate::retry::{Decision, pause};
use crate::status::{End, Held, Rejection, StopReason};
use crate::step::{AttemptResult, Stage, after};

/// How often evaluate, gate and publish run again because the alias moved meanwhile.
pub const REPEATS: u32 = 2;

/// How a step ends that has an artifact with this outcome.
pub(super) fn end_of(outcome: Outcome, ok: End) -> End {
    match outcome {
        Outcome::Ok => ok,
        Outcome::DataStop => End::Stopped(StopReason::DataStop),
        Outcome::GateRejected => End::Stopped(StopReason::GateRejected(Rejection::Fail)),
        Outcome::GateInconclusive => End::Stopped(StopReason::GateRejected(Rejection::Inconclusive)),
    }
}

impl Run {
    /// The step's latest attempt has failed: try again if the budget of its class allows.
    pub(super) fn fail(&mut self, i: usize, evidence: Evidence, message: Option<String>) {
        let class = evidence.class(&self.steps[i].plan.retry);
        self.close_attempt(i, AttemptResult::Failed { class, evidence, message });
        let (now, seed) = (self.now, self.plan.seed);
        let step = &mut self.steps[i];
        match step.spent.pay(class, &step.plan.retry) {
            Decision::End(class) => step.end(now, End::Failed(class)),
            Decision::Again { nth } => {
                let pause = pause(&step.plan.retry.backoff, seed, &step.plan.name, step.number(), nth);
                step.stage = Stage::Waiting { until: Some(after(now, pause)) };
            }
        }
    }

    pub(super) fn published(&mut self, i: usize, publication: Publication) {
        let moved = matches!(publication, Publication::Moved { .. });
        let end = match publication {
            Publication::Promoted { .. } | Publication::Registered { .. } => End::Done,
            Publication::Unchanged { .. } => End::Done,
            Publication::Pinned { .. } => End::Stopped(StopReason::Held(Held::Pinned)),
            Publication::Moved { .. } => End::Stopped(StopReason::Held(Held::Moved)),
        };
        self.steps[i].publication = Some(publication);
        self.steps[i].end(self.now, end);
        if moved && self.cancel.is_none() && self.steps[i].moves < REPEATS {
            self.steps[i].moves += 1;
            self.judge_again(i);
        }
    }

    /// Sets a publishing step, its gate and the gate's evaluation back: they compare with the alias as it is now.
    ///
    /// Another publication may have set gate and evaluation back before. If the gate is under way again it is left
    /// alone, and if it ended badly meanwhile it decides about this publication too.
    pub(super) fn judge_again(&mut self, publish: usize) {
        let Role::Publish { gate, .. } = self.steps[publish].plan.role.clone() else { return };
        let Some(gate) = self.position(&gate) else { return };
        let Role::Gate { evaluation } = self.steps[gate].plan.role.clone() else { return };
        if self.steps[gate].ended_as().is_some_and(End::is_good) {
            for i in self.position(&evaluation).into_iter().chain([gate]) {
                self.steps[i].reset();
            }
        }
        self.steps[publish].reset();
    }
}

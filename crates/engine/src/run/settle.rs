//! What can be decided without another event: who may begin, who is skipped, and whether the run has ended.

use noctule_artifacts::StepName;

use super::Run;
use crate::command::Command;
use crate::status::{End, SkipReason};
use crate::step::{Stage, StepRun};

impl Run {
    /// Brings the steps to rest. The order of the plan puts each step after those it needs, so that one pass suffices.
    pub(super) fn settle(&mut self, commands: &mut Vec<Command>) {
        for i in 0..self.steps.len() {
            if let Some(stage) = self.next_stage(i) {
                match stage {
                    Stage::Ended(end) => self.steps[i].end(self.now, end),
                    stage => self.steps[i].stage = stage,
                }
            }
        }
        self.fill_places(commands);
        let over = self.steps.iter().all(|step| step.ended_as().is_some());
        self.ended = if over { self.ended.or(Some(self.now)) } else { None };
    }

    /// Where a step that has no live attempt goes now, if anywhere.
    fn next_stage(&self, i: usize) -> Option<Stage> {
        let step = &self.steps[i];
        match step.stage {
            Stage::Waiting { .. } | Stage::Ready | Stage::Preparing if self.is_called_off(step) => {
                Some(Stage::Ended(End::Cancelled))
            }
            Stage::Waiting { until } => {
                if let Some(reason) = self.skip_reason(step) {
                    return Some(Stage::Ended(End::Skipped(reason)));
                }
                if until.is_some_and(|until| until > self.now) {
                    return None;
                }
                let ready = self.needs(step).all(|need| need.ended_as().is_some());
                // A pause that is over wakes nobody, even if a needed step was set back meanwhile.
                Some(if ready { Stage::Ready } else { Stage::Waiting { until: None } })
            }
            // A step that it needs may have been set back since.
            Stage::Ready | Stage::Preparing if self.needs(step).any(|need| need.ended_as().is_none()) => {
                Some(Stage::Waiting { until: None })
            }
            Stage::Ready | Stage::Preparing | Stage::Live(_) | Stage::Ended(_) => None,
        }
    }

    fn is_called_off(&self, step: &StepRun) -> bool {
        self.cancel.as_ref().is_some_and(|cancel| cancel.at_once || !step.plan.always)
    }

    /// Gives the free places to the steps that are ready, in the order of the plan.
    fn fill_places(&mut self, commands: &mut Vec<Command>) {
        let taken = self.steps.iter().filter(|step| step.takes_place()).count();
        let free = (self.plan.parallel as usize).saturating_sub(taken);
        let ready = self.steps.iter_mut().filter(|step| step.stage == Stage::Ready);
        for step in ready.take(free) {
            step.given += 1;
            step.stage = Stage::Preparing;
            commands.push(Command::Prepare {
                step: step.plan.name.clone(),
                attempt: step.number(),
                fresh: step.fresh,
            });
        }
    }

    fn needs<'a>(&'a self, step: &'a StepRun) -> impl Iterator<Item = &'a StepRun> {
        step.plan.needs.iter().filter_map(|name| self.step(name))
    }

    pub(super) fn skip_reason(&self, step: &StepRun) -> Option<SkipReason> {
        if let Some(reason) = &step.plan.disabled {
            return Some(SkipReason::Disabled(reason.clone()));
        }
        let bad = if step.plan.always { None } else { self.bad_need(step) };
        bad.or_else(|| self.nothing_to_read(step))
    }

    /// The root of the trouble, rather than the step that was skipped for it.
    fn bad_need(&self, step: &StepRun) -> Option<SkipReason> {
        self.needs(step).find_map(|need| match need.ended_as() {
            Some(End::Skipped(reason @ SkipReason::Needs { .. })) => Some(reason.clone()),
            Some(end) if !end.is_good() => Some(needs(&need.plan.name, end)),
            _ => None,
        })
    }

    fn nothing_to_read(&self, step: &StepRun) -> Option<SkipReason> {
        // A step that publishes what the alias points at already has nothing to read, and has ended well.
        let gone = |need: &&StepRun| match need.ended_as() {
            Some(End::Done | End::Reused) | None => false,
            Some(_) => need.artifact.is_none(),
        };
        let reads = step.plan.reads.iter().filter_map(|name| self.step(name));
        reads.into_iter().find(gone).map(|need| SkipReason::NothingToRead { step: need.plan.name.clone() })
    }
}

fn needs(step: &StepName, end: &End) -> SkipReason {
    SkipReason::Needs { step: step.clone(), end: Box::new(end.clone()) }
}

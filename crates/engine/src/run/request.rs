//! What people ask of a run: to end, to be taken up again, to do a step once more, and to make light of a failure.

use super::{Cancel, IllegalEvent, Run};
use crate::command::Command;
use crate::plan::Role;
use crate::status::{End, Held, SkipReason, StopReason};
use crate::step::{Asked, Stage, Stopping, Why};

impl Run {
    /// In order, running steps get their grace and `always` steps still run; at once, nothing does.
    ///
    /// Steps that have not begun are seen to by [`settle`](Self::settle).
    pub(super) fn cancel(&mut self, asked: Asked, at_once: bool, commands: &mut Vec<Command>) {
        if self.status().is_terminal() {
            return;
        }
        let at_once = at_once || self.cancel.as_ref().is_some_and(|cancel| cancel.at_once);
        let asked = self.cancel.take().map_or(asked, |cancel| cancel.asked);
        self.cancel = Some(Cancel { asked, at_once });
        for i in 0..self.steps.len() {
            let Stage::Live(live) = &self.steps[i].stage else { continue };
            match &live.stopping {
                None if at_once => self.ask_to_stop(i, Why::Cancelled, commands),
                None if !self.steps[i].plan.always => self.ask_to_stop(i, Why::Cancelled, commands),
                _ => {}
            }
            if at_once {
                self.kill(i, commands);
            }
        }
        self.overrule_stops();
    }

    /// An attempt that is being stopped for another reason would be tried again: not any more.
    fn overrule_stops(&mut self) {
        let at_once = self.cancel.as_ref().is_some_and(|cancel| cancel.at_once);
        for step in &mut self.steps {
            if let Stage::Live(live) = &mut step.stage
                && let Some(stopping) = &mut live.stopping
                && stopping.why == Why::Restart
                && (at_once || !step.plan.always)
            {
                stopping.why = Why::Cancelled;
            }
        }
    }

    pub(super) fn ask_to_stop(&mut self, i: usize, why: Why, commands: &mut Vec<Command>) {
        let since = self.now;
        self.live(i).stopping = Some(Stopping { why, since, killed: None });
        let step = &self.steps[i];
        commands.push(Command::Stop {
            step: step.plan.name.clone(),
            attempt: step.number(),
            grace: step.plan.timeouts.grace,
        });
    }

    pub(super) fn kill(&mut self, i: usize, commands: &mut Vec<Command>) {
        let now = self.now;
        let command =
            Command::Kill { step: self.steps[i].plan.name.clone(), attempt: self.steps[i].number() };
        if let Some(stopping) = &mut self.live(i).stopping
            && stopping.killed.is_none()
        {
            stopping.killed = Some(now);
            commands.push(command);
        }
    }

    /// What is done stays done; everything else gets a fresh start with fresh budgets.
    pub(super) fn resume(&mut self) {
        self.cancel = None;
        for i in 0..self.steps.len() {
            self.resume_step(i);
        }
    }

    fn resume_step(&mut self, i: usize) {
        let moved = End::Stopped(StopReason::Held(Held::Moved));
        let step = &mut self.steps[i];
        match &mut step.stage {
            Stage::Ended(end) if end.is_good() => {}
            Stage::Ended(end) => {
                let moved = *end == moved;
                step.moves = 0;
                step.reset();
                if moved {
                    self.judge_again(i);
                }
            }
            Stage::Waiting { .. } => step.reset(),
            Stage::Live(live) => {
                step.spent = Default::default();
                if let Some(stopping) = &mut live.stopping
                    && stopping.why == Why::Cancelled
                {
                    stopping.why = Why::Restart;
                }
            }
            Stage::Ready | Stage::Preparing => {}
        }
    }

    /// The step and all that follow it start over, with fresh budgets. What went well beside them stays.
    pub(super) fn rerun(&mut self, i: usize) -> Result<(), IllegalEvent> {
        let refused = |run: &Self, reason: String| {
            let step = run.steps[i].plan.name.clone();
            Err(IllegalEvent::Refused { step, wish: "run again", reason })
        };
        if !self.status().is_terminal() {
            return refused(self, "the run has not ended; wait until it has, or cancel it".to_owned());
        }
        match self.skip_reason(&self.steps[i]) {
            None => {}
            Some(SkipReason::Disabled(why)) => return refused(self, why),
            Some(SkipReason::Needs { step, end }) => {
                return refused(
                    self,
                    format!("`{step}`, which it needs, is {end}; run that again, or resume the run"),
                );
            }
            Some(reason) => return refused(self, format!("{reason}; run that again, or resume the run")),
        }
        self.cancel = None;
        self.start_over(i);
        self.steps[i].fresh = true;
        for follower in self.followers(i) {
            self.start_over(follower);
        }
        Ok(())
    }

    fn start_over(&mut self, i: usize) {
        let moved = self.steps[i].ended_as() == Some(&End::Stopped(StopReason::Held(Held::Moved)));
        self.steps[i].moves = 0;
        self.steps[i].reset();
        if moved {
            self.judge_again(i);
        }
    }

    /// A failed step does not count any more: what was skipped for it may run, except what would have read from it.
    pub(super) fn ignore(&mut self, i: usize, asked: Asked) -> Result<(), IllegalEvent> {
        let step = &self.steps[i];
        let refused = |reason: String| {
            Err(IllegalEvent::Refused { step: step.plan.name.clone(), wish: "be ignored", reason })
        };
        if step.plan.role != Role::Plain {
            return refused(format!(
                "it is of the kind `{}`, and there is no way around the gate; `noctule models promote` promotes by hand",
                step.plan.kind
            ));
        }
        let class = match step.ended_as() {
            Some(End::Failed(class)) => *class,
            Some(End::Ignored(_)) => return refused("it is ignored already".to_owned()),
            Some(end) => return refused(format!("it is {end}, and only a failed step can be")),
            None => return refused(format!("it is {}, and only a failed step can be", step.state())),
        };
        // The step ended when it failed.
        self.steps[i].stage = Stage::Ended(End::Ignored(class));
        self.steps[i].ignored = Some(asked);
        let name = self.steps[i].plan.name.clone();
        for follower in self.followers(i) {
            let follower = &mut self.steps[follower];
            if let Some(End::Skipped(SkipReason::Needs { step, .. })) = follower.ended_as()
                && *step == name
            {
                follower.reset();
            }
        }
        Ok(())
    }

    /// The steps that need this one, directly or not, in the order of the plan.
    fn followers(&self, i: usize) -> Vec<usize> {
        let mut following = vec![i];
        for later in i + 1..self.steps.len() {
            let needs = &self.steps[later].plan.needs;
            if following.iter().any(|earlier| needs.contains(&self.steps[*earlier].plan.name)) {
                following.push(later);
            }
        }
        following.split_off(1)
    }
}

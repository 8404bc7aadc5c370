//! What people ask of a run: to end, and to be taken up again.

use super::{Cancel, Run};
use crate::command::Command;
use crate::status::{End, Held, StopReason};
use crate::step::{Stage, Stopping, Why};

impl Run {
    /// In order, running steps get their grace and `always` steps still run; at once, nothing does.
    ///
    /// Steps that have not begun are seen to by [`settle`](Self::settle).
    pub(super) fn cancel(&mut self, by: &str, at_once: bool, commands: &mut Vec<Command>) {
        if self.status().is_terminal() {
            return;
        }
        let at_once = at_once || self.cancel.as_ref().is_some_and(|cancel| cancel.at_once);
        let by = self.cancel.take().map_or_else(|| by.to_owned(), |cancel| cancel.by);
        self.cancel = Some(Cancel { by, at_once });
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
}

//! What follows when time has passed.

use super::Run;
use crate::command::Command;
use crate::event::Phase;
use crate::failure::{Evidence, Waiting, WaitingReason};
use crate::step::{Stage, Why};

impl Run {
    /// Sees to every timer of a live attempt that is due. Pauses before retries are seen to by
    /// [`settle`](Self::settle).
    pub(super) fn wake(&mut self, commands: &mut Vec<Command>) {
        for i in 0..self.steps.len() {
            let due = self.steps[i].wake().is_some_and(|at| at <= self.now);
            if due && matches!(self.steps[i].stage, Stage::Live(_)) {
                self.timer_ran_out(i, commands);
            }
        }
    }

    fn timer_ran_out(&mut self, i: usize, commands: &mut Vec<Command>) {
        match &self.live(i).stopping {
            None => {
                let why = Why::Failure(self.overdue(i));
                self.ask_to_stop(i, why, commands);
            }
            Some(stopping) if stopping.killed.is_none() => self.kill(i, commands),
            Some(_) => self.abandon(i, commands),
        }
    }

    /// What an attempt is guilty of that has used up the time for its phase.
    fn overdue(&mut self, i: usize) -> Evidence {
        let limit = self.steps[i].plan.timeouts.run;
        match &self.live(i).phase {
            Phase::Queued { reason } => Evidence::NotPlaced {
                reason: reason.clone().unwrap_or_else(|| "nothing was said about why".to_owned()),
            },
            Phase::Starting { waiting } => Evidence::StillWaiting(waiting.clone().unwrap_or_else(|| {
                Waiting { reason: WaitingReason::Other, message: "nothing was said about why".to_owned() }
            })),
            Phase::Running => Evidence::TimedOut { limit },
        }
    }

    /// It may still run somewhere: its number fences it off, and whatever it commits is never looked at.
    fn abandon(&mut self, i: usize, commands: &mut Vec<Command>) {
        if let Some(attempt) = self.steps[i].attempts.last_mut() {
            attempt.abandoned = true;
        }
        commands.push(Command::Abandon {
            step: self.steps[i].plan.name.clone(),
            attempt: self.steps[i].number(),
        });
        self.ended_without(i, Evidence::Lost, None);
    }
}

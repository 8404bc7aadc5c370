//! The answers to `Prepare`: start it, take over what is there, or it cannot be prepared.

use noctule_artifacts::Digest;

use super::{IllegalEvent, Run};
use crate::command::Command;
use crate::event::{Event, Phase, Publication};
use crate::plan::Role;
use crate::status::End;
use crate::step::{Attempt, Live, Stage};

impl Run {
    pub(super) fn take_answer(
        &mut self,
        i: usize,
        event: &Event,
        commands: &mut Vec<Command>,
    ) -> Result<(), IllegalEvent> {
        match event {
            Event::AttemptIntended { launch, .. } => {
                self.intend(i, *launch, commands);
                Ok(())
            }
            Event::StepReused { artifact, outcome, from, .. } => {
                if let Role::Publish { .. } = self.steps[i].plan.role {
                    return Err(self.impossible(i, event, "it publishes: that is never reused"));
                }
                if self.steps[i].fresh {
                    return Err(self.impossible(i, event, "it is to run in any case: nothing is taken over"));
                }
                let end = super::outcome::end_of(*outcome, End::Reused);
                let step = &mut self.steps[i];
                step.artifact = Some(artifact.clone());
                step.reused_from = Some(from.clone());
                step.end(self.now, end);
                Ok(())
            }
            Event::AlreadyPublished { version, .. } => {
                let Role::Publish { .. } = self.steps[i].plan.role else {
                    return Err(self.impossible(i, event, "it publishes nothing"));
                };
                let step = &mut self.steps[i];
                step.publication = Some(Publication::Unchanged { version: *version });
                step.fresh = false;
                step.end(self.now, End::Reused);
                Ok(())
            }
            Event::AttemptFailed { evidence, message, .. } => {
                self.record_attempt(i);
                self.fail(i, evidence.clone(), message.clone());
                Ok(())
            }
            _ => Err(self.impossible(i, event, "it is being prepared and was not intended")),
        }
    }

    fn intend(&mut self, i: usize, launch: Digest, commands: &mut Vec<Command>) {
        self.record_attempt(i);
        let step = self.steps[i].plan.name.clone();
        commands.push(Command::Start { step, attempt: self.steps[i].number(), launch });
        self.steps[i].stage = Stage::Live(Live {
            launch,
            started: false,
            phase: Phase::Queued { reason: None },
            phase_since: self.now,
            stopping: None,
        });
    }

    fn record_attempt(&mut self, i: usize) {
        let number = self.steps[i].number();
        self.steps[i].attempts.push(Attempt {
            number,
            intended: self.now,
            running: None,
            ended: None,
            handle: None,
            result: None,
            abandoned: false,
        });
    }
}

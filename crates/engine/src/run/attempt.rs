//! Facts about the live attempt of a step.

use noctule_artifacts::Outcome;

use super::{IllegalEvent, Run};
use crate::command::Command;
use crate::event::{ArtifactRef, Event, Handle, Phase, Publication};
use crate::failure::Evidence;
use crate::plan::Role;
use crate::status::End;
use crate::step::{AttemptResult, Live, Stage, Why};

impl Run {
    pub(super) fn take_of_live(
        &mut self,
        i: usize,
        event: &Event,
        commands: &mut Vec<Command>,
    ) -> Result<(), IllegalEvent> {
        match event {
            Event::AttemptIntended { launch, .. } if *launch == self.live(i).launch => {}
            Event::AttemptStarted { handle, .. } => self.started(i, handle.clone()),
            Event::AttemptObserved { phase, .. } => self.observed(i, phase, commands),
            Event::AttemptSucceeded { artifact, outcome, publication, .. } => {
                if let Some(reason) = self.contradiction(i, *outcome, publication.as_ref()) {
                    return Err(self.impossible(i, event, reason));
                }
                self.succeeded(i, artifact, *outcome, publication.clone());
            }
            Event::AttemptFailed { evidence, message, .. } => {
                self.ended_without(i, evidence.clone(), message.clone());
            }
            // Nobody asked, and there is no evidence of anything: it is as lost as one that was never seen again.
            Event::AttemptGone { .. } => self.ended_without(i, Evidence::Lost, None),
            _ => return Err(self.impossible(i, event, "it has been intended and has not ended")),
        }
        Ok(())
    }

    pub(super) fn live(&mut self, i: usize) -> &mut Live {
        match &mut self.steps[i].stage {
            Stage::Live(live) => live,
            other => unreachable!("only called for a live attempt, not in {other:?}"),
        }
    }

    fn started(&mut self, i: usize, handle: Handle) {
        let process = matches!(handle, Handle::Process { .. });
        if let Some(attempt) = self.steps[i].attempts.last_mut() {
            attempt.handle = Some(handle);
        }
        self.live(i).started = true;
        if process {
            self.enter(i, Phase::Running);
        }
    }

    fn observed(&mut self, i: usize, phase: &Phase, commands: &mut Vec<Command>) {
        if rank(phase) < rank(&self.live(i).phase) {
            return;
        }
        self.enter(i, phase.clone());
        if let Phase::Starting { waiting: Some(waiting) } = phase
            && waiting.reason.is_hopeless()
            && self.live(i).stopping.is_none()
        {
            self.ask_to_stop(i, Why::Failure(Evidence::StillWaiting(waiting.clone())), commands);
        }
    }

    /// A new phase starts a new timer; more words on the same phase do not.
    fn enter(&mut self, i: usize, phase: Phase) {
        let now = self.now;
        let live = self.live(i);
        if rank(&phase) > rank(&live.phase) {
            live.phase_since = now;
            if phase == Phase::Running
                && let Some(attempt) = self.steps[i].attempts.last_mut()
            {
                attempt.running = Some(now);
            }
        }
        self.live(i).phase = phase;
    }

    /// Only a step that publishes has a publication, and it always does.
    fn contradiction(
        &self,
        i: usize,
        outcome: Outcome,
        publication: Option<&Publication>,
    ) -> Option<&'static str> {
        let publishes = matches!(self.steps[i].plan.role, Role::Publish { .. });
        match (publishes, outcome, publication) {
            (true, Outcome::Ok, Some(_)) | (false, _, None) => None,
            (true, Outcome::Ok, None) => Some("nothing is said of the alias that it publishes to"),
            (true, _, _) => Some("it publishes: that has no other outcome than ok"),
            (false, _, Some(_)) => Some("it publishes nothing"),
        }
    }

    /// A committed manifest of the current attempt is success, even of one that was asked to stop.
    fn succeeded(
        &mut self,
        i: usize,
        artifact: &ArtifactRef,
        outcome: Outcome,
        publication: Option<Publication>,
    ) {
        self.close_attempt(i, AttemptResult::Succeeded);
        self.steps[i].artifact = Some(artifact.clone());
        self.steps[i].fresh = false;
        match publication {
            None => {
                let end = super::outcome::end_of(outcome, End::Done);
                self.steps[i].end(self.now, end);
            }
            Some(publication) => self.published(i, publication),
        }
    }

    /// The end of an attempt that has no manifest. What it means is ours to say if we asked for it.
    pub(super) fn ended_without(&mut self, i: usize, evidence: Evidence, message: Option<String>) {
        match self.live(i).stopping.take().map(|stopping| stopping.why) {
            None => self.fail(i, evidence, message),
            Some(Why::Failure(ours)) => self.fail(i, ours, message),
            Some(Why::Cancelled) => {
                self.close_attempt(i, AttemptResult::Cancelled);
                self.steps[i].end(self.now, End::Cancelled);
            }
            Some(Why::Restart) => {
                self.close_attempt(i, AttemptResult::Cancelled);
                self.steps[i].stage = Stage::Waiting { until: None };
            }
        }
    }

    pub(super) fn close_attempt(&mut self, i: usize, result: AttemptResult) {
        let now = self.now;
        if let Some(attempt) = self.steps[i].attempts.last_mut() {
            attempt.ended = Some(now);
            attempt.result = Some(result);
        }
    }
}

fn rank(phase: &Phase) -> u8 {
    match phase {
        Phase::Queued { .. } => 0,
        Phase::Starting { .. } => 1,
        Phase::Running => 2,
    }
}

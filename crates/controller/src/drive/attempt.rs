//! Obeying the engine about one attempt, and taking in what is seen of it.

use std::time::Duration;

use noctule_artifacts::launch::LaunchDocument;
use noctule_artifacts::{AttemptNumber, StepName, layout};
use noctule_engine::{ArtifactRef, Command, Event, Evidence};
use noctule_launcher::{AttemptKey, Launch, Observation, Observed, Started};
use noctule_store::{Effects, NewArtifact};

use super::Drive;
use super::commit::patiently;
use super::waiting::Parked;
use crate::error::ControllerError;
use crate::prepare::Answer;
use crate::watch::Seen;

impl Drive {
    pub(super) async fn obey(&mut self, command: Command) -> Result<(), ControllerError> {
        let (step, attempt) = command.attempt();
        let key = self.key(step, attempt);
        self.make_sure_of_lease().await?;
        match command {
            Command::Prepare { step, attempt, fresh } => self.answer(&step, attempt, fresh).await,
            Command::Start { step, attempt, launch } => self.start(&step, attempt, launch).await,
            Command::Stop { grace, .. } => {
                let grace = Duration::try_from(grace).unwrap_or_default();
                Ok(self.controller.launcher.stop(&key, grace).await?)
            }
            Command::Kill { .. } => Ok(self.controller.launcher.kill(&key).await?),
            Command::Abandon { step, attempt } => {
                let text = format!(
                    "attempt {attempt} could not be seen gone and was abandoned; its results count for nothing"
                );
                self.note(Some(step), text).await
            }
        }
    }

    pub(super) async fn answer(
        &mut self,
        step: &StepName,
        attempt: AttemptNumber,
        fresh: bool,
    ) -> Result<(), ControllerError> {
        // The engine may have taken the wish back meanwhile.
        if !self.is_wanted(step, attempt) {
            return Ok(());
        }
        let Some(settings) = self.pipeline.step(step).cloned() else { return Ok(()) };
        let (controller, run, pipeline) = (self.controller.clone(), self.run.clone(), self.pipeline.clone());
        let answer = patiently(|| controller.prepare(&run, &pipeline, &settings, attempt, fresh)).await?;
        let step = step.clone();
        match answer {
            Answer::Reused { artifact, outcome, from } => {
                let effects =
                    Effects { reused: vec![(step.clone(), artifact.manifest.clone())], ..Effects::default() };
                self.record(Event::StepReused { step, attempt, artifact, outcome, from }, effects).await
            }
            Answer::AlreadyPublished { version } => {
                self.record(Event::AlreadyPublished { step, attempt, version }, Effects::default()).await
            }
            Answer::Failed { evidence, message } => {
                let event = Event::AttemptFailed { step, attempt, evidence, message: Some(message) };
                self.record(event, Effects::default()).await
            }
            Answer::Launch { document, cut } => {
                let launch = patiently(|| controller.write_launch(&document)).await?;
                if let Some(text) = cut.filter(|_| attempt.0 == 1 && self.told_cut.insert(step.clone())) {
                    self.note(Some(step.clone()), text).await?;
                }
                self.intend(step, Parked::new(attempt, fresh, launch)).await
            }
        }
    }

    /// Whether the engine still waits for this attempt to be prepared.
    pub(super) fn is_wanted(&self, step: &StepName, attempt: AttemptNumber) -> bool {
        let wanted = |command: &Command| matches!(command, Command::Prepare { step: s, attempt: a, .. } if s == step && *a == attempt);
        self.run.outstanding().iter().any(wanted)
    }

    pub(crate) async fn launch_document(
        &self,
        step: &StepName,
        attempt: AttemptNumber,
    ) -> Result<LaunchDocument, ControllerError> {
        let path = layout::launch_document(&self.position.run, step, attempt);
        let depot = self.controller.depot.clone();
        let bytes = patiently(|| async { Ok(depot.read(&path).await?) }).await?;
        LaunchDocument::from_json(&bytes, noctule_artifacts::Digest::of(&bytes))
            .map_err(|error| noctule_depot::Error::Unreadable { path, cause: error.to_string() }.into())
    }

    async fn start(
        &mut self,
        step: &StepName,
        attempt: AttemptNumber,
        digest: noctule_artifacts::Digest,
    ) -> Result<(), ControllerError> {
        let memory = self.launch_document(step, attempt).await?.resources.memory_bytes;
        let key = self.key(step, attempt);
        let launch = Launch::new(&key, digest, Some(memory));
        let event = match self.controller.launcher.start(&key, &launch).await {
            Ok(Started::Begun { handle } | Started::AlreadyThere { handle: Some(handle) }) => {
                Event::AttemptStarted { step: step.clone(), attempt, handle }
            }
            // It has ended already; its end is being told.
            Ok(Started::AlreadyThere { handle: None }) => return Ok(()),
            Err(error) => {
                let message = error.to_string();
                let evidence =
                    error.evidence().unwrap_or_else(|| Evidence::NotSpawned { message: message.clone() });
                Event::AttemptFailed { step: step.clone(), attempt, evidence, message: Some(message) }
            }
        };
        self.record(event, Effects::default()).await
    }

    pub(super) async fn observe(&mut self, observed: Observed) -> Result<(), ControllerError> {
        let Observed { key, what } = observed;
        if key.run != self.position.run {
            return Ok(());
        }
        self.missing.remove(&key);
        let AttemptKey { step, attempt, .. } = key.clone();
        let live = self.run.step(&step).and_then(|step| step.live()).filter(|live| live.number == attempt);
        match what {
            Observation::Started { handle } if live.is_some_and(|live| live.handle.is_none()) => {
                self.record(Event::AttemptStarted { step, attempt, handle }, Effects::default()).await
            }
            Observation::Started { .. } => Ok(()),
            Observation::Phase { phase } => {
                self.record(Event::AttemptObserved { step, attempt, phase }, Effects::default()).await
            }
            Observation::Report(report) => {
                self.watch.tell(Seen::Report { step, attempt, report });
                Ok(())
            }
            Observation::Ended { evidence, message, .. } => self.ended(key, evidence, message).await,
            Observation::Gone => self.ended_or(key, Event::AttemptGone { step, attempt }).await,
        }
    }

    pub(super) async fn ended(
        &mut self,
        key: AttemptKey,
        evidence: Evidence,
        message: Option<String>,
    ) -> Result<(), ControllerError> {
        let event = Event::AttemptFailed { step: key.step.clone(), attempt: key.attempt, evidence, message };
        self.ended_or(key, event).await
    }

    /// An attempt is gone. A committed manifest is success; only without one does `otherwise` hold.
    async fn ended_or(&mut self, key: AttemptKey, otherwise: Event) -> Result<(), ControllerError> {
        let (step, attempt) = (key.step.clone(), key.attempt);
        let is_live =
            self.run.step(&step).and_then(|step| step.live()).is_some_and(|live| live.number == attempt);
        let path = layout::attempt_manifest(&key.run, &step, attempt);
        let depot = self.controller.depot.clone();
        let committed = match is_live {
            true => patiently(|| async { Ok(depot.committed(&path).await?) }).await?,
            false => None,
        };
        match committed {
            None => self.record(otherwise, Effects::default()).await?,
            Some(manifest)
                if self
                    .pipeline
                    .step(&step)
                    .is_some_and(|step| matches!(step.kind, noctule_spec::StepKind::Publish(_))) =>
            {
                self.publish(&step, attempt, &path, &manifest).await?;
            }
            Some(manifest) => {
                let artifact = ArtifactRef { manifest: path.clone(), digest: manifest.digest() };
                let outcome = manifest.identity.outcome;
                let effects =
                    Effects { artifacts: vec![NewArtifact::of(&path, &manifest)], ..Effects::default() };
                let event = Event::AttemptSucceeded { step, attempt, artifact, outcome, publication: None };
                self.record(event, effects).await?;
            }
        }
        Ok(self.controller.launcher.forget(&key).await?)
    }
}

//! The loop over one run.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use noctule_artifacts::launch::LaunchDocument;
use noctule_artifacts::{AttemptNumber, RunId, StepName, layout};
use noctule_engine::{ArtifactRef, Command, Event, Evidence, Run, RunPlan, RunStatus};
use noctule_launcher::{AttemptKey, Launch, Observation, Observations, Observed, SeenState, Started};
use noctule_spec::Pipeline;
use noctule_store::{Acquired, Change, Effects, Lease, NewArtifact, NewRun, Position, StoreError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::definition::{Definition, cancel_kind, lease_name};
use crate::error::ControllerError;
use crate::outbox;
use crate::prepare::Answer;
use crate::watch::{Seen, Watch};
use crate::{Controller, words};

/// How long a driver that is not heard of keeps its run.
const LEASE: Duration = Duration::from_secs(30);
/// How often it is heard of, and looks for what it was not told.
const BEAT: Duration = Duration::from_secs(5);
/// How often it looks whether somebody asks for the run to be cancelled.
const LISTEN: Duration = Duration::from_secs(1);
/// How long an attempt may be out of sight before it is lost.
const GRACE: Duration = Duration::from_secs(10);
/// How long a store that is away is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// A wish to end the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    pub by: String,
    pub at_once: bool,
}

/// A run that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub run: Run,
    pub status: RunStatus,
    /// Pointers that could not be written yet. They stay owed.
    pub owed: Vec<outbox::Owed>,
}

/// The loop over one run: whoever has it drives the run, and nobody else does.
pub struct Drive {
    controller: Controller,
    pipeline: Pipeline,
    run: Run,
    position: Position,
    lease: Lease,
    observations: Observations,
    pending: VecDeque<Command>,
    watch: Watch,
    /// When an attempt that should be live was first not seen.
    missing: BTreeMap<AttemptKey, Instant>,
    owed: Vec<outbox::Owed>,
    after_event: Option<fn(u64)>,
}

impl Controller {
    /// Begins a run.
    pub async fn create(
        &self,
        definition: &Definition,
        pipeline: Pipeline,
        plan: RunPlan,
        observations: Observations,
        watch: Watch,
    ) -> Result<Drive, ControllerError> {
        let (id, at) = (plan.run.clone(), Timestamp::now());
        let (run, commands) = Run::begin(at, plan.clone())
            .map_err(|cause| ControllerError::Illegal { run: id.clone(), cause })?;
        let lease = self.take_lease(&id).await?;
        let new = NewRun {
            run: id.clone(),
            pipeline: plan.pipeline.clone(),
            interval: plan.interval,
            occurrence: None,
            lease: None,
            definition: definition.to_json(),
        };
        let change = Change::new(at, vec![Event::RunCreated { plan: Box::new(plan) }], run.status());
        let after = self.store.create_run(&new, &change).await?;
        let position = Position { run: id, after, lease: Some(lease.clone()) };
        Ok(self.drive(pipeline, run, position, lease, observations, commands, watch))
    }

    /// Takes up a run that has begun: one whose driver is gone, or one that is to be tried again.
    ///
    /// `resume` names who wants what did not finish to be tried again; without it the run only goes on.
    pub async fn open(
        &self,
        id: &RunId,
        resume: Option<String>,
        observations: Observations,
        watch: Watch,
    ) -> Result<Drive, ControllerError> {
        let definition = Definition::from_json(id, &self.store.definition(id).await?)?;
        let lease = self.take_lease(id).await?;
        let (after, run) = self.fold(id).await?;
        let loaded = definition.load(run.plan().interval, Some(id.clone())).map_err(|diagnostics| {
            let diagnostics = diagnostics.render(&definition.source(), noctule_spec::Style::Plain);
            ControllerError::Pipeline { run: id.clone(), diagnostics }
        })?;
        if resume.is_some() && run.status() == RunStatus::Succeeded {
            self.store.release(&lease).await?;
            return Err(ControllerError::NothingLeft {
                run: id.clone(),
                status: run.status().word().to_owned(),
            });
        }
        let commands = run.outstanding();
        let again = run.ended().is_some() || run.cancelled_by().is_some();
        let position = Position { run: id.clone(), after, lease: Some(lease.clone()) };
        let mut drive = self.drive(loaded.pipeline, run, position, lease, observations, commands, watch);
        if let Some(by) = resume.filter(|_| again) {
            drive.record(Event::Resumed { by, why: None }, Effects::default()).await?;
        }
        drive.adopt().await?;
        Ok(drive)
    }

    #[expect(clippy::too_many_arguments, reason = "it only puts them into their places")]
    fn drive(
        &self,
        pipeline: Pipeline,
        run: Run,
        position: Position,
        lease: Lease,
        observations: Observations,
        commands: Vec<Command>,
        watch: Watch,
    ) -> Drive {
        Drive {
            controller: self.clone(),
            pipeline,
            run,
            position,
            lease,
            observations,
            pending: commands.into(),
            watch,
            missing: BTreeMap::new(),
            owed: Vec::new(),
            after_event: None,
        }
    }

    /// A run's state, and the number of its last event.
    pub async fn fold(&self, id: &RunId) -> Result<(u64, Run), ControllerError> {
        let log = self.store.load(id).await?;
        let run = Run::fold(log.iter().map(|logged| (logged.at, &logged.event)))
            .map_err(|cause| ControllerError::Illegal { run: id.clone(), cause })?
            .ok_or_else(|| ControllerError::NoBeginning { run: id.clone() })?;
        Ok((log.last().map_or(0, |logged| logged.sequence), run))
    }

    /// Takes the lease on a run, also from a driver that is dead.
    async fn take_lease(&self, id: &RunId) -> Result<Lease, ControllerError> {
        let (name, holder) = (lease_name(id), crate::holder::ours());
        for _ in 0..2 {
            match self.store.acquire(&name, &holder, LEASE).await? {
                Acquired::Held(lease) => return Ok(lease),
                Acquired::Taken { by, .. } if crate::holder::is_dead(&by.holder) => {
                    self.store.release(&by).await?;
                }
                Acquired::Taken { by, .. } => {
                    return Err(ControllerError::Driven { run: id.clone(), holder: by.holder });
                }
            }
        }
        Err(ControllerError::Driven { run: id.clone(), holder: "another noctule".to_owned() })
    }
}

impl Drive {
    pub fn run(&self) -> &Run {
        &self.run
    }

    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub(crate) fn controller(&self) -> &Controller {
        &self.controller
    }

    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Calls this after each committed event, with its number: how tests end the process at a chosen moment.
    pub fn after_event(&mut self, hook: fn(u64)) {
        self.after_event = Some(hook);
    }

    /// Goes round until the run has ended.
    pub async fn to_end(
        mut self,
        mut cancels: mpsc::UnboundedReceiver<Cancel>,
    ) -> Result<Ended, ControllerError> {
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        let mut listen = tokio::time::interval(LISTEN);
        loop {
            self.obey_all().await?;
            if self.run.ended().is_some() {
                return self.finish().await;
            }
            let wake = self.run.next_wake();
            tokio::select! {
                biased;
                Some(cancel) = cancels.recv() => self.cancel(cancel).await?,
                Some(observed) = self.observations.recv() => self.observe(observed).await?,
                () = sleep_until(wake) => self.record(Event::Woken, Effects::default()).await?,
                _ = listen.tick() => self.listen().await?,
                _ = beat.tick() => self.beat().await?,
            }
        }
    }

    async fn finish(mut self) -> Result<Ended, ControllerError> {
        self.deliver().await;
        let status = self.run.status();
        self.controller.store.release(&self.lease).await?;
        self.watch.tell(Seen::Ended { status });
        Ok(Ended { run: self.run, status, owed: self.owed })
    }

    async fn obey_all(&mut self) -> Result<(), ControllerError> {
        while let Some(command) = self.pending.pop_front() {
            self.obey(command).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<(), ControllerError> {
        let (step, attempt) = command.attempt();
        let key = self.key(step, attempt);
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

    async fn answer(
        &mut self,
        step: &StepName,
        attempt: AttemptNumber,
        fresh: bool,
    ) -> Result<(), ControllerError> {
        // The engine may have taken the wish back meanwhile.
        if !self
            .run
            .outstanding()
            .iter()
            .any(|c| matches!(c, Command::Prepare { step: s, attempt: a, .. } if s == step && *a == attempt))
        {
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
                if let Some(text) = cut.filter(|_| attempt.0 == 1) {
                    self.note(Some(step.clone()), text).await?;
                }
                self.record(Event::AttemptIntended { step, attempt, launch }, Effects::default()).await
            }
        }
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

    async fn observe(&mut self, observed: Observed) -> Result<(), ControllerError> {
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

    async fn ended(
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

    /// Commits an event, and only then lets anything follow from it.
    pub(crate) async fn record(&mut self, event: Event, effects: Effects) -> Result<(), ControllerError> {
        let at = Timestamp::now();
        let mut next = self.run.clone();
        let commands = next
            .apply(at, &event)
            .map_err(|cause| ControllerError::Illegal { run: self.position.run.clone(), cause })?;
        let change = Change { at, events: vec![event], status: next.status(), effects };
        let last = self.commit(&change).await?;
        self.advance(next, commands, last);
        Ok(())
    }

    /// A commit whose answer was lost may have happened: the log says so.
    async fn commit(&self, change: &Change) -> Result<u64, ControllerError> {
        let (store, position) = (&self.controller.store, &self.position);
        let begun = Instant::now();
        loop {
            match store.commit(position, change).await {
                Err(error) if error.is_temporary() && begun.elapsed() < PATIENCE => {
                    tracing::warn!(%error, "the store is away; trying again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if let Ok(newer) = store.load_after(&position.run, position.after).await
                        && let Some(last) = newer.last()
                        && newer.iter().map(|logged| &logged.event).eq(&change.events)
                    {
                        return Ok(last.sequence);
                    }
                }
                other => return Ok(other?),
            }
        }
    }

    /// Takes the committed state over and tells what changed.
    pub(crate) fn advance(&mut self, next: Run, commands: Vec<Command>, last: u64) {
        let before = std::mem::replace(&mut self.run, next);
        self.position.after = last;
        self.pending.extend(commands);
        if let Some(hook) = self.after_event {
            hook(last);
        }
        for (old, new) in before.steps().iter().zip(self.run.steps()) {
            let number = new.attempts().last().map_or(AttemptNumber(1), |attempt| attempt.number);
            if old.state() != new.state() || old.retry_at() != new.retry_at() {
                self.watch.tell(Seen::Step {
                    step: new.plan().name.clone(),
                    attempt: number,
                    state: new.state(),
                    sentence: words::of_step(new),
                });
            }
        }
    }

    async fn note(&mut self, step: Option<StepName>, text: String) -> Result<(), ControllerError> {
        self.watch.tell(Seen::Note { step: step.clone(), text: text.clone() });
        self.record(Event::Noted { step, text }, Effects::default()).await
    }

    async fn cancel(&mut self, cancel: Cancel) -> Result<(), ControllerError> {
        self.record(
            Event::CancelRequested { by: cancel.by, at_once: cancel.at_once, why: None },
            Effects::default(),
        )
        .await
    }

    /// Whether somebody asked, through the store, for this run to end.
    async fn listen(&mut self) -> Result<(), ControllerError> {
        let kind = cancel_kind(&self.position.run);
        let claimed = match self.controller.store.claim_messages(&kind, LEASE, 8).await {
            Err(error) if error.is_temporary() => return Ok(()),
            other => other?,
        };
        for waiting in claimed {
            let by = waiting.message.about.clone();
            self.cancel(Cancel { by, at_once: false }).await?;
            self.controller.store.settle_message(waiting.id).await?;
        }
        Ok(())
    }

    async fn beat(&mut self) -> Result<(), ControllerError> {
        match self.controller.store.renew(&self.lease, LEASE).await {
            Err(error) if error.is_temporary() => tracing::warn!(%error, "the store is away"),
            other => other?,
        }
        // A signal may have been lost: what was asked to end, and has not, is asked again.
        let again = self.run.outstanding().into_iter();
        self.pending
            .extend(again.filter(|command| matches!(command, Command::Stop { .. } | Command::Kill { .. })));
        self.reconcile().await
    }

    /// Watches what an earlier driver started.
    async fn adopt(&mut self) -> Result<(), ControllerError> {
        for key in self.live() {
            self.controller.launcher.adopt(&key).await?;
        }
        self.reconcile().await
    }

    /// The attempts that should be live.
    fn live(&self) -> Vec<AttemptKey> {
        let live = self.run.steps().iter().filter_map(|step| Some((step, step.live()?)));
        live.map(|(step, live)| self.key(&step.plan().name, live.number)).collect()
    }

    /// Compares what should be live with what is, and closes the difference.
    async fn reconcile(&mut self) -> Result<(), ControllerError> {
        let seen = self.controller.launcher.list().await?;
        for key in self.live() {
            let Some(live) = self.run.step(&key.step).and_then(|step| step.live()) else { continue };
            // What has not been started is waited for by its own command.
            if live.handle.is_none() {
                continue;
            }
            match seen.iter().find(|seen| seen.key == key).map(|seen| &seen.state) {
                Some(SeenState::Running { .. }) => drop(self.missing.remove(&key)),
                Some(SeenState::Ended { evidence }) => self.ended(key, evidence.clone(), None).await?,
                Some(SeenState::NotBegun) | None => {
                    let since = *self.missing.entry(key.clone()).or_insert_with(Instant::now);
                    if since.elapsed() >= GRACE {
                        self.missing.remove(&key);
                        self.ended(key, Evidence::Lost, None).await?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn deliver(&mut self) {
        match outbox::deliver(&self.controller.store, &self.controller.depot).await {
            Ok(owed) => self.owed = owed,
            Err(error) => tracing::warn!(%error, "the outbox could not be read"),
        }
    }

    fn key(&self, step: &StepName, attempt: AttemptNumber) -> AttemptKey {
        AttemptKey { run: self.position.run.clone(), step: step.clone(), attempt }
    }
}

async fn sleep_until(wake: Option<Timestamp>) {
    match wake {
        None => std::future::pending().await,
        Some(at) => {
            let wait = Timestamp::now().duration_until(at);
            tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
        }
    }
}

/// Does something again as long as its trouble is one that may pass.
async fn patiently<T, F, Fut>(mut what: F) -> Result<T, ControllerError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, ControllerError>>,
{
    let begun = Instant::now();
    let mut pause = Duration::from_millis(200);
    loop {
        match what().await {
            Err(error) if is_temporary(&error) && begun.elapsed() < PATIENCE => {
                tracing::warn!(%error, "trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
            other => return other,
        }
    }
}

fn is_temporary(error: &ControllerError) -> bool {
    match error {
        ControllerError::Store(error) => error.is_temporary(),
        ControllerError::Depot(noctule_depot::Error::Away { .. }) => true,
        _ => false,
    }
}

/// Asks for a run to be cancelled by whoever drives it.
pub async fn ask_to_cancel(controller: &Controller, run: &RunId, by: &str) -> Result<(), StoreError> {
    let message =
        noctule_store::Message { kind: cancel_kind(run), about: by.to_owned(), payload: Vec::new() };
    controller.store.put_messages(&[message]).await
}

/// Who drives a run now, if anybody does.
pub async fn driver(controller: &Controller, run: &RunId) -> Result<Option<String>, StoreError> {
    let holder = controller.store.holder(&lease_name(run)).await?;
    Ok(holder.map(|(lease, _)| lease.holder).filter(|holder| !crate::holder::is_dead(holder)))
}

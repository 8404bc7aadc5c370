//! The answer to the engine's `Prepare`: what the attempt reads is fixed, and it is reused, launched, or impossible.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use jiff::Timestamp;
use noctule_artifacts::launch::{
    FORMAT, Input, Interval, LastGood, LaunchDocument, Listing, ModelVersion, ReservedVersion,
};
use noctule_artifacts::{AttemptNumber, Digest, ErasedUsers, ModelName, Outcome, RunId, layout};
use noctule_engine::{ArtifactRef, Evidence, Run};
use noctule_spec::kinds::{extract, publish};
use noctule_spec::reference::{ModelReference, PublishedAt};
use noctule_spec::{Pipeline, Step, StepKind};
use noctule_store::{Reserve, StoreError};

use crate::Controller;
use crate::error::ControllerError;
use crate::machine;
use crate::reuse::{self, Reads};

/// Knows external sources. The binary brings one in, so that the loop need not know how tables are read.
#[async_trait]
pub trait SourceLister: Send + Sync {
    /// Lists the objects of each source once, by the source's name in the settings.
    async fn list(
        &self,
        settings: &extract::Settings,
        interval: Interval,
        timezone: &str,
    ) -> Result<BTreeMap<String, Listing>, ListError>;
}

/// A source that could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ListError {
    pub message: String,
    /// Whether trying again later can help.
    pub temporary: bool,
}

/// What a `Prepare` came to.
pub(crate) enum Answer {
    Reused { artifact: ArtifactRef, outcome: Outcome, from: RunId },
    AlreadyPublished { version: noctule_artifacts::VersionNumber },
    Launch { document: Box<LaunchDocument>, cut: Option<String> },
    Failed { evidence: Evidence, message: String },
}

/// The trouble of one attempt, or of the loop.
pub(crate) enum Unprepared {
    Attempt(Evidence, String),
    Loop(ControllerError),
}

impl<E: Into<ControllerError>> From<E> for Unprepared {
    fn from(error: E) -> Self {
        Self::Loop(error.into())
    }
}

fn hopeless(message: String) -> Unprepared {
    Unprepared::Attempt(Evidence::Unpreparable { message: message.clone() }, message)
}

impl Controller {
    pub(crate) async fn prepare(
        &self,
        run: &Run,
        pipeline: &Pipeline,
        step: &Step,
        attempt: AttemptNumber,
        fresh: bool,
    ) -> Result<Answer, ControllerError> {
        match self.answer(run, pipeline, step, attempt, fresh).await {
            Ok(answer) => Ok(answer),
            Err(Unprepared::Attempt(evidence, message)) => Ok(Answer::Failed { evidence, message }),
            Err(Unprepared::Loop(error)) => Err(error),
        }
    }

    async fn answer(
        &self,
        run: &Run,
        pipeline: &Pipeline,
        step: &Step,
        attempt: AttemptNumber,
        fresh: bool,
    ) -> Result<Answer, Unprepared> {
        let interval = run.plan().interval;
        let reads = self.reads(run, pipeline, step).await?;
        let fingerprint = reuse::fingerprint(step, &reads, interval, &pipeline.data.timezone);
        let mut version = None;
        if let StepKind::Publish(settings) = &step.kind {
            let model = &reads.inputs[&settings.model.to_string()];
            if let Some(published) = self.already_published(settings, model.digest).await? {
                return Ok(Answer::AlreadyPublished { version: published });
            }
            version = Some(self.reserve(run, step, settings, model.digest).await?);
        }
        let found = match fresh {
            true => None,
            false => self.reusable(step, &fingerprint, reads.last_good.as_ref()).await?,
        };
        if let Some(found) = found {
            let artifact = ArtifactRef { manifest: found.manifest, digest: found.digest };
            return Ok(Answer::Reused { artifact, outcome: found.outcome, from: found.run });
        }
        if let Some((erased, list)) = &reads.erased {
            self.depot.put_new(&erased.path, list.clone()).await?;
        }
        let share =
            machine::share(&self.machine, step, run.step(&step.name).map_or(0, |step| step.out_of_memory()));
        let document = LaunchDocument {
            format: FORMAT,
            registry: self.registry.clone(),
            pipeline: pipeline.name.clone(),
            run: run.plan().run.clone(),
            step: step.name.clone(),
            attempt,
            kind: step.kind.name().to_owned(),
            kind_version: step.kind.version(),
            with: step.kind.canonical(),
            interval,
            timezone: pipeline.data.timezone.clone(),
            expectation: reuse::expectation(step, reads.last_good.as_ref()),
            earlier: if fresh { Vec::new() } else { self.earlier(pipeline, step).await? },
            inputs: reads.inputs,
            models: reads.models,
            sources: reads.sources,
            last_good: reads.last_good,
            erased: reads.erased.map(|(erased, _)| erased),
            version,
            fingerprint,
            resources: share.resources,
            env: step.env.clone(),
        };
        Ok(Answer::Launch { document: Box::new(document), cut: share.cut })
    }

    /// Fixes everything that a step reads.
    async fn reads(&self, run: &Run, pipeline: &Pipeline, step: &Step) -> Result<Reads, Unprepared> {
        let mut reads = Reads::default();
        for input in &step.inputs {
            let artifact = run.step(&input.step).and_then(|from| from.artifact()).ok_or_else(|| {
                hopeless(format!("`{}` has left nothing for `{}` to read", input.step, step.name))
            })?;
            let fixed = Input {
                step: input.step.clone(),
                output: input.output.clone(),
                manifest: artifact.manifest.clone(),
                digest: artifact.digest,
            };
            reads.inputs.insert(input.reference.clone(), fixed);
        }
        self.read_outside(run.plan().interval, pipeline, step, &mut reads).await?;
        Ok(reads)
    }

    /// What a step reads beside artifacts of its own run.
    pub(crate) async fn read_outside(
        &self,
        interval: Interval,
        pipeline: &Pipeline,
        step: &Step,
        reads: &mut Reads,
    ) -> Result<(), Unprepared> {
        for reference in &step.models {
            reads.models.insert(reference.clone(), self.resolve_model(reference).await?);
        }
        match &step.kind {
            StepKind::Extract(settings) => {
                let listed = self.lister.list(settings, interval, &pipeline.data.timezone).await;
                reads.sources = listed.map_err(|error| match error.temporary {
                    true => Unprepared::Attempt(
                        Evidence::Unreachable { message: error.message.clone() },
                        error.message,
                    ),
                    false => hopeless(error.message),
                })?;
                reads.last_good = self.last_good(pipeline, step, interval.start).await?;
                reads.erased = self.erased(settings).await?;
            }
            StepKind::Dedup(settings) if settings.near.is_some() => {
                reads.last_good = self.last_good(pipeline, step, interval.start).await?;
                if let Some(last) = &reads.last_good {
                    reads.canonical = Some(last.digest);
                }
            }
            StepKind::Shell(settings) => {
                for path in settings.reuse.iter().flat_map(|reuse| &reuse.files) {
                    let bytes = std::fs::read(Path::new(path)).map_err(|error| {
                        hopeless(format!("`reuse.files` names {path}, which cannot be read: {error}"))
                    })?;
                    reads.files.insert(path.clone(), Digest::of(&bytes));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The users whose rows an extract leaves out; `None` when there are none, or it makes no column of users.
    async fn erased(
        &self,
        settings: &extract::Settings,
    ) -> Result<Option<(ErasedUsers, Vec<u8>)>, ControllerError> {
        let may_hold_users = settings.sql.is_some()
            || settings
                .sources
                .values()
                .any(|source| source.columns.is_empty() || source.columns.contains_key("user"));
        if !may_hold_users {
            return Ok(None);
        }
        let users = self.store.erased_users().await?;
        if users.is_empty() {
            return Ok(None);
        }
        Ok(Some(ErasedUsers::list(users.iter().map(|erased| erased.user.as_str()))))
    }

    /// A published model by `name@alias` or `name@3`. An alias may point nowhere; a number may not.
    async fn resolve_model(&self, reference: &str) -> Result<Option<ModelVersion>, Unprepared> {
        let parsed: ModelReference =
            reference.parse().map_err(|error| hopeless(format!("`{reference}` {error}")))?;
        let ModelReference::Published { model, at } = parsed else {
            return Err(hopeless(format!("`{reference}` is no published model")));
        };
        let version = match at {
            PublishedAt::Alias(alias) => match self.store.alias(&model, &alias).await? {
                Some((_, version)) => version,
                None => {
                    self.refuse_orphan(&model).await?;
                    return Ok(None);
                }
            },
            PublishedAt::Version(number) => match self.store.version(&model, number).await {
                Ok(version) => version,
                Err(error @ StoreError::Registry(_)) => return Err(hopeless(error.to_string())),
                Err(error) => return Err(error.into()),
            },
        };
        Ok(Some(ModelVersion { model, version: version.number, digest: version.digest }))
    }

    /// Files of a model that the registry does not know mean another database's champion: comparing with "none" would
    /// open the gate.
    async fn refuse_orphan(&self, model: &ModelName) -> Result<(), Unprepared> {
        if !self.store.has_model(model).await?
            && !self.depot.list(&format!("models/{model}/")).await?.is_empty()
        {
            return Err(hopeless(ControllerError::OrphanModel { model: model.clone() }.to_string()));
        }
        Ok(())
    }

    /// The same step's artifact in the last good run.
    async fn last_good(
        &self,
        pipeline: &Pipeline,
        step: &Step,
        start: Timestamp,
    ) -> Result<Option<LastGood>, ControllerError> {
        let Some(row) = self.store.last_good(&pipeline.name, start).await? else { return Ok(None) };
        let run = self.fold(&row.run).await?.1;
        let artifact = run.step(&step.name).and_then(|step| step.artifact().cloned());
        Ok(artifact.map(|artifact| LastGood {
            run: row.run,
            manifest: artifact.manifest,
            digest: artifact.digest,
        }))
    }

    /// Manifests of earlier artifacts whose parts an extract may take over.
    async fn earlier(&self, pipeline: &Pipeline, step: &Step) -> Result<Vec<String>, ControllerError> {
        /// Last night's, and a few by hand with other settings.
        const LOOKED_AT: u32 = 5;
        let StepKind::Extract(_) = &step.kind else { return Ok(Vec::new()) };
        let earlier = self.store.earlier(&pipeline.name, &step.name, LOOKED_AT).await?;
        Ok(earlier.into_iter().map(|artifact| artifact.manifest).collect())
    }

    async fn already_published(
        &self,
        settings: &publish::Settings,
        candidate: Digest,
    ) -> Result<Option<noctule_artifacts::VersionNumber>, ControllerError> {
        let champion = self.store.alias(&settings.name, &settings.alias).await?;
        Ok(champion.filter(|(_, version)| version.digest == candidate).map(|(_, version)| version.number))
    }

    async fn reserve(
        &self,
        run: &Run,
        step: &Step,
        settings: &publish::Settings,
        digest: Digest,
    ) -> Result<ReservedVersion, Unprepared> {
        let in_store = !self.depot.list(&format!("models/{}/", settings.name)).await?.is_empty();
        let wish = Reserve {
            model: settings.name.clone(),
            run: run.plan().run.clone(),
            step: step.name.clone(),
            digest,
            in_store,
            at: Timestamp::now(),
        };
        let version = match self.store.reserve_version(&wish).await {
            Ok(version) => version,
            Err(error @ (StoreError::Registry(_) | StoreError::Refused { .. })) => {
                return Err(hopeless(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        };
        Ok(ReservedVersion { model: settings.name.clone(), alias: settings.alias.clone(), version })
    }

    /// Writes the launch document and gives the digest that the attempt is announced with.
    pub(crate) async fn write_launch(&self, document: &LaunchDocument) -> Result<Digest, ControllerError> {
        let bytes = document.to_json();
        let path = layout::launch_document(&document.run, &document.step, document.attempt);
        let digest = Digest::of(&bytes);
        match self.depot.put_new(&path, bytes).await? {
            noctule_depot::Put::Created | noctule_depot::Put::Same => Ok(digest),
            // Written before a crash, and never intended: what it says may be out of date, so it is replaced.
            noctule_depot::Put::Other(_) => {
                self.depot.delete(&path).await?;
                self.depot.put_new(&path, document.to_json()).await?;
                Ok(digest)
            }
        }
    }
}

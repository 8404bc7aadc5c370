//! One run: its steps, their attempts, what the gate said, and what was published.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{
    AliasName, Digest, Manifest, ModelName, PipelineName, RunId, StepName, VersionNumber,
};
use noctule_controller::{Controller, Definition, drive, words};
use noctule_engine::{Attempt, AttemptResult, Publication, Rejection, Role, Run, RunStatus, StepRun};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::IntervalDocument;
use crate::exit::Exit;
use crate::report::{Code, Trouble};

/// A run, as `show --json` prints it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunDocument {
    #[schema(value_type = String, example = "rabcdefghijkl")]
    pub run: RunId,
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    pub interval: IntervalDocument,
    /// The due time that it answers, if a schedule or a backfill began it.
    pub occurrence: Option<String>,
    #[schema(example = "succeeded")]
    pub status: String,
    /// What a command that waits for the run ends with.
    pub exit_code: u8,
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
    pub steps: Vec<StepDocument>,
    /// What the gate said: its verdict, and the sentence that decided.
    #[schema(value_type = Option<Object>)]
    pub verdict: Option<Map<String, Value>>,
    pub published: Option<PublishedDocument>,
    /// Where the alias that the run publishes to points now.
    pub champion: Option<ChampionDocument>,
    pub made_from: MadeFromDocument,
    pub notes: Vec<NoteDocument>,
    /// Who drives it now; `null` when nobody does.
    pub driven_by: Option<String>,
    /// The number of the last event of its log.
    pub last_event: u64,
}

/// What a run was made from. It goes on as it began, whatever became of the file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MadeFromDocument {
    pub file: String,
    pub params: BTreeMap<String, String>,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The version of the program that began it.
    pub program: String,
    /// The digest of the image that the program ran in, if it ran in one.
    pub image: Option<String>,
    /// Candidates become versions, and no alias is moved.
    pub register_only: bool,
    /// Who began it, when it was a person.
    pub by: Option<String>,
    pub why: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct StepDocument {
    #[schema(value_type = String)]
    pub step: StepName,
    pub kind: String,
    #[schema(example = "done")]
    pub state: String,
    /// What is worth saying about it, such as why it was skipped.
    pub why: Option<String>,
    #[schema(value_type = Option<String>)]
    pub reused_from: Option<RunId>,
    /// The digest of what it made or took over.
    #[schema(value_type = Option<String>)]
    pub artifact: Option<Digest>,
    /// The path of that artifact's manifest in the store.
    pub manifest: Option<String>,
    pub attempts: Vec<AttemptDocument>,
    /// The time that its attempts took in all.
    pub seconds: Option<f64>,
    /// Rows of its own table, without what it set aside.
    pub rows: Option<u64>,
    pub metrics: Option<BTreeMap<String, Option<f64>>>,
    pub notes: Option<Vec<String>>,
    /// The sentence that decided, of a gate.
    pub decided: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AttemptDocument {
    pub attempt: u32,
    #[schema(value_type = String, format = DateTime)]
    pub intended: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub running: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
    #[schema(example = "succeeded")]
    pub result: String,
    /// The class of its failure.
    pub class: Option<String>,
    /// What was seen of its failure.
    pub evidence: Option<String>,
    /// Its own last word.
    pub message: Option<String>,
    /// It was given up without having been seen gone.
    pub abandoned: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PublishedDocument {
    #[schema(value_type = String)]
    pub model: ModelName,
    #[schema(value_type = String)]
    pub alias: AliasName,
    #[schema(value_type = u32)]
    pub version: VersionNumber,
    pub promoted: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChampionDocument {
    #[schema(value_type = String)]
    pub model: ModelName,
    #[schema(value_type = String)]
    pub alias: AliasName,
    /// `null` while it points nowhere.
    #[schema(value_type = Option<u32>)]
    pub version: Option<VersionNumber>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NoteDocument {
    #[schema(value_type = Option<String>)]
    pub step: Option<StepName>,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub text: String,
}

/// The report of a run's gate.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct GateDocument {
    #[schema(value_type = String)]
    pub run: RunId,
    #[schema(value_type = String)]
    pub step: StepName,
    /// What it said: verdict, and the sentence that decided.
    #[schema(value_type = Object)]
    pub verdict: Map<String, Value>,
    /// The whole report, in Markdown.
    pub report: String,
}

pub async fn gather(controller: &Controller, id: &RunId) -> Result<RunDocument, Trouble> {
    let (_, run) = controller.fold(id).await?;
    gather_from(controller, &run).await
}

/// The document of a run whose state is known.
pub async fn gather_from(controller: &Controller, run: &Run) -> Result<RunDocument, Trouble> {
    let plan = run.plan();
    let manifests = manifests(controller, run).await?;
    let row = controller.store.run(&plan.run).await?;
    let definition = Definition::from_json(&plan.run, &controller.store.definition(&plan.run).await?)?;
    let notes = controller.store.notes(&plan.run).await?;
    let driven_by = match run.ended() {
        None => drive::driver(controller, &plan.run).await?,
        Some(_) => None,
    };
    Ok(RunDocument {
        run: plan.run.clone(),
        pipeline: plan.pipeline.clone(),
        interval: plan.interval.into(),
        occurrence: row.occurrence,
        status: run.status().word().to_owned(),
        exit_code: exit_of(run.status()).code(),
        created: run.created(),
        ended: run.ended(),
        steps: run.steps().iter().map(|step| step_document(step, manifests.get(&step.plan().name))).collect(),
        verdict: gate_of(run).and_then(|gate| manifests.get(&gate.plan().name)).map(verdict),
        published: published(run),
        champion: champion(controller, run).await?,
        made_from: made_from(definition),
        notes: notes
            .into_iter()
            .map(|note| NoteDocument { step: note.step, at: note.at, text: note.text })
            .collect(),
        driven_by,
        last_event: row.last_event,
    })
}

/// The exit code of a command that waited for the run.
pub fn exit_of(status: RunStatus) -> Exit {
    match status {
        RunStatus::Succeeded => Exit::Done,
        RunStatus::Failed => Exit::StepFailed,
        RunStatus::DataStop => Exit::DataStop,
        RunStatus::GateRejected(Rejection::Fail) => Exit::GateFailed,
        RunStatus::GateRejected(Rejection::Inconclusive) => Exit::GateInconclusive,
        RunStatus::Held(_) => Exit::Held,
        RunStatus::Cancelled => Exit::Interrupted,
        RunStatus::Queued | RunStatus::Running | RunStatus::Stopping => Exit::OwnTrouble,
    }
}

/// The report of the run's gate.
pub async fn gate_report(controller: &Controller, id: &RunId) -> Result<GateDocument, Trouble> {
    let (_, run) = controller.fold(id).await?;
    let none = |why: &str| Trouble::coded(Code::NoSuchReport, format!("run {id} has no gate report: {why}"));
    let gate = gate_of(&run).ok_or_else(|| none("its pipeline has no gate"))?;
    let artifact = gate.artifact().ok_or_else(|| none("its gate has judged nothing"))?;
    let manifest = controller.depot.committed(&artifact.manifest).await?;
    let manifest = manifest.ok_or_else(|| none("it has been swept"))?;
    let entry = manifest.identity.files.iter().find(|file| file.name.ends_with("gate.md"));
    let entry = entry.ok_or_else(|| none("its gate left none"))?;
    let path = controller.depot.fetch(&manifest, &artifact.manifest, entry).await?;
    let report =
        tokio::fs::read_to_string(&path).await.map_err(|error| Trouble::file("read", &path, error))?;
    Ok(GateDocument { run: id.clone(), step: gate.plan().name.clone(), verdict: verdict(&manifest), report })
}

async fn manifests(controller: &Controller, run: &Run) -> Result<BTreeMap<StepName, Manifest>, Trouble> {
    let mut manifests = BTreeMap::new();
    for step in run.steps() {
        if let Some(artifact) = step.artifact()
            && let Some(manifest) = controller.depot.committed(&artifact.manifest).await?
        {
            manifests.insert(step.plan().name.clone(), manifest);
        }
    }
    Ok(manifests)
}

fn made_from(definition: Definition) -> MadeFromDocument {
    MadeFromDocument {
        file: definition.file,
        params: definition.params,
        at: definition.at,
        program: definition.program,
        image: definition.image,
        register_only: definition.register_only,
        by: definition.by,
        why: definition.why,
    }
}

fn gate_of(run: &Run) -> Option<&StepRun> {
    run.steps().iter().find(|step| step.plan().kind == "gate")
}

fn verdict(manifest: &Manifest) -> Map<String, Value> {
    manifest.identity.facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn step_document(step: &StepRun, manifest: Option<&Manifest>) -> StepDocument {
    let record = manifest.map(|manifest| &manifest.record);
    let decided = manifest.and_then(|manifest| manifest.identity.facts.get("decided"));
    StepDocument {
        step: step.plan().name.clone(),
        kind: step.plan().kind.clone(),
        state: step.state().word().to_owned(),
        why: words::of_step(step),
        reused_from: step.reused_from().cloned(),
        artifact: step.artifact().map(|artifact| artifact.digest),
        manifest: step.artifact().map(|artifact| artifact.manifest.clone()),
        attempts: step.attempts().iter().map(attempt_document).collect(),
        seconds: busy(step).map(|span| span.as_secs_f64()),
        rows: manifest.and_then(rows),
        metrics: record.map(|record| {
            let finite = |value: f64| value.is_finite().then_some(value);
            record.metrics.iter().map(|(name, value)| (name.clone(), finite(*value))).collect()
        }),
        notes: record.map(|record| record.notes.clone()),
        decided: decided.and_then(Value::as_str).map(str::to_owned),
    }
}

fn attempt_document(attempt: &Attempt) -> AttemptDocument {
    let (result, class, evidence, message) = match &attempt.result {
        None => ("live", None, None, None),
        Some(AttemptResult::Succeeded) => ("succeeded", None, None, None),
        Some(AttemptResult::Cancelled) => ("cancelled", None, None, None),
        Some(AttemptResult::Failed { class, evidence, message }) => {
            ("failed", Some(class.word().to_owned()), Some(words::of_evidence(evidence)), message.clone())
        }
    };
    AttemptDocument {
        attempt: attempt.number.0,
        intended: attempt.intended,
        running: attempt.running,
        ended: attempt.ended,
        result: result.to_owned(),
        class,
        evidence,
        message,
        abandoned: attempt.abandoned,
    }
}

fn published(run: &Run) -> Option<PublishedDocument> {
    let step = run.steps().iter().find(|step| step.publication().is_some())?;
    let Role::Publish { model, alias, .. } = &step.plan().role else { return None };
    let (version, promoted) = match step.publication()? {
        Publication::Promoted { version, .. } => (version, true),
        Publication::Unchanged { version }
        | Publication::Registered { version }
        | Publication::Pinned { version, .. }
        | Publication::Moved { version, .. } => (version, false),
    };
    Some(PublishedDocument { model: model.clone(), alias: alias.clone(), version: *version, promoted })
}

async fn champion(controller: &Controller, run: &Run) -> Result<Option<ChampionDocument>, Trouble> {
    for step in run.steps() {
        if let Role::Publish { model, alias, .. } = &step.plan().role {
            let now = controller.store.alias(model, alias).await?;
            let version = now.map(|(state, _)| state.version);
            return Ok(Some(ChampionDocument { model: model.clone(), alias: alias.clone(), version }));
        }
    }
    Ok(None)
}

/// The time that the step's attempts took in all.
fn busy(step: &StepRun) -> Option<SignedDuration> {
    let spans =
        step.attempts().iter().filter_map(|attempt| Some(attempt.intended.duration_until(attempt.ended?)));
    spans.reduce(|a, b| a + b)
}

fn rows(manifest: &Manifest) -> Option<u64> {
    manifest.identity.outputs.get(&noctule_artifacts::OutputName::main()).and_then(|output| output.rows)
}

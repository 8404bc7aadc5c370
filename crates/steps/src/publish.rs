//! `publish`: makes a version of the model that the gate let pass. The controller moves the alias.

use jiff::Timestamp;
use noctule_artifacts::manifest::OutputForm;
use noctule_artifacts::version::{FORMAT, VersionManifest};
use noctule_artifacts::{Digest, Outcome, VersionNumber, layout};
use noctule_spec::kinds::publish::Settings;
use serde_json::{Value, json};

use crate::StepResult;
use crate::attempt::Attempt;
use crate::error::{Class, Classed};
use crate::gate::{JUDGED, VERDICT};
use crate::inputs::InputFile;
use crate::model::Model;

#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("nothing is published: `{gate}` is no gate but a {kind}; name the step that `uses: gate`")]
    NotAGate { gate: String, kind: String },
    #[error("nothing is published: the gate `{gate}` said {verdict}, and only what passed can be published")]
    NotPassed { gate: String, verdict: String },
    #[error(
        "nothing is published: the gate `{gate}` judged the model {judged}, and `{model}` is {found}; only the model that was judged can be published"
    )]
    OtherModel { gate: String, judged: String, model: String, found: Digest },
    #[error("nothing is published: `{model}` is a {form:?}, not a model")]
    NotAModel { model: String, form: Option<OutputForm> },
    #[error(
        "nothing is published: no version number of {name} is reserved; start the step again through a run"
    )]
    NoReservation { name: String },
    #[error("the report could not be written: {0}")]
    Write(std::io::Error),
}

impl Classed for PublishError {
    fn class(&self) -> Class {
        match self {
            Self::Write(_) => Class::Other,
            _ => Class::Configuration,
        }
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let gate = check_gate(attempt, &settings).await?;
    let version = reserved(attempt, &settings)?;
    let reference = settings.model.to_string();
    let input = attempt.input(&reference)?.clone();
    let model = attempt.manifest(&reference).await?;
    let form = model.identity.outputs.get(&input.output).map(|output| output.form);
    if form != Some(OutputForm::Model) {
        return Err(PublishError::NotAModel { model: reference, form }.into());
    }
    // A model that no reader could read must not become one that readers are pointed at.
    let files: Vec<InputFile> = attempt.files(&reference).await?;
    Model::read(&reference, &files)?;
    let manifest = VersionManifest {
        format: FORMAT,
        registry: attempt.launch.registry.clone(),
        model: settings.name.clone(),
        version,
        digest: input.digest,
        files: model.identity.files_of(&input.output).cloned().collect(),
        pipeline: attempt.launch.pipeline.clone(),
        run: attempt.launch.run.clone(),
        step: input.step.clone(),
        gate: Some(gate),
        created: Timestamp::now(),
    };
    let published = attempt.depot.publish(&model, &input.manifest, manifest).await?;
    if published.already {
        attempt.emit.note(&format!(
            "{} version {version} was in the store already, with the same files",
            settings.name
        ));
    }
    let bytes: u64 = published.version.files.iter().map(|file| file.size).sum();
    attempt.emit.count("files", published.version.files.len() as u64);
    attempt.emit.count("bytes", bytes);
    report(attempt, &published.version)?;
    Ok(Outcome::Ok)
}

/// The digest of the gate's artifact, when it let this very model pass.
async fn check_gate(attempt: &Attempt, settings: &Settings) -> Result<Digest, crate::StepError> {
    let gate = settings.gate.to_string();
    let manifest = attempt.manifest(&gate).await?;
    let identity = &manifest.identity;
    if identity.kind != "gate" {
        return Err(PublishError::NotAGate { gate, kind: identity.kind.clone() }.into());
    }
    let fact = |name: &str| identity.facts.get(name).and_then(Value::as_str).unwrap_or("nothing").to_owned();
    let verdict = fact(VERDICT);
    if identity.outcome != Outcome::Ok || verdict != "pass" {
        return Err(PublishError::NotPassed { gate, verdict }.into());
    }
    let model = settings.model.to_string();
    let (judged, found) = (fact(JUDGED), attempt.input(&model)?.digest);
    if judged != found.to_string() {
        return Err(PublishError::OtherModel { gate, judged, model, found }.into());
    }
    Ok(attempt.input(&gate)?.digest)
}

fn reserved(attempt: &Attempt, settings: &Settings) -> Result<VersionNumber, PublishError> {
    match &attempt.launch.version {
        Some(reserved) if reserved.model == settings.name => Ok(reserved.version),
        _ => Err(PublishError::NoReservation { name: settings.name.to_string() }),
    }
}

fn report(attempt: &mut Attempt, version: &VersionManifest) -> Result<(), crate::StepError> {
    let output = "report".parse().expect("it is an output name");
    let path = attempt.create(&output, "published.json")?;
    let content = json!({
        "model": version.model,
        "version": version.version,
        "digest": version.digest,
        "gate": version.gate,
        "prefix": layout::version_prefix(&version.model, version.version),
        "files": version.files,
    });
    let mut bytes = serde_json::to_vec_pretty(&content).expect("it has only text keys");
    bytes.push(b'\n');
    std::fs::write(path, bytes).map_err(PublishError::Write)?;
    attempt.declare(&output, OutputForm::Report);
    attempt.fact("model", version.model.to_string());
    attempt.fact("version", version.version.0);
    Ok(())
}

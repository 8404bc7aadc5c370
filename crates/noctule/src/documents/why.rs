//! Why a step was run or reused.

use noctule_artifacts::{RunId, StepName};
use noctule_controller::{Controller, preview, words};
use noctule_engine::{End, Run, StepRun, StepState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::Trouble;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct WhyDocument {
    #[schema(value_type = String)]
    pub run: RunId,
    #[schema(value_type = String)]
    pub step: StepName,
    #[schema(example = "reused")]
    pub state: String,
    pub why: String,
    /// Each part of the fingerprint that was different from the artifact before, with both values.
    pub changed: Vec<String>,
}

pub async fn gather(controller: &Controller, id: &RunId, name: &StepName) -> Result<WhyDocument, Trouble> {
    let (_, run) = controller.fold(id).await?;
    let step = run.step(name).ok_or_else(|| super::no_such_step(&run, name))?;
    let (why, changed) = match step.state() {
        StepState::Ended(End::Reused) => {
            (words::of_step(step).unwrap_or_else(|| "it was reused".to_owned()), Vec::new())
        }
        StepState::Ended(End::Skipped(reason)) => {
            (format!("it was skipped: {}", words::of_skip(&reason)), Vec::new())
        }
        _ => ran(controller, &run, step).await?,
    };
    let state = step.state().word().to_owned();
    Ok(WhyDocument { run: id.clone(), step: name.clone(), state, why, changed })
}

/// What was different from the step's artifact before this one.
async fn ran(controller: &Controller, run: &Run, step: &StepRun) -> Result<(String, Vec<String>), Trouble> {
    if step.plan().kind == "publish" {
        return Ok(("it ran: publishing is decided anew each time".to_owned(), Vec::new()));
    }
    let Some(artifact) = step.artifact() else {
        let sentence = words::of_step(step).unwrap_or_else(|| format!("it is {}", step.state().word()));
        return Ok((sentence, Vec::new()));
    };
    let Some(ours) = controller.depot.committed(&artifact.manifest).await? else {
        return Ok(("its artifact has been swept, and the reason with it".to_owned(), Vec::new()));
    };
    let earlier = controller.store.earlier(&run.plan().pipeline, &step.plan().name, 1000).await?;
    let before = earlier
        .iter()
        .find(|other| other.created < ours.record.finished && other.manifest != artifact.manifest);
    let Some(before) = before else {
        return Ok(("it ran: it had not run before".to_owned(), Vec::new()));
    };
    let Some(theirs) = controller.depot.committed(&before.manifest).await? else {
        return Ok(("it ran: the artifact before it is gone".to_owned(), Vec::new()));
    };
    let names = ours.record.fingerprint.differences(&theirs.record.fingerprint);
    let shown = |value: Option<&serde_json::Value>| value.map_or("absent".to_owned(), ToString::to_string);
    let lines = names
        .iter()
        .map(|name| {
            let old = shown(theirs.record.fingerprint.ingredients().get(*name));
            let new = shown(ours.record.fingerprint.ingredients().get(*name));
            format!("{name}: {old} -> {new}")
        })
        .collect();
    Ok((format!("it ran: {} against run {}", preview::changed(&names), before.run), lines))
}

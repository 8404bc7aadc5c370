//! `noctule why`: why a step was run or reused.

use noctule_controller::{preview, words};
use noctule_engine::{End, StepState};
use serde_json::json;

use crate::cli::{Global, Why};
use crate::exit::Exit;
use crate::report::Trouble;

pub async fn run(arguments: &Why, global: &Global) -> Result<Exit, Trouble> {
    let open = super::open_existing(global).await?;
    let controller = &open.controller;
    let id = super::find_run(&controller.store, &arguments.run).await?;
    let (_, run) = controller.fold(&id).await?;
    let step = run.step(&arguments.step).ok_or_else(|| {
        let names: Vec<_> = run.steps().iter().map(|step| step.plan().name.to_string()).collect();
        Trouble::usage(format!("run {id} has no step `{}`; it has: {}", arguments.step, names.join(", ")))
    })?;
    let (sentence, changed) = match step.state() {
        StepState::Ended(End::Reused) => {
            (words::of_step(step).unwrap_or_else(|| "it was reused".to_owned()), Vec::new())
        }
        StepState::Ended(End::Skipped(reason)) => {
            (format!("it was skipped: {}", words::of_skip(&reason)), Vec::new())
        }
        _ => ran(controller, &run, step).await?,
    };
    if global.json {
        super::print_json(&json!({
            "run": id,
            "step": arguments.step,
            "state": step.state().word(),
            "why": sentence,
            "changed": changed,
        }));
    } else {
        println!("{}: {sentence}", arguments.step);
        for line in changed {
            println!("  {line}");
        }
    }
    Ok(Exit::Done)
}

/// What was different from the step's artifact before this one.
async fn ran(
    controller: &noctule_controller::Controller,
    run: &noctule_engine::Run,
    step: &noctule_engine::StepRun,
) -> Result<(String, Vec<String>), Trouble> {
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

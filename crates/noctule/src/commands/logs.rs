//! `noctule logs`: what the attempts of a run wrote.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use noctule_artifacts::{AttemptNumber, RunId, StepName, layout};
use noctule_controller::Controller;
use noctule_launcher::AttemptKey;
use noctule_launcher::log::{self, Follow};

use crate::cli::{Global, Logs};
use crate::exit::Exit;
use crate::report::Trouble;

pub async fn run(arguments: &Logs, global: &Global) -> Result<Exit, Trouble> {
    let open = super::open_existing(global).await?;
    let controller = &open.controller;
    let id = super::find_run(&controller.store, &arguments.run).await?;
    let (_, run) = controller.fold(&id).await?;
    if let Some(step) = &arguments.step
        && run.step(step).is_none()
    {
        let names: Vec<_> = run.steps().iter().map(|step| step.plan().name.to_string()).collect();
        return Err(Trouble::usage(format!("run {id} has no step `{step}`; it has: {}", names.join(", "))));
    }
    if arguments.follow {
        return follow(controller, &id, arguments.step.as_ref()).await;
    }
    let mut shown = false;
    for step in
        run.steps().iter().filter(|s| arguments.step.as_ref().is_none_or(|wanted| *wanted == s.plan().name))
    {
        let number = arguments.attempt.or_else(|| step.attempts().last().map(|attempt| attempt.number));
        let Some(number) = number else { continue };
        let Some(text) = whole(controller, &id, &step.plan().name, number).await? else { continue };
        if arguments.step.is_none() {
            println!("== {} attempt {number}", step.plan().name);
        }
        shown = true;
        std::io::stdout()
            .write_all(&text)
            .map_err(|error| Trouble::own(format!("writing the log: {error}")))?;
    }
    if !shown {
        anstream::eprintln!("nothing was written: steps that were reused or skipped have no log");
    }
    Ok(Exit::Done)
}

/// The file that an attempt's log is in, while it is on this machine.
fn file(controller: &Controller, run: &RunId, step: &StepName, attempt: AttemptNumber) -> Option<PathBuf> {
    let key = AttemptKey { run: run.clone(), step: step.clone(), attempt };
    let live = controller.launcher.log_file(&key).filter(|path| path.exists());
    live.or_else(|| controller.depot.log_file(&layout::attempt_log(run, step, attempt)).ok().flatten())
}

async fn whole(
    controller: &Controller,
    run: &RunId,
    step: &StepName,
    attempt: AttemptNumber,
) -> Result<Option<Vec<u8>>, Trouble> {
    if let Some(path) = file(controller, run, step, attempt) {
        return match std::fs::read(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::file("read", &path, error)),
        };
    }
    match controller.depot.read(&layout::attempt_log(run, step, attempt)).await {
        Ok(text) => Ok(Some(text.to_vec())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The last lines of an attempt's log, fit for a terminal.
pub fn last_lines(
    controller: &Controller,
    run: &RunId,
    step: &StepName,
    attempt: AttemptNumber,
    count: usize,
) -> Vec<String> {
    let path = file(controller, run, step, attempt);
    path.and_then(|path| log::last_lines(&path, count).ok()).unwrap_or_default()
}

/// Prints what attempts write until the run has ended.
async fn follow(controller: &Controller, id: &RunId, wanted: Option<&StepName>) -> Result<Exit, Trouble> {
    let mut open: Vec<(StepName, AttemptNumber, Follow)> = Vec::new();
    loop {
        let (_, run) = controller.fold(id).await?;
        for step in run.steps().iter().filter(|step| wanted.is_none_or(|wanted| *wanted == step.plan().name))
        {
            for attempt in step.attempts() {
                let known = open
                    .iter()
                    .any(|(name, number, _)| *name == step.plan().name && *number == attempt.number);
                if known {
                    continue;
                }
                if let Some(path) = file(controller, id, &step.plan().name, attempt.number) {
                    open.push((step.plan().name.clone(), attempt.number, Follow::new(path)));
                }
            }
        }
        for (step, number, follow) in &mut open {
            let text =
                follow.read_new().map_err(|error| Trouble::own(format!("the log of {step}: {error}")))?;
            for line in String::from_utf8_lossy(&text).lines() {
                println!("{step}/{number}  {}", log::presentable(line));
            }
        }
        if run.ended().is_some() {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

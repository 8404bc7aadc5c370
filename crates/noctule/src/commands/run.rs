//! `noctule run`: a pipeline here and now, with live progress; and what `resume` shares with it.

use noctule_artifacts::RunId;
use noctule_controller::plan::run_plan;
use noctule_controller::{Cancel, Controller, Drive, Seen, Watch};
use noctule_engine::StepState;
use noctule_spec::Pipeline;
use rand::Rng;
use tokio::sync::mpsc;

use crate::cli::{Global, Run};
use crate::exit::Exit;
use crate::home::{Home, Open};
use crate::pipeline::Ready;
use crate::report::Trouble;
use crate::summary::Summary;
use crate::terminal::progress::{Progress, Sight};
use crate::terminal::style::{QUIET, paint};

pub async fn run(arguments: &Run, global: &Global) -> Result<Exit, Trouble> {
    let ready = Ready::load(&arguments.pipeline)?;
    ready.warn();
    let home = Home::find(global.config.as_deref())?;
    let Open { controller, observations } = home.open().await?;

    let mut random = rand::rng();
    let id = RunId::from_random((u128::from(random.next_u64()) << 64) | u128::from(random.next_u64()));
    let parallel = arguments.parallel.or(home.config.parallel).unwrap_or(controller.machine.threads);
    let ready = Ready::of(ready.definition, Some(id.clone()))?;
    let plan = run_plan(&ready.pipeline, id.clone(), random.next_u64(), parallel, ready.interval);
    let (watch, seen) = Watch::channel();
    let drive = controller.create(&ready.definition, ready.pipeline, plan, observations, watch).await?;
    if !global.json {
        anstream::eprintln!(
            "run {id} of {}, for {} to {}",
            drive.pipeline().name,
            ready.interval.start,
            ready.interval.end
        );
        not_acted_upon(drive.pipeline());
    }
    finish(&controller, drive, seen, global).await
}

/// Says what the file asks for and a run by hand does not do.
fn not_acted_upon(pipeline: &Pipeline) {
    let mut parts = Vec::new();
    if pipeline.schedule.is_some() {
        parts.push("the schedule");
    }
    if pipeline.alerts != noctule_spec::Alerts::default() {
        parts.push("alerts");
    }
    if !parts.is_empty() {
        let verb = if parts == ["the schedule"] { "is" } else { "are" };
        anstream::eprintln!(
            "{}",
            paint(QUIET, format!("{} {verb} checked and not acted upon by `run`", parts.join(" and ")))
        );
    }
}

/// Drives a run to its end, shows it, and gives its exit code.
pub async fn finish(
    controller: &Controller,
    mut drive: Drive,
    mut seen: mpsc::UnboundedReceiver<Seen>,
    global: &Global,
) -> Result<Exit, Trouble> {
    if let Some(hook) = fault_hook() {
        drive.after_event(hook);
    }
    let steps: Vec<_> = drive.pipeline().steps.iter().map(|step| step.name.clone()).collect();
    let quiet = global.json;
    let screen = tokio::spawn(async move {
        let mut progress = Progress::new(quiet, steps.iter());
        while let Some(seen) = seen.recv().await {
            show(&mut progress, &seen);
        }
    });
    let ended = drive.to_end(interrupts()).await;
    // The watch ends with the drive, so that everything told has been shown before the closing page.
    let _ = screen.await;
    let ended = ended?;
    let summary = Summary::of(controller, ended.run).await?;
    if global.json {
        super::print_json(&summary.to_json());
    } else {
        failed_logs(controller, &summary);
        anstream::eprintln!("\n{}", summary.to_text());
    }
    for owed in &ended.owed {
        anstream::eprintln!(
            "{} could not be written to the store yet ({}); it stays owed, and the next `noctule run`, `resume` or `models` command here tries again",
            owed.about,
            owed.error
        );
    }
    Ok(summary.exit())
}

fn show(progress: &mut Progress, seen: &Seen) {
    match seen {
        // Neither is worth a line: what waits is in the table, what is ready runs in a moment.
        Seen::Step { state: StepState::Ready, .. } => {}
        Seen::Step { state: StepState::Waiting, sentence: None, .. } => {}
        Seen::Step { step, state, sentence, .. } => {
            progress.show(Sight::State { step, word: state.word(), sentence: sentence.clone() });
        }
        Seen::Report { step, report, .. } => progress.show(Sight::Report { step, report }),
        Seen::Note { step, text } => match step {
            Some(step) => progress.show(Sight::Note { text: &format!("{step}: {text}") }),
            None => progress.show(Sight::Note { text }),
        },
        Seen::Ended { .. } => {}
    }
}

/// The last lines of what failed steps wrote.
fn failed_logs(controller: &Controller, summary: &Summary) {
    for step in summary.run.steps() {
        if step.state().word() != "failed" {
            continue;
        }
        let Some(attempt) = step.attempts().last() else { continue };
        let lines = super::logs::last_lines(
            controller,
            &summary.run.plan().run,
            &step.plan().name,
            attempt.number,
            20,
        );
        if !lines.is_empty() {
            anstream::eprintln!(
                "\n{}",
                paint(QUIET, format!("last lines of {}, attempt {}:", step.plan().name, attempt.number))
            );
            for line in lines {
                anstream::eprintln!("  {line}");
            }
        }
    }
}

/// Ctrl-C and SIGTERM: once to end in order, twice to end at once.
fn interrupts() -> mpsc::UnboundedReceiver<Cancel> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut terminate = match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(_) => return,
        };
        let mut times = 0;
        loop {
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => if interrupted.is_err() { return },
                _ = terminate.recv() => {}
            }
            times += 1;
            let at_once = times > 1;
            if !at_once {
                anstream::eprintln!("stopping in order; once more to stop at once");
            }
            if sender.send(Cancel { by: super::person(), at_once }).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Ends this process by SIGKILL after the event of the number in `NOCTULE_KILL_AFTER_EVENT`: the crash that tests
/// need at a chosen moment.
fn fault_hook() -> Option<fn(u64)> {
    fn kill_at(sequence: u64) {
        let wanted = std::env::var("NOCTULE_KILL_AFTER_EVENT").ok().and_then(|text| text.parse::<u64>().ok());
        if wanted == Some(sequence) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
    std::env::var_os("NOCTULE_KILL_AFTER_EVENT").map(|_| kill_at as fn(u64))
}

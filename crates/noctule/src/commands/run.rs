//! `noctule run`: a pipeline here and now, with live progress; with a server, one that it has loaded.

use noctule_artifacts::{PipelineName, RunId};
use noctule_controller::plan::run_plan;
use noctule_controller::{Cancel, Controller, Drive, Seen, Watch};
use noctule_engine::StepState;
use noctule_spec::Pipeline;
use rand::Rng;
use serde_json::json;
use tokio::sync::mpsc;

use crate::acts;
use crate::cli::{Global, Run};
use crate::documents::changed::BegunDocument;
use crate::documents::log;
use crate::documents::run::{self, RunDocument, StepDocument};
use crate::exit::Exit;
use crate::home::{Home, Open};
use crate::pages;
use crate::pipeline::{self, Ready};
use crate::remote::{Ask, Remote};
use crate::report::Trouble;
use crate::terminal::progress::{Progress, Sight};
use crate::terminal::style::{QUIET, paint};

pub async fn run(arguments: &Run, global: &Global) -> Result<Exit, Trouble> {
    match &global.server {
        Some(address) => there(&Remote::new(address, global)?, arguments, global).await,
        None => here(arguments, global).await,
    }
}

async fn here(arguments: &Run, global: &Global) -> Result<Exit, Trouble> {
    if arguments.detach {
        return Err(Trouble::usage("`--detach` is for runs of a server: here the run is this command's own"));
    }
    let mut ready = Ready::load(&arguments.pipeline)?;
    ready.warn();
    ready.definition.by = Some(acts::person());
    ready.definition.why = arguments.why.clone();
    let home = Home::find(global.config.as_deref())?;
    let Open { controller, observations } = home.open().await?;

    let mut random = rand::rng();
    let id = RunId::from_random((u128::from(random.next_u64()) << 64) | u128::from(random.next_u64()));
    let parallel = arguments.parallel.or(home.config.parallel).unwrap_or(controller.machine.threads);
    let ready = Ready::of(ready.definition, Some(id.clone()))?;
    ready.check_pools(home.pools())?;
    let plan = run_plan(&ready.pipeline, id.clone(), random.next_u64(), parallel, ready.interval);
    let (watch, seen) = Watch::channel();
    let who = acts::who(arguments.why.as_deref());
    let name = ready.pipeline.name.clone();
    let begin =
        async { Ok(controller.create(&ready.definition, ready.pipeline, plan, observations, watch).await?) };
    let about = format!("{name} as {id}");
    let drive = acts::audited(&controller.store, &who, "run.begin", &about, begin).await?;
    if !global.json {
        anstream::eprintln!("run {id} of {name}, for {} to {}", ready.interval.start, ready.interval.end);
        not_acted_upon(drive.pipeline());
    }
    finish(&controller, drive, seen, global).await
}

async fn there(remote: &Remote, arguments: &Run, global: &Global) -> Result<Exit, Trouble> {
    let named = arguments.pipeline.pipeline.to_string_lossy();
    let name: PipelineName = named.parse().map_err(|_| {
        Trouble::usage(format!(
            "`{named}` is no name of a pipeline: with a server, name one that it has loaded (`noctule pipelines` lists \
             them)"
        ))
    })?;
    if arguments.parallel.is_some() {
        return Err(Trouble::usage(
            "`--parallel` is for runs here: the server's config says how many steps go side by side",
        ));
    }
    let body = json!({
        "params": pipeline::params(&arguments.pipeline.params)?,
        "at": arguments.pipeline.at,
        "why": arguments.why,
    });
    let begun: BegunDocument = remote.post(Ask::at(&["pipelines", name.as_str(), "runs"]), &body).await?;
    if arguments.detach {
        match global.json {
            true => super::print_json(&begun),
            false => println!("{}", begun.run),
        }
        return Ok(Exit::Done);
    }
    if !global.json {
        anstream::eprintln!("run {} of {} on the server", begun.run, begun.pipeline);
    }
    super::take_up::follow(remote, &begun.run, 0, global).await
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
    let document = run::gather_from(controller, &ended.run).await?;
    if global.json {
        super::print_json(&document);
    } else {
        failed_logs(controller, &document).await;
        anstream::eprintln!("\n{}", pages::run::page(&document));
    }
    for owed in &ended.owed {
        anstream::eprintln!(
            "{} could not be written to the store yet ({}); it stays owed, and the next `noctule run`, `resume` or `models` command here tries again",
            owed.about,
            owed.error
        );
    }
    Ok(run::exit_of(ended.status))
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

/// How much of a failed step's log is looked at for its last lines.
pub const TAIL: u64 = 64 * 1024;
const LINES: usize = 20;

/// The last lines of what failed steps wrote.
async fn failed_logs(controller: &Controller, document: &RunDocument) {
    for (step, attempt) in failed(document) {
        let number = noctule_artifacts::AttemptNumber(attempt);
        let tail = -i64::try_from(TAIL).expect("it is small");
        if let Ok(Some(piece)) = log::piece(controller, &document.run, &step.step, number, tail, TAIL).await {
            print_tail(step, attempt, &piece.bytes, piece.size > TAIL);
        }
    }
}

/// The steps that failed, each with its last attempt.
pub fn failed(document: &RunDocument) -> impl Iterator<Item = (&StepDocument, u32)> {
    let failed = document.steps.iter().filter(|step| step.state == "failed");
    failed.filter_map(|step| Some((step, step.attempts.last()?.attempt)))
}

pub fn print_tail(step: &StepDocument, attempt: u32, tail: &[u8], is_cut: bool) {
    let text = String::from_utf8_lossy(tail);
    let lines: Vec<&str> = text.lines().collect();
    // The first line is the end of one unless the log began there; alone, it is better than nothing.
    let whole = if is_cut && lines.len() > 1 { &lines[1..] } else { &lines[..] };
    if whole.is_empty() {
        return;
    }
    anstream::eprintln!("\n{}", paint(QUIET, format!("last lines of {}, attempt {attempt}:", step.step)));
    for line in &whole[whole.len().saturating_sub(LINES)..] {
        anstream::eprintln!("  {}", noctule_launcher::log::presentable(line));
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
            if sender.send(Cancel { by: acts::person(), at_once }).is_err() {
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

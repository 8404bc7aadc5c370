//! `noctule resume`, `rerun` and `ignore`: a run that has begun goes on, here or on a server.

use std::time::Duration;

use noctule_artifacts::RunId;
use noctule_controller::{Ask as RunAsk, Asked, Watch};
use serde_json::json;

use crate::acts;
use crate::cli::{Global, Resume, StepArgument};
use crate::documents::changed::AskedDocument;
use crate::documents::events::{EventDocument, EventsDocument};
use crate::documents::find_run;
use crate::documents::run::RunDocument;
use crate::exit::Exit;
use crate::home::Open;
use crate::pages;
use crate::place::Place;
use crate::remote::{Ask, Remote};
use crate::report::Trouble;
use crate::server::routes::runs::SIZE;
use crate::terminal::progress::{Progress, Sight};

/// How often a run on a server is looked at.
const LOOK: Duration = Duration::from_millis(400);

/// Finishes a run, without repeating what is finished.
pub async fn resume(arguments: &Resume, global: &Global) -> Result<Exit, Trouble> {
    let (run, why) = (&arguments.run.run, arguments.why.as_deref());
    match Place::of(global).await? {
        Place::Here(open) => here(*open, run, RunAsk::Resume, why, arguments.detach, global).await,
        Place::There(remote) => {
            let path = ["runs", run, "resume"];
            there(&remote, run, Ask::at(&path), why, arguments.detach, global).await
        }
    }
}

/// Runs a step of a run that has ended once more, and all that follow it.
pub async fn rerun(arguments: &StepArgument, global: &Global) -> Result<Exit, Trouble> {
    let ask = RunAsk::Rerun { step: arguments.step.clone() };
    about_a_step(arguments, ask, "rerun", global).await
}

/// Says that a failed step of a run is not to count.
pub async fn ignore(arguments: &StepArgument, global: &Global) -> Result<Exit, Trouble> {
    let ask = RunAsk::Ignore { step: arguments.step.clone() };
    about_a_step(arguments, ask, "ignore", global).await
}

async fn about_a_step(
    arguments: &StepArgument,
    asked: RunAsk,
    verb: &str,
    global: &Global,
) -> Result<Exit, Trouble> {
    let (run, why) = (&arguments.run, Some(arguments.why.as_str()));
    if arguments.why.trim().is_empty() {
        return Err(Trouble::usage("`--why` is empty: say why"));
    }
    match Place::of(global).await? {
        Place::Here(open) => here(*open, run, asked, why, arguments.detach, global).await,
        Place::There(remote) => {
            let path = ["runs", run.as_str(), "steps", arguments.step.as_str(), verb];
            there(&remote, run, Ask::at(&path), why, arguments.detach, global).await
        }
    }
}

async fn here(
    open: Open,
    run: &str,
    ask: RunAsk,
    why: Option<&str>,
    detach: bool,
    global: &Global,
) -> Result<Exit, Trouble> {
    if detach {
        return Err(Trouble::usage("`--detach` is for runs of a server: here the run is this command's own"));
    }
    let Open { controller, observations } = open;
    let id = find_run(&controller.store, run).await?;
    let who = acts::who(why);
    let action = match ask {
        RunAsk::Resume => "run.resume",
        RunAsk::Rerun { .. } => "run.rerun",
        RunAsk::Ignore { .. } => "run.ignore",
        RunAsk::Cancel { .. } => "run.cancel",
    };
    if let RunAsk::Rerun { step } | RunAsk::Ignore { step } = &ask {
        let (_, run) = controller.fold(&id).await?;
        run.step(step).ok_or_else(|| crate::documents::no_such_step(&run, step))?;
    }
    let asked = Asked::new(ask, who.name.clone(), why.map(str::to_owned));
    let (watch, seen) = Watch::channel();
    let take_up = async { Ok(controller.open(&id, Some(asked), observations, watch).await?) };
    let drive = acts::audited(&controller.store, &who, action, id.as_str(), take_up).await?;
    if !global.json {
        anstream::eprintln!("run {id} of {} goes on", drive.pipeline().name);
    }
    super::run::finish(&controller, drive, seen, global).await
}

async fn there(
    remote: &Remote,
    run: &str,
    ask: Ask<'_>,
    why: Option<&str>,
    detach: bool,
    global: &Global,
) -> Result<Exit, Trouble> {
    // What happened before is not told again.
    let before: RunDocument = remote.get(Ask::at(&["runs", run])).await?;
    let asked: AskedDocument = remote.post(ask, &json!({"why": why})).await?;
    if detach {
        match global.json {
            true => super::print_json(&asked),
            false => anstream::eprintln!("run {}: {}", asked.run, asked.status),
        }
        return Ok(Exit::Done);
    }
    if !global.json {
        anstream::eprintln!("run {} goes on on the server", before.run);
    }
    follow(remote, &before.run, before.last_event, global).await
}

/// Shows a run of a server until it has ended, and gives its exit code.
pub async fn follow(remote: &Remote, run: &RunId, after: u64, global: &Global) -> Result<Exit, Trouble> {
    let id = run.as_str();
    let shown: RunDocument = remote.get(Ask::at(&["runs", id])).await?;
    let mut progress = Progress::new(global.json, shown.steps.iter().map(|step| &step.step));
    let mut last = after;
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let path = ["runs", id, "events"];
        let ask = Ask::at(&path).with("after", last).with("limit", 500);
        let events: EventsDocument = remote.get(ask).await?;
        for event in &events.events {
            show(&mut progress, event);
        }
        last = events.last;
        if !events.more && !matches!(&*events.status, "queued" | "running" | "stopping") {
            break;
        }
        if events.more {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = &mut stop => {
                anstream::eprintln!("run {run} goes on on the server: `noctule cancel {run}` ends it");
                return Ok(Exit::Interrupted);
            }
        }
    }
    let document: RunDocument = remote.get(Ask::at(&["runs", id])).await?;
    if global.json {
        super::print_json(&document);
    } else {
        failed_logs(remote, &document).await;
        anstream::eprintln!("\n{}", pages::run::page(&document));
    }
    Ok(Exit::of_code(document.exit_code))
}

fn show(progress: &mut Progress, event: &EventDocument) {
    if event.event == "Noted"
        && let Some(text) = &event.text
    {
        match &event.step {
            Some(step) => progress.show(Sight::Note { text: &format!("{step}: {text}") }),
            None => progress.show(Sight::Note { text }),
        }
    }
    for state in &event.states {
        let worth_it = match &*state.state {
            "ready" => false,
            "waiting" => state.why.is_some(),
            _ => true,
        };
        if worth_it {
            progress.show(Sight::State {
                step: &state.step,
                word: &state.state,
                sentence: state.why.clone(),
            });
        }
    }
}

async fn failed_logs(remote: &Remote, document: &RunDocument) {
    for (step, attempt) in super::run::failed(document) {
        let number = attempt.to_string();
        let path = ["runs", document.run.as_str(), "steps", step.step.as_str(), "attempts", &number, "log"];
        let ask = Ask::at(&path).with("offset", format!("-{}", super::run::TAIL));
        if let Ok((bytes, size)) = remote.bytes(ask, SIZE).await {
            let size = size.and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
            super::run::print_tail(step, attempt, &bytes, size > super::run::TAIL);
        }
    }
}

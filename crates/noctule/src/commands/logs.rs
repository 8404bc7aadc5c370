//! `noctule logs`: what the attempts of a run wrote.

use std::io::Write;
use std::time::Duration;

use noctule_artifacts::{AttemptNumber, RunId, StepName};
use noctule_controller::Controller;

use crate::cli::{Global, Logs};
use crate::documents::run::{self, RunDocument};
use crate::documents::{find_run, log};
use crate::exit::Exit;
use crate::place::Place;
use crate::remote::{Ask, Remote};
use crate::report::{Code, Trouble};
use crate::server::routes::runs::NEXT;

/// How much is read at a time.
const PIECE: u64 = 1 << 20;
const LOOK: Duration = Duration::from_millis(300);

pub async fn run(arguments: &Logs, global: &Global) -> Result<Exit, Trouble> {
    let source = match Place::of(global).await? {
        Place::Here(open) => {
            let id = find_run(&open.controller.store, &arguments.run).await?;
            Source { from: Origin::Here(Box::new(open.controller)), run: id }
        }
        Place::There(remote) => {
            let document: RunDocument = remote.get(Ask::at(&["runs", &arguments.run])).await?;
            Source { from: Origin::There(remote), run: document.run }
        }
    };
    let document = source.document().await?;
    if let Some(step) = &arguments.step
        && !document.steps.iter().any(|known| known.step == *step)
    {
        let names: Vec<_> = document.steps.iter().map(|step| step.step.to_string()).collect();
        let message = format!("run {} has no step `{step}`; it has: {}", document.run, names.join(", "));
        return Err(Trouble::coded(Code::NoSuchStep, message));
    }
    match arguments.follow {
        true => follow(&source, arguments.step.as_ref()).await,
        false => print(&source, &document, arguments).await,
    }
}

/// Where logs are read.
struct Source {
    from: Origin,
    run: RunId,
}

enum Origin {
    Here(Box<Controller>),
    There(Remote),
}

impl Source {
    async fn document(&self) -> Result<RunDocument, Trouble> {
        match &self.from {
            Origin::Here(controller) => run::gather(controller, &self.run).await,
            Origin::There(remote) => remote.get(Ask::at(&["runs", self.run.as_str()])).await,
        }
    }

    /// A piece of an attempt's log, and where the next begins; `None` when it has left none.
    async fn piece(
        &self,
        step: &StepName,
        attempt: AttemptNumber,
        offset: u64,
    ) -> Result<Option<(Vec<u8>, u64)>, Trouble> {
        match &self.from {
            Origin::Here(controller) => {
                let from = i64::try_from(offset).unwrap_or(i64::MAX);
                let piece = log::piece(controller, &self.run, step, attempt, from, PIECE).await?;
                Ok(piece.map(|piece| (piece.bytes, piece.next)))
            }
            Origin::There(remote) => {
                let number = attempt.to_string();
                let path =
                    ["runs", self.run.as_str(), "steps", step.as_str(), "attempts", number.as_str(), "log"];
                match remote.bytes(Ask::at(&path).with("offset", offset), NEXT).await {
                    Ok((bytes, next)) => {
                        let told = next.and_then(|next| next.parse().ok());
                        let next = told.unwrap_or(offset + bytes.len() as u64);
                        Ok(Some((bytes, next)))
                    }
                    Err(trouble) if trouble.code == Code::NoSuchLog => Ok(None),
                    Err(trouble) => Err(trouble),
                }
            }
        }
    }
}

async fn print(source: &Source, document: &RunDocument, arguments: &Logs) -> Result<Exit, Trouble> {
    let mut shown = false;
    let wanted = |step: &StepName| arguments.step.as_ref().is_none_or(|wanted| wanted == step);
    for step in document.steps.iter().filter(|step| wanted(&step.step)) {
        let last = step.attempts.last().map(|attempt| AttemptNumber(attempt.attempt));
        let Some(number) = arguments.attempt.or(last) else { continue };
        let mut offset = 0;
        while let Some((bytes, next)) = source.piece(&step.step, number, offset).await? {
            if offset == 0 && arguments.step.is_none() {
                println!("== {} attempt {number}", step.step);
            }
            shown = true;
            std::io::stdout()
                .write_all(&bytes)
                .map_err(|error| Trouble::own(format!("writing the log: {error}")))?;
            if bytes.is_empty() {
                break;
            }
            offset = next;
        }
    }
    if !shown {
        anstream::eprintln!("nothing was written: steps that were reused or skipped have no log");
    }
    Ok(Exit::Done)
}

/// A log that is followed.
struct Followed {
    step: StepName,
    attempt: AttemptNumber,
    at: u64,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
}

/// Prints what attempts write until the run has ended.
async fn follow(source: &Source, wanted: Option<&StepName>) -> Result<Exit, Trouble> {
    let mut open: Vec<Followed> = Vec::new();
    loop {
        let document = source.document().await?;
        let ended = document.ended.is_some();
        for step in document.steps.iter().filter(|step| wanted.is_none_or(|wanted| *wanted == step.step)) {
            for attempt in &step.attempts {
                let attempt = AttemptNumber(attempt.attempt);
                if !open.iter().any(|log| log.step == step.step && log.attempt == attempt) {
                    open.push(Followed { step: step.step.clone(), attempt, at: 0, rest: Vec::new() });
                }
            }
        }
        for log in &mut open {
            log.print_new(source, ended).await?;
        }
        if ended {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Followed {
    async fn print_new(&mut self, source: &Source, is_last: bool) -> Result<(), Trouble> {
        while let Some((bytes, next)) = source.piece(&self.step, self.attempt, self.at).await? {
            if bytes.is_empty() {
                break;
            }
            self.at = next;
            self.rest.extend(bytes);
            let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = self.rest.drain(..whole).collect();
            self.print(&lines);
        }
        if is_last {
            let rest = std::mem::take(&mut self.rest);
            self.print(&rest);
        }
        Ok(())
    }

    fn print(&self, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes).lines() {
            println!("{}/{}  {}", self.step, self.attempt, noctule_launcher::log::presentable(line));
        }
    }
}

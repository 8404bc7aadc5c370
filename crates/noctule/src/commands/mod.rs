//! One file per command.

mod cancel;
mod check;
mod demo;
mod doctor;
mod explain;
mod logs;
mod models;
mod plan;
mod prune;
mod resume;
mod run;
mod runs;
mod show;
mod step;
mod why;

use std::future::Future;

use clap::CommandFactory;
use noctule_artifacts::RunId;
use noctule_store::{RunFilter, Store};

use crate::cli::{Cli, Command, Global};
use crate::exit::Exit;
use crate::home::{Home, Open};
use crate::report::Trouble;

/// Carries out a command and says how it ended.
pub fn run(cli: Cli) -> Result<Exit, Trouble> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(arguments) => wait(run::run(arguments, global)),
        Command::Check(arguments) => check::run(arguments, global),
        Command::Plan(arguments) => wait(plan::run(arguments, global)),
        Command::Runs(arguments) => wait(runs::run(arguments, global)),
        Command::Show(arguments) => wait(show::run(arguments, global)),
        Command::Logs(arguments) => wait(logs::run(arguments, global)),
        Command::Cancel(arguments) => wait(cancel::run(arguments, global)),
        Command::Resume(arguments) => wait(resume::run(arguments, global)),
        Command::Why(arguments) => wait(why::run(arguments, global)),
        Command::Models(arguments) => wait(models::run(arguments, global)),
        Command::Doctor => wait(doctor::run(global)),
        Command::Prune(arguments) => wait(prune::run(arguments, global)),
        Command::Schema => {
            print!("{}", noctule_spec::schema_file());
            Ok(Exit::Done)
        }
        Command::Explain(arguments) => explain::run(arguments, global),
        Command::Demo(arguments) => demo::run(arguments, global.json),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "noctule", &mut std::io::stdout());
            Ok(Exit::Done)
        }
        Command::Step(arguments) => Ok(step::run(arguments)),
        Command::Supervise(arguments) => step::supervise(arguments),
    }
}

fn wait(work: impl Future<Output = Result<Exit, Trouble>>) -> Result<Exit, Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Trouble::own(format!("the program's threads could not be started: {error}")))?;
    runtime.block_on(work)
}

/// Opens the state of runs that are there already; where nothing was ever run, says so.
async fn open_existing(global: &Global) -> Result<Open, Trouble> {
    let home = Home::find(global.config.as_deref())?;
    if !home.exists() {
        return Err(Trouble::usage(format!(
            "there is no {} here or above: nothing was run yet; `noctule run PIPELINE` begins",
            home.state.file_name().unwrap_or_default().to_string_lossy()
        )));
    }
    home.open().await
}

/// A run by its id, the beginning of one, or `last`.
async fn find_run(store: &Store, text: &str) -> Result<RunId, Trouble> {
    if text != "last" {
        return Ok(store.find_run(text).await?);
    }
    let newest = store.runs(&RunFilter { limit: Some(1), ..RunFilter::default() }).await?;
    newest
        .into_iter()
        .next()
        .map(|row| row.run)
        .ok_or_else(|| Trouble::usage("there are no runs yet: `noctule run PIPELINE` makes the first"))
}

/// Prints a document for programs.
fn print_json(value: &serde_json::Value) {
    println!("{}", serde_json::to_string_pretty(value).expect("a document has only text keys"));
}

/// Who is at the keyboard, for the history.
fn person() -> String {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    name.ok().filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

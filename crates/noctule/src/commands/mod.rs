//! One file per command.

mod admin;
mod backfill;
mod cancel;
mod check;
mod demo;
mod doctor;
mod erase;
mod explain;
mod logs;
mod models;
mod pause;
mod pipelines;
mod plan;
mod prune;
mod run;
mod runs;
mod schedule;
mod serve;
mod show;
mod step;
mod take_up;
mod why;

use std::future::Future;

use clap::CommandFactory;
use serde::Serialize;

use crate::cli::{Cli, Command, Global};
use crate::exit::Exit;
use crate::place::only_here;
use crate::report::Trouble;

/// Carries out a command and says how it ended.
pub fn run(cli: Cli) -> Result<Exit, Trouble> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(arguments) => wait(run::run(arguments, global)),
        Command::Check(arguments) => check::run(arguments, global),
        Command::Plan(arguments) => here(global, "plan", || wait(plan::run(arguments, global))),
        Command::Runs(arguments) => wait(runs::run(arguments, global)),
        Command::Show(arguments) => wait(show::run(arguments, global)),
        Command::Logs(arguments) => wait(logs::run(arguments, global)),
        Command::Cancel(arguments) => wait(cancel::run(arguments, global)),
        Command::Resume(arguments) => wait(take_up::resume(arguments, global)),
        Command::Rerun(arguments) => wait(take_up::rerun(arguments, global)),
        Command::Ignore(arguments) => wait(take_up::ignore(arguments, global)),
        Command::Why(arguments) => wait(why::run(arguments, global)),
        Command::Serve(arguments) => wait(serve::run(arguments, global)),
        Command::Pipelines(arguments) => wait(pipelines::run(arguments, global)),
        Command::Schedule(arguments) => wait(schedule::run(arguments, global)),
        Command::Pause(arguments) => wait(pause::run(arguments, true, global)),
        Command::Unpause(arguments) => wait(pause::run(arguments, false, global)),
        Command::Backfill(arguments) => wait(backfill::run(arguments, global)),
        Command::Erase(arguments) => here(global, "erase", || wait(erase::run(arguments, global))),
        Command::Admin(command) => wait(admin::run(command, global)),
        Command::Models(arguments) => wait(models::run(arguments, global)),
        Command::Doctor => wait(doctor::run(global)),
        Command::Prune(arguments) => here(global, "prune", || wait(prune::run(arguments, global))),
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

fn here(
    global: &Global,
    what: &str,
    command: impl FnOnce() -> Result<Exit, Trouble>,
) -> Result<Exit, Trouble> {
    only_here(global, what)?;
    command()
}

fn wait(work: impl Future<Output = Result<Exit, Trouble>>) -> Result<Exit, Trouble> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Trouble::own(format!("the program's threads could not be started: {error}")))?;
    runtime.block_on(work)
}

/// Prints a document for programs.
fn print_json(document: &impl Serialize) {
    println!("{}", serde_json::to_string_pretty(document).expect("a document has only text keys"));
}

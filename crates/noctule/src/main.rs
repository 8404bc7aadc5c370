//! `noctule`: retrains recommender models every night, and publishes one only when it has earned it.
//!
//! The grammar of the command line stands in [`cli`], what a command does in `commands/<command>.rs`, what it tells in
//! [`documents`] and [`pages`], the API in [`server`], errors and their exit codes in [`report`].

mod acts;
mod cli;
mod commands;
mod documents;
mod erasure;
mod estimate;
mod exit;
mod home;
mod lister;
mod pages;
mod pipeline;
mod place;
mod remote;
mod report;
mod server;
mod terminal;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::Cli;
use exit::Exit;

fn main() -> ExitCode {
    exit::end_quietly_without_a_reader();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // A closed pipe is the reader's choice.
            let _ = error.print();
            return if asked { Exit::Done } else { Exit::Usage }.into();
        }
    };
    // A server says what it does: nobody sits before it.
    let least = u8::from(matches!(cli.command, cli::Command::Serve(_)));
    start_log(cli.global.verbose.max(least));
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(trouble) => {
            trouble.print();
            trouble.exit.into()
        }
    }
}

/// noctule's own log, on standard error.
fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "error",
        1 => {
            "warn,noctule=info,noctule_controller=info,noctule_launcher=info,noctule_store=info,noctule_depot=info"
        }
        _ => {
            "info,noctule=trace,noctule_controller=trace,noctule_launcher=trace,noctule_store=debug,noctule_depot=debug"
        }
    };
    let filter = std::env::var("NOCTULE_LOG").unwrap_or_else(|_| level.to_owned());
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

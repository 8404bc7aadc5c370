//! `noctule step` and `noctule supervise`: what child processes run.

use std::ffi::OsString;
use std::path::Path;

use crate::cli::{Step, Supervise};
use crate::exit::Exit;
use crate::report::Trouble;

pub fn run(arguments: &Step) -> Exit {
    Exit::Attempt(noctule_steps::run(&noctule_steps::Arguments {
        store: arguments.store.clone(),
        launch: arguments.launch.clone(),
        digest: arguments.digest,
    }))
}

pub fn supervise(arguments: &Supervise) -> Result<Exit, Trouble> {
    let [folder, command @ ..] = &arguments.arguments[..] else {
        return Err(Trouble::usage("`supervise` is for the launcher: it takes a folder and a command"));
    };
    let command: Vec<OsString> = command.iter().map(OsString::from).collect();
    match noctule_launcher::local::supervise(Path::new(folder), &command) {
        code if code == std::process::ExitCode::SUCCESS => Ok(Exit::Done),
        _ => Ok(Exit::OwnTrouble),
    }
}

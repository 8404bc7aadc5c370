//! `noctule resume`: finishes a run, without repeating what is finished.

use noctule_controller::{Ask, Asked, Watch};

use crate::cli::{Global, Resume};
use crate::exit::Exit;
use crate::home::Open;
use crate::report::Trouble;

pub async fn run(arguments: &Resume, global: &Global) -> Result<Exit, Trouble> {
    let Open { controller, observations } = super::open_existing(global).await?;
    let run = super::find_run(&controller.store, &arguments.run.run).await?;
    let (watch, seen) = Watch::channel();
    let asked = Asked::new(Ask::Resume, super::person(), None);
    let drive = controller.open(&run, Some(asked), observations, watch).await?;
    if !global.json {
        anstream::eprintln!("run {run} of {} goes on", drive.pipeline().name);
    }
    super::run::finish(&controller, drive, seen, global).await
}

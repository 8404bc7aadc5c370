//! `noctule cancel`: ends a run that is going on.

use std::time::Duration;

use noctule_controller::drive::{ask, driver};
use noctule_controller::{Ask, Asked, Cancel, Watch};
use serde_json::json;
use tokio::sync::mpsc;

use crate::cli::{Global, RunArgument};
use crate::exit::Exit;
use crate::home::Open;
use crate::report::Trouble;

/// How long the run's driver has to end it in order before this command stops waiting.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(arguments: &RunArgument, global: &Global) -> Result<Exit, Trouble> {
    let Open { controller, observations } = super::open_existing(global).await?;
    let id = super::find_run(&controller.store, &arguments.run).await?;
    let row = controller.store.run(&id).await?;
    if row.status.is_terminal() {
        return Err(Trouble::usage(format!("run {id} has ended already: {}", row.status.word())));
    }
    if driver(&controller, &id).await?.is_some() {
        let asked = Asked::new(Ask::Cancel { at_once: false }, super::person(), None);
        ask(&controller, &id, &asked).await?;
        let begun = std::time::Instant::now();
        while begun.elapsed() < PATIENCE && !controller.store.run(&id).await?.status.is_terminal() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    } else {
        // Nobody drives it, and its attempts may still be running: they have to be ended in order.
        let drive = controller.open(&id, None, observations, Watch::default()).await?;
        let (sender, cancels) = mpsc::unbounded_channel();
        let _ = sender.send(Cancel { by: super::person(), at_once: false });
        drive.to_end(cancels).await?;
    }
    let status = controller.store.run(&id).await?.status;
    if global.json {
        super::print_json(&json!({"run": id, "status": status.word()}));
    } else if status.is_terminal() {
        anstream::eprintln!("run {id}: {}", status.word());
    } else {
        anstream::eprintln!("run {id} is still stopping: `noctule show {id}` says what it waits for");
    }
    Ok(Exit::Done)
}

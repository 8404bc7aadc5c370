//! `noctule cancel`: ends a run that is going on.

use std::time::{Duration, Instant};

use noctule_artifacts::RunId;
use noctule_controller::drive::driver;
use noctule_controller::serve::Desk;
use noctule_controller::{Ask as RunAsk, Asked, Watch};
use serde_json::json;
use tokio::sync::mpsc;

use crate::acts;
use crate::cli::{Cancel, Global};
use crate::documents::changed::AskedDocument;
use crate::documents::events::EventsDocument;
use crate::documents::find_run;
use crate::exit::Exit;
use crate::home::Open;
use crate::place::Place;
use crate::remote::{Ask, Remote};
use crate::report::Trouble;

/// How long the run's driver has to end it in order before this command stops waiting.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(arguments: &Cancel, global: &Global) -> Result<Exit, Trouble> {
    let (id, status) = match Place::of(global).await? {
        Place::Here(open) => here(*open, arguments).await?,
        Place::There(remote) => there(&remote, arguments).await?,
    };
    if global.json {
        super::print_json(&json!({"run": id, "status": status}));
    } else if matches!(&*status, "queued" | "running" | "stopping") {
        anstream::eprintln!("run {id} is still stopping: `noctule show {id}` says what it waits for");
    } else {
        anstream::eprintln!("run {id}: {status}");
    }
    Ok(Exit::Done)
}

async fn here(open: Open, arguments: &Cancel) -> Result<(RunId, String), Trouble> {
    let Open { controller, observations, .. } = open;
    let id = find_run(&controller.store, &arguments.run.run).await?;
    let row = controller.store.run(&id).await?;
    if row.status.is_terminal() {
        return Err(Trouble::refused(format!("run {id} has ended already: {}", row.status.word())));
    }
    let who = acts::who(arguments.why.as_deref());
    if driver(&controller, &id).await?.is_some() {
        Desk::new(controller.clone(), 1).cancel(&id, arguments.at_once, &who).await?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE && !controller.store.run(&id).await?.status.is_terminal() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    } else {
        // Nobody drives it, and its attempts may still be running: they have to be ended in order.
        let deed = async {
            let asked = Asked::new(
                RunAsk::Cancel { at_once: arguments.at_once },
                who.name.clone(),
                arguments.why.clone(),
            );
            let drive = controller.open(&id, Some(asked), observations, Watch::default()).await?;
            let (_sender, cancels) = mpsc::unbounded_channel();
            Ok(drive.to_end(cancels).await?)
        };
        acts::audited(&controller.store, &who, "run.cancel", id.as_str(), deed).await?;
    }
    let status = controller.store.run(&id).await?.status;
    Ok((id, status.word().to_owned()))
}

async fn there(remote: &Remote, arguments: &Cancel) -> Result<(RunId, String), Trouble> {
    let body = json!({"at_once": arguments.at_once, "why": arguments.why});
    let asked: AskedDocument = remote.post(Ask::at(&["runs", &arguments.run.run, "cancel"]), &body).await?;
    let (id, mut status) = (asked.run, asked.status);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE && matches!(&*status, "queued" | "running" | "stopping") {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // No event is that far on: only how the run stands is asked for.
        let path = ["runs", id.as_str(), "events"];
        let ask = Ask::at(&path).with("after", u32::MAX).with("limit", 1);
        status = remote.get::<EventsDocument>(ask).await?.status;
    }
    Ok((id, status))
}

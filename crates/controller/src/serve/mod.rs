//! The server: pipelines of a folder, run on their schedules for months.
//!
//! [`start`] gives a [`Handle`]. Behind it go, each by itself, so that none holds up another:
//! - the [`seat`]: of all servers on one database one leads, and only it does what follows;
//! - the loop ([`turn`]): it looks at the [`folder`] and keeps a [`catalogue`] of what holds, writes what is due into the
//!   store ([`agenda`]), looks for data that are waited for ([`waits`]), begins runs ([`starter`]) and takes up those that
//!   nobody drives;
//! - the [`fleet`]: a task for each run.
//!
//! What people want they ask for at a [`Desk`], in this process or in any other.

mod agenda;
mod backfill;
pub mod catalogue;
mod desk;
mod error;
mod fleet;
mod folder;
mod housekeeping;
mod lookout;
mod seat;
mod starter;
mod status;
#[cfg(test)]
mod tests;
mod turn;
mod waits;
mod who;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use noctule_launcher::Observations;
use tokio::sync::{Notify, broadcast, watch};

pub use backfill::BackfillWish;
pub use catalogue::{Catalogue, Entry, Problem, Version};
pub use desk::{Desk, Sent, Trigger};
pub use error::{RequestError, RequestTrouble, StartError};
pub use fleet::Happened;
pub use housekeeping::Retention;
pub use status::{Leadership, LiveRun, PipelineStatus, Status, Tally, Trouble};
pub use waits::Prober;
pub use who::Who;

use crate::Controller;
use crate::definition::PROGRAM;
use crate::holder::Bearer;
use fleet::Fleet;
use folder::Folder;
use turn::Server;

/// What a server is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of pipelines.
    pub folder: PathBuf,
    /// How often the folder is looked at.
    pub reload: Duration,
    /// How many steps of a run go side by side.
    pub parallel: u32,
    pub retention: Retention,
    /// Whether other machines reach the database too.
    pub shared_database: bool,
}

/// A server that runs. Clones share it.
#[derive(Clone)]
pub struct Handle {
    desk: Desk,
    fleet: Fleet,
    status: watch::Receiver<Arc<Status>>,
    catalogue: watch::Receiver<Arc<Catalogue>>,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    reload: Arc<Reload>,
}

/// A wish to look at the folder now.
#[derive(Debug, Default)]
struct Reload {
    wanted: Notify,
    /// How many looks were made.
    made: watch::Sender<u64>,
}

/// Starts a server. It stands by when another one leads, or refuses to where only one may be.
///
/// # Errors
///
/// The folder cannot be read, the store cannot be reached, or another server is there that this one cannot stand by for.
pub async fn start(
    controller: Controller,
    observations: Observations,
    prober: Arc<dyn Prober>,
    settings: Settings,
) -> Result<Handle, StartError> {
    let bearer = Bearer::server(&name());
    let pools = controller.slots.limits().pools.keys().cloned().collect();
    let folder = Folder::new(settings.folder.clone(), pools);
    let unreadable = |cause| StartError::Folder { path: settings.folder.display().to_string(), cause };
    folder.look(None).await.map_err(unreadable)?;
    if let Some(why) = alone(&settings, &controller) {
        seat::alone(&controller.store, &bearer, why).await?;
    }

    let (nudge, tally) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Tally::default())));
    let fleet = Fleet::new(controller.clone(), bearer.clone(), tally.clone(), nudge.clone());
    tokio::spawn(fleet.clone().route(observations));
    let desk = Desk {
        controller: controller.clone(),
        parallel: settings.parallel,
        fleet: Some(fleet.clone()),
        nudge: nudge.clone(),
    };
    let (reign_tell, reign) = watch::channel(seat::Reign::Nobody);
    let (stop, told) = watch::channel(false);
    let (seat_stop, seat_told) = watch::channel(false);
    let seat = tokio::spawn(seat::keep(controller.store.clone(), bearer.clone(), reign_tell, seat_told));
    let now = Timestamp::now();
    let (status_tell, status) = watch::channel(Arc::new(blank(now)));
    let (catalogue_tell, catalogue) = watch::channel(Arc::new(Catalogue::default()));
    let (stopped_tell, stopped) = watch::channel(false);
    let reload = Arc::new(Reload::default());
    let server = Server::new(turn::Parts {
        controller,
        settings,
        folder,
        fleet: fleet.clone(),
        desk: desk.clone(),
        prober,
        nudge,
        tally,
        status: status_tell,
        catalogue: catalogue_tell,
        reload: reload.clone(),
        since: now,
    });
    tokio::spawn(async move {
        server.go(reign, told).await;
        // Whoever gave up the runs may give up the seat.
        seat_stop.send_replace(true);
        let _ = seat.await;
        stopped_tell.send_replace(true);
    });
    Ok(Handle { desk, fleet, status, catalogue, stop, stopped, reload })
}

/// Why no second server may be, if so.
fn alone(settings: &Settings, controller: &Controller) -> Option<&'static str> {
    match (settings.shared_database, controller.launcher.is_shared()) {
        (true, true) => None,
        (false, _) => Some("the database is SQLite, which one machine has to itself"),
        (true, false) => Some("attempts are processes of one machine, which no other server can see"),
    }
}

/// What tells two servers of one process apart.
fn name() -> String {
    use rand::Rng as _;
    format!("{:08x}", rand::rng().next_u32())
}

fn blank(since: Timestamp) -> Status {
    Status {
        program: PROGRAM,
        since,
        leadership: Leadership::StandingBy { leader: None },
        last_turn: None,
        store: None,
        folder: None,
        clock: None,
        pipelines: Vec::new(),
        problems: Vec::new(),
        live: Vec::new(),
        troubled: Default::default(),
        stuck: Default::default(),
        tally: Tally::default(),
    }
}

impl Handle {
    /// Where requests are made.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// How the server stands.
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// The pipelines that hold.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.borrow().clone()
    }

    /// What happens in the runs that this server drives, from now on.
    pub fn happenings(&self) -> broadcast::Receiver<Happened> {
        self.fleet.happenings()
    }

    /// Looks at the folder now, and gives what holds then.
    pub async fn reload(&self, who: &Who) -> Result<Arc<Catalogue>, RequestError> {
        let looked = async {
            let mut made = self.reload.made.subscribe();
            // A look that is going on may have begun before the change.
            let enough = *made.borrow_and_update() + 2;
            self.reload.wanted.notify_one();
            loop {
                tokio::select! {
                    seen = made.wait_for(|made| *made >= enough) => {
                        return match seen {
                            Ok(_) => Ok(()),
                            Err(_) => Err(RequestError::Stopping),
                        };
                    }
                    () = tokio::time::sleep(Duration::from_millis(50)) => self.reload.wanted.notify_one(),
                }
                if *self.stop.borrow() {
                    return Err(RequestError::Stopping);
                }
            }
        };
        self.desk.audited("server.reload", "pipelines", who, looked).await?;
        Ok(self.catalogue())
    }

    /// Stops in order: nothing is begun any more, runs are let go of as they stand, and their attempts go on until the
    /// next start takes them up.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.stopped().await;
    }

    /// Waits until the server has stopped.
    pub async fn stopped(&self) {
        let mut stopped = self.stopped.clone();
        // When nobody can say so any more, it has.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is kept under these locks is whole at every moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

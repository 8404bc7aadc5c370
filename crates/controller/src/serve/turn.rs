//! The loop of a server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use noctule_artifacts::{PipelineName, RunId};
use noctule_engine::RunStatus;
use noctule_store::{Lease, RunFilter, StoreError};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::agenda::{self, Agenda, Turned};
use super::catalogue::Catalogue;
use super::desk::Desk;
use super::fleet::Fleet;
use super::folder::{Folder, Look};
use super::housekeeping::Housekeeping;
use super::seat::Reign;
use super::starter::{Started, Starter};
use super::status::{Leadership, PipelineStatus, Status, Tally, Trouble};
use super::waits::{Prober, Waits};
use super::{Reload, Settings, locked};
use crate::ask::Asked;
use crate::definition::PROGRAM;
use crate::{Controller, ask, outbox};

/// How long the loop rests when nothing wakes it.
const REST: Duration = Duration::from_secs(1);
/// How often promotions are looked for.
const PROMOTIONS: Duration = Duration::from_secs(3);
/// How often it is looked which schedules are paused, for the status.
const SCHEDULES: Duration = Duration::from_secs(5);
/// How often messages are delivered that the drives could not deliver.
const DELIVERIES: Duration = Duration::from_secs(30);
/// How long drives may take to let go of their runs.
const LETTING_GO: Duration = Duration::from_secs(10);
/// How far the clock may run from the machine's own count of time between two turns.
const CLOCK: Duration = Duration::from_secs(60);

/// What a server is made of.
pub(crate) struct Parts {
    pub controller: Controller,
    pub settings: Settings,
    pub folder: Folder,
    pub fleet: Fleet,
    pub desk: Desk,
    pub prober: Arc<dyn Prober>,
    pub nudge: Arc<Notify>,
    pub tally: Arc<Mutex<Tally>>,
    pub status: watch::Sender<Arc<Status>>,
    pub catalogue: watch::Sender<Arc<Catalogue>>,
    pub reload: Arc<Reload>,
    pub since: Timestamp,
}

pub(crate) struct Server {
    parts: Parts,
    agenda: Agenda,
    waits: Waits,
    starter: Starter,
    housekeeping: Housekeeping,
    look: Option<Look>,
    /// Whether the catalogue began with what the store has.
    recalled: bool,
    looked: Option<Instant>,
    /// Whether this turn looked at the folder.
    has_looked: bool,
    promotions: Option<Instant>,
    deliveries: Option<Instant>,
    schedules: Option<Instant>,
    /// Runs that were asked to make room, and when.
    cancelled: BTreeMap<RunId, Instant>,
    /// The lease under which the agenda was begun, and since when this server leads.
    reign: Option<(Lease, Timestamp)>,
    kept: Option<Arc<Catalogue>>,
    last: Option<(Timestamp, Instant)>,
    standing: Standing,
}

/// What the last turn found, for the status.
#[derive(Default)]
struct Standing {
    last_turn: Option<Timestamp>,
    store: Option<Trouble>,
    folder: Option<Trouble>,
    clock: Option<Trouble>,
    queued: BTreeMap<PipelineName, usize>,
    schedules: BTreeMap<PipelineName, (bool, usize)>,
}

impl Server {
    pub fn new(parts: Parts) -> Self {
        let waits = Waits::new(parts.prober.clone(), parts.nudge.clone());
        let housekeeping = Housekeeping::new(parts.settings.retention);
        Self {
            parts,
            agenda: Agenda::default(),
            waits,
            starter: Starter::default(),
            housekeeping,
            look: None,
            recalled: false,
            looked: None,
            has_looked: false,
            promotions: None,
            deliveries: None,
            schedules: None,
            cancelled: BTreeMap::new(),
            reign: None,
            kept: None,
            last: None,
            standing: Standing::default(),
        }
    }

    /// Goes round until it is told to stop.
    pub async fn go(mut self, mut reign: watch::Receiver<Reign>, mut stop: watch::Receiver<bool>) {
        loop {
            let leads = reign.borrow_and_update().clone();
            // A seat that is lost is left at once, whatever else is being done: every step of a turn may be cut short.
            let turned = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                changed = reign.changed() => changed,
                () = self.turn(&leads, Timestamp::now()) => Ok(()),
            };
            // Without anybody who keeps the seat there is no leading any more.
            if turned.is_err() {
                break;
            }
            if reign.has_changed().unwrap_or(true) {
                continue;
            }
            let nudge = self.parts.nudge.clone();
            let reload = self.parts.reload.clone();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                _ = reign.changed() => {}
                () = reload.wanted.notified() => self.looked = None,
                () = nudge.notified() => {}
                () = tokio::time::sleep(REST) => {}
            }
        }
        self.tell(Leadership::Stopping);
        self.parts.fleet.leave(LETTING_GO).await;
        self.housekeeping.stop().await;
    }

    /// One way round.
    pub async fn turn(&mut self, reign: &Reign, now: Timestamp) {
        locked(&self.parts.tally).turns += 1;
        self.watch_clock(now);
        if !matches!((reign, &self.reign), (Reign::Ours(lease), Some((held, _))) if lease == held) {
            self.step_down().await;
        }
        let mut done = self.see_to_folder(now).await;
        if let Reign::Ours(lease) = reign
            && done.is_ok()
        {
            done = self.lead(lease, now).await;
        }
        // Whoever wanted the look finds what it saw in the store too.
        if std::mem::take(&mut self.has_looked) {
            self.parts.reload.made.send_modify(|made| *made += 1);
        }
        self.note_store(done, now);
        self.standing.last_turn = Some(now);
        self.tell(match (reign, &self.reign) {
            (Reign::Ours(_), Some((_, since))) => Leadership::Leading { since: *since },
            (Reign::Theirs(leader), _) => Leadership::StandingBy { leader: Some(leader.clone()) },
            _ => Leadership::StandingBy { leader: None },
        });
    }

    /// What is only looked at from time to time is looked at in the next turn.
    #[cfg(test)]
    pub fn hurry(&mut self) {
        (self.looked, self.promotions, self.schedules) = (None, None, None);
    }

    /// Everything that was begun under a lease that is no longer held is dropped as it stands.
    async fn step_down(&mut self) {
        if self.reign.take().is_some() {
            tracing::warn!("this server no longer leads");
            self.parts.fleet.drop_all().await;
        }
        self.kept = None;
    }

    async fn lead(&mut self, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
        if self.reign.is_none() {
            let held = self.parts.folder.recall(&self.parts.controller.store, now).await?;
            self.agenda.begin(&held);
            self.reign = Some((lease.clone(), now));
            locked(&self.parts.tally).elections += 1;
            tracing::info!("this server leads");
        }
        let store = self.parts.controller.store.clone();
        let under = agenda::Desk { store: &store, lease };
        let catalogue = self.parts.catalogue.borrow().clone();
        self.keep_catalogue(under, &catalogue, now).await?;
        self.adopt().await?;
        self.hand_out_letters().await?;
        let turned = self.agenda.turn(under, &catalogue, now).await?;
        self.count(turned, now);
        if due(&mut self.promotions, PROMOTIONS) {
            let turned = agenda::follow_promotions(under, &catalogue, now).await?;
            self.count(turned, now);
        }
        let turned = self.waits.turn(under, &catalogue, now).await?;
        self.count(turned, now);
        let parallel = self.parts.settings.parallel;
        let started = self.starter.turn(&self.parts.controller, under, &catalogue, parallel, now).await?;
        self.take_up(started).await?;
        if due(&mut self.schedules, SCHEDULES) {
            self.look_at_schedules().await?;
        }
        if due(&mut self.deliveries, DELIVERIES)
            && let Err(error) = outbox::deliver(&store, &self.parts.controller.depot).await
        {
            tracing::warn!(%error, "the outbox could not be read");
        }
        self.housekeeping.turn(&self.parts.controller, &self.parts.fleet, now);
        Ok(())
    }

    /// Looks at the folder, when it is time, and follows its changes.
    async fn see_to_folder(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.recalled {
            let held = self.parts.folder.recall(&self.parts.controller.store, now).await?;
            self.parts.catalogue.send_replace(Arc::new(held));
            self.recalled = true;
        }
        if self.looked.is_some_and(|looked| looked.elapsed() < self.parts.settings.reload) {
            return Ok(());
        }
        match self.follow_folder(now).await {
            Ok(()) => self.standing.folder = None,
            // What ran goes on; a mount that is away comes back.
            Err(error) => {
                let what = format!(
                    "the folder of pipelines `{}` cannot be read: {error}",
                    self.parts.folder.path.display()
                );
                trouble(&mut self.standing.folder, what, now);
            }
        }
        self.looked = Some(Instant::now());
        self.has_looked = true;
        Ok(())
    }

    async fn follow_folder(&mut self, now: Timestamp) -> std::io::Result<()> {
        let look = self.parts.folder.look(self.look.as_ref()).await?;
        if self.look.as_ref() == Some(&look) {
            return Ok(());
        }
        let files = self.parts.folder.read(&look, now).await?;
        let next = self.parts.catalogue.borrow().follow(files, now);
        self.parts.catalogue.send_replace(Arc::new(next));
        self.look = Some(look);
        locked(&self.parts.tally).reloads += 1;
        Ok(())
    }

    /// Keeps in the store what holds and what is wrong, so that the next start knows it.
    async fn keep_catalogue(
        &mut self,
        under: agenda::Desk<'_>,
        catalogue: &Arc<Catalogue>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, catalogue)) {
            return Ok(());
        }
        super::folder::keep(under, catalogue, now).await?;
        self.kept = Some(catalogue.clone());
        Ok(())
    }

    /// Takes up every run that has not ended and that nobody drives.
    async fn adopt(&mut self) -> Result<(), StoreError> {
        let live = RunFilter { live: true, ..RunFilter::default() };
        let rows = self.parts.controller.store.runs(&live).await?;
        self.parts.fleet.forget_trouble_of_all_but(&rows.iter().map(|row| &row.run).collect());
        for row in rows {
            if self.parts.fleet.may_take_up(&row.run) && self.is_free(&row.run).await? {
                self.parts.fleet.take_up(&row.run, &row.pipeline);
            }
        }
        Ok(())
    }

    async fn is_free(&self, run: &RunId) -> Result<bool, StoreError> {
        let name = crate::definition::lease_name(run);
        let holder = self.parts.controller.store.holder(&name).await?;
        let bearer = self.parts.fleet.bearer().leading();
        Ok(holder.is_none_or(|(lease, _)| bearer.overrides(&lease.holder)))
    }

    /// Hands what was asked through the store to the drives of this process.
    async fn hand_out_letters(&mut self) -> Result<(), StoreError> {
        let store = &self.parts.controller.store;
        for waiting in store.waiting_messages().await? {
            let Some(run) = ask::addressee(&waiting.message.kind) else { continue };
            if self.parts.fleet.drives(&run) {
                for claimed in store.claim_messages(&waiting.message.kind, LETTING_GO, 8).await? {
                    if self.parts.fleet.hand(&run, &claimed.message.payload) {
                        store.settle_message(claimed.id).await?;
                    }
                }
            } else if store.run(&run).await.is_ok_and(|row| row.status.is_terminal()) {
                // It came too late.
                tracing::info!(%run, "what was asked of the run came after its end");
                store.settle_message(waiting.id).await?;
            }
        }
        Ok(())
    }

    async fn take_up(&mut self, started: Started) -> Result<(), StoreError> {
        for (name, reason, number) in &started.skipped {
            *locked(&self.parts.tally).skipped.entry((name.clone(), reason.word())).or_default() += number;
        }
        for (run, pipeline) in &started.begun {
            *locked(&self.parts.tally).runs_begun.entry(pipeline.clone()).or_default() += 1;
            self.parts.fleet.take_up(run, pipeline);
        }
        self.make_room(started.cancel).await?;
        self.standing.queued = started.queued;
        Ok(())
    }

    /// Asks the runs to end that stand in the way of others; each once in a while, until it does.
    async fn make_room(&mut self, cancel: Vec<(RunId, Asked)>) -> Result<(), StoreError> {
        self.cancelled.retain(|run, _| cancel.iter().any(|(other, _)| other == run));
        for (run, asked) in cancel {
            let status = self.parts.controller.store.run(&run).await?.status;
            let is_asked = self.cancelled.get(&run).is_some_and(|asked| asked.elapsed() < DELIVERIES);
            if is_asked || status.is_terminal() || status == RunStatus::Stopping {
                continue;
            }
            self.cancelled.insert(run.clone(), Instant::now());
            if !self.parts.fleet.tell(&run, asked.clone())
                && let Err(error) = self.parts.desk.send(&run, asked).await
            {
                tracing::warn!(%run, %error, "the run could not be cancelled to make room");
            }
        }
        Ok(())
    }

    async fn look_at_schedules(&mut self) -> Result<(), StoreError> {
        let rows = self.parts.controller.store.schedules().await?;
        let waiting = self.waits.waiting();
        self.standing.schedules = rows
            .into_iter()
            .map(|row| {
                let waiting = waiting.get(&row.pipeline).copied().unwrap_or(0);
                (row.pipeline, (row.paused.is_some(), waiting))
            })
            .collect();
        Ok(())
    }

    fn count(&mut self, turned: Turned, now: Timestamp) {
        let mut tally = locked(&self.parts.tally);
        for (name, reason, number) in turned.skipped {
            *tally.skipped.entry((name, reason.word())).or_default() += number;
        }
        drop(tally);
        if let Some(clock) = turned.clock {
            let what = format!("the clock was set back from {} to {}", clock.from, clock.to);
            trouble(&mut self.standing.clock, what, now);
        }
    }

    /// A clock that ran otherwise than time did was set. It is told of for an hour.
    fn watch_clock(&mut self, now: Timestamp) {
        let (mark, read) = (Instant::now(), now);
        if let Some((then, at)) = self.last {
            let counted = i128::try_from(mark.duration_since(at).as_millis()).unwrap_or(i128::MAX);
            let shown = read.duration_since(then).as_millis();
            if (shown - counted).unsigned_abs() > CLOCK.as_millis() {
                let what =
                    format!("the clock was set: it went from {then} to {read} in {} s", counted / 1000);
                tracing::warn!("{what}");
                self.standing.clock = Some(Trouble { what, since: now });
            }
        }
        let told =
            |trouble: &Trouble| now.duration_since(trouble.since) < jiff::SignedDuration::from_hours(1);
        self.standing.clock = self.standing.clock.take().filter(told);
        self.last = Some((read, mark));
    }

    fn note_store(&mut self, done: Result<(), StoreError>, now: Timestamp) {
        match done {
            Ok(()) => self.standing.store = None,
            // The seat says so too, and what follows from it is seen to there.
            Err(error @ StoreError::LeaseLost { .. }) => tracing::warn!(%error, "another server leads"),
            Err(error @ StoreError::ScheduleMoved { .. }) => tracing::info!(%error, "it is read again"),
            Err(error) => {
                tracing::warn!(%error, "the store failed; trying again");
                locked(&self.parts.tally).store_failures += 1;
                trouble(&mut self.standing.store, error.to_string(), now);
            }
        }
    }

    fn tell(&self, leadership: Leadership) {
        let catalogue = self.parts.catalogue.borrow().clone();
        let standing = &self.standing;
        let pipelines = catalogue.entries.iter().map(|(name, entry)| {
            let (paused, waiting) = standing.schedules.get(name).copied().unwrap_or_default();
            PipelineStatus {
                name: name.clone(),
                file: entry.version.file.clone(),
                digest: entry.version.digest.clone(),
                loaded: entry.version.loaded,
                problem: entry.problem.clone(),
                gone: entry.gone,
                paused,
                next: self.agenda.next(name),
                waiting,
                queued: standing.queued.get(name).copied().unwrap_or(0),
                stuck: self.agenda.stuck.get(name).cloned(),
            }
        });
        let status = Status {
            program: PROGRAM,
            since: self.parts.since,
            leadership,
            last_turn: standing.last_turn,
            store: standing.store.clone(),
            folder: standing.folder.clone(),
            clock: standing.clock.clone(),
            pipelines: pipelines.collect(),
            problems: catalogue.problems.clone(),
            live: self.parts.fleet.live(),
            troubled: self.parts.fleet.troubled(),
            stuck: self.starter.stuck(),
            tally: locked(&self.parts.tally).clone(),
        };
        self.parts.status.send_replace(Arc::new(status));
    }
}

/// Whether it is time again; then it is until the next time.
fn due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// A trouble that is still there began when it began.
fn trouble(place: &mut Option<Trouble>, what: String, now: Timestamp) {
    let since = place.as_ref().map_or(now, |earlier| earlier.since);
    *place = Some(Trouble { what, since });
}

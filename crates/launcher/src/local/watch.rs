//! Watches attempts through their folders, so that it makes no difference who started them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use noctule_artifacts::layout;
use noctule_artifacts::line::{MAX_LENGTH, Report};
use noctule_depot::Depot;
use rustix::process::Signal;
use tokio::sync::mpsc;

use super::process::{signal, with_environment};
use super::record::{Cause, Exit, Folder, Order, State};
use crate::launcher::{AttemptKey, Observation, Observed};
use crate::log::Follow;

const TICK: Duration = Duration::from_millis(50);
/// How long a supervisor has to carry out what it was told before its attempt is ended without it.
const SUPERVISOR_GRACE: Duration = Duration::from_secs(5);
/// How long the upload of a log may hold back the news that its attempt has ended.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(60);

pub(crate) enum Told {
    /// Watch this attempt; one that is watched already goes on.
    Watch(Folder, Order),
    /// It was asked to end within this time.
    Stopping(AttemptKey, Duration),
    /// Something may have changed: look now.
    Look,
}

/// Runs until the launcher is dropped.
pub(crate) async fn watch(
    mut told: mpsc::UnboundedReceiver<Told>,
    observed: mpsc::UnboundedSender<Observed>,
    depot: Depot,
) {
    let mut watched: BTreeMap<AttemptKey, Watched> = BTreeMap::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            told = told.recv() => match told {
                None => return,
                Some(Told::Watch(folder, order)) => {
                    watched.entry(order.key.clone()).or_insert_with(|| Watched::new(folder, order));
                }
                Some(Told::Stopping(key, grace)) => {
                    if let Some(one) = watched.get_mut(&key) {
                        one.end_within(grace);
                    }
                }
                Some(Told::Look) => {}
            },
            _ = tick.tick() => {}
        }
        watched.retain(|_, one| match one.look(&observed) {
            Looked::GoesOn => true,
            Looked::Forgotten => false,
            Looked::Ended(exit) => {
                tokio::spawn(one.tell_end(exit, observed.clone(), depot.clone()));
                false
            }
        });
    }
}

struct Watched {
    folder: Folder,
    order: Order,
    reports: Follow,
    /// The beginning of a report line whose end is not there yet.
    unfinished: Vec<u8>,
    last_word: Option<String>,
    is_started_told: bool,
    /// When the attempt is ended without its supervisor.
    force_at: Option<Instant>,
}

enum Looked {
    GoesOn,
    /// Somebody heard of its end and let go of it.
    Forgotten,
    Ended(Exit),
}

impl Watched {
    fn new(folder: Folder, order: Order) -> Self {
        let reports = Follow::new(folder.reports());
        Self {
            folder,
            order,
            reports,
            unfinished: Vec::new(),
            last_word: None,
            is_started_told: false,
            force_at: None,
        }
    }

    fn end_within(&mut self, grace: Duration) {
        let at = Instant::now() + grace + SUPERVISOR_GRACE;
        self.force_at = Some(self.force_at.map_or(at, |before| before.min(at)));
    }

    fn look(&mut self, observed: &mpsc::UnboundedSender<Observed>) -> Looked {
        // A folder that cannot be read now is looked at again at the next tick.
        let Ok(state) = self.folder.state(&self.order) else { return Looked::GoesOn };
        match state {
            State::NotBegun if !self.folder.path().exists() => return Looked::Forgotten,
            State::NotBegun => {}
            State::Running(supervisor) => {
                if !self.is_started_told {
                    self.is_started_told = true;
                    self.tell(observed, Observation::Started { handle: supervisor.handle() });
                }
                self.tell_reports(observed);
                if self.force_at.is_some_and(|at| Instant::now() >= at) {
                    self.kill_marked();
                }
            }
            // Nobody watches over these any more, and nobody would see them end.
            State::Orphaned(_) => self.kill_marked(),
            State::Ended(exit) => {
                while self.tell_reports(observed) {}
                if matches!(exit.cause, Cause::Lost | Cause::Stopped) {
                    // For whoever looks after the process table has changed.
                    let _ = self.folder.put_exit(&exit);
                }
                return Looked::Ended(exit);
            }
        }
        Looked::GoesOn
    }

    fn kill_marked(&self) {
        for process in with_environment(&self.order.mark_entry()).unwrap_or_default() {
            signal(process, Signal::KILL);
        }
    }

    /// Tells what was reported since the last look. Returns whether there may be more.
    fn tell_reports(&mut self, observed: &mpsc::UnboundedSender<Observed>) -> bool {
        let new = self.reports.read_new().unwrap_or_default();
        if new.is_empty() {
            return false;
        }
        self.unfinished.extend_from_slice(&new);
        let bytes = std::mem::take(&mut self.unfinished);
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
        for line in bytes[..whole].split(|b| *b == b'\n') {
            let Some(report) = std::str::from_utf8(line).ok().and_then(Report::from_line) else { continue };
            if let Report::Failure { message } = &report {
                self.last_word = Some(message.clone());
            }
            self.tell(observed, Observation::Report(report));
        }
        self.unfinished = bytes[whole..].to_vec();
        // What the supervisor could only write in part is no report.
        if self.unfinished.len() > 2 * MAX_LENGTH {
            self.unfinished.clear();
        }
        true
    }

    fn tell(&self, observed: &mpsc::UnboundedSender<Observed>, what: Observation) {
        // Without a receiver nobody wants to know.
        let _ = observed.send(Observed { key: self.order.key.clone(), what });
    }

    /// Brings the log to the store and then tells the end: who hears of it finds the log.
    fn tell_end(
        &self,
        exit: Exit,
        observed: mpsc::UnboundedSender<Observed>,
        depot: Depot,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (folder, order, message) = (self.folder.clone(), self.order.clone(), self.last_word.clone());
        async move {
            bring_log(&folder, &order, &depot).await;
            let what =
                Observation::Ended { evidence: exit.cause.evidence(), message, peak_bytes: exit.peak_bytes };
            let _ = observed.send(Observed { key: order.key, what });
        }
    }
}

/// Brings the log of an ended attempt to the store, unless it was written there or was brought before. A log that
/// cannot be brought holds nothing up for long.
pub(crate) async fn bring_log(folder: &Folder, order: &Order, depot: &Depot) {
    let key = &order.key;
    if order.log != folder.own_log() || !order.log.exists() || folder.log_is_brought() {
        return;
    }
    let place = layout::attempt_log(&key.run, &key.step, key.attempt);
    match tokio::time::timeout(UPLOAD_PATIENCE, depot.upload_log(&place, &order.log)).await {
        Ok(Ok(())) => folder.note_log_brought(),
        Ok(Err(error)) => tracing::warn!(%key, %error, "the log could not be brought to the store"),
        Err(_) => tracing::warn!(%key, "the log could not be brought to the store in time"),
    }
}

//! How a server stands: what health, metrics and people are told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::{PipelineName, RunId};
use noctule_engine::schedule::Occurrence;

use super::catalogue::Problem;

/// One look at a server. It is put together from memory, and costs no look at the database.
#[derive(Debug, Clone)]
pub struct Status {
    pub program: &'static str,
    /// Since when the server runs.
    pub since: Timestamp,
    pub leadership: Leadership,
    /// When the loop last went round. A loop that stands still is dead.
    pub last_turn: Option<Timestamp>,
    /// The database cannot be reached, or refuses.
    pub store: Option<Trouble>,
    /// The folder of pipelines cannot be read.
    pub folder: Option<Trouble>,
    /// The clock was set back.
    pub clock: Option<Trouble>,
    pub pipelines: Vec<PipelineStatus>,
    /// What is wrong with files that belong to no pipeline.
    pub problems: Vec<Problem>,
    pub live: Vec<LiveRun>,
    /// Runs that cannot be driven for now.
    pub troubled: BTreeMap<RunId, Trouble>,
    /// Occurrences whose runs cannot be begun for now, by pipeline and id.
    pub stuck: BTreeMap<(PipelineName, String), Trouble>,
    pub tally: Tally,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    Leading {
        since: Timestamp,
    },
    /// Another server leads; this one takes over when it falls silent.
    StandingBy {
        leader: Option<String>,
    },
    Stopping,
}

/// Something that is wrong, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub what: String,
    pub since: Timestamp,
}

#[derive(Debug, Clone)]
pub struct PipelineStatus {
    pub name: PipelineName,
    pub file: String,
    /// The digest of the text that runs.
    pub digest: String,
    pub loaded: Timestamp,
    /// Why the file as it is now does not run.
    pub problem: Option<Problem>,
    /// Its file is gone: its schedule has stopped.
    pub gone: bool,
    pub paused: bool,
    /// When the clock next makes it due.
    pub next: Option<Occurrence>,
    /// Occurrences that wait for data.
    pub waiting: usize,
    /// Occurrences that wait for their turn.
    pub queued: usize,
    /// Why what is due cannot be told.
    pub stuck: Option<String>,
}

/// A run that this server drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveRun {
    pub run: RunId,
    pub pipeline: PipelineName,
    /// Since when this server drives it.
    pub since: Timestamp,
}

/// What happened since the server started, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub turns: u64,
    /// How often this server became the leader.
    pub elections: u64,
    pub reloads: u64,
    /// Failures of the database.
    pub store_failures: u64,
    pub runs_begun: BTreeMap<PipelineName, u64>,
    /// By pipeline and the run's last word, such as `succeeded`.
    pub runs_ended: BTreeMap<(PipelineName, &'static str), u64>,
    /// By pipeline and the step's last word, such as `reused`.
    pub steps_ended: BTreeMap<(PipelineName, &'static str), u64>,
    /// By pipeline and the reason, such as `overlap`.
    pub skipped: BTreeMap<(PipelineName, &'static str), u64>,
}

impl Status {
    /// Whether the server does, or could at once do, what it is there for.
    pub fn is_ready(&self) -> bool {
        self.store.is_none()
            && self.folder.is_none()
            && self.last_turn.is_some()
            && self.leadership != Leadership::Stopping
    }
}

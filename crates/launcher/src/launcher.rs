//! What every place where attempts run has to offer.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use noctule_artifacts::line::Report;
use noctule_artifacts::{AttemptNumber, Digest, RunId, StepName, layout};
use noctule_engine::{Evidence, Handle, Phase};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// One try of one step in one run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    pub run: RunId,
    pub step: StepName,
    pub attempt: AttemptNumber,
}

impl std::fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.step, self.attempt)
    }
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The launch document's path in the store, and its digest.
    pub document: String,
    pub digest: Digest,
    /// The most memory that all processes of the attempt may use together; `None` sets no bound.
    pub memory_bytes: Option<u64>,
}

impl Launch {
    pub fn new(key: &AttemptKey, digest: Digest, memory_bytes: Option<u64>) -> Self {
        Self { document: layout::launch_document(&key.run, &key.step, key.attempt), digest, memory_bytes }
    }
}

/// What a start found. Either way the attempt is watched from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// The attempt was begun by this call.
    Begun { handle: Handle },
    /// The same attempt, with the same launch document, had been started before; it may have ended since.
    AlreadyThere { handle: Option<Handle> },
}

/// An attempt as a launcher finds it, whoever started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub key: AttemptKey,
    pub launch: Digest,
    pub state: SeenState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenState {
    /// It was to be started, and no process was begun.
    NotBegun,
    Running {
        handle: Handle,
    },
    /// It is gone: by itself, or lost.
    Ended {
        evidence: Evidence,
    },
}

/// Something that a launcher saw, sent as it is seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    pub key: AttemptKey,
    pub what: Observation,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    /// Told when a start succeeds, and again when a running attempt is adopted.
    Started { handle: Handle },
    /// How far the start has come; from places that queue.
    Phase { phase: Phase },
    /// What a built-in step reports. After an adoption all reports of the attempt are told again.
    Report(Report),
    /// The attempt is over, and none of its processes is left. Whether it succeeded its manifest says, not this.
    Ended {
        evidence: Evidence,
        /// The step's own last word.
        message: Option<String>,
        /// The most memory that its processes were seen to use together.
        peak_bytes: Option<u64>,
    },
    /// Nothing of it is here; answers a stop of what never began.
    Gone,
}

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The name is taken by something else: take the next attempt number.
    #[error(
        "{key} is here already with launch document {found}, and {wanted} was to be started: it is not the same attempt"
    )]
    Taken { key: AttemptKey, found: Digest, wanted: Digest },
    #[error("{key} could not be started: {message}")]
    NotSpawned { key: AttemptKey, message: String },
    #[error("the attempts in `{place}` cannot be listed: {cause}")]
    NotListed { place: String, cause: std::io::Error },
    #[error("the state of {key} in `{place}` cannot be {doing}: {cause}")]
    State { key: AttemptKey, place: String, doing: &'static str, cause: std::io::Error },
}

impl LaunchError {
    /// The evidence for the engine, where the error means that it was not begun.
    pub fn evidence(&self) -> Option<Evidence> {
        match self {
            LaunchError::Taken { .. } | LaunchError::NotListed { .. } => None,
            other => Some(Evidence::NotSpawned { message: other.to_string() }),
        }
    }
}

/// A place where attempts run.
///
/// Every call may be repeated and then has the effect of one. Calls and observations are hints; what
/// [`list`](Self::list) finds is the truth.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts an attempt and watches it; of one that is there already only the latter.
    async fn start(&self, key: &AttemptKey, launch: &Launch) -> Result<Started, LaunchError>;

    /// Watches an attempt that an earlier process started. `false` when nothing of it is here.
    async fn adopt(&self, key: &AttemptKey) -> Result<bool, LaunchError>;

    /// Asks an attempt to end, and ends it by force after `grace`. `Ended` follows when it is gone, or `Gone`.
    async fn stop(&self, key: &AttemptKey, grace: Duration) -> Result<(), LaunchError>;

    /// Ends an attempt by force.
    async fn kill(&self, key: &AttemptKey) -> Result<(), LaunchError>;

    /// Every attempt of this registry that is here, running or ended, until it is forgotten.
    async fn list(&self) -> Result<Vec<Seen>, LaunchError>;

    /// Lets go of what is kept about an attempt that has ended. Its log stays in the store.
    async fn forget(&self, key: &AttemptKey) -> Result<(), LaunchError>;

    /// Whether a program on another machine sees and ends the same attempts, so that it can go on with them.
    fn is_shared(&self) -> bool {
        false
    }

    /// The local file that the attempt's log is written to, to be followed while it runs.
    fn log_file(&self, key: &AttemptKey) -> Option<PathBuf>;
}

/// Where a launcher's observations arrive.
pub type Observations = mpsc::UnboundedReceiver<Observed>;

//! What can happen to a run. A run's state is the fold of these, and nothing else.
//!
//! An event is a fact that was committed to the log: facts carry the number of the attempt they are about, and a fact
//! about a superseded attempt changes nothing. The events have no serialised form here; `store` owns the bytes.

use noctule_artifacts::{AttemptNumber, Digest, Outcome, RunId, StepName, VersionNumber};

use crate::failure::{Evidence, Waiting};
use crate::plan::RunPlan;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The first event of every run.
    RunCreated { plan: Box<RunPlan> },
    /// Instead of the attempt that was being prepared, an artifact of the same fingerprint is taken over.
    StepReused {
        step: StepName,
        attempt: AttemptNumber,
        artifact: ArtifactRef,
        outcome: Outcome,
        from: RunId,
    },
    /// Instead of the publishing attempt that was being prepared: the alias already points at a version with the
    /// candidate's digest, and nothing is to be done.
    AlreadyPublished { step: StepName, attempt: AttemptNumber, version: VersionNumber },
    /// The attempt is to be started with the launch document of this digest. Committed before anything is started.
    AttemptIntended { step: StepName, attempt: AttemptNumber, launch: Digest },
    /// The launcher has a process or a Job for the attempt.
    AttemptStarted { step: StepName, attempt: AttemptNumber, handle: Handle },
    /// How far the start of the attempt has come. Told only when it changes.
    AttemptObserved { step: StepName, attempt: AttemptNumber, phase: Phase },
    /// The attempt has committed its manifest.
    AttemptSucceeded {
        step: StepName,
        attempt: AttemptNumber,
        artifact: ArtifactRef,
        outcome: Outcome,
        /// What became of the alias, for a step that publishes; committed in the transaction that moved it.
        publication: Option<Publication>,
    },
    /// The attempt ended and has no manifest. `message` is its own last word to people, and decides nothing.
    AttemptFailed { step: StepName, attempt: AttemptNumber, evidence: Evidence, message: Option<String> },
    /// An attempt that was asked to stop, or was abandoned, has been seen gone.
    AttemptGone { step: StepName, attempt: AttemptNumber },
    /// Somebody wants the run to end. At once: nothing is given time to finish.
    CancelRequested { by: String, at_once: bool, why: Option<String> },
    /// A wake-up time has come.
    Woken,
    /// Somebody wants what did not finish to be tried again.
    Resumed { by: String, why: Option<String> },
    /// Somebody wants a step of a run that has ended to run again, and all that follow it.
    Rerun { step: StepName, by: String, why: Option<String> },
    /// Somebody says that a failed step is not to count.
    Ignored { step: StepName, by: String, why: String },
    /// A sentence for people; changes nothing.
    Noted { step: Option<StepName>, text: String },
}

impl Event {
    /// The event's name, for logs and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Event::RunCreated { .. } => "RunCreated",
            Event::StepReused { .. } => "StepReused",
            Event::AlreadyPublished { .. } => "AlreadyPublished",
            Event::AttemptIntended { .. } => "AttemptIntended",
            Event::AttemptStarted { .. } => "AttemptStarted",
            Event::AttemptObserved { .. } => "AttemptObserved",
            Event::AttemptSucceeded { .. } => "AttemptSucceeded",
            Event::AttemptFailed { .. } => "AttemptFailed",
            Event::AttemptGone { .. } => "AttemptGone",
            Event::CancelRequested { .. } => "CancelRequested",
            Event::Woken => "Woken",
            Event::Resumed { .. } => "Resumed",
            Event::Rerun { .. } => "Rerun",
            Event::Ignored { .. } => "Ignored",
            Event::Noted { .. } => "Noted",
        }
    }

    /// The attempt that the event is about.
    pub fn attempt(&self) -> Option<(&StepName, AttemptNumber)> {
        match self {
            Event::StepReused { step, attempt, .. }
            | Event::AlreadyPublished { step, attempt, .. }
            | Event::AttemptIntended { step, attempt, .. }
            | Event::AttemptStarted { step, attempt, .. }
            | Event::AttemptObserved { step, attempt, .. }
            | Event::AttemptSucceeded { step, attempt, .. }
            | Event::AttemptFailed { step, attempt, .. }
            | Event::AttemptGone { step, attempt } => Some((step, *attempt)),
            Event::RunCreated { .. }
            | Event::CancelRequested { .. }
            | Event::Woken
            | Event::Resumed { .. }
            | Event::Rerun { .. }
            | Event::Ignored { .. }
            | Event::Noted { .. } => None,
        }
    }
}

/// An artifact as the log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactRef {
    /// Path of the manifest in the store.
    pub manifest: String,
    pub digest: Digest,
}

/// What an attempt can be found again by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handle {
    /// A process, which leads a group of its own. A pid means nothing without the two that follow.
    Process {
        pid: u32,
        /// Start time in the unit and origin of the system's process table.
        start_time: u64,
        boot_id: String,
    },
    Job {
        namespace: String,
        name: String,
        uid: String,
    },
}

/// How far the start of an attempt has come. Phases only move forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Not yet placed on a machine; with the scheduler's own words, when it said why.
    Queued { reason: Option<String> },
    /// Placed; the main process has not begun.
    Starting { waiting: Option<Waiting> },
    /// The main process runs.
    Running,
}

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// The alias now points at the candidate.
    Promoted { version: VersionNumber, from: Option<VersionNumber>, sequence: u64 },
    /// The alias points at a version with the candidate's digest; there is no new version.
    Unchanged { version: VersionNumber },
    /// Registered as a version; this run was not to promote it.
    Registered { version: VersionNumber },
    /// Registered as a version; the alias is pinned to another.
    Pinned { version: VersionNumber, to: VersionNumber },
    /// The alias no longer points at the version that the gate compared with.
    Moved { version: VersionNumber, expected: Option<VersionNumber>, found: Option<VersionNumber> },
}

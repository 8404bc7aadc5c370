//! Why an attempt ended without an artifact: what was observed, and the class that follows from it.
//!
//! The classes are closed and are decided from evidence, never from the text of a message. The texts that some
//! evidence carries are for people.

use std::fmt;

use jiff::SignedDuration;

use crate::plan::RetryPolicy;

/// The exit code of an attempt that found bad data (`EX_DATAERR` of sysexits.h).
pub const EXIT_BAD_DATA: i32 = 65;
/// The exit code of an attempt that met a trouble which may pass (`EX_TEMPFAIL`).
pub const EXIT_TEMPORARY: i32 = 75;
/// The exit code of an attempt that found a bad configuration (`EX_CONFIG`).
pub const EXIT_BAD_CONFIG: i32 = 78;

/// What was seen of an attempt that ended, or never began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The main process exited with this code. Code 0 without a manifest is a failure too.
    Exited { code: i32 },
    /// The main process was ended by a signal that nobody here sent.
    Signalled { signal: i32 },
    /// Ended for using more memory than allowed: by our own watch, or `OOMKilled`.
    MemoryLimit { limit_bytes: Option<u64>, peak_bytes: Option<u64> },
    /// Taken away by the platform: nothing the step did.
    Disrupted(Disruption),
    /// Over the step's own limit of disk space (`Evicted` without a disruption).
    EphemeralStorage { message: String },
    /// No process was begun: it could not be spawned here.
    NotSpawned { message: String },
    /// The main process had not begun when the start timer ran out.
    StillWaiting(Waiting),
    /// No machine had taken it when the queue timer ran out; the scheduler's own words.
    NotPlaced { reason: String },
    /// The platform refused the request itself.
    Rejected { message: String },
    /// What the attempt was to read could not be resolved before its start, and trying again cannot help.
    Unpreparable { message: String },
    /// What the attempt was to read could not be reached before its start.
    Unreachable { message: String },
    /// Our own run timer ran out.
    TimedOut { limit: SignedDuration },
    /// The log says that it runs, and nothing does.
    Lost,
    /// Ended because it was asked to.
    StopRequested,
}

/// How a platform takes an attempt away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disruption {
    /// The eviction API: a drain.
    Evicted,
    /// A more important pod took its place.
    Preempted,
    /// A taint came over its node.
    Tainted,
    /// Its node is gone or shut down.
    NodeLost,
    /// `ContainerStatusUnknown`, or gone without a last state.
    StatusUnknown,
    /// Another `DisruptionTarget`.
    Other,
}

/// Why a placed attempt's main process has not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub reason: WaitingReason,
    /// The kubelet's sentence.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitingReason {
    /// `ErrImagePull`, `ImagePullBackOff`.
    ImagePull,
    /// `CreateContainerConfigError`: a Secret or ConfigMap is missing.
    Config,
    /// `InvalidImageName`.
    InvalidImageName,
    /// `ErrImageNeverPull`.
    ImageNeverPull,
    /// Anything else, `ContainerCreating` among them.
    Other,
}

impl WaitingReason {
    /// Whether waiting longer cannot help.
    pub fn is_hopeless(self) -> bool {
        matches!(self, WaitingReason::InvalidImageName | WaitingReason::ImageNeverPull)
    }
}

/// What kind of failure it was: this decides whether and how the step is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureClass {
    Disrupted,
    NeverStarted,
    OutOfMemory,
    Transient,
    Failed,
    Invalid,
    TimedOut,
    Unschedulable,
    Lost,
}

/// What a failure is paid from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Budget {
    /// The step's own `retry.attempts`.
    Retries,
    /// [`DISRUPTIONS`] for a step, beside its retries.
    Disruptions,
    /// [`FREE_STARTS`] for a step, beside its retries.
    Starts,
    /// Trying again cannot help.
    None,
}

/// How often a step is tried again after it was taken away.
pub const DISRUPTIONS: u32 = 5;
/// How often a step is tried again after it never began.
pub const FREE_STARTS: u32 = 3;

impl Evidence {
    pub fn class(&self, retry: &RetryPolicy) -> FailureClass {
        match self {
            Evidence::Exited { code } if *code == EXIT_TEMPORARY || retry.on_exit.contains(code) => {
                FailureClass::Transient
            }
            Evidence::Exited { code: EXIT_BAD_DATA | EXIT_BAD_CONFIG } => FailureClass::Invalid,
            Evidence::Exited { .. } | Evidence::Signalled { .. } | Evidence::EphemeralStorage { .. } => {
                FailureClass::Failed
            }
            Evidence::MemoryLimit { .. } => FailureClass::OutOfMemory,
            Evidence::Disrupted(_) => FailureClass::Disrupted,
            Evidence::StillWaiting(waiting) if waiting.reason.is_hopeless() => FailureClass::Invalid,
            Evidence::NotSpawned { .. } | Evidence::StillWaiting(_) => FailureClass::NeverStarted,
            Evidence::NotPlaced { .. } => FailureClass::Unschedulable,
            Evidence::Rejected { .. } | Evidence::Unpreparable { .. } => FailureClass::Invalid,
            Evidence::Unreachable { .. } => FailureClass::Transient,
            Evidence::TimedOut { .. } => FailureClass::TimedOut,
            Evidence::Lost => FailureClass::Lost,
            // Nobody here asked, or the state machine would not look at the evidence.
            Evidence::StopRequested => FailureClass::Failed,
        }
    }
}

impl FailureClass {
    pub const ALL: [FailureClass; 9] = [
        FailureClass::Disrupted,
        FailureClass::NeverStarted,
        FailureClass::OutOfMemory,
        FailureClass::Transient,
        FailureClass::Failed,
        FailureClass::Invalid,
        FailureClass::TimedOut,
        FailureClass::Unschedulable,
        FailureClass::Lost,
    ];

    pub fn budget(self) -> Budget {
        match self {
            FailureClass::Disrupted | FailureClass::Lost => Budget::Disruptions,
            FailureClass::NeverStarted => Budget::Starts,
            FailureClass::OutOfMemory
            | FailureClass::Transient
            | FailureClass::Failed
            | FailureClass::TimedOut => Budget::Retries,
            FailureClass::Invalid | FailureClass::Unschedulable => Budget::None,
        }
    }

    /// The word for it in the log, on the terminal and in the docs.
    pub fn word(self) -> &'static str {
        match self {
            FailureClass::Disrupted => "disrupted",
            FailureClass::NeverStarted => "never-started",
            FailureClass::OutOfMemory => "out-of-memory",
            FailureClass::Transient => "transient",
            FailureClass::Failed => "failed",
            FailureClass::Invalid => "invalid",
            FailureClass::TimedOut => "timed-out",
            FailureClass::Unschedulable => "unschedulable",
            FailureClass::Lost => "lost",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

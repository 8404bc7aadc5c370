//! The words for how a step and a run stand.

use std::fmt;

use noctule_artifacts::StepName;

use crate::failure::FailureClass;

/// How a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// For a step it needs, or for the pause before a retry.
    Waiting,
    /// Nothing stands in its way but the number of live attempts.
    Ready,
    Running,
    /// Asked to end, and not yet seen gone.
    Stopping,
    Ended(End),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Done,
    /// Done by an artifact of an earlier run, or because the alias already pointed at the candidate.
    Reused,
    Failed(FailureClass),
    /// It failed, and somebody said that this is not to count. It has left nothing to read.
    Ignored(FailureClass),
    Skipped(SkipReason),
    Cancelled,
    /// It did its work, and its result says that nothing that needs it is to run.
    Stopped(StopReason),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// Its `when` was false; the text says which.
    Disabled(String),
    /// A step it needs, directly or not, ended otherwise than well.
    Needs { step: StepName, end: Box<End> },
    /// It is to run in any case, and a step that it reads has left nothing to read.
    NothingToRead { step: StepName },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    DataStop,
    GateRejected(Rejection),
    Held(Held),
}

/// The verdicts of a gate that let nothing pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    Fail,
    Inconclusive,
}

/// Why a candidate that passed its gate was not promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Pinned,
    Moved,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    Queued,
    Running,
    Stopping,
    Succeeded,
    Failed,
    DataStop,
    GateRejected(Rejection),
    Held(Held),
    Cancelled,
}

impl StepState {
    pub fn is_terminal(&self) -> bool {
        matches!(self, StepState::Ended(_))
    }

    /// The one word for it.
    pub fn word(&self) -> &'static str {
        match self {
            StepState::Waiting => "waiting",
            StepState::Ready => "ready",
            StepState::Running => "running",
            StepState::Stopping => "stopping",
            StepState::Ended(end) => end.word(),
        }
    }
}

impl End {
    /// Whether steps that need this one may run.
    pub fn is_good(&self) -> bool {
        matches!(self, End::Done | End::Reused | End::Ignored(_))
    }

    pub fn word(&self) -> &'static str {
        match self {
            End::Done => "done",
            End::Reused => "reused",
            End::Failed(_) => "failed",
            End::Ignored(_) => "ignored",
            End::Skipped(_) => "skipped",
            End::Cancelled => "cancelled",
            End::Stopped(_) => "stopped",
        }
    }
}

impl RunStatus {
    pub fn is_terminal(self) -> bool {
        !matches!(self, RunStatus::Queued | RunStatus::Running | RunStatus::Stopping)
    }

    /// Whether a run that ended so counts as the last good run for later intervals.
    pub fn is_good(self) -> bool {
        matches!(self, RunStatus::Succeeded | RunStatus::GateRejected(_) | RunStatus::Held(_))
    }

    pub fn word(self) -> &'static str {
        match self {
            RunStatus::Queued => "queued",
            RunStatus::Running => "running",
            RunStatus::Stopping => "stopping",
            RunStatus::Succeeded => "succeeded",
            RunStatus::Failed => "failed",
            RunStatus::DataStop => "data-stop",
            RunStatus::GateRejected(_) => "gate-rejected",
            RunStatus::Held(_) => "held",
            RunStatus::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepState::Ended(end) => end.fmt(f),
            other => f.pad(other.word()),
        }
    }
}

/// The word, and in brackets what it does not say, such as `failed (timed-out)`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Failed(class) if *class == FailureClass::Failed => f.pad(self.word()),
            End::Failed(class) => write!(f, "failed ({class})"),
            End::Ignored(class) => write!(f, "ignored ({class})"),
            End::Skipped(reason) => write!(f, "skipped ({reason})"),
            End::Stopped(reason) => write!(f, "stopped ({reason})"),
            End::Done | End::Reused | End::Cancelled => f.pad(self.word()),
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::Disabled(reason) => f.pad(reason),
            SkipReason::Needs { step, end } => match &**end {
                End::Failed(class) if *class != FailureClass::Failed => write!(f, "`{step}` failed: {class}"),
                End::Skipped(SkipReason::Disabled(reason)) => write!(f, "`{step}` was skipped: {reason}"),
                End::Stopped(reason) => write!(f, "`{step}` stopped: {reason}"),
                End::Failed(_) => write!(f, "`{step}` failed"),
                other => write!(f, "`{step}` was {}", other.word()),
            },
            SkipReason::NothingToRead { step } => write!(f, "`{step}` left nothing to read"),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopReason::DataStop => f.pad("data-stop"),
            StopReason::GateRejected(Rejection::Fail) => f.pad("gate-rejected: fail"),
            StopReason::GateRejected(Rejection::Inconclusive) => f.pad("gate-rejected: inconclusive"),
            StopReason::Held(held) => held.fmt(f),
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Held::Pinned => "held: pinned",
            Held::Moved => "held: moved",
        })
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunStatus::GateRejected(rejection) => StopReason::GateRejected(*rejection).fmt(f),
            RunStatus::Held(held) => held.fmt(f),
            other => f.pad(other.word()),
        }
    }
}

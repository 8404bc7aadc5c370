//! How one step of a run stands: its attempts, and what it has spent.

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{AttemptNumber, Digest, RunId};

use crate::event::{ArtifactRef, Handle, Phase, Publication};
use crate::failure::{Evidence, FailureClass};
use crate::plan::{StepPlan, Timeouts};
use crate::retry::Spent;
use crate::status::{End, StepState};

/// One step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRun {
    pub(crate) plan: StepPlan,
    pub(crate) stage: Stage,
    /// The highest attempt number given out; 0 before the first. This is the fence.
    pub(crate) given: u32,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) spent: Spent,
    pub(crate) artifact: Option<ArtifactRef>,
    pub(crate) reused_from: Option<RunId>,
    pub(crate) publication: Option<Publication>,
    /// How often the alias had moved when this step came to publish.
    pub(crate) moves: u32,
    /// Whether it is to run in any case, until it has.
    pub(crate) fresh: bool,
    pub(crate) ignored: Option<Asked>,
    pub(crate) ended: Option<Timestamp>,
}

/// What a person asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub by: String,
    pub why: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    Waiting {
        /// The end of the pause before a retry.
        until: Option<Timestamp>,
    },
    Ready,
    /// The attempt `given` is being prepared.
    Preparing,
    /// The attempt `given` was intended and has not ended.
    Live(Live),
    Ended(End),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Live {
    pub launch: Digest,
    pub started: bool,
    pub phase: Phase,
    pub phase_since: Timestamp,
    pub stopping: Option<Stopping>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stopping {
    pub why: Why,
    pub since: Timestamp,
    pub killed: Option<Timestamp>,
}

/// Why an attempt was asked to end, and so what its end means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Why {
    Cancelled,
    /// It was cancelled, and then the run was resumed.
    Restart,
    /// One of our timers ran out, or the launcher saw that it can never start.
    Failure(Evidence),
}

/// One attempt, as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub number: AttemptNumber,
    pub intended: Timestamp,
    /// When its main process began.
    pub running: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub handle: Option<Handle>,
    pub result: Option<AttemptResult>,
    /// It was given up without having been seen gone.
    pub abandoned: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AttemptResult {
    Succeeded,
    Failed { class: FailureClass, evidence: Evidence, message: Option<String> },
    Cancelled,
}

impl StepRun {
    pub(crate) fn new(plan: StepPlan) -> Self {
        Self {
            plan,
            stage: Stage::Waiting { until: None },
            given: 0,
            attempts: Vec::new(),
            spent: Spent::default(),
            artifact: None,
            reused_from: None,
            publication: None,
            moves: 0,
            fresh: false,
            ignored: None,
            ended: None,
        }
    }

    pub fn plan(&self) -> &StepPlan {
        &self.plan
    }

    pub fn state(&self) -> StepState {
        match &self.stage {
            Stage::Waiting { .. } => StepState::Waiting,
            Stage::Ready | Stage::Preparing => StepState::Ready,
            Stage::Live(live) if live.stopping.is_some() => StepState::Stopping,
            Stage::Live(_) => StepState::Running,
            Stage::Ended(end) => StepState::Ended(end.clone()),
        }
    }

    /// Every attempt that was intended or failed while it was prepared, in order.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The attempt that was intended and has not ended.
    pub fn live(&self) -> Option<&Attempt> {
        match self.stage {
            Stage::Live(_) => self.attempts.last(),
            _ => None,
        }
    }

    /// The launch document of the live attempt.
    pub fn live_launch(&self) -> Option<Digest> {
        match &self.stage {
            Stage::Live(live) => Some(live.launch),
            _ => None,
        }
    }

    /// How far the start of the live attempt has come.
    pub fn phase(&self) -> Option<&Phase> {
        match &self.stage {
            Stage::Live(live) => Some(&live.phase),
            _ => None,
        }
    }

    /// When the step is tried again, if it waits for that.
    pub fn retry_at(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Waiting { until } => until,
            _ => None,
        }
    }

    /// What the step made or took over.
    pub fn artifact(&self) -> Option<&ArtifactRef> {
        self.artifact.as_ref()
    }

    /// The run whose artifact was taken over.
    pub fn reused_from(&self) -> Option<&RunId> {
        self.reused_from.as_ref()
    }

    pub fn publication(&self) -> Option<&Publication> {
        self.publication.as_ref()
    }

    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Who said that its failure is not to count, and why.
    pub fn ignored(&self) -> Option<&Asked> {
        self.ignored.as_ref()
    }

    /// When the step ended.
    pub fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    /// How many attempts so far were ended for want of memory.
    pub fn out_of_memory(&self) -> usize {
        let ended_so = |attempt: &&Attempt| {
            matches!(&attempt.result, Some(AttemptResult::Failed { class: FailureClass::OutOfMemory, .. }))
        };
        self.attempts.iter().filter(ended_so).count()
    }

    pub(crate) fn end(&mut self, at: Timestamp, end: End) {
        self.stage = Stage::Ended(end);
        self.ended = Some(at);
    }

    /// Back to the start, with fresh budgets; attempt numbers go on.
    pub(crate) fn reset(&mut self) {
        self.stage = Stage::Waiting { until: None };
        self.spent = Spent::default();
        self.artifact = None;
        self.reused_from = None;
        self.publication = None;
        self.ignored = None;
        self.ended = None;
    }

    pub(crate) fn ended_as(&self) -> Option<&End> {
        match &self.stage {
            Stage::Ended(end) => Some(end),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> AttemptNumber {
        AttemptNumber(self.given)
    }

    /// Whether the step takes one of the places for live attempts.
    pub(crate) fn takes_place(&self) -> bool {
        matches!(self.stage, Stage::Preparing | Stage::Live(_))
    }

    /// When this step next wants to be looked at.
    pub(crate) fn wake(&self) -> Option<Timestamp> {
        match &self.stage {
            Stage::Waiting { until } => *until,
            Stage::Live(live) => live.deadline(&self.plan.timeouts, self.plan.exclusive),
            Stage::Ready | Stage::Preparing | Stage::Ended(_) => None,
        }
    }
}

impl Live {
    pub(crate) fn deadline(&self, timeouts: &Timeouts, exclusive: bool) -> Option<Timestamp> {
        match &self.stopping {
            Some(stopping) => stopping.deadline(timeouts, exclusive),
            None => {
                let limit = match self.phase {
                    Phase::Queued { .. } => timeouts.queue,
                    Phase::Starting { .. } => timeouts.start,
                    Phase::Running => timeouts.run,
                };
                Some(after(self.phase_since, limit))
            }
        }
    }
}

/// An end by force needs a moment to be seen, however short `timeouts.stop` is.
const SEEN_GONE: SignedDuration = SignedDuration::from_secs(1);

impl Stopping {
    fn deadline(&self, timeouts: &Timeouts, exclusive: bool) -> Option<Timestamp> {
        match self.killed {
            None => Some(after(self.since, timeouts.grace)),
            Some(_) if exclusive => None,
            Some(killed) => Some(after(self.since, timeouts.stop).max(after(killed, SEEN_GONE))),
        }
    }
}

/// The end of time stands for anything later.
pub(crate) fn after(at: Timestamp, wait: SignedDuration) -> Timestamp {
    at.checked_add(wait).unwrap_or(Timestamp::MAX)
}

//! What the loop tells whoever looks on, as it happens.

use std::sync::Arc;

use noctule_artifacts::line::Report;
use noctule_artifacts::{AttemptNumber, StepName};
use noctule_engine::{RunStatus, StepState};
use tokio::sync::mpsc;

/// One thing that happened. It is told after it was committed.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A step's state changed. `sentence` says more, such as why it was reused, skipped or is tried again.
    Step {
        step: StepName,
        attempt: AttemptNumber,
        state: StepState,
        sentence: Option<String>,
    },
    /// A running attempt reports.
    Report {
        step: StepName,
        attempt: AttemptNumber,
        report: Report,
    },
    /// A sentence about the run, or one of its steps.
    Note {
        step: Option<StepName>,
        text: String,
    },
    Ended {
        status: RunStatus,
    },
}

/// The telling end. Nobody need listen.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<dyn Fn(Seen) + Send + Sync>>);

impl Watch {
    /// A watch and the end to listen at.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Seen>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        // A listener that has gone away is no trouble of the run's.
        let tell = move |seen| drop(sender.send(seen));
        (Self::by(tell), receiver)
    }

    /// A watch that calls this, which must not take long.
    pub fn by(tell: impl Fn(Seen) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, seen: Seen) {
        if let Some(tell) = &self.0 {
            tell(seen);
        }
    }
}

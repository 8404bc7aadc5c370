//! What the engine asks of the loop around it.
//!
//! Every command may be given twice and must then have the effect of one: after a restart the loop asks
//! [`Run::outstanding`](crate::Run::outstanding) for those that the state of the run still calls for.

use jiff::SignedDuration;
use noctule_artifacts::{AttemptNumber, Digest, StepName};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Resolve what the attempt reads. Answer with `AttemptIntended`, `StepReused`, `AlreadyPublished`,
    /// or `AttemptFailed`.
    ///
    /// A fresh one is to run in any case: nothing of an earlier attempt is taken over in its place. There are few slots
    /// for live attempts; until there is one for this, it is simply not answered.
    Prepare { step: StepName, attempt: AttemptNumber, fresh: bool },
    /// Start the attempt with the launch document of this digest. Answer with `AttemptStarted`, or `AttemptFailed`.
    Start { step: StepName, attempt: AttemptNumber, launch: Digest },
    /// Ask the attempt to end, and end it by force after `grace`.
    Stop { step: StepName, attempt: AttemptNumber, grace: SignedDuration },
    /// End the attempt by force.
    Kill { step: StepName, attempt: AttemptNumber },
    /// The attempt could not be seen gone in time and is fenced off: tell people, sweep it later.
    Abandon { step: StepName, attempt: AttemptNumber },
}

impl Command {
    pub fn attempt(&self) -> (&StepName, AttemptNumber) {
        match self {
            Command::Prepare { step, attempt, .. }
            | Command::Start { step, attempt, .. }
            | Command::Stop { step, attempt, .. }
            | Command::Kill { step, attempt }
            | Command::Abandon { step, attempt } => (step, *attempt),
        }
    }
}

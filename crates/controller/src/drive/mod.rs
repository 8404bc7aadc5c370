//! The loop over one run.
//!
//! [`open`] begins a run or takes one up, [`turn`] goes round, [`attempt`] obeys the engine and takes facts in,
//! [`commit`] writes them down, and [`waiting`] is for attempts that find no slot.

mod attempt;
mod commit;
mod open;
mod turn;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use noctule_artifacts::{AttemptNumber, RunId, StepName};
use noctule_engine::{Command, Run, RunStatus};
use noctule_launcher::{AttemptKey, Observations};
use noctule_spec::Pipeline;
use noctule_store::{Lease, Position, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::Controller;
use crate::ask::{Ask, Asked};
use crate::definition::{Definition, lease_name};
use crate::error::ControllerError;
use crate::holder;
use crate::outbox;
use crate::watch::Watch;

pub(crate) use commit::released;
pub(crate) use open::Beginning;
use waiting::Parked;

/// How long a driver that is not heard of keeps its run.
const LEASE: Duration = Duration::from_secs(30);
/// How often it is heard of, and looks for what it was not told.
const BEAT: Duration = Duration::from_secs(5);
/// How often it looks whether somebody asks something of the run.
const LISTEN: Duration = Duration::from_secs(1);
/// How long an attempt may be out of sight before it is lost.
const GRACE: Duration = Duration::from_secs(10);

/// A wish to end the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    pub by: String,
    pub at_once: bool,
}

/// What the driver of a run is told.
#[derive(Debug)]
pub(crate) enum Wish {
    Ask {
        asked: Asked,
        /// Where the answer goes.
        reply: Option<oneshot::Sender<Result<(), ControllerError>>>,
    },
    /// To let go of the run as it stands: its attempts go on, and somebody else takes it up.
    Leave,
}

/// A run that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub run: Run,
    pub status: RunStatus,
    /// Pointers that could not be written yet. They stay owed.
    pub owed: Vec<outbox::Owed>,
}

/// How a drive came to its end.
#[derive(Debug)]
pub(crate) enum Over {
    Ended(Box<Ended>),
    Left,
}

/// The loop over one run: whoever has it drives the run, and nobody else does.
pub struct Drive {
    controller: Controller,
    definition: Definition,
    pipeline: Pipeline,
    run: Run,
    position: Position,
    lease: Lease,
    /// When the lease was last known to be held.
    renewed: Instant,
    observations: Observations,
    pending: VecDeque<Command>,
    watch: Watch,
    /// When an attempt that should be live was first not seen.
    missing: BTreeMap<AttemptKey, Instant>,
    /// Attempts that are prepared and have no slot.
    parked: BTreeMap<StepName, Parked>,
    /// Attempts of which it was said that the machine gives them less than they ask for.
    told_cut: BTreeSet<StepName>,
    /// Whether it looks itself for what is asked of the run through the store.
    listens: bool,
    owed: Vec<outbox::Owed>,
    after_event: Option<fn(u64)>,
}

impl Drive {
    pub fn run(&self) -> &Run {
        &self.run
    }

    pub fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    pub(crate) fn controller(&self) -> &Controller {
        &self.controller
    }

    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Calls this after each committed event, with its number: how tests end the process at a chosen moment.
    pub fn after_event(&mut self, hook: fn(u64)) {
        self.after_event = Some(hook);
    }

    /// Leaves it to somebody else to look for what is asked of the run through the store.
    pub(crate) fn listens_not(&mut self) {
        self.listens = false;
    }

    fn key(&self, step: &StepName, attempt: AttemptNumber) -> AttemptKey {
        AttemptKey { run: self.position.run.clone(), step: step.clone(), attempt }
    }
}

/// Where a drive hears what it is told.
pub(crate) enum Ears {
    Cancels(mpsc::UnboundedReceiver<Cancel>),
    Wishes(mpsc::UnboundedReceiver<Wish>),
}

impl Ears {
    async fn hear(&mut self) -> Option<Wish> {
        match self {
            Self::Wishes(wishes) => wishes.recv().await,
            Self::Cancels(cancels) => {
                let Cancel { by, at_once } = cancels.recv().await?;
                Some(Wish::Ask { asked: Asked::new(Ask::Cancel { at_once }, by, None), reply: None })
            }
        }
    }
}

/// Asks something of a run through the store, for whoever drives it.
pub async fn ask(controller: &Controller, run: &RunId, asked: &Asked) -> Result<(), StoreError> {
    controller.store.put_messages(&[asked.letter(run)]).await
}

/// Who drives a run now, if anybody does.
pub async fn driver(controller: &Controller, run: &RunId) -> Result<Option<String>, StoreError> {
    let holder = controller.store.holder(&lease_name(run)).await?;
    Ok(holder.map(|(lease, _)| lease.holder).filter(|holder| !holder::is_dead(holder)))
}

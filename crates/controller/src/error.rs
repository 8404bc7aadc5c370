//! What can stop the loop itself, as opposed to a step.

use noctule_artifacts::{ModelName, RunId};

#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    #[error(transparent)]
    Store(#[from] noctule_store::StoreError),
    #[error(transparent)]
    Depot(#[from] noctule_depot::Error),
    #[error(transparent)]
    Launcher(#[from] noctule_launcher::LaunchError),
    #[error("the log of run {run} cannot be followed: {cause}; a newer noctule may have written it")]
    Illegal { run: RunId, cause: noctule_engine::IllegalEvent },
    #[error("the log of run {run} is empty: it was never begun, so there is nothing to go on with")]
    NoBeginning { run: RunId },
    #[error("run {run} is driven by another noctule ({holder}): wait for it, or `noctule cancel {run}`")]
    Driven { run: RunId, holder: String },
    #[error("run {run} has {status} and there is nothing left to do: `noctule run` begins a new one")]
    NothingLeft { run: RunId, status: String },
    #[error("run {run} has ended already: {status}")]
    HasEnded { run: RunId, status: String },
    /// What was asked of the run cannot be.
    #[error("run {run}: {cause}")]
    Refused { run: RunId, cause: noctule_engine::IllegalEvent },
    #[error("what run {run} was made from cannot be read ({cause}): a newer noctule may have begun it")]
    Definition { run: RunId, cause: String },
    #[error("the pipeline that run {run} began with is no longer accepted by this noctule:\n{diagnostics}")]
    Pipeline { run: RunId, diagnostics: String },
    #[error("the interval of the run cannot be told: {0}")]
    Interval(String),
    #[error(
        "the store has files below models/{model}/, and the registry has no such model: another database served it; \
         `noctule models recover` rebuilds the rows"
    )]
    OrphanModel { model: ModelName },
}

impl ControllerError {
    /// Whether it answers what somebody asked for, and is no trouble of the run's.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::NothingLeft { .. } | Self::HasEnded { .. })
    }

    /// Whether the same may succeed later without anybody doing anything.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Store(error) => error.is_temporary(),
            Self::Depot(noctule_depot::Error::Away { .. }) => true,
            _ => false,
        }
    }

    /// Whether somebody else has taken the run over.
    pub(crate) fn is_loss(&self) -> bool {
        use noctule_store::StoreError;
        matches!(
            self,
            Self::Store(StoreError::LeaseLost { .. } | StoreError::MovedOn { .. }) | Self::Driven { .. }
        )
    }
}

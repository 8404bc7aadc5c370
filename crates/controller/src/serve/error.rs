//! What a server refuses: to start, or to do what it is asked for.

use noctule_artifacts::PipelineName;
use noctule_store::{BackfillId, StoreError};

use crate::error::ControllerError;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the folder of pipelines `{path}` cannot be read: {cause}")]
    Folder { path: String, cause: std::io::Error },
    #[error(
        "another server leads here ({holder}), and two need Postgres and a launcher whose attempts any of them can \
         look after: {why}; stop the other one first"
    )]
    AnotherServer { holder: String, why: &'static str },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why something that was asked for is not done.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("there is no pipeline `{name}`{}", listed(.known))]
    NoSuchPipeline { name: String, known: Vec<String> },
    #[error("the pipeline `{pipeline}` has no schedule: it runs when somebody runs it")]
    NoSchedule { pipeline: PipelineName },
    /// The text of the pipeline with these params and this occurrence, rendered.
    #[error("{diagnostics}")]
    Pipeline { diagnostics: String },
    #[error("the interval of the run cannot be told: {0}")]
    Interval(String),
    #[error("{what} needs a reason: say why")]
    NoReason { what: &'static str },
    #[error("{what} is longer than {most} bytes")]
    TooLong { what: &'static str, most: usize },
    #[error("the backfill cannot be: {0}")]
    Backfill(String),
    #[error("the backfill {id} is {state} already")]
    BackfillIs { id: BackfillId, state: &'static str },
    #[error("the schedule of `{pipeline}` is {state} already")]
    ScheduleIs { pipeline: PipelineName, state: &'static str },
    #[error("the server is stopping; ask again when it is back")]
    Stopping,
    #[error(transparent)]
    Controller(#[from] ControllerError),
}

/// What kind of answer an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestTrouble {
    /// There is nothing of that name.
    NotFound,
    /// It can never be done as it was asked for.
    Invalid,
    /// It cannot be done as things stand.
    Conflict,
    /// It may be done later: ask again.
    Unavailable,
    /// The trouble is noctule's own.
    Internal,
}

impl From<StoreError> for RequestError {
    fn from(error: StoreError) -> Self {
        Self::Controller(error.into())
    }
}

impl RequestError {
    pub fn trouble(&self) -> RequestTrouble {
        match self {
            Self::NoSuchPipeline { .. } => RequestTrouble::NotFound,
            Self::NoSchedule { .. } | Self::BackfillIs { .. } | Self::ScheduleIs { .. } => {
                RequestTrouble::Conflict
            }
            Self::Pipeline { .. }
            | Self::Interval(_)
            | Self::NoReason { .. }
            | Self::TooLong { .. }
            | Self::Backfill(_) => RequestTrouble::Invalid,
            Self::Stopping => RequestTrouble::Unavailable,
            Self::Controller(error) => of_controller(error),
        }
    }
}

fn of_controller(error: &ControllerError) -> RequestTrouble {
    match error {
        error if error.is_temporary() => RequestTrouble::Unavailable,
        ControllerError::Store(
            StoreError::NoSuchRun { .. }
            | StoreError::AmbiguousRun { .. }
            | StoreError::NoSuchBackfill { .. },
        ) => RequestTrouble::NotFound,
        ControllerError::Store(StoreError::Full { .. }) => RequestTrouble::Unavailable,
        ControllerError::Store(
            StoreError::MovedOn { .. } | StoreError::LeaseLost { .. } | StoreError::BackfillIs { .. },
        )
        | ControllerError::HasEnded { .. }
        | ControllerError::NothingLeft { .. }
        | ControllerError::Driven { .. }
        | ControllerError::Pipeline { .. } => RequestTrouble::Conflict,
        ControllerError::Refused { cause, .. } => match cause {
            noctule_engine::IllegalEvent::UnknownStep { .. } => RequestTrouble::NotFound,
            _ => RequestTrouble::Conflict,
        },
        ControllerError::Interval(_) => RequestTrouble::Invalid,
        _ => RequestTrouble::Internal,
    }
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    match names.len() {
        0 => ": none is loaded".to_owned(),
        1..=SHOWN => format!(": there are {}", names.join(", ")),
        more => format!(": there are {} and {} more", names[..SHOWN].join(", "), more - SHOWN),
    }
}

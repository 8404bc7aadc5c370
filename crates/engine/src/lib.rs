//! A run as a state machine.
//!
//! The engine takes events and gives commands: no clock, no I/O, no threads. Time comes in with each event, and the
//! engine says when it next wants to be woken. A run's state is the fold of its events, so that a crash costs nothing
//! but a fold, and a million faulty nights can be simulated from seeds.
//!
//! Read [`event`] and [`command`] first, then [`run`], then [`failure`].

pub mod command;
pub mod event;
pub mod failure;
pub mod plan;
pub mod retry;
pub mod run;
pub mod schedule;
pub mod status;
pub mod step;

pub use command::Command;
pub use event::{ArtifactRef, Event, Handle, Phase, Publication};
pub use failure::{Evidence, FailureClass};
pub use plan::{Role, RunPlan, StepPlan};
pub use run::{IllegalEvent, Run};
pub use status::{End, Held, Rejection, RunStatus, SkipReason, StepState, StopReason};
pub use step::{Asked, Attempt, AttemptResult, StepRun};

//! What the steps of a pipeline do.
//!
//! Each module does what the module of the same name in `noctule_spec::kinds` declares: it reads artifacts, computes,
//! and leaves one artifact. [`attempt`] is the frame around them: what a child process or a pod runs. It reads the
//! launch document, opens the store, calls the kind's `run`, commits what that left in the draft, and turns an error
//! into an exit code. No step touches the database, and none learns more than its launch document says.
//!
//! A kind's `run` is given its settings and an [`Attempt`]: its inputs as tables or files, a place to write outputs, and
//! a voice ([`Emit`]) for metrics, progress and notes.

pub mod attempt;
mod emit;
mod error;
mod evaluation;
mod inputs;
mod interactions;
mod memory;
pub mod model;
mod outputs;
mod pool;
mod watch;

pub mod dedup;
pub mod evaluate;
pub mod extract;
pub mod filter;
pub mod gate;
pub mod publish;
pub mod shell;
pub mod split;
pub mod train;

pub use attempt::{Arguments, Attempt, AttemptError, run};
pub use emit::Emit;
pub use error::{Class, Classed, StepError};
pub use extract::{list_sources, source_exists};
pub use inputs::{InputError, InputFile};
pub use outputs::TableOutput;

/// What `run` of a step kind returns.
pub type StepResult = Result<noctule_artifacts::Outcome, StepError>;

//! Where attempts run.
//!
//! A [`Launcher`] starts attempts, stops them and tells what it observes of them; it never decides what should happen
//! next. [`local`] runs each as a child process under a small supervisor of its own, which outlives the process that
//! started it.

mod launcher;
pub mod local;
pub mod log;

pub use launcher::{
    AttemptKey, Launch, LaunchError, Launcher, Observation, Observations, Observed, Seen, SeenState, Started,
};
pub use local::LocalLauncher;

//! The only loop: what the launcher saw and what the clock says go to the engine, and the engine is obeyed.
//!
//! A [`Controller`] holds the places that a run needs: the store's log, the depot's artifacts, the launcher's
//! processes, and a [`SourceLister`] that knows external sources. [`Controller::create`] begins a run,
//! [`Controller::open`] takes up one that has begun; either gives a [`Drive`], which goes round until the run has ended.
//!
//! The order of things is the same everywhere: an intent is committed before its effect is asked for, and a fact is
//! committed before anything follows from it. So a crash at any moment loses nothing but time.
//!
//! [`serve`] is the server around it: the pipelines of a folder, their schedules, and many drives at a time.
//!
//! It does not know how any step works, nor how a terminal looks. Start with [`drive`], then [`prepare`].

mod ask;
pub mod definition;
pub mod drive;
mod error;
mod holder;
mod machine;
pub mod outbox;
pub mod plan;
pub mod prepare;
pub mod preview;
mod publish;
mod reuse;
pub mod serve;
pub mod slots;
pub mod sweep;
pub mod watch;
pub mod words;

use std::sync::Arc;

use noctule_artifacts::RegistryId;
use noctule_depot::Depot;
use noctule_launcher::Launcher;
use noctule_launcher::local::Machine;
use noctule_store::Store;

pub use ask::{Ask, Asked};
pub use definition::Definition;
pub use drive::{Cancel, Drive, Ended};
pub use error::ControllerError;
pub use prepare::{ListError, SourceLister};
pub use preview::{Expected, Preview};
pub use slots::{Limits, Slots};
pub use watch::{Seen, Watch};

/// What a run needs around it.
#[derive(Clone)]
pub struct Controller {
    pub store: Store,
    pub depot: Depot,
    pub launcher: Arc<dyn Launcher>,
    pub lister: Arc<dyn SourceLister>,
    pub machine: Machine,
    /// How many attempts may be live at a time.
    pub slots: Slots,
    pub registry: RegistryId,
}

//! The rules of the model registry.
//!
//! A *version* is an immutable model under a name and a number. An *alias*, such as `champion`, is a movable name for
//! one version; where it points is the fold of an append-only history of *promotions*, and nothing else. This crate
//! says what may be appended: a run's candidate only past a passed gate that judged exactly that model, only over the
//! version that the gate compared with, and never over a pin; a person's wish only with a reason.
//!
//! It knows no database, no store and no clock: the rows come in, the next row goes out. Start with [`history`], then
//! [`decision`].

pub mod decision;
pub mod history;
pub mod identity;
pub mod person;
pub mod pointer;
pub mod recover;
pub mod refusal;
pub mod version;

pub use decision::{Decision, Held, PassedGate, Place};
pub use history::{AliasState, History, Promotion};
pub use identity::RegistryMark;
pub use person::Person;
pub use refusal::Refusal;
pub use version::Version;

//! The kinds of step: one file per kind, which declares its settings, defaults, ranges, outputs and prose.
//!
//! Schema, `explain` and the reference page come from here; `crates/steps` has a file of the same name that does it.

pub mod dedup;
pub mod evaluate;
pub mod extract;
pub mod filter;
pub mod gate;
pub mod publish;
pub mod shell;
pub mod split;
pub mod train;

//! Artifacts and published models in a store: a folder, S3, Google Cloud Storage or Azure.
//!
//! Nothing in a store is ever half there. An attempt writes its files first and its manifest last, into a free place;
//! a reader goes through the manifest, and checks size and SHA-256 of every file that it is given. A store that cannot
//! refuse a second writer is itself refused.
//!
//! The crate knows nothing of tables, steps or runs: it moves whole files. Start with [`Depot`], then [`Draft`].

mod address;
mod bucket;
mod cache;
mod depot;
mod draft;
mod error;
mod fetch;
mod folder;
mod hashing;
mod models;
mod names;
pub mod remote;
mod scratch;
mod sweep;
mod transfer;

pub use address::Options;
pub use depot::{Claim, Depot, Listed, Put, Replace, Tag};
pub use draft::{Committed, Contents, Draft};
pub use error::{Error, Result, Trouble};
pub use fetch::{Fault, file_path};
pub use models::{Pointed, Published};
pub use sweep::AttemptFiles;
pub use transfer::read_export;

//! What an artifact is.
//!
//! An artifact is the immutable output of a step, known by its digest. This crate holds the words that every other
//! crate speaks about artifacts in: identifiers, digests, the manifest that makes an output visible, the fingerprint
//! that decides whether a step has to run again, the launch document that tells an attempt what to do, the lines a
//! running attempt reports on, and the manifest of a published model version.
//!
//! It knows no storage, no clock and no step: bytes in, bytes out. Start with [`manifest`], then [`launch`].

pub mod address;
pub mod digest;
pub mod erased;
pub mod fingerprint;
pub mod ids;
pub mod launch;
pub mod layout;
pub mod line;
pub mod manifest;
pub mod redact;
pub mod version;

pub use digest::{Digest, canonical_json};
pub use erased::ErasedUsers;
pub use fingerprint::Fingerprint;
pub use ids::{
    AliasName, AttemptNumber, ModelName, OutputName, ParseIdError, PipelineName, RegistryId, RunId, StepName,
    VersionNumber,
};
pub use manifest::{FileEntry, Identity, Manifest, ManifestError, Outcome, Part, Record};

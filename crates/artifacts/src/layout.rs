//! Where things lie in the store: one function per path, so that no two places spell a path.

use crate::digest::Digest;
use crate::ids::{AliasName, AttemptNumber, ModelName, RunId, StepName, VersionNumber};

/// The file whose presence makes an attempt's output an artifact.
pub const MANIFEST: &str = "manifest.json";

/// The prefix that one attempt may write below; it ends in `/`.
pub fn attempt_prefix(run: &RunId, step: &StepName, attempt: AttemptNumber) -> String {
    format!("runs/{run}/{step}/{attempt}/")
}

pub fn attempt_manifest(run: &RunId, step: &StepName, attempt: AttemptNumber) -> String {
    format!("{}{MANIFEST}", attempt_prefix(run, step, attempt))
}

/// The launch document stands beside the prefix, not below it: the attempt reads it and cannot change it.
pub fn launch_document(run: &RunId, step: &StepName, attempt: AttemptNumber) -> String {
    format!("runs/{run}/{step}/{attempt}.launch.json")
}

/// What the attempt's process wrote to its standard streams.
pub fn attempt_log(run: &RunId, step: &StepName, attempt: AttemptNumber) -> String {
    format!("runs/{run}/{step}/{attempt}.log")
}

/// The object that names the registry this store belongs to.
pub fn registry_object() -> &'static str {
    "registry.json"
}

/// A list of users whose rows no extract takes in.
pub fn erased_users(digest: &Digest) -> String {
    format!("erased/{}.json", digest.to_string().trim_start_matches("sha256:"))
}

/// The prefix of one version's files; it ends in `/`.
pub fn version_prefix(model: &ModelName, version: VersionNumber) -> String {
    format!("models/{model}/versions/{version}/")
}

pub fn version_manifest(model: &ModelName, version: VersionNumber) -> String {
    format!("{}version.json", version_prefix(model, version))
}

/// What readers outside follow to the version that an alias points at.
pub fn alias_pointer(model: &ModelName, alias: &AliasName) -> String {
    format!("models/{model}/aliases/{alias}.json")
}

/// One promotion's record, by its sequence number in the registry.
pub fn promotion_record(model: &ModelName, sequence: u64) -> String {
    format!("models/{model}/promotions/{sequence:010}.json")
}

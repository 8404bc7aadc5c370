//! What an erasure found, and what became of it.

use noctule_artifacts::{ModelName, PipelineName, RunId, StepName, VersionNumber};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ErasureDocument {
    /// Nothing was written down or deleted.
    pub dry_run: bool,
    /// How many users the file names, and how many of them are new on the list.
    pub users: usize,
    pub new: u64,
    /// How many artifacts were looked at.
    pub looked_at: u64,
    /// Those that hold rows of the users.
    pub artifacts: Vec<HolderDocument>,
    /// Versions that were trained on them, or of which that cannot be told.
    pub versions: Vec<TrainedDocument>,
}

/// An artifact that holds rows of the users.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HolderDocument {
    pub manifest: String,
    pub pipeline: PipelineName,
    pub run: RunId,
    pub step: StepName,
    pub rows: u64,
    /// Whether its files were deleted; after a dry run, would be.
    pub deleted: bool,
    /// What needs it, if anything does.
    pub kept_for: Option<String>,
}

/// A version that knows the users.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainedDocument {
    pub model: ModelName,
    pub version: VersionNumber,
    /// The aliases that point at it.
    pub aliases: Vec<String>,
    pub why: String,
}

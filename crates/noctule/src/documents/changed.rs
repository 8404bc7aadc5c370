//! What came of something that was asked for.

use noctule_artifacts::{AliasName, ModelName, PipelineName, RunId, VersionNumber};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A run that was begun.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BegunDocument {
    #[schema(value_type = String, example = "rabcdefghijkl")]
    pub run: RunId,
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
}

/// Something was asked of a run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AskedDocument {
    #[schema(value_type = String, example = "rabcdefghijkl")]
    pub run: RunId,
    /// How the run stands now; it may have yet to act on what was asked.
    #[schema(example = "stopping")]
    pub status: String,
    /// Who was told, when another process drives the run; `null` when it stands in the run's log already.
    pub told: Option<String>,
}

/// A schedule was paused, or goes on.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PausedDocument {
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    pub paused: bool,
}

/// Where an alias points after somebody wanted to move it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MovedDocument {
    #[schema(value_type = String)]
    pub model: ModelName,
    #[schema(value_type = String)]
    pub alias: AliasName,
    #[schema(value_type = u32)]
    pub version: VersionNumber,
    pub moved: bool,
    /// Runs do not move it until it is unpinned.
    pub pinned: bool,
    /// What could not be written to the store yet, and stays owed to it.
    pub owed: Vec<String>,
}

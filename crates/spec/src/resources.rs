//! `resources`: what an attempt may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Cpu, Size};

/// What an attempt may use. What is not given is left to the place where it runs: locally all of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Processor cores: `2`, `0.5` or `500m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// Memory: `4Gi`, `512Mi`. An attempt that goes beyond it is ended as out of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub memory: Option<Size>,
}

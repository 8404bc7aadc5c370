//! `publish`: makes a version of the model that the gate let pass, and moves an alias to it.

use noctule_artifacts::{AliasName, ModelName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::Reference;

/// What is published, under which name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The model: the one that the gate's evaluation judged.
    #[schemars(extend("x-noctule-role" = "model"))]
    pub model: Reference,
    /// The gate that must have passed.
    #[schemars(extend("x-noctule-role" = "gate"))]
    pub gate: Reference,
    /// The name that versions are published under.
    #[schemars(with = "String", extend("x-noctule" = "name"))]
    pub name: ModelName,
    /// The alias that is moved to the new version.
    #[schemars(with = "String", extend("x-noctule" = "name"))]
    pub alias: AliasName,
}

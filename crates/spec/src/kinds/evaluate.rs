//! `evaluate`: scores a candidate and the models it is compared with, in one pass over the same users.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;
use crate::reference::{ModelReference, Reference};

/// What is evaluated, on what, against what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The candidate.
    pub model: ModelReference,
    /// What each user has seen, which items are candidates, and what popularity counts: usually the training rows.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub history: Reference,
    /// The rows to predict.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub test: Reference,
    /// Models to score beside the candidate: `name@alias`, `name@3`, a step, or `popularity`. An alias that points
    /// nowhere yet is left out, and said to be.
    #[serde(default)]
    pub compare: Vec<ModelReference>,
    /// What to compute.
    #[schemars(length(min = 1))]
    pub metrics: Vec<Metric>,
    /// How many users are scored at most.
    #[serde(default)]
    pub users: UserSample,
    /// Groups of users to score by themselves as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<Slices>,
}

/// How many users are scored at most. The same are chosen for all models, by a salted hash of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserSample {
    /// Up to this many users all are scored.
    #[serde(default = "hundred_thousand")]
    #[schemars(range(min = 1))]
    pub sample: u64,
    /// Another salt chooses other users.
    #[serde(default)]
    pub salt: String,
}

fn hundred_thousand() -> u64 {
    100_000
}

impl Default for UserSample {
    fn default() -> Self {
        Self { sample: hundred_thousand(), salt: String::new() }
    }
}

/// Groups of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slices {
    /// A table with the column `user` and an attribute of the user per column.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub users: Reference,
    /// The attributes to group by, each by itself.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
    /// A group of fewer test users lacks support.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 1))]
    pub min_users: u64,
}

fn two_hundred() -> u64 {
    200
}

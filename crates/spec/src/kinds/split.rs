//! `split`: sets interactions apart for training, test and validation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::reference::Reference;
use crate::units::Cut;

/// What a split does. Test rows whose user or item has no training row are dropped and counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The interactions: a table with the columns `user` and `item`, and `time` under `by: time` and `by: last`.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub input: Reference,
    /// What decides which rows are test rows.
    pub by: By,
    /// How much becomes test. Under `by: time` a span before the interval's end (`1d`) or a share of the rows
    /// (`10%`); under `random` a share of the rows; under `user` a share of the users; under `last` it is `last`.
    #[serde(default = "last")]
    pub test: Cut,
    /// How much of the training rows becomes validation, cut the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Cut>,
    /// The seed of `by: random` and `by: user`.
    #[serde(default)]
    pub seed: u64,
}

fn last() -> Cut {
    Cut::Last
}

/// What decides which rows are test rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The latest rows are test; ties in time are broken by user and item.
    Time,
    /// Rows are drawn at random.
    Random,
    /// Each user's latest row is test, if the user has at least two.
    Last,
    /// All rows of users drawn at random are test.
    User,
}

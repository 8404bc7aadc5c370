//! `dedup`: makes one interaction of repeated ones, and one item of near-duplicates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Declaration, Output, Settling};
use crate::diagnostic::Code;
use crate::form::Form;
use crate::pipeline::StepKind;
use crate::reference::Reference;

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 2;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "dedup",
    version: VERSION,
    summary: "Makes one interaction of repeated ones, and one item of near-duplicates.",
    prose: "\
Repeated events go first, then near-duplicate items are joined and interactions rewritten to the one that stays, then \
repeated pairs of user and item are settled. Of near-duplicate items the oldest id stays: ids that an earlier good run \
kept are kept again. Two items whose texts differ in a number (an episode, a year) are never joined.

A row that stands for several of its pair says in `first_time` when the first of them was: a time like `time`, added \
by every rule of `pairs` but `keep-first`, whose row is the first itself, when the rows have a `time`. A table that has \
the column already keeps its earliest one. `split` goes by it.",
    outputs: &[
        Output { name: "main", prose: "The interactions." },
        Output { name: "canonical", prose: "With `near`: each item and the id that stands for it." },
        Output { name: "items", prose: "With `items`: the catalogue of the items that stay." },
    ],
    example: "\
unique:
  uses: dedup
  with:
    input: events
    repeated: {key: event_id}
    pairs: keep-latest
    items: catalogue
    near: {columns: [title, text], jaccard: 0.7}
",
    form: Form::of::<Settings>,
    settle,
};

/// What a dedup does. Repeated events go first, then near-duplicate items, then repeated pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The interactions: a table with the columns `user` and `item`.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub input: Reference,
    /// Drops repeated events: of the rows with equal keys one is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repeated>,
    /// What becomes of several rows of one user and item. Without it all are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Pairs>,
    /// The item catalogue: a table with the column `item`. It is rewritten into the output `items`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-role" = "table"))]
    pub items: Option<Reference>,
    /// Joins items with nearly the same text. Needs `items`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<Near>,
}

/// What makes two rows the same event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// The column, or the list of columns, that names an event.
    pub key: Columns,
}

/// One or more columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("x-noctule-scalar" = "[]", "minItems" = 1))]
pub struct Columns(pub Vec<String>);

/// What becomes of several rows of one user and item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pairs {
    /// The row with the latest `time` stays.
    KeepLatest,
    /// The row with the earliest `time` stays.
    KeepFirst,
    /// The row with the greatest `value` stays.
    KeepMax,
    /// One row with the sum of `value` and the latest `time`.
    Sum,
    /// One row with the number of rows as `value` and the latest `time`.
    Count,
}

/// When two items are one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Near {
    /// The catalogue's text columns that are compared, joined in this order.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
    /// The least Jaccard similarity of the sets of character 4-grams of the folded text.
    #[serde(default = "seven_tenths")]
    #[schemars(range(min = 0.1, max = 1.0))]
    pub jaccard: f64,
    /// How pairs are found. `auto` is exact up to a million items, and MinHash with verification above.
    #[serde(default)]
    pub method: NearMethod,
}

fn seven_tenths() -> f64 {
    0.7
}

/// How near-duplicate pairs are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NearMethod {
    #[default]
    Auto,
    Exact,
    Minhash,
}

fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let settings: Settings = settling.read(canonical)?;
    if settings.near.is_some() && settings.items.is_none() {
        settling.refuse(
            &["near"],
            Code::MissingKey,
            "`near` compares items' texts, and there is no `items` to take them from",
            "add `items: <the step that extracts the catalogue>`",
        );
    }
    if settings.repeated.is_none() && settings.pairs.is_none() && settings.near.is_none() {
        settling.warn(
            &["input"],
            "this `dedup` has no rule and keeps every row",
            "add `repeated`, `pairs` or `near`, or remove the step",
        );
    }
    Some(StepKind::Dedup(settings))
}

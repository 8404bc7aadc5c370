//! `filter`: keeps the interactions that are worth learning from.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Declaration, Output, Settling};
use crate::diagnostic::Code;
use crate::form::Form;
use crate::pipeline::StepKind;
use crate::reference::Reference;
use crate::units::Span;

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 1;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "filter",
    version: VERSION,
    summary: "Keeps the interactions that are worth learning from.",
    prose: "\
The rules that are written run in this order, whatever the order in the file: `window`, `ranges`, `harm`, `block`, \
`bots`, `support`, `users`, `k_core`. Each reports rows, users and items before and after it.",
    outputs: &[Output { name: "main", prose: "The interactions that are left." }],
    example: "\
active:
  uses: filter
  with:
    input: events
    items: catalogue
    harm: {max: 0.8}
    bots: {max_per_minute: 60}
    users: {min_items: 10, within: 10d}
",
    form: Form::of::<Settings>,
    settle,
};

/// What a filter does. The rules run in the order window, ranges, harm, block, bots, support, users, k_core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The interactions to filter: a table with the columns `user` and `item`.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub input: Reference,
    /// The item catalogue: a table with the column `item`. Interactions with items outside it are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-role" = "table"))]
    pub items: Option<Reference>,
    /// Keeps rows with a `time` in `[interval.end - window, interval.end)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub window: Option<Span>,
    /// Keeps rows whose value of a column lies in a range, both ends included. A row without a value is dropped.
    #[serde(default)]
    pub ranges: BTreeMap<String, Bounds>,
    /// Drops items whose harm score is too high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<Harm>,
    /// Drops listed users and items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
    /// Drops users that act faster than people do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bots: Option<Bots>,
    /// Keeps items that enough users chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<Support>,
    /// Keeps active users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<ActiveUsers>,
    /// Repeats the rules for users and items until both hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k_core: Option<KCore>,
}

/// Which users are active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActiveUsers {
    /// The least number of distinct items.
    #[schemars(range(min = 1))]
    pub min_items: u64,
    /// Counts only rows with a time in `[interval.end - within, interval.end)`. Without it all rows count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub within: Option<Span>,
}

/// Which items have enough support.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Support {
    /// The least number of distinct users.
    #[schemars(range(min = 1))]
    pub min_users: u64,
}

/// The core of the interaction graph: what is left when thin users and items are dropped over and over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KCore {
    /// The least number of distinct items per user.
    #[schemars(range(min = 1))]
    pub users: u64,
    /// The least number of distinct users per item.
    #[schemars(range(min = 1))]
    pub items: u64,
}

/// A range of values; an end that is not given is open.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// The least value kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The greatest value kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Users and items to drop.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// A table with the column `user`, or a list of ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<BlockList>,
    /// A table with the column `item`, or a list of ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<BlockList>,
}

/// Ids to drop: those of a table, or a list. Ids are kept as text and compared as the column's own type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockList {
    Table(Reference),
    Listed(Vec<String>),
}

impl JsonSchema for BlockList {
    fn schema_name() -> Cow<'static, str> {
        "BlockList".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut table = Reference::json_schema(generator);
        table.insert("x-noctule-role".to_owned(), "table".into());
        json_schema!({
            "x-noctule": "either",
            "x-noctule-scalar": {"key": "table", "value": table},
            "x-noctule-list": {"key": "listed", "value": {
                "type": "array",
                "items": {"type": "string", "x-noctule": "id"},
            }},
        })
    }
}

/// Which items are too harmful.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Harm {
    /// The highest score kept.
    pub max: f64,
    /// The column of the score: of the catalogue when `items` is given, else of the input.
    #[serde(default = "harm_column")]
    pub column: String,
}

fn harm_column() -> String {
    "harm".to_owned()
}

/// Which users are taken for bots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bots {
    /// The most interactions that a person has in one minute of the clock. A user that ever has more is dropped.
    #[schemars(range(min = 1))]
    pub max_per_minute: u64,
}

/// The settings that are rules.
const RULES: [&str; 9] = ["window", "ranges", "harm", "block", "bots", "support", "users", "k_core", "items"];

fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let settings: Settings = settling.read(canonical)?;
    if !RULES.into_iter().any(|rule| settling.is_written(rule)) {
        settling.warn(
            &["input"],
            "this `filter` has no rule and keeps every row",
            "add a rule, or remove the step",
        );
    }
    for (column, bounds) in &settings.ranges {
        match (bounds.min, bounds.max) {
            (None, None) => settling.refuse(
                &["ranges", column],
                Code::MissingKey,
                format!("the range of `{column}` has neither `min` nor `max`"),
                "give one of them, or both",
            ),
            (Some(min), Some(max)) if min > max => settling.refuse(
                &["ranges", column],
                Code::OutOfRange,
                format!("the range of `{column}` is empty: `min` {min} is above `max` {max}"),
                "swap them",
            ),
            _ => {}
        }
    }
    if settings.block.as_ref().is_some_and(|block| block.users.is_none() && block.items.is_none()) {
        settling.refuse(&["block"], Code::MissingKey, "`block` has neither `users` nor `items`", "");
    }
    Some(StepKind::Filter(settings))
}

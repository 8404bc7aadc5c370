//! The shop's tables and the columns of each.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::settings::{SettingsError, nearest};

/// A table of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// The interaction log, one partition a day.
    Events,
    /// The catalogue, one whole snapshot a day.
    Items,
    /// The registered users, one whole snapshot a day.
    Users,
}

impl Table {
    pub const ALL: [Table; 3] = [Table::Events, Table::Items, Table::Users];

    /// The name in an address: `events`, `items`, `users`.
    pub fn name(self) -> &'static str {
        match self {
            Table::Events => "events",
            Table::Items => "items",
            Table::Users => "users",
        }
    }

    /// The table with that name; an unknown one is an error that names the nearest.
    pub fn named(name: &str) -> Result<Table, SettingsError> {
        Table::ALL.into_iter().find(|table| table.name() == name).ok_or_else(|| SettingsError::UnknownTable {
            table: name.into(),
            nearest: nearest(name, &Table::ALL.map(Table::name)),
        })
    }

    /// Whether each day holds the whole table (a snapshot) rather than that day's rows.
    pub fn is_snapshot(self) -> bool {
        self != Table::Events
    }

    pub fn schema(self) -> SchemaRef {
        match self {
            Table::Events => events_schema(),
            Table::Items => items_schema(),
            Table::Users => users_schema(),
        }
    }
}

/// Columns of the event log. `date`, the partition, is not among them.
///
/// `event` is impression, click, like, share, purchase or watch. `watch_seconds`, `duration`
/// (the item's length in seconds) and `watch_share` (their ratio, 0 to 1) are null unless
/// it is watch. A malformed row may have a null `item_id` or `ts`.
pub fn events_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("event_id", DataType::Int64, false),
        Field::new("user_id", DataType::Int64, false),
        Field::new("item_id", DataType::Int64, true),
        Field::new("ts", timestamp(), true),
        Field::new("event", DataType::Utf8, false),
        Field::new("watch_seconds", DataType::Float64, true),
        Field::new("duration", DataType::Float64, true),
        Field::new("watch_share", DataType::Float64, true),
    ]))
}

/// Columns of the catalogue. `harm_score` is 0 to 1; `duration` is in seconds; `price` is
/// null where the item sells nothing.
pub fn items_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("item_id", DataType::Int64, false),
        Field::new("title", DataType::Utf8, false),
        Field::new("description", DataType::Utf8, false),
        Field::new("category", DataType::Utf8, false),
        Field::new("creator_id", DataType::Int64, false),
        Field::new("harm_score", DataType::Float64, false),
        Field::new("duration", DataType::Float64, false),
        Field::new("price", DataType::Float64, true),
        Field::new("posted_at", timestamp(), false),
    ]))
}

/// Columns of the user table.
pub fn users_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("user_id", DataType::Int64, false),
        Field::new("age_band", DataType::Utf8, false),
        Field::new("country", DataType::Utf8, false),
        Field::new("device", DataType::Utf8, false),
        Field::new("signed_up_at", timestamp(), false),
    ]))
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

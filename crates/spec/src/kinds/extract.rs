//! `extract`: takes rows out of files, or the synthetic product, into a table.

mod written;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Declaration, Output};
use crate::form::Form;
use crate::units::{Change, Share, Span};

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 2;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "extract",
    version: VERSION,
    summary: "Takes rows out of files, or the synthetic product, into a table.",
    prose: "\
Reads Parquet, CSV and NDJSON from local paths, globs, hive partitions and object stores. Rows that cannot be read are \
counted and kept aside in `rejected`, and fail the step above `rejected.max_share`; none is dropped silently. Exactly \
the objects that were listed before the step began are read. Each partition of the source is a part of the result, and \
a later run takes over the parts that have not changed. Rows of a dated partition that lie outside of the window, since \
they came late or are from the future, are kept aside in `outside`: in another night's window they may lie inside, and \
no partition is read again for them.

A step has one source, written into `with` itself, or several under `sources`, which `sql` joins. Interactions have \
the columns `user` and `item`, and where it matters `time`, `value`, and `first_time`, when the pair was first seen; a \
catalogue has `item`. `where` and `sql` see the columns of the source, by their own names; `columns` then names what is \
made of them. Unsigned numbers that do not fit into 64 bits with a sign are names, and read as text.

An HTTP address may have its permit in its query, as presigned addresses of object stores do: the query is used to \
fetch and stays out of messages, manifests and logs; noctule's own state and the attempt's launch document hold it. \
What is behind it is known by its ETag, or by size and date; where a server tells neither it is read anew in each \
run. Object stores find their credentials in the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`). A remote object is \
fetched to local disk before it is read, as many partitions at a time as the step has threads.",
    outputs: &[
        Output { name: "main", prose: "The rows, as Parquet." },
        Output { name: "rejected", prose: "Rows that could not be read, each with the reason." },
        Output {
            name: "outside",
            prose: "With `window`, and without `sql`: rows of dated partitions that lie outside of it, each with its \
                    place among the partition's rows.",
        },
    ],
    example: "\
events:
  uses: extract
  with:
    source: s3://logs/events/
    window: 28d
    where: event = 'watch' AND watch_share >= 0.5
    columns: {user: user_id, item: item_id, time: {from: ts, type: timestamp, unit: ms}}
    expect: {partitions: all, rows: {vs_last_good: -30%}, newest: 2h}
",
    form: Form::of::<written::Written>,
    settle: written::settle,
};

/// What an extract does, with all defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The sources by name. A step written with `source:` has one, called [`ONLY_SOURCE`].
    pub sources: BTreeMap<String, Source>,
    /// Rows with a `time` in `[interval.end - window, interval.end)` are kept.
    pub window: Option<Span>,
    pub snapshot: Option<Snapshot>,
    /// A condition over the source's own columns. Only with a single source.
    #[serde(rename = "where")]
    pub condition: Option<String>,
    /// A `SELECT` over the sources' names.
    pub sql: Option<String>,
    pub rejected: Rejected,
    pub expect: Option<Expect>,
}

/// The name of the source of a step that has one.
pub const ONLY_SOURCE: &str = "source";

/// Where rows come from, and how they are written there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A path, a glob or a URL: `demo://shop/events`, `file://`, `s3://`, `gs://`, `az://`, `https://`.
    #[schemars(extend("x-noctule" = "source"))]
    pub source: String,
    /// How the files are written. `auto` goes by their names.
    #[serde(default)]
    pub format: Format,
    /// What separates the fields of a CSV file; more than one character is allowed, such as `::`. Without it the
    /// one of comma, tab, `::`, `;` and `|` that fits the first line best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub delimiter: Option<String>,
    /// Whether the first line of a CSV file names the columns: `true`, unless `names` does.
    #[serde(default = "yes")]
    pub header: bool,
    /// The columns of a CSV file without a header, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub names: Option<Vec<String>>,
    /// The character that quotes a CSV field; empty text for none.
    #[serde(default = "double_quote")]
    #[schemars(length(max = 1))]
    pub quote: String,
    /// How text is encoded.
    #[serde(default)]
    pub encoding: Encoding,
    /// How the files are compressed. `auto` goes by their names; Parquet compresses by itself.
    #[serde(default)]
    pub compression: Compression,
    /// The columns to make, each by the name of the source's column, or as `{from, type, unit}`. Without it all columns
    /// are taken as they are.
    #[serde(default)]
    #[schemars(extend("x-noctule-keys" = "column"))]
    pub columns: BTreeMap<String, Column>,
}

fn yes() -> bool {
    true
}

fn double_quote() -> String {
    "\"".to_owned()
}

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    #[default]
    Auto,
    Parquet,
    Csv,
    Ndjson,
}

/// How text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    #[default]
    Utf8,
    /// ISO-8859-1.
    Latin1,
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    #[default]
    Auto,
    None,
    Gzip,
    Zstd,
}

/// A column to make: the name of the source's column alone, or with a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("x-noctule-scalar" = "from"))]
pub struct Column {
    /// The column of the source.
    #[schemars(length(min = 1))]
    pub from: String,
    /// The type to read it as. Without one the source's own type is kept.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub data_type: Option<ColumnType>,
    /// What a whole number in a timestamp column counts since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<TimeUnit>,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnType {
    Integer,
    Float,
    Text,
    Boolean,
    Timestamp,
}

/// What a whole number in a timestamp column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    S,
    Ms,
    Us,
    Ns,
}

/// A table without a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Snapshot {
    /// The newest partition that ends at or before the interval's end, or the whole of an unpartitioned table.
    Latest,
}

/// What becomes of rows that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// The share of rejected rows above which the step fails. Up to it they are counted and kept aside in the
    /// output `rejected`.
    #[serde(default = "one_percent")]
    pub max_share: Share,
}

fn one_percent() -> Share {
    Share::new(0.01).expect("one percent is a share")
}

impl Default for Rejected {
    fn default() -> Self {
        Self { max_share: one_percent() }
    }
}

/// What the data must look like to be trained on. Anything else is a data-stop: the run ends before training, the
/// champion stays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// `all`: every partition of the window is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<Partitions>,
    /// How many rows there must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<ExpectedRows>,
    /// How far before the interval's end the newest row may lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub newest: Option<Span>,
}

/// Which partitions must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Partitions {
    All,
}

/// How many rows there must be.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectedRows {
    /// The least number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The deepest fall against the last good run, such as `-30%`, in rows of the interval's own span. Skipped, and
    /// said to be, when there is no such run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vs_last_good: Option<Change>,
}

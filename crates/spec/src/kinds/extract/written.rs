//! `with` of an extract as it is written: the keys of one source in place, or several sources by name.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Column, ColumnType, Compression, Encoding, Expect, Format, ONLY_SOURCE, Rejected, Settings, Snapshot,
    Source, double_quote, yes,
};
use crate::diagnostic::Code;
use crate::kinds::Settling;
use crate::pipeline::StepKind;
use crate::units::Span;

/// `with` as it is written: one source in place, or several by name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// A path, a glob or a URL: `demo://shop/events`, `file://`, `s3://`, `gs://`, `az://`, `https://`.
    #[serde(default)]
    #[schemars(extend("x-noctule" = "source"))]
    source: Option<String>,
    /// How the files are written. `auto` goes by their names.
    #[serde(default)]
    format: Format,
    /// What separates the fields of a CSV file; more than one character is allowed, such as `::`. Without it the
    /// one of comma, tab, `::`, `;` and `|` that fits the first line best.
    #[serde(default)]
    #[schemars(length(min = 1, max = 8))]
    delimiter: Option<String>,
    /// Whether the first line of a CSV file names the columns: `true`, unless `names` does.
    #[serde(default = "yes")]
    header: bool,
    /// The columns of a CSV file without a header, in order.
    #[serde(default)]
    #[schemars(length(min = 1))]
    names: Option<Vec<String>>,
    /// The character that quotes a CSV field; empty text for none.
    #[serde(default = "double_quote")]
    #[schemars(length(max = 1))]
    quote: String,
    /// How text is encoded.
    #[serde(default)]
    encoding: Encoding,
    /// How the files are compressed. `auto` goes by their names; Parquet compresses by itself.
    #[serde(default)]
    compression: Compression,
    /// The columns to make, each by the name of the source's column, or as `{from, type, unit}`. Without it all columns
    /// are taken as they are.
    #[serde(default)]
    #[schemars(extend("x-noctule-keys" = "column"))]
    columns: BTreeMap<String, Column>,
    /// Several sources by name, for `sql` to join. Each has the keys of a single source.
    #[serde(default)]
    #[schemars(extend("x-noctule-keys" = "variable"))]
    sources: BTreeMap<String, Source>,
    /// Keeps rows with a `time` in `[interval.end - window, interval.end)`; others are dropped and counted.
    #[serde(default)]
    #[schemars(extend("x-noctule-positive" = true))]
    window: Option<Span>,
    /// Takes a table without a window: its newest state.
    #[serde(default)]
    snapshot: Option<Snapshot>,
    /// An SQL condition over the source's own columns. Rows that do not meet it are dropped.
    #[serde(default, rename = "where")]
    #[schemars(extend("x-noctule" = "condition"))]
    condition: Option<String>,
    /// An SQL query over the sources' names; a single source is called `source`.
    #[serde(default)]
    #[schemars(extend("x-noctule" = "select"))]
    sql: Option<String>,
    /// What becomes of rows that cannot be read.
    #[serde(default)]
    rejected: Rejected,
    /// What the data must look like to be trained on. Anything else is a data-stop: the run ends before training, and
    /// the champion stays.
    #[serde(default)]
    expect: Option<Expect>,
}

/// The keys that describe a single source.
const SOURCE_KEYS: [&str; 9] =
    ["source", "format", "delimiter", "header", "names", "quote", "encoding", "compression", "columns"];

pub(super) fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let written: Written = settling.read(canonical)?;
    check_shape(&written, settling);
    check_columns(&written, settling);
    check_expect(&written, settling);
    let sources = match written.source {
        Some(source) => {
            let header = written.header && (written.names.is_none() || settling.is_written("header"));
            let only = Source {
                source,
                format: written.format,
                delimiter: written.delimiter,
                header,
                names: written.names,
                quote: written.quote,
                encoding: written.encoding,
                compression: written.compression,
                columns: written.columns,
            };
            check_source(&only, &[], settling);
            BTreeMap::from([(ONLY_SOURCE.to_owned(), only)])
        }
        None => {
            let mut sources = written.sources;
            for (name, source) in &mut sources {
                let said = settling.with.at_path(&["sources", name, "header"]).is_some();
                source.header &= source.names.is_none() || said;
                check_source(source, &["sources", name], settling);
            }
            sources
        }
    };
    Some(StepKind::Extract(Settings {
        sources,
        window: written.window,
        snapshot: written.snapshot,
        condition: written.condition,
        sql: written.sql,
        rejected: written.rejected,
        expect: written.expect,
    }))
}

/// One source or several, and what goes with each.
fn check_shape(written: &Written, settling: &mut Settling<'_>) {
    if settling.is_written("sources") {
        check_several(written, settling);
    } else if written.source.is_none() {
        settling.refuse(
            &[],
            Code::MissingKey,
            "`extract` has no `source`",
            "name a file, a folder or a URL under `source`, or several under `sources`",
        );
    }
    if written.window.is_some() && written.snapshot.is_some() {
        settling.conflict(
            &["snapshot"],
            &["window"],
            "a snapshot has no window",
            "keep `window` for a log of events, or `snapshot` for a table of things",
        );
    }
}

fn check_several(written: &Written, settling: &mut Settling<'_>) {
    for key in SOURCE_KEYS.into_iter().filter(|key| settling.with.entry(key).is_some()) {
        settling.conflict(
            &[key],
            &["sources"],
            format!("`{key}` describes a single source, and there is `sources`"),
            "put it under each source that it is meant for",
        );
    }
    if written.sources.is_empty() {
        settling.refuse(&["sources"], Code::OutOfRange, "`sources` names none", "add one");
    }
    if written.sql.is_none() {
        settling.refuse(
            &["sources"],
            Code::MissingKey,
            "several sources need `sql` to make one table of them",
            "add a `SELECT` over the sources' names",
        );
    }
    if written.condition.is_some() {
        settling.conflict(
            &["where"],
            &["sources"],
            "`where` filters a single source, and there is `sources`",
            "put the condition into `sql`",
        );
    }
}

/// Whether the columns that other settings go by are made.
fn check_columns(written: &Written, settling: &mut Settling<'_>) {
    let known = !written.columns.is_empty() && written.sql.is_none();
    let timeless = known && !written.columns.contains_key("time");
    let newest = written.expect.as_ref().is_some_and(|expect| expect.newest.is_some());
    for (wanted, path) in [(written.window.is_some(), &["window"][..]), (newest, &["expect", "newest"])] {
        if wanted && timeless {
            let key = path[path.len() - 1];
            settling.conflict(
                path,
                &["columns"],
                format!("`{key}` goes by the column `time`, and `columns` makes none"),
                "add `time: <column of the source>` to `columns`",
            );
        }
    }
}

fn check_expect(written: &Written, settling: &mut Settling<'_>) {
    let Some(expect) = &written.expect else {
        return;
    };
    if expect.partitions.is_some() && written.window.is_none() {
        settling.refuse(
            &["expect", "partitions"],
            Code::Conflict,
            "`partitions: all` asks for every partition of the window, and there is no `window`",
            "add a `window`, or remove it",
        );
    }
    let change = expect.rows.as_ref().and_then(|rows| rows.vs_last_good);
    if change.is_some_and(|change| change.fraction() > 0.0) {
        settling.refuse(
            &["expect", "rows", "vs_last_good"],
            Code::OutOfRange,
            "`vs_last_good` is a rise, and would stop every night without one",
            "write the deepest fall that is fine, such as `-30%`",
        );
    }
}

fn check_source(source: &Source, path: &[&str], settling: &mut Settling<'_>) {
    let below = |key: &'static str| path.iter().copied().chain([key]).collect::<Vec<_>>();
    let written = |settling: &Settling<'_>, key| {
        settling.with.at_path(path).is_some_and(|node| node.entry(key).is_some())
    };
    if source.names.is_some() && source.header && written(settling, "header") {
        settling.refuse(
            &below("names"),
            Code::Conflict,
            "`names` names the columns of files without a header",
            "add `header: false`, or remove `names` and use `columns`",
        );
    }
    for key in ["delimiter", "header", "names", "quote"] {
        let other_format = match source.format {
            Format::Parquet => "parquet",
            Format::Ndjson => "ndjson",
            Format::Auto | Format::Csv => continue,
        };
        if written(settling, key) {
            settling.conflict(
                &below(key),
                &below("format"),
                format!("`{key}` is about CSV files, and the format is `{other_format}`"),
                "remove it, or write `format: csv`",
            );
        }
    }
    for (name, column) in &source.columns {
        let timestamp = matches!(column.data_type, Some(ColumnType::Timestamp) | None);
        if column.unit.is_some() && !timestamp {
            let mut at = below("columns");
            at.extend([name.as_str(), "unit"]);
            settling.refuse(
                &at,
                Code::Conflict,
                "`unit` is about timestamps",
                "write `type: timestamp`, or remove it",
            );
        }
    }
}

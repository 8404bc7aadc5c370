//! Tables outside: what they hold is listed once, and then exactly that is read.
//!
//! [`list()`] names the objects of a source with what changes when they change. [`Fetched`] brings one of them onto
//! this machine and refuses one that is no longer the listed one. [`read_part`] turns the objects of one partition
//! into rows, column by column as asked for, and keeps aside what cannot be read.

mod address;
mod columns;
mod convert;
mod erased;
mod error;
mod fetch;
mod lines;
mod list;
mod ndjson;
mod part;
mod partition;
mod rejects;
mod separated;
mod sql;
mod text;
mod textual;
mod time;
mod typed;
mod web;
mod window;

pub use address::{Access, Address};
pub use columns::{ColumnWish, Kind, Unit};
pub use erased::Erased;
pub use error::SourceError;
pub use fetch::Fetched;
pub use list::{Wanted, exists, list};
pub use part::{PartOutcome, PartRequest, read_part};
pub use partition::{Grain, Partition};
pub use rejects::{Reject, rejects_schema};
pub use sql::{Condition, Query, check_condition};
pub use window::{PartCounts, Recut, Window, outside_schema, recut};

/// How the objects of a source are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writing {
    pub format: Option<Format>,
    /// What separates the fields of a line.
    pub delimiter: Option<String>,
    /// Whether the first line names the columns.
    pub header: bool,
    /// The columns, where no line names them.
    pub names: Option<Vec<String>>,
    /// What quotes a field.
    pub quote: Option<u8>,
    pub latin1: bool,
    pub compression: Option<Compression>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
    Ndjson,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Writing {
    /// Parquet, which says everything itself.
    pub fn parquet() -> Self {
        Self {
            format: Some(Format::Parquet),
            delimiter: None,
            header: true,
            names: None,
            quote: None,
            latin1: false,
            compression: None,
        }
    }

    /// The compression of an object: as set, or as its name says.
    fn compression_of(&self, object: &str) -> Compression {
        self.compression.unwrap_or_else(|| {
            let name = file_name(object).to_ascii_lowercase();
            if name.ends_with(".gz") || name.ends_with(".gzip") {
                Compression::Gzip
            } else if name.ends_with(".zst") || name.ends_with(".zstd") {
                Compression::Zstd
            } else {
                Compression::None
            }
        })
    }

    /// The format of an object: as set, or as its name says.
    fn format_of(&self, object: &str) -> Result<Format, SourceError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let lower = file_name(object).to_ascii_lowercase();
        let stem = [".gz", ".gzip", ".zst", ".zstd"]
            .iter()
            .find_map(|end| lower.strip_suffix(end))
            .unwrap_or(&lower);
        match stem.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "parquet" | "parq" | "pq" => Ok(Format::Parquet),
            "csv" | "tsv" | "dat" | "txt" | "data" | "item" | "user" => Ok(Format::Csv),
            "ndjson" | "jsonl" | "json" => Ok(Format::Ndjson),
            _ => Err(SourceError::UnknownFormat { object: object.to_owned() }),
        }
    }

    /// The delimiter of an object whose first line this is: as set, or the one that fits the line best. With `names`
    /// that is one that gives as many fields as there are names.
    fn delimiter_of(&self, first: &[u8]) -> String {
        /// In this order where several fit equally well.
        const USUAL: [&str; 5] = [",", "\t", "::", ";", "|"];
        if let Some(set) = &self.delimiter {
            return set.clone();
        }
        let text = String::from_utf8_lossy(first);
        let fields = |delimiter: &str| text.split(delimiter).count();
        let named = self.names.as_ref().map(Vec::len);
        let fitting = USUAL.into_iter().find(|delimiter| Some(fields(delimiter)) == named && named > Some(1));
        let most = || USUAL.into_iter().rev().max_by_key(|delimiter| fields(delimiter)).unwrap_or(",");
        fitting.unwrap_or_else(most).to_owned()
    }
}

/// The name of an object without the query of its address.
fn file_name(object: &str) -> &str {
    object.split('?').next().unwrap_or(object)
}

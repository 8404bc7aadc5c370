//! What can go wrong with a source.

use crate::error::Class;

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("`{address}` is no address of a source: {rule}")]
    Address { address: String, rule: String },
    #[error("there is nothing at `{address}`: check the path, and that whatever writes it has run")]
    Missing { address: String },
    #[error(
        "`{address}` may not be read ({cause}): give this user or these credentials the right to list and read it"
    )]
    Denied { address: String, cause: String },
    #[error("`{address}` could not be reached: {cause}")]
    Away { address: String, cause: String },
    #[error(
        "`{object}` changed while it was read: it was listed as {listed}, and is {found} now; run again when nothing writes to it"
    )]
    Changed { object: String, listed: String, found: String },
    #[error("`{object}` cannot be read: {cause}")]
    Unreadable { object: String, cause: String },
    #[error("how `{object}` is written cannot be told by its name: set `format:` to parquet, csv or ndjson")]
    UnknownFormat { object: String },
    #[error(
        "`{address}` has a row for each moment and no end: give the step a `window`, or `snapshot: latest` for its tables of items and users"
    )]
    Endless { address: String },
    #[error(
        "the columns of `{object}` have no names: it has {found} fields in its first line, and `names:` lists {named}"
    )]
    Names { object: String, found: usize, named: usize },
    #[error("`where: {condition}` cannot be used: {cause}")]
    Condition { condition: String, cause: String },
    #[error("the SQL cannot be used: {cause}")]
    Sql { cause: String },
    #[error(
        "the column `{column}` holds whole numbers and is to be a time: say what they count with `{{from: {from}, unit: {guess}}}`{why}"
    )]
    NoUnit { column: String, from: String, guess: &'static str, why: String },
    #[error(
        "the column `{column}` read with `unit: {unit}` gives times such as {shown}{}", guess.map_or(String::new(), |guess| format!("; with `unit: {guess}` it gives {better}"))
    )]
    WrongUnit {
        column: String,
        unit: &'static str,
        shown: String,
        guess: Option<&'static str>,
        better: String,
    },
    #[error("the column `{column}` of `{object}` has type {found} and cannot be read as {wanted}")]
    Type { object: String, column: String, found: String, wanted: &'static str },
    #[error("`{zone}` is no time zone")]
    Zone { zone: String },
}

impl SourceError {
    pub fn class(&self) -> Class {
        match self {
            SourceError::Away { .. } | SourceError::Changed { .. } => Class::Temporary,
            SourceError::Address { .. }
            | SourceError::Denied { .. }
            | SourceError::UnknownFormat { .. }
            | SourceError::Endless { .. }
            | SourceError::Condition { .. }
            | SourceError::Sql { .. }
            | SourceError::Zone { .. } => Class::Configuration,
            SourceError::Missing { .. }
            | SourceError::Unreadable { .. }
            | SourceError::Names { .. }
            | SourceError::NoUnit { .. }
            | SourceError::WrongUnit { .. }
            | SourceError::Type { .. } => Class::Data,
        }
    }

    pub(crate) fn from_store(address: &str, error: object_store::Error) -> Self {
        use object_store::Error as E;
        let address = address.to_owned();
        match error {
            E::NotFound { .. } => SourceError::Missing { address },
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                SourceError::Denied { address, cause: error.to_string() }
            }
            // A refused listing comes without a kind of its own; only its text has the status.
            E::Generic { .. }
                if ["401 Unauthorized", "403 Forbidden"].iter().any(|s| error.to_string().contains(s)) =>
            {
                SourceError::Denied { address, cause: error.to_string() }
            }
            other => SourceError::Away { address, cause: other.to_string() },
        }
    }

    pub(crate) fn from_io(address: &str, error: std::io::Error) -> Self {
        let address = address.to_owned();
        match error.kind() {
            std::io::ErrorKind::NotFound => SourceError::Missing { address },
            std::io::ErrorKind::PermissionDenied => SourceError::Denied { address, cause: error.to_string() },
            _ => SourceError::Unreadable { object: address, cause: error.to_string() },
        }
    }
}

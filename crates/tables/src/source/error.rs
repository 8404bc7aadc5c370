//! What can go wrong with a source.

use noctule_artifacts::address::{scrubbed, shown};
use noctule_depot::remote;

use crate::error::Class;

/// Addresses are given whole, and are shown without what may be a secret in them.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("`{}` is no address of a source: {}", shown(address), scrubbed(rule, address))]
    Address { address: String, rule: String },
    #[error("there is nothing at `{}`: check the path, and that whatever writes it has run", shown(address))]
    Missing { address: String },
    #[error("`{}` may not be read ({}): {}", shown(address), scrubbed(cause, address), right(address))]
    Denied { address: String, cause: String },
    #[error(
        "`{address}` needs credentials, and there are none in the environment nor does this machine's cloud give any: set \
         {variables}"
    )]
    NoCredentials { address: String, variables: &'static str },
    #[error(
        "`{}` could not be reached ({}): check the address, and that it is up",
        shown(address),
        scrubbed(cause, address)
    )]
    Away { address: String, cause: String },
    #[error(
        "`{}` changed while it was read: it was listed as {listed}, and is {found} now; run again when nothing writes to it",
        shown(object)
    )]
    Changed { object: String, listed: String, found: String },
    #[error("`{}` cannot be read: {cause}", shown(object))]
    Unreadable { object: String, cause: String },
    #[error(
        "how `{}` is written cannot be told by its name: set `format:` to parquet, csv or ndjson",
        shown(object)
    )]
    UnknownFormat { object: String },
    #[error(
        "`{address}` has a row for each moment and no end: give the step a `window`, or `snapshot: latest` for its tables of items and users"
    )]
    Endless { address: String },
    #[error(
        "the columns of `{object}` have no names: it has {found} fields in its first line, and `names:` lists {named}; correct `names:`, or `delimiter:`"
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
        "the column `{column}` read with `unit: {unit}` gives times such as {shown}; {}",
        guess.map_or_else(
            || "no unit gives a plausible one: is it a time?".to_owned(),
            |guess| format!("with `unit: {guess}` it gives {better}"),
        )
    )]
    WrongUnit {
        column: String,
        unit: &'static str,
        shown: String,
        guess: Option<&'static str>,
        better: String,
    },
    #[error(
        "the column `{column}` of `{object}` has type {found} and cannot be read as {wanted}: give it another `type`"
    )]
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
            | SourceError::NoCredentials { .. }
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

    /// What a library says of an answer that does not tell its length.
    pub(crate) const NO_LENGTH: &str = "Content-Length";

    pub(crate) fn from_store(address: &str, error: object_store::Error) -> Self {
        use object_store::Error as E;
        if remote::lacks_credentials(&error) {
            let scheme = address.split("://").next().unwrap_or_default();
            return SourceError::NoCredentials {
                address: address.to_owned(),
                variables: remote::credentials_of(scheme),
            };
        }
        let address = address.to_owned();
        let cause = worded(&error, &address);
        match error {
            E::NotFound { .. } => SourceError::Missing { address },
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => SourceError::Denied { address, cause },
            // A refused listing comes without a kind of its own; only its text has the status.
            E::Generic { .. }
                if ["401 Unauthorized", "403 Forbidden"].iter().any(|status| cause.contains(status)) =>
            {
                SourceError::Denied { address, cause }
            }
            E::Generic { .. } if cause.contains(Self::NO_LENGTH) => SourceError::Unreadable {
                object: address,
                cause: "the server does not say how long it is (no Content-Length); fetch it to a file first"
                    .to_owned(),
            },
            _ => SourceError::Away { address, cause },
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

/// What to do when an address may not be read.
fn right(address: &str) -> &'static str {
    match address.starts_with("http") {
        true => "check the address, and that its signature has not expired",
        false => "give this user or these credentials the right to list and read it",
    }
}

/// An error of a store with its causes, on one line, without secrets and the pages that servers send along.
fn worded(error: &object_store::Error, address: &str) -> String {
    const LONGEST: usize = 300;
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    // Before these words it says which request it was and how often it was made.
    let telling = ["Server returned", "error sending request"].iter().find_map(|words| text.find(words));
    let text = text.split_off(telling.unwrap_or(0));
    let text = scrubbed(&text.split_whitespace().collect::<Vec<_>>().join(" "), address);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

//! What can go wrong with a table, each with what happened, to what, and what to do.

use std::io;
use std::path::{Path, PathBuf};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of trouble an [`Error`] is: enough to choose an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The data cannot be worked with.
    Data,
    /// A setting, an address or a right is wrong.
    Configuration,
    /// Trying again later can help.
    Temporary,
    Other,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{doing} `{}` failed: {cause}{}", path.display(), io_remedy(cause))]
    Io { doing: &'static str, path: PathBuf, cause: io::Error },
    #[error(
        "`{place}` is no readable Parquet file ({cause}): it is damaged or only half written; write it again"
    )]
    Parquet { place: String, cause: String },
    #[error("`{place}` has no column `{column}`{}; it has: {}", hint(nearest), listed(available))]
    NoColumn { place: String, column: String, nearest: Option<String>, available: Vec<String> },
    #[error("the column `{column}` of `{place}` has type {found}, and {wanted} is needed: {remedy}")]
    ColumnType { place: String, column: String, found: String, wanted: String, remedy: String },
    #[error("the column `{column}` of `{place}` holds a value that cannot be used: {cause}; {remedy}")]
    Value { place: String, column: String, cause: String, remedy: &'static str },
    #[error(
        "`{place}` has other columns than `{first}` ({difference}): the files of one table need one schema"
    )]
    SchemaDiffers { place: String, first: String, difference: String },
    #[error(
        "{doing} needs more than the {limit_mib} MiB that `resources.memory` leaves for it: give the step more memory"
    )]
    Memory { doing: String, limit_mib: u64 },
    #[error("computing with Arrow failed: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("{0}")]
    Query(String),
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
}

impl Error {
    pub fn class(&self) -> Class {
        match self {
            Error::Io { cause, .. } => io_class(cause),
            Error::Parquet { .. }
            | Error::NoColumn { .. }
            | Error::ColumnType { .. }
            | Error::Value { .. }
            | Error::SchemaDiffers { .. } => Class::Data,
            Error::Memory { .. } | Error::Query(_) => Class::Configuration,
            Error::Arrow(_) => Class::Other,
            Error::Source(error) => error.class(),
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Error::Io { doing, path, cause }
    }

    /// A column that is not there, with the nearest one that is.
    pub fn no_column<'a>(place: &str, column: &str, available: impl IntoIterator<Item = &'a str>) -> Self {
        let available: Vec<String> = available.into_iter().map(str::to_owned).collect();
        let nearest = nearest(column, &available).map(str::to_owned);
        Error::NoColumn { place: place.to_owned(), column: column.to_owned(), nearest, available }
    }
}

fn io_class(cause: &io::Error) -> Class {
    match cause.kind() {
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::TimedOut
        | io::ErrorKind::StaleNetworkFileHandle => Class::Temporary,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Class::Configuration,
        _ => Class::Other,
    }
}

fn io_remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some there, then try again; with a little space `noctule prune` frees more"
        }
        io::ErrorKind::PermissionDenied => "; give this user the right to it",
        io::ErrorKind::NotFound => "; it was there before: was it deleted meanwhile?",
        _ => "",
    }
}

/// The word most like `word`, when one is like it at all.
pub fn nearest<'a>(word: &str, words: &'a [String]) -> Option<&'a str> {
    let folded = word.to_lowercase();
    words
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + word.chars().count() / 3 || candidate.to_lowercase().contains(&folded)
        })
        .min()
        .map(|(_, candidate)| candidate.as_str())
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 30;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    if names.is_empty() { "no columns at all".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_column_names_the_nearest() {
        let error = Error::no_column("events.parquet", "user", ["user_id", "item_id", "ts"]);
        insta::assert_snapshot!(error, @"`events.parquet` has no column `user` (did you mean `user_id`?); it has: `user_id`, `item_id`, `ts`");
    }
}

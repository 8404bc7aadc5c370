//! `extract`: takes rows out of files, or the synthetic product, into a table.
//!
//! A source is read partition by partition, and each partition becomes a part of its own file, which later nights take
//! over as long as its objects are the same ([`parts`]), whatever their window ([`earlier`]). With `sql` the parts are tables of a query instead
//! ([`query`]). What the data have to look like is judged at the end ([`expect`]).

mod earlier;
mod expect;
mod parts;
mod query;
mod read;
mod sources;

use jiff::tz::TimeZone;
use noctule_artifacts::Outcome;
use noctule_artifacts::erased::OtherList;
use noctule_spec::kinds::extract::Settings;
use noctule_tables::source::{Erased, SourceError};

use crate::StepResult;
use crate::attempt::Attempt;
use crate::error::{Class, Classed, StepError};

pub use sources::{list_sources, source_exists};

#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    #[error(
        "{rejected} of {read} rows cannot be read, more than `rejected.max_share` allows ({allowed}): correct them, allow more, or leave rows out with `where:`{examples}"
    )]
    TooManyRejected { rejected: u64, read: u64, allowed: String, examples: String },
    #[error("the launch document lists nothing for the source `{name}`: start the step again through a run")]
    NotListed { name: String },
    #[error("a `window` needs a column `time`: add `time: {{from: <the source's column>}}` to `columns`")]
    NoTime,
    #[error(
        "the column `{column}` is {found} in the partition `{partition}` and {known} in `{first}`: say what it is in `columns`, such as `{column}: {{from: {column}, type: text}}`"
    )]
    OtherType { column: String, partition: String, found: String, first: String, known: String },
    #[error(
        "the partition `{partition}` has other columns than `{first}`: name the wanted ones in `columns`"
    )]
    OtherColumns { partition: String, first: String },
    #[error(transparent)]
    Erased(#[from] OtherList),
    #[error("{doing} `{place}` failed: {cause}")]
    File { doing: &'static str, place: String, cause: std::io::Error },
}

impl Classed for ExtractError {
    fn class(&self) -> Class {
        match self {
            ExtractError::TooManyRejected { .. }
            | ExtractError::OtherType { .. }
            | ExtractError::OtherColumns { .. }
            | ExtractError::Erased(_) => Class::Data,
            ExtractError::NotListed { .. } | ExtractError::NoTime => Class::Configuration,
            ExtractError::File { .. } => Class::Other,
        }
    }
}

impl Classed for SourceError {
    fn class(&self) -> Class {
        Class::from(SourceError::class(self))
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let zone = zone_of(&attempt.launch.timezone)?;
    let erased = erased(attempt).await?;
    let read = match &settings.sql {
        Some(sql) => query::run(attempt, &settings, sql, erased.as_ref(), &zone).await?,
        None => parts::run(attempt, &settings, erased.as_ref(), &zone).await?,
    };
    read.report(attempt);
    read.refuse_rejects(&settings)?;
    let broken = expect::judge(attempt, &settings, &read, &zone).await?;
    if broken.is_empty() {
        return Ok(Outcome::Ok);
    }
    for sentence in &broken {
        attempt.emit.note(sentence);
    }
    attempt.fact("decided", broken.join("; "));
    Ok(Outcome::DataStop)
}

/// The users whose rows are left out.
async fn erased(attempt: &Attempt) -> Result<Option<Erased>, StepError> {
    let Some(list) = &attempt.launch.erased else { return Ok(None) };
    let bytes = attempt.depot.read(&list.path).await?;
    Ok(Some(Erased::new(list.users(&bytes).map_err(ExtractError::from)?)))
}

pub(crate) fn zone_of(name: &str) -> Result<TimeZone, StepError> {
    TimeZone::get(name).map_err(|_| SourceError::Zone { zone: name.to_owned() }.into())
}

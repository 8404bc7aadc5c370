//! What is told about runs, models and schedules, as typed documents.
//!
//! Each is gathered from a controller, printed by `--json`, sent by the API, and read again by a command that speaks to
//! a server. Pages for people are made from the document alone, so that they are the same here and from afar.

pub mod audit;
pub mod backfills;
pub mod changed;
pub mod erasure;
pub mod events;
pub mod log;
pub mod models;
pub mod occurrences;
pub mod pipelines;
pub mod run;
pub mod runs;
pub mod schedule;
pub mod why;

use jiff::Timestamp;
use noctule_artifacts::RunId;
use noctule_artifacts::launch::Interval;
use noctule_store::{RunFilter, Store};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::{Code, Trouble};

/// A half-open span of data time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IntervalDocument {
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
}

impl From<Interval> for IntervalDocument {
    fn from(interval: Interval) -> Self {
        Self { start: interval.start, end: interval.end }
    }
}

/// A run by its id, the beginning of one, or `last`.
pub async fn find_run(store: &Store, text: &str) -> Result<RunId, Trouble> {
    if text != "last" {
        return Ok(store.find_run(text).await?);
    }
    let newest = store.runs(&RunFilter { limit: Some(1), ..RunFilter::default() }).await?;
    newest.into_iter().next().map(|row| row.run).ok_or_else(|| {
        Trouble::coded(Code::NoSuchRun, "there are no runs yet: `noctule run PIPELINE` makes the first")
    })
}

/// The refusal of a step that a run does not have.
pub fn no_such_step(run: &noctule_engine::Run, wanted: &noctule_artifacts::StepName) -> Trouble {
    let names: Vec<_> = run.steps().iter().map(|step| step.plan().name.to_string()).collect();
    Trouble::coded(
        Code::NoSuchStep,
        format!("run {} has no step `{wanted}`; it has: {}", run.plan().run, names.join(", ")),
    )
}

//! The list of runs.

use jiff::Timestamp;
use noctule_artifacts::{PipelineName, RunId};
use noctule_controller::Controller;
use noctule_engine::{Held, Rejection, RunStatus};
use noctule_store::{RunCursor, RunFilter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::IntervalDocument;
use crate::report::Trouble;

/// One page of the list, the newest run first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunsDocument {
    pub runs: Vec<RunListed>,
    /// Where the next page begins; `null` on the last.
    pub next: Option<String>,
}

/// A run in the list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunListed {
    #[schema(value_type = String, example = "rabcdefghijkl")]
    pub run: RunId,
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    pub interval: IntervalDocument,
    /// The due time that it answers, if a schedule or a backfill began it.
    pub occurrence: Option<String>,
    #[schema(example = "succeeded")]
    pub status: String,
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended: Option<Timestamp>,
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunsWanted {
    pub pipeline: Option<PipelineName>,
    pub statuses: Vec<RunStatus>,
    pub live: bool,
    pub limit: u32,
    pub after: Option<RunCursor>,
}

pub async fn gather(controller: &Controller, wanted: &RunsWanted) -> Result<RunsDocument, Trouble> {
    let filter = RunFilter {
        pipeline: wanted.pipeline.clone(),
        live: wanted.live,
        statuses: wanted.statuses.clone(),
        after: wanted.after.clone(),
        // One more tells whether there is a next page.
        limit: Some(wanted.limit.saturating_add(1)),
    };
    let mut rows = controller.store.runs(&filter).await?;
    let more = rows.len() > wanted.limit as usize;
    rows.truncate(wanted.limit as usize);
    let next = rows.last().filter(|_| more).map(|row| cursor_text(&row.cursor()));
    let runs = rows
        .into_iter()
        .map(|row| RunListed {
            run: row.run,
            pipeline: row.pipeline,
            interval: row.interval.into(),
            occurrence: row.occurrence,
            status: row.status.word().to_owned(),
            created: row.created,
            ended: row.ended,
        })
        .collect();
    Ok(RunsDocument { runs, next })
}

fn cursor_text(cursor: &RunCursor) -> String {
    format!("{}.{}", cursor.created.as_microsecond(), cursor.run)
}

/// Reads what a page said about where the next one begins.
pub fn parse_cursor(text: &str) -> Option<RunCursor> {
    let (at, run) = text.split_once('.')?;
    let created = Timestamp::from_microsecond(at.parse().ok()?).ok()?;
    Some(RunCursor { created, run: run.parse().ok()? })
}

/// The statuses that a word stands for.
pub fn statuses(word: &str) -> Option<Vec<RunStatus>> {
    let all = [
        RunStatus::Queued,
        RunStatus::Running,
        RunStatus::Stopping,
        RunStatus::Succeeded,
        RunStatus::Failed,
        RunStatus::DataStop,
        RunStatus::GateRejected(Rejection::Fail),
        RunStatus::GateRejected(Rejection::Inconclusive),
        RunStatus::Held(Held::Pinned),
        RunStatus::Held(Held::Moved),
        RunStatus::Cancelled,
    ];
    let found: Vec<_> = all.into_iter().filter(|status| status.word() == word).collect();
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let cursor =
            RunCursor { created: "2026-11-24T02:15:00.123456Z".parse().unwrap(), run: RunId::from_random(7) };
        assert_eq!(parse_cursor(&cursor_text(&cursor)), Some(cursor));
        for bad in ["", ".", "1", "1.", "x.rabcdefghijkl", "99999999999999999999.rabcdefghijkl", "1.r'; DROP"]
        {
            assert_eq!(parse_cursor(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_word_may_stand_for_several_statuses() {
        assert_eq!(statuses("held").unwrap().len(), 2);
        assert_eq!(statuses("nonsense"), None);
    }
}

//! Everything that was due, and what became of it.

use jiff::Timestamp;
use noctule_artifacts::{PipelineName, RunId};
use noctule_controller::Controller;
use noctule_store::{
    BackfillId, OccurrenceCursor, OccurrenceFilter, OccurrenceKind, OccurrenceRow, OccurrenceStage,
    OccurrenceState,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::Trouble;

/// One page of the list; what falls due last comes first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OccurrencesDocument {
    pub occurrences: Vec<OccurrenceDocument>,
    /// Where the next page begins; `null` on the last.
    pub next: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OccurrenceDocument {
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    /// The civil time, `promotion/…` or `backfill/…`.
    #[schema(example = "2026-11-24T02:15")]
    pub id: String,
    #[schema(example = "schedule")]
    pub kind: String,
    #[schema(value_type = String, format = DateTime)]
    pub due: Timestamp,
    /// `waiting` for data, `queued`, `started` or `skipped`.
    #[schema(example = "started")]
    pub state: String,
    #[schema(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// How its run stands.
    pub status: Option<String>,
    /// Why it did not run, in one word.
    #[schema(example = "overlap")]
    pub reason: Option<String>,
    /// The same in a sentence.
    pub sentence: Option<String>,
    /// Of how many due times this row tells.
    pub stands_for: u64,
    /// When waiting for its data is given up.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub give_up: Option<Timestamp>,
    pub backfill: Option<u64>,
    /// When its state last changed.
    #[schema(value_type = String, format = DateTime)]
    pub changed: Timestamp,
}

/// Which occurrences to list.
#[derive(Debug, Clone, Default)]
pub struct OccurrencesWanted {
    pub pipeline: Option<PipelineName>,
    pub stages: Vec<OccurrenceStage>,
    pub kinds: Vec<OccurrenceKind>,
    pub backfill: Option<BackfillId>,
    pub after: Option<OccurrenceCursor>,
    pub limit: u32,
}

pub async fn gather(
    controller: &Controller,
    wanted: &OccurrencesWanted,
) -> Result<OccurrencesDocument, Trouble> {
    let filter = OccurrenceFilter {
        pipeline: wanted.pipeline.clone(),
        stages: wanted.stages.clone(),
        kinds: wanted.kinds.clone(),
        backfill: wanted.backfill,
        oldest_first: false,
        after: wanted.after.clone(),
        limit: Some(wanted.limit.saturating_add(1)),
    };
    let mut rows = controller.store.occurrences(&filter).await?;
    let more = rows.len() > wanted.limit as usize;
    rows.truncate(wanted.limit as usize);
    let next = rows.last().filter(|_| more).map(|row| cursor_text(&row.cursor()));
    Ok(OccurrencesDocument { occurrences: rows.into_iter().map(document).collect(), next })
}

fn document(row: OccurrenceRow) -> OccurrenceDocument {
    let state = row.state.stage().word().to_owned();
    let (mut run, mut status, mut reason, mut sentence) = (None, None, None, None);
    match row.state {
        OccurrenceState::Started { run: which, status: how } => {
            (run, status) = (Some(which), how.map(|status| status.word().to_owned()));
        }
        OccurrenceState::Skipped(skip) => {
            sentence = Some(skip.detail.unwrap_or_else(|| skip.reason.sentence().to_owned()));
            reason = Some(skip.reason.word().to_owned());
        }
        OccurrenceState::Waiting | OccurrenceState::Queued => {}
    }
    OccurrenceDocument {
        pipeline: row.pipeline,
        id: row.id,
        kind: row.kind.word().to_owned(),
        due: row.due,
        state,
        run,
        status,
        reason,
        sentence,
        stands_for: row.stands_for,
        give_up: row.give_up,
        backfill: row.backfill.map(|id| id.0),
        changed: row.changed,
    }
}

fn cursor_text(cursor: &OccurrenceCursor) -> String {
    format!("{}.{}.{}", cursor.due.as_microsecond(), cursor.pipeline, cursor.id)
}

/// Reads what a page said about where the next one begins.
pub fn parse_cursor(text: &str) -> Option<OccurrenceCursor> {
    let (due, rest) = text.split_once('.')?;
    let (pipeline, id) = rest.split_once('.')?;
    let due = Timestamp::from_microsecond(due.parse().ok()?).ok()?;
    let is_id = !id.is_empty() && id.len() <= 200 && !id.chars().any(char::is_control);
    is_id.then_some(OccurrenceCursor { due, pipeline: pipeline.parse().ok()?, id: id.to_owned() })
}

//! Backfills: ranges of intervals, and how far each has come.

use jiff::Timestamp;
use noctule_artifacts::PipelineName;
use noctule_controller::Controller;
use noctule_store::{BackfillId, BackfillOrder, BackfillRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::IntervalDocument;
use crate::report::Trouble;

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackfillsDocument {
    /// The newest first.
    pub backfills: Vec<BackfillDocument>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BackfillDocument {
    pub id: u64,
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    /// From the begin of the first interval to the end of the last.
    pub range: IntervalDocument,
    /// `oldest` or `newest` interval first.
    #[schema(example = "oldest")]
    pub order: String,
    /// How many of its runs may be live at a time.
    pub at_once: u32,
    /// Whether its candidates may become champions.
    pub promote: bool,
    #[schema(example = "running")]
    pub state: String,
    pub by: String,
    pub why: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When its state last changed, who wanted it, and why.
    #[schema(value_type = String, format = DateTime)]
    pub changed: Timestamp,
    pub changed_by: String,
    pub changed_why: Option<String>,
    pub progress: BackfillProgressDocument,
}

/// How many of a backfill's intervals stand how.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct BackfillProgressDocument {
    pub queued: u64,
    pub live: u64,
    /// Ended well, or so long ago that the run is no longer kept.
    pub good: u64,
    /// Ended in failure, in a data-stop or by being cancelled.
    pub bad: u64,
    pub skipped: u64,
}

/// What a backfill would run, in its order.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PlannedDocument {
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    pub intervals: Vec<IntervalDocument>,
}

/// A backfill that was entered, or only planned.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EnteredDocument {
    /// `null` after a dry run.
    pub backfill: Option<BackfillDocument>,
    pub planned: PlannedDocument,
}

pub async fn list(
    controller: &Controller,
    pipeline: Option<&PipelineName>,
    open: bool,
    limit: u32,
) -> Result<BackfillsDocument, Trouble> {
    let rows = controller.store.backfills(pipeline, open, Some(limit)).await?;
    Ok(BackfillsDocument { backfills: rows.into_iter().map(document).collect() })
}

pub async fn gather(controller: &Controller, id: BackfillId) -> Result<BackfillDocument, Trouble> {
    Ok(document(controller.store.backfill(id).await?))
}

fn document(row: BackfillRow) -> BackfillDocument {
    let progress = row.progress;
    BackfillDocument {
        id: row.id.0,
        pipeline: row.pipeline,
        range: row.range.into(),
        order: match row.order {
            BackfillOrder::OldestFirst => "oldest",
            BackfillOrder::NewestFirst => "newest",
        }
        .to_owned(),
        at_once: row.at_once,
        promote: row.promote,
        state: row.state.word().to_owned(),
        by: row.by,
        why: row.why,
        created: row.created,
        changed: row.changed,
        changed_by: row.changed_by,
        changed_why: row.changed_why,
        progress: BackfillProgressDocument {
            queued: progress.queued,
            live: progress.live,
            good: progress.good,
            bad: progress.bad,
            skipped: progress.skipped,
        },
    }
}

//! Forgetting old runs, and occurrences that were settled long ago.
//!
//! What is forgotten is the record of a run: its row, its log, its notes and its uses of artifacts. The artifacts
//! themselves stay for the sweep, which has its own references to check; a version's own run is never forgotten, so
//! that what it was made from can always be told.

use jiff::Timestamp;
use noctule_artifacts::RunId;

use crate::Store;
use crate::error::StoreError;
use crate::record::status::good_statuses;
use crate::row::Fields;
use crate::session::Session;

/// What one call forgot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    pub runs: Vec<RunId>,
    /// There may be more: call again.
    pub more: bool,
}

impl Store {
    /// Forgets runs that ended before `before`, the oldest first, at most `limit` in one transaction.
    ///
    /// Kept, however old: runs that have not ended; the latest good runs of each pipeline, as the sweep keeps their
    /// artifacts; runs that made a registered version or moved an alias; and the runs of a backfill that goes on.
    pub async fn expire_runs(&self, before: Timestamp, limit: u32) -> Result<Expired, StoreError> {
        let mut session = self.database.write("forget old runs").await?;
        let runs = expirable(&mut session, before, limit).await?;
        for run in &runs {
            for statement in [
                "DELETE FROM events WHERE run = $1",
                "DELETE FROM notes WHERE run = $1",
                "DELETE FROM artifact_uses WHERE run = $1",
                "DELETE FROM slots WHERE run = $1",
                "DELETE FROM slot_waits WHERE run = $1",
                "DELETE FROM runs WHERE run = $1",
            ] {
                session.execute(sqlx::query(statement).bind(run.as_str())).await?;
            }
        }
        session.commit().await?;
        let more = runs.len() as u64 == u64::from(limit);
        Ok(Expired { runs, more })
    }

    /// Forgets occurrences that were due and settled before `before` and whose runs are forgotten, and says how many:
    /// as many as `limit` when there may be more. Those of a backfill that goes on stay.
    ///
    /// `before` must lie well behind every watermark: the rows are what keeps a due time from being entered twice when
    /// a clock goes back.
    pub async fn expire_occurrences(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut session = self.database.write("forget old occurrences").await?;
        let gone = session
            .execute(
                sqlx::query(
                    "DELETE FROM occurrences WHERE (pipeline, id) IN (SELECT o.pipeline, o.id FROM occurrences o \
                     WHERE o.changed < $1 AND o.due < $1 AND o.state <> 'waiting' AND o.state <> 'queued' \
                     AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.run = o.run) \
                     AND NOT EXISTS (SELECT 1 FROM backfills b WHERE b.id = o.backfill \
                     AND b.state IN ('running', 'paused')) ORDER BY o.changed LIMIT $2)",
                )
                .bind(before.as_microsecond())
                .bind(i64::from(limit)),
            )
            .await?;
        session.commit().await?;
        Ok(gone)
    }
}

async fn expirable(
    session: &mut Session<'_>,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<RunId>, StoreError> {
    let rows = session
        .all(
            sqlx::query(concat!(
                "SELECT r.run AS run FROM runs r WHERE r.ended IS NOT NULL AND r.ended < $1 \
                 AND NOT (r.status IN ",
                good_statuses!(),
                " AND NOT EXISTS (SELECT 1 FROM runs later WHERE later.pipeline = r.pipeline \
                 AND later.interval_start > r.interval_start AND later.status IN ",
                good_statuses!(),
                ")) AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.run = r.run) \
                 AND NOT EXISTS (SELECT 1 FROM promotions p WHERE p.by_run = r.run) \
                 AND NOT EXISTS (SELECT 1 FROM occurrences o JOIN backfills b ON b.id = o.backfill \
                 WHERE o.run = r.run AND b.state IN ('running', 'paused')) \
                 ORDER BY r.created, r.run LIMIT $2"
            ))
            .bind(before.as_microsecond())
            .bind(i64::from(limit)),
        )
        .await?;
    rows.iter().map(|row| Fields::of(row, session.place()).parsed("run")).collect()
}

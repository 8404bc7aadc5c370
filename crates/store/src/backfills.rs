//! Backfills: a range of intervals of one pipeline, each of which is an occurrence of its own.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use noctule_artifacts::PipelineName;
use noctule_artifacts::launch::Interval;
use noctule_engine::schedule::NotRun;

use crate::error::StoreError;
use crate::lease::{self, Lease};
use crate::occurrences::{self, Fate, NewOccurrence, OccurrenceKind};
use crate::record::status::good_statuses;
use crate::row::Fields;
use crate::session::Session;
use crate::{Store, column, shown};

/// The number of a backfill, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackfillId(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackfillOrder {
    OldestFirst,
    NewestFirst,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackfillState {
    Running,
    /// Its runs go on, and no more of them begin.
    Paused,
    Cancelled,
    Done,
}

/// A backfill that is to be.
#[derive(Debug, Clone)]
pub struct NewBackfill {
    pub pipeline: PipelineName,
    /// From the begin of the first interval to the end of the last.
    pub range: Interval,
    pub order: BackfillOrder,
    /// How many of its runs may be live at a time; at least one.
    pub at_once: u32,
    pub promote: bool,
    pub by: String,
    pub why: Option<String>,
    /// What its runs are made from, in a form of the controller's own.
    pub definition: Vec<u8>,
    pub intervals: Vec<BackfillInterval>,
    pub at: Timestamp,
}

/// One interval of a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillInterval {
    /// The moment that the run is to take for its occurrence.
    pub due: Timestamp,
    /// The civil begin of the interval, such as `2026-11-24T00:00`; it tells the interval from the others.
    pub civil: String,
}

/// A backfill as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct BackfillRow {
    pub id: BackfillId,
    pub pipeline: PipelineName,
    pub range: Interval,
    pub order: BackfillOrder,
    pub at_once: u32,
    pub promote: bool,
    pub state: BackfillState,
    pub by: String,
    pub why: Option<String>,
    pub created: Timestamp,
    /// When its state last changed, who wanted it and why.
    pub changed: Timestamp,
    pub changed_by: String,
    pub changed_why: Option<String>,
    pub progress: BackfillProgress,
}

/// How many of a backfill's intervals stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackfillProgress {
    pub queued: u64,
    pub live: u64,
    /// Ended well, or so long ago that the run is no longer kept.
    pub good: u64,
    /// Ended in failure, in a data-stop or by being cancelled.
    pub bad: u64,
    pub skipped: u64,
}

impl BackfillId {
    /// The id of the occurrence of the interval that begins at this civil time.
    pub fn occurrence(self, civil: &str) -> String {
        format!("backfill/{self}/{civil}")
    }
}

impl fmt::Display for BackfillId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BackfillId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What a column cannot hold is no number of a backfill.
        text.parse::<u32>().map(|number| Self(u64::from(number)))
    }
}

impl BackfillState {
    pub const ALL: [Self; 4] = [Self::Running, Self::Paused, Self::Cancelled, Self::Done];

    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    /// Whether it has come to its end.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Cancelled | Self::Done)
    }
}

impl Store {
    /// Enters a backfill with all its occurrences, queued.
    pub async fn create_backfill(
        &self,
        new: &NewBackfill,
        lease: Option<&Lease>,
    ) -> Result<BackfillId, StoreError> {
        let mut session = self.database.write("enter a backfill").await?;
        lease::check_given(&mut session, lease).await?;
        let number = session.next("backfill").await?;
        let id = BackfillId(u64::try_from(number).expect("counters begin at 1"));
        session
            .execute(
                sqlx::query(
                    "INSERT INTO backfills (id, pipeline, range_start, range_end, newest_first, at_once, promote, \
                     state, by_whom, why, created, changed, changed_by, definition) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8, $9, $10, $10, $8, $11)",
                )
                .bind(number)
                .bind(new.pipeline.as_str())
                .bind(new.range.start.as_microsecond())
                .bind(new.range.end.as_microsecond())
                .bind(i64::from(new.order == BackfillOrder::NewestFirst))
                .bind(i64::from(new.at_once.max(1)))
                .bind(i64::from(new.promote))
                .bind(shown(&new.by, 200))
                .bind(new.why.as_ref().map(|why| shown(why, 2000)))
                .bind(new.at.as_microsecond())
                .bind(new.definition.as_slice()),
            )
            .await?;
        for interval in &new.intervals {
            let occurrence = NewOccurrence {
                id: id.occurrence(&interval.civil),
                kind: OccurrenceKind::Backfill,
                due: interval.due,
                civil: Some(interval.civil.clone()),
                fate: Fate::Queue,
                stands_for: 1,
                give_up: None,
                backfill: Some(id),
            };
            if !occurrences::insert(&mut session, &new.pipeline, &occurrence, new.at).await? {
                let what =
                    format!("the interval {} stands twice in the backfill", shown(&interval.civil, 80));
                return Err(StoreError::Refused { doing: session.doing, what });
            }
        }
        session.commit().await?;
        Ok(id)
    }

    pub async fn backfill(&self, id: BackfillId) -> Result<BackfillRow, StoreError> {
        let mut session = self.database.read("read a backfill").await?;
        expect(&mut session, id).await
    }

    /// What a backfill's runs are made from, as [`NewBackfill::definition`] had it.
    pub async fn backfill_definition(&self, id: BackfillId) -> Result<Vec<u8>, StoreError> {
        let mut session = self.database.read("read a backfill's definition").await?;
        let row = session
            .optional(sqlx::query("SELECT definition FROM backfills WHERE id = $1").bind(column(id.0)))
            .await?
            .ok_or(StoreError::NoSuchBackfill { id })?;
        Fields::of(&row, session.place()).bytes("definition")
    }

    /// Backfills, the newest first: all, or those that have not come to their end.
    pub async fn backfills(
        &self,
        pipeline: Option<&PipelineName>,
        open: bool,
        limit: Option<u32>,
    ) -> Result<Vec<BackfillRow>, StoreError> {
        let mut session = self.database.read("list the backfills").await?;
        let rows = session
            .all(
                sqlx::query(select_backfills!(
                    "WHERE ($1 IS NULL OR b.pipeline = $1) AND ($2 = 0 OR b.state IN ('running', 'paused')) \
                     ORDER BY b.id DESC LIMIT $3"
                ))
                .bind(pipeline.map(|pipeline| pipeline.to_string()))
                .bind(i64::from(open))
                .bind(limit.map_or(i64::MAX, i64::from)),
            )
            .await?;
        let mut backfills = Vec::with_capacity(rows.len());
        for row in &rows {
            let id = BackfillId(Fields::of(row, session.place()).count("id")?);
            let progress = progress(&mut session, id).await?;
            backfills.push(read(&Fields::of(row, session.place()), progress)?);
        }
        Ok(backfills)
    }

    /// Changes a backfill's state, if it still is as the caller saw it. What has not begun when it is cancelled is
    /// skipped in the same transaction. One that came to its end stays so.
    #[expect(clippy::too_many_arguments, reason = "a change, its place, and who wanted it")]
    pub async fn change_backfill(
        &self,
        id: BackfillId,
        from: BackfillState,
        to: BackfillState,
        by: &str,
        why: Option<&str>,
        at: Timestamp,
        lease: Option<&Lease>,
    ) -> Result<(), StoreError> {
        let mut session = self.database.write("change a backfill").await?;
        lease::check_given(&mut session, lease).await?;
        let found = expect(&mut session, id).await?.state;
        if found != from || found.is_terminal() {
            return Err(StoreError::BackfillIs { id, found: found.word(), wanted: to.word() });
        }
        session
            .execute(
                sqlx::query(
                    "UPDATE backfills SET state = $2, changed = $3, changed_by = $4, changed_why = $5 WHERE id = $1",
                )
                .bind(column(id.0))
                .bind(to.word())
                .bind(at.as_microsecond())
                .bind(shown(by, 200))
                .bind(why.map(|why| shown(why, 2000))),
            )
            .await?;
        if to == BackfillState::Cancelled {
            session
                .execute(
                    sqlx::query(
                        "UPDATE occurrences SET state = 'skipped', reason = $2, changed = $3 \
                         WHERE backfill = $1 AND state IN ('waiting', 'queued')",
                    )
                    .bind(column(id.0))
                    .bind(NotRun::BackfillCancelled.word())
                    .bind(at.as_microsecond()),
                )
                .await?;
        }
        session.commit().await
    }
}

macro_rules! select_backfills {
    ($rest:expr) => {
        concat!(
            "SELECT b.id, b.pipeline, b.range_start, b.range_end, b.newest_first, b.at_once, b.promote, b.state, \
             b.by_whom, b.why, b.created, b.changed, b.changed_by, b.changed_why FROM backfills b ",
            $rest
        )
    };
}
use select_backfills;

async fn expect(session: &mut Session<'_>, id: BackfillId) -> Result<BackfillRow, StoreError> {
    let row = session
        .optional(sqlx::query(select_backfills!("WHERE b.id = $1")).bind(column(id.0)))
        .await?
        .ok_or(StoreError::NoSuchBackfill { id })?;
    let progress = progress(session, id).await?;
    read(&Fields::of(&row, session.place()), progress)
}

async fn progress(session: &mut Session<'_>, id: BackfillId) -> Result<BackfillProgress, StoreError> {
    let rows = session
        .all(
            sqlx::query(concat!(
                "SELECT CASE WHEN o.state <> 'started' THEN o.state WHEN r.run IS NULL THEN 'good' \
                 WHEN r.ended IS NULL THEN 'live' WHEN r.status IN ",
                good_statuses!(),
                " THEN 'good' ELSE 'bad' END AS stands, COUNT(*) AS number FROM occurrences o \
                 LEFT JOIN runs r ON r.run = o.run WHERE o.backfill = $1 GROUP BY 1"
            ))
            .bind(column(id.0)),
        )
        .await?;
    let mut progress = BackfillProgress::default();
    for row in &rows {
        let fields = Fields::of(row, session.place());
        let number = fields.count("number")?;
        match &*fields.text("stands")? {
            "live" => progress.live += number,
            "good" => progress.good += number,
            "bad" => progress.bad += number,
            "skipped" => progress.skipped += number,
            _ => progress.queued += number,
        }
    }
    Ok(progress)
}

fn read(fields: &Fields<'_>, progress: BackfillProgress) -> Result<BackfillRow, StoreError> {
    let state = fields.text("state")?;
    Ok(BackfillRow {
        id: BackfillId(fields.count("id")?),
        pipeline: fields.parsed("pipeline")?,
        range: Interval { start: fields.instant("range_start")?, end: fields.instant("range_end")? },
        order: match fields.flag("newest_first")? {
            true => BackfillOrder::NewestFirst,
            false => BackfillOrder::OldestFirst,
        },
        at_once: fields.small("at_once")?,
        promote: fields.flag("promote")?,
        state: BackfillState::ALL
            .into_iter()
            .find(|known| known.word() == state)
            .ok_or_else(|| fields.corrupt("state", format_args!("`{state}` is no state")))?,
        by: fields.text("by_whom")?,
        why: fields.optional_text("why")?,
        created: fields.instant("created")?,
        changed: fields.instant("changed")?,
        changed_by: fields.text("changed_by")?,
        changed_why: fields.optional_text("changed_why")?,
        progress,
    })
}

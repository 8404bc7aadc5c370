//! How far the occurrences of each pipeline have been decided, and whether its schedule is paused.

use jiff::Timestamp;
use noctule_artifacts::{ModelName, PipelineName};

use crate::error::StoreError;
use crate::lease::{self, Lease};
use crate::occurrences::{self, NewOccurrence, Skip};
use crate::row::Fields;
use crate::session::Session;
use crate::{Store, column, shown};

/// Up to where occurrences have been decided: nothing at or before it is looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watermark {
    /// Of a cron line. Kept to the microsecond.
    Time(Timestamp),
    /// Of a schedule that follows a model's promotions: the number of the last one looked at.
    Promotion { model: ModelName, sequence: u64 },
}

/// A schedule that begins nothing until it is resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub at: Timestamp,
    pub by: String,
    pub why: Option<String>,
}

/// A pipeline's schedule as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRow {
    pub pipeline: PipelineName,
    /// `None` before the first [`Store::advance`].
    pub watermark: Option<Watermark>,
    pub paused: Option<Pause>,
}

/// A step forward of a watermark, with what was decided on the way.
#[derive(Debug, Clone)]
pub struct Advance {
    pub pipeline: PipelineName,
    /// Where the caller saw it.
    pub from: Option<Watermark>,
    pub to: Watermark,
    pub occurrences: Vec<NewOccurrence>,
    /// Occurrences of the pipeline that something new takes the place of: those of them that wait or are queued are
    /// skipped.
    pub skip: Vec<(String, Skip)>,
    /// When the clock was set back: what was decided about due times of the schedule after this and has not begun is
    /// taken back, so that it is decided anew when its time comes again.
    pub take_back_after: Option<Timestamp>,
    pub at: Timestamp,
}

impl Advance {
    /// A step that only moves the watermark.
    pub fn new(pipeline: PipelineName, from: Option<Watermark>, to: Watermark, at: Timestamp) -> Self {
        Self { pipeline, from, to, occurrences: Vec::new(), skip: Vec::new(), take_back_after: None, at }
    }
}

impl Store {
    /// The schedule of a pipeline; one that the store does not know yet has no watermark.
    pub async fn schedule(&self, pipeline: &PipelineName) -> Result<ScheduleRow, StoreError> {
        let mut session = self.database.read("read a schedule").await?;
        find(&mut session, pipeline).await
    }

    /// All schedules, by pipeline.
    pub async fn schedules(&self) -> Result<Vec<ScheduleRow>, StoreError> {
        let mut session = self.database.read("list the schedules").await?;
        let rows = session.all(sqlx::query(select_schedules!(""))).await?;
        let mut rows =
            rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect::<Result<Vec<_>, _>>()?;
        rows.sort_by(|a, b| a.pipeline.cmp(&b.pipeline));
        Ok(rows)
    }

    /// Moves a watermark and enters the occurrences decided on the way, all or nothing.
    ///
    /// Refused when the watermark is not where the caller saw it ([`StoreError::ScheduleMoved`]) or the lease is held
    /// by somebody else. An occurrence that is there already stays as it is; the ids of those are returned.
    pub async fn advance(&self, advance: &Advance, lease: &Lease) -> Result<Vec<String>, StoreError> {
        let mut session = self.database.write("move a schedule on").await?;
        lease::check(&mut session, lease).await?;
        let found = find(&mut session, &advance.pipeline).await?.watermark;
        // An instant is compared as it is kept.
        if found.as_ref().map(columns) != advance.from.as_ref().map(columns) {
            return Err(StoreError::ScheduleMoved { pipeline: advance.pipeline.clone() });
        }
        let (mark, follows) = columns(&advance.to);
        session
            .execute(
                sqlx::query(
                    "INSERT INTO schedules (pipeline, watermark, follows) VALUES ($1, $2, $3) \
                     ON CONFLICT (pipeline) DO UPDATE SET watermark = $2, follows = $3",
                )
                .bind(advance.pipeline.as_str())
                .bind(mark)
                .bind(follows),
            )
            .await?;
        if let Some(after) = advance.take_back_after {
            occurrences::take_back(&mut session, &advance.pipeline, after, advance.at).await?;
        }
        for (id, skip) in &advance.skip {
            occurrences::skip_open(&mut session, &advance.pipeline, id, skip, advance.at).await?;
        }
        let mut there = Vec::new();
        for occurrence in &advance.occurrences {
            if !occurrences::insert(&mut session, &advance.pipeline, occurrence, advance.at).await? {
                there.push(occurrence.id.clone());
            }
        }
        session.commit().await?;
        Ok(there)
    }

    /// Pauses a schedule. `false` when it is paused already; the first pause stays on record.
    pub async fn pause_schedule(
        &self,
        pipeline: &PipelineName,
        by: &str,
        why: Option<&str>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut session = self.database.write("pause a schedule").await?;
        let changed = session
            .execute(
                sqlx::query(
                    "INSERT INTO schedules (pipeline, paused, paused_by, paused_why) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (pipeline) DO UPDATE SET paused = $2, paused_by = $3, paused_why = $4 \
                     WHERE schedules.paused IS NULL",
                )
                .bind(pipeline.as_str())
                .bind(at.as_microsecond())
                .bind(shown(by, 200))
                .bind(why.map(|why| shown(why, 2000))),
            )
            .await?;
        session.commit().await?;
        Ok(changed == 1)
    }

    /// Lets a paused schedule go on. `false` when it was not paused.
    pub async fn resume_schedule(&self, pipeline: &PipelineName) -> Result<bool, StoreError> {
        let mut session = self.database.write("resume a schedule").await?;
        let changed = session
            .execute(
                sqlx::query(
                    "UPDATE schedules SET paused = NULL, paused_by = NULL, paused_why = NULL \
                     WHERE pipeline = $1 AND paused IS NOT NULL",
                )
                .bind(pipeline.as_str()),
            )
            .await?;
        session.commit().await?;
        Ok(changed == 1)
    }
}

macro_rules! select_schedules {
    ($rest:expr) => {
        concat!("SELECT pipeline, watermark, follows, paused, paused_by, paused_why FROM schedules ", $rest)
    };
}
use select_schedules;

async fn find(session: &mut Session<'_>, pipeline: &PipelineName) -> Result<ScheduleRow, StoreError> {
    let row = session
        .optional(sqlx::query(select_schedules!("WHERE pipeline = $1")).bind(pipeline.as_str()))
        .await?;
    match row {
        Some(row) => read(&Fields::of(&row, session.place())),
        None => Ok(ScheduleRow { pipeline: pipeline.clone(), watermark: None, paused: None }),
    }
}

fn read(fields: &Fields<'_>) -> Result<ScheduleRow, StoreError> {
    let watermark = match (fields.optional_integer("watermark")?, fields.optional_parsed("follows")?) {
        (None, _) => None,
        (Some(_), None) => Some(Watermark::Time(fields.instant("watermark")?)),
        (Some(_), Some(model)) => Some(Watermark::Promotion { model, sequence: fields.count("watermark")? }),
    };
    let paused = match fields.optional_instant("paused")? {
        None => None,
        Some(at) => {
            Some(Pause { at, by: fields.text("paused_by")?, why: fields.optional_text("paused_why")? })
        }
    };
    Ok(ScheduleRow { pipeline: fields.parsed("pipeline")?, watermark, paused })
}

fn columns(mark: &Watermark) -> (i64, Option<String>) {
    match mark {
        Watermark::Time(time) => (time.as_microsecond(), None),
        Watermark::Promotion { model, sequence } => (column(*sequence), Some(model.to_string())),
    }
}

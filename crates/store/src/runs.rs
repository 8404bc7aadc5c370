//! The list of runs, and notes about them.
//!
//! With 10,000 runs, each with the log of a whole night and a definition of 8 kB, on a busy machine of two cores in a
//! development build: a page of the list takes 0.5 ms wherever it begins, also of one pipeline, of the live runs or of
//! those that failed (1 to 3 ms); all about one run with its log 1 ms from SQLite and 4 ms from Postgres; finding a run
//! by the beginning of its id 1 to 2 ms; opening the database 2 ms and 40 ms. `tests/store/many.rs` measures it.

use jiff::Timestamp;
use noctule_artifacts::launch::Interval;
use noctule_artifacts::{PipelineName, RunId, StepName};
use noctule_engine::RunStatus;

use crate::error::StoreError;
use crate::record::status::{self, good_statuses};
use crate::row::Fields;
use crate::session::asked;
use crate::{Store, shown};

/// A run as lists show it. What happened to it stands in its log.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    pub run: RunId,
    pub pipeline: PipelineName,
    pub interval: Interval,
    pub occurrence: Option<String>,
    pub status: RunStatus,
    pub created: Timestamp,
    /// When its log last grew.
    pub changed: Timestamp,
    /// When it ended; `None` while it is live.
    pub ended: Option<Timestamp>,
    /// The number of the last event of its log.
    pub last_event: u64,
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    pub pipeline: Option<PipelineName>,
    /// Only runs that have not ended.
    pub live: bool,
    /// Only runs that stand so; any when empty.
    pub statuses: Vec<RunStatus>,
    /// Only what comes after this run in the list: the next page.
    pub after: Option<RunCursor>,
    /// At most so many; all when `None`.
    pub limit: Option<u32>,
}

/// A place in the list of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCursor {
    pub created: Timestamp,
    pub run: RunId,
}

impl RunRow {
    /// The place of this run in the list.
    pub fn cursor(&self) -> RunCursor {
        RunCursor { created: self.created, run: self.run.clone() }
    }
}

/// A sentence for people about a run, outside its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub step: Option<StepName>,
    pub at: Timestamp,
    pub text: String,
}

macro_rules! select_runs {
    ($rest:expr) => {
        concat!(
            "SELECT run, pipeline, interval_start, interval_end, occurrence, status, created, changed, ended, \
             last_event FROM runs ",
            $rest
        )
    };
}

impl Store {
    /// Runs, the newest first.
    pub async fn runs(&self, filter: &RunFilter) -> Result<Vec<RunRow>, StoreError> {
        let mut session = self.database.read("list the runs").await?;
        let after = filter.after.as_ref();
        let rows = session
            .all(
                sqlx::query(sqlx::AssertSqlSafe(list_statement(filter)))
                    .bind(filter.limit.map_or(i64::MAX, i64::from))
                    .bind(filter.pipeline.as_ref().map(|pipeline| pipeline.to_string()))
                    .bind(after.map(|after| after.created.as_microsecond()))
                    .bind(after.map(|after| after.run.to_string())),
            )
            .await?;
        rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect()
    }

    pub async fn run(&self, run: &RunId) -> Result<RunRow, StoreError> {
        let mut session = self.database.read("read a run").await?;
        let row = session
            .optional(sqlx::query(select_runs!("WHERE run = $1")).bind(run.as_str()))
            .await?
            .ok_or_else(|| StoreError::NoSuchRun { run: run.to_string() })?;
        read(&Fields::of(&row, session.place()))
    }

    /// What the run was made from, as [`NewRun::definition`](crate::NewRun) had it.
    pub async fn definition(&self, run: &RunId) -> Result<Vec<u8>, StoreError> {
        let mut session = self.database.read("read a run's definition").await?;
        let row = session
            .optional(sqlx::query("SELECT definition FROM runs WHERE run = $1").bind(run.as_str()))
            .await?
            .ok_or_else(|| StoreError::NoSuchRun { run: run.to_string() })?;
        Fields::of(&row, session.place()).bytes("definition")
    }

    /// The one run whose id begins with `prefix`, with or without its leading `r`.
    pub async fn find_run(&self, prefix: &str) -> Result<RunId, StoreError> {
        let typed = prefix.trim();
        let is_id =
            !typed.is_empty() && typed.len() <= 13 && typed.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_id {
            return Err(StoreError::NoSuchRun { run: typed.chars().take(80).collect() });
        }
        let lower = typed.to_ascii_lowercase();
        let mut session = self.database.read("find a run").await?;
        let rows = session
            .all(
                sqlx::query("SELECT run FROM runs WHERE run LIKE $1 OR run LIKE $2 ORDER BY run LIMIT 100")
                    .bind(format!("{lower}%"))
                    .bind(format!("r{lower}%")),
            )
            .await?;
        let ids: Vec<RunId> = rows
            .iter()
            .map(|row| Fields::of(row, session.place()).parsed("run"))
            .collect::<Result<_, _>>()?;
        // An id that was typed whole is meant, whatever longer reading it has.
        if let Some(whole) = ids.iter().find(|id| id.as_str() == lower) {
            return Ok(whole.clone());
        }
        match &ids[..] {
            [] => Err(StoreError::NoSuchRun { run: typed.to_owned() }),
            [only] => Ok(only.clone()),
            many => Err(StoreError::AmbiguousRun {
                prefix: typed.to_owned(),
                found: many.len(),
                examples: many.iter().take(3).map(|id| id.as_str()).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// The last good run: the latest run of the pipeline for an interval that begins before `start`, which ended, and
    /// neither in failure nor in a data-stop. Of several for one interval the newest.
    pub async fn last_good(
        &self,
        pipeline: &PipelineName,
        start: Timestamp,
    ) -> Result<Option<RunRow>, StoreError> {
        let mut session = self.database.read("find the last good run").await?;
        let row = session
            .optional(
                sqlx::query(select_runs!(concat!(
                    "WHERE pipeline = $1 AND interval_start < $2 AND status IN ",
                    good_statuses!(),
                    " ORDER BY interval_start DESC, created DESC, run LIMIT 1"
                )))
                .bind(pipeline.as_str())
                .bind(start.as_microsecond()),
            )
            .await?;
        row.map(|row| read(&Fields::of(&row, session.place()))).transpose()
    }

    /// Leaves a sentence about a run, or a step of it, that its log has no event for.
    pub async fn note(&self, run: &RunId, note: &Note) -> Result<(), StoreError> {
        let mut session = self.database.write("note something about a run").await?;
        crate::log::last_event(&mut session, run).await?;
        let id = session.next("note").await?;
        session
            .execute(
                sqlx::query("INSERT INTO notes (id, run, step, at, text) VALUES ($1, $2, $3, $4, $5)")
                    .bind(id)
                    .bind(run.as_str())
                    .bind(note.step.as_ref().map(|step| step.to_string()))
                    .bind(note.at.to_string())
                    .bind(shown(&note.text, 100_000)),
            )
            .await?;
        session.commit().await
    }

    /// The notes about a run, in the order in which they were left.
    pub async fn notes(&self, run: &RunId) -> Result<Vec<Note>, StoreError> {
        let mut session = self.database.read("read the notes about a run").await?;
        let rows = session
            .all(
                sqlx::query("SELECT step, at, text FROM notes WHERE run = $1 ORDER BY id").bind(run.as_str()),
            )
            .await?;
        rows.iter()
            .map(|row| {
                let fields = Fields::of(row, session.place());
                Ok(Note {
                    step: fields.optional_parsed("step")?,
                    at: fields.parsed("at")?,
                    text: fields.text("text")?,
                })
            })
            .collect()
    }
}

/// The list's statement: a pipeline that last ran a year ago is listed without reading the year. What comes from outside
/// is a parameter; the words are our own.
fn list_statement(filter: &RunFilter) -> String {
    let pipeline = asked(filter.pipeline.is_some(), "pipeline = $2", &["$2"]);
    let after = asked(filter.after.is_some(), "created <= $3 AND (created < $3 OR run > $4)", &["$3", "$4"]);
    let mut text = format!("{}{pipeline} AND {after}", select_runs!("WHERE "));
    if filter.live {
        text += " AND ended IS NULL";
    }
    if !filter.statuses.is_empty() {
        let words: Vec<&str> = filter.statuses.iter().map(|status| status::word(*status)).collect();
        text += &format!(" AND status IN ('{}')", words.join("', '"));
    }
    text + " ORDER BY created DESC, run LIMIT $1"
}

fn read(fields: &Fields<'_>) -> Result<RunRow, StoreError> {
    let word = fields.text("status")?;
    Ok(RunRow {
        run: fields.parsed("run")?,
        pipeline: fields.parsed("pipeline")?,
        interval: Interval { start: fields.instant("interval_start")?, end: fields.instant("interval_end")? },
        occurrence: fields.optional_text("occurrence")?,
        status: status::of_word(&word)
            .ok_or_else(|| fields.corrupt("status", format_args!("`{word}` is no status")))?,
        created: fields.instant("created")?,
        changed: fields.instant("changed")?,
        ended: fields.optional_instant("ended")?,
        last_event: fields.count("last_event")?,
    })
}

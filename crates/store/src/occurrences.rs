//! Everything that was due, once: what was decided about it, and which run it got.
//!
//! An occurrence is a row under (pipeline, id) and nothing else, so that the same due time cannot be stored twice,
//! whoever decides about it and however often. A schedule of every minute has 130,000 of them in 90 days; what it has
//! going, or what is queued of all pipelines, is found in less than 1 ms all the same.

use jiff::Timestamp;
use noctule_artifacts::{PipelineName, RunId};
use noctule_engine::RunStatus;
use noctule_engine::schedule::NotRun;

use crate::backfills::BackfillId;
use crate::error::StoreError;
use crate::lease::{self, Lease};
use crate::record::status;
use crate::row::Fields;
use crate::session::{Session, asked};
use crate::{Store, column, shown};

/// Why an occurrence is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OccurrenceKind {
    Schedule,
    Promotion,
    Backfill,
}

/// The word for how an occurrence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OccurrenceStage {
    Waiting,
    Queued,
    Started,
    Skipped,
}

/// How an occurrence stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OccurrenceState {
    /// For its data.
    Waiting,
    /// Its run is to begin.
    Queued,
    Started {
        run: RunId,
        /// `None` when the run is no longer kept.
        status: Option<RunStatus>,
    },
    Skipped(Skip),
}

/// Why an occurrence has no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    pub reason: NotRun,
    /// More about it, for people.
    pub detail: Option<String>,
}

/// What becomes of an occurrence that has no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Wait,
    Queue,
    Skip(Skip),
}

/// An occurrence that is to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOccurrence {
    /// Unique in its pipeline, such as the civil time.
    pub id: String,
    pub kind: OccurrenceKind,
    pub due: Timestamp,
    /// The civil time, when it has one.
    pub civil: Option<String>,
    pub fate: Fate,
    /// Of how many due times this row tells: more than one only for a stretch of skipped ones.
    pub stands_for: u64,
    /// When waiting for its data is given up.
    pub give_up: Option<Timestamp>,
    pub backfill: Option<BackfillId>,
}

/// An occurrence as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OccurrenceRow {
    pub pipeline: PipelineName,
    pub id: String,
    pub kind: OccurrenceKind,
    pub due: Timestamp,
    pub civil: Option<String>,
    pub state: OccurrenceState,
    pub stands_for: u64,
    pub give_up: Option<Timestamp>,
    pub backfill: Option<BackfillId>,
    pub created: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
}

/// Which occurrences to list. Those that fall due last come first.
#[derive(Debug, Clone, Default)]
pub struct OccurrenceFilter {
    pub pipeline: Option<PipelineName>,
    /// Any when empty.
    pub stages: Vec<OccurrenceStage>,
    /// Any when empty.
    pub kinds: Vec<OccurrenceKind>,
    pub backfill: Option<BackfillId>,
    pub oldest_first: bool,
    /// Only what comes after this row in the order of the list.
    pub after: Option<OccurrenceCursor>,
    /// At most so many; all when `None`.
    pub limit: Option<u32>,
}

/// A place in a list of occurrences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OccurrenceCursor {
    pub due: Timestamp,
    pub pipeline: PipelineName,
    pub id: String,
}

/// What a schedule has going, apart from its backfills.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Going {
    /// Runs that its occurrences began and that have not ended, the oldest first.
    pub live: Vec<RunId>,
    pub waiting: u64,
    pub queued: u64,
}

impl OccurrenceKind {
    pub const ALL: [Self; 3] = [Self::Schedule, Self::Promotion, Self::Backfill];

    pub fn word(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Promotion => "promotion",
            Self::Backfill => "backfill",
        }
    }
}

impl OccurrenceStage {
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Queued, Self::Started, Self::Skipped];

    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Started => "started",
            Self::Skipped => "skipped",
        }
    }
}

impl OccurrenceState {
    pub fn stage(&self) -> OccurrenceStage {
        match self {
            Self::Waiting => OccurrenceStage::Waiting,
            Self::Queued => OccurrenceStage::Queued,
            Self::Started { .. } => OccurrenceStage::Started,
            Self::Skipped(_) => OccurrenceStage::Skipped,
        }
    }
}

impl Fate {
    fn stage(&self) -> OccurrenceStage {
        match self {
            Self::Wait => OccurrenceStage::Waiting,
            Self::Queue => OccurrenceStage::Queued,
            Self::Skip(_) => OccurrenceStage::Skipped,
        }
    }

    fn skip(&self) -> Option<&Skip> {
        match self {
            Self::Skip(skip) => Some(skip),
            Self::Wait | Self::Queue => None,
        }
    }
}

impl OccurrenceRow {
    /// The place of this row in a list.
    pub fn cursor(&self) -> OccurrenceCursor {
        OccurrenceCursor { due: self.due, pipeline: self.pipeline.clone(), id: self.id.clone() }
    }
}

const COLUMNS: &str = "SELECT o.pipeline, o.id, o.kind, o.due, o.civil, o.state, o.reason, o.detail, o.stands_for, \
                       o.run, o.backfill, o.give_up, o.created, o.changed, r.status AS run_status \
                       FROM occurrences o LEFT JOIN runs r ON r.run = o.run";

impl Store {
    pub async fn occurrences(&self, filter: &OccurrenceFilter) -> Result<Vec<OccurrenceRow>, StoreError> {
        let mut session = self.database.read("list the occurrences").await?;
        let text = list_statement(filter);
        let after = filter.after.as_ref();
        let rows = session
            .all(
                sqlx::query(sqlx::AssertSqlSafe(text))
                    .bind(filter.pipeline.as_ref().map(|pipeline| pipeline.to_string()))
                    .bind(filter.backfill.map(|id| column(id.0)))
                    .bind(after.map(|after| after.due.as_microsecond()))
                    .bind(after.map(|after| after.pipeline.to_string()))
                    .bind(after.map(|after| after.id.clone()))
                    .bind(filter.limit.map_or(i64::MAX, i64::from)),
            )
            .await?;
        rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect()
    }

    pub async fn occurrence(
        &self,
        pipeline: &PipelineName,
        id: &str,
    ) -> Result<Option<OccurrenceRow>, StoreError> {
        let mut session = self.database.read("read an occurrence").await?;
        find(&mut session, pipeline, id).await
    }

    /// Decides about an occurrence that has no run yet. `false` when it does not stand as `from` says any more, and
    /// then nothing is changed.
    pub async fn settle_occurrence(
        &self,
        pipeline: &PipelineName,
        id: &str,
        from: OccurrenceStage,
        fate: &Fate,
        at: Timestamp,
        lease: Option<&Lease>,
    ) -> Result<bool, StoreError> {
        let mut session = self.database.write("decide about an occurrence").await?;
        lease::check_given(&mut session, lease).await?;
        let Some(row) = find(&mut session, pipeline, id).await? else {
            return Err(StoreError::NoSuchOccurrence { pipeline: pipeline.clone(), id: shown(id, 200) });
        };
        let open = matches!(from, OccurrenceStage::Waiting | OccurrenceStage::Queued);
        if !open || row.state.stage() != from {
            return Ok(false);
        }
        set(&mut session, pipeline, id, fate, at).await?;
        session.commit().await?;
        Ok(true)
    }

    /// What a pipeline's schedule has going.
    pub async fn going(&self, pipeline: &PipelineName) -> Result<Going, StoreError> {
        let mut session = self.database.read("look what a schedule has going").await?;
        let rows = session
            .all(
                sqlx::query(
                    // In branches of which an index serves each: SQLite would read all that the pipeline ever had.
                    "SELECT state, NULL AS run, due FROM occurrences \
                     WHERE pipeline = $1 AND state = 'waiting' AND kind <> 'backfill' \
                     UNION ALL SELECT state, NULL, due FROM occurrences \
                     WHERE pipeline = $1 AND state = 'queued' AND kind <> 'backfill' \
                     UNION ALL SELECT o.state, r.run, o.due FROM runs r \
                     JOIN occurrences o ON o.pipeline = r.pipeline AND o.id = r.occurrence \
                     WHERE r.pipeline = $1 AND r.ended IS NULL AND o.kind <> 'backfill' AND o.state = 'started' \
                     ORDER BY due",
                )
                .bind(pipeline.as_str()),
            )
            .await?;
        let mut going = Going::default();
        for row in &rows {
            let fields = Fields::of(row, session.place());
            match stage_of(&fields)? {
                OccurrenceStage::Waiting => going.waiting += 1,
                OccurrenceStage::Queued => going.queued += 1,
                OccurrenceStage::Started => going.live.push(fields.parsed("run")?),
                OccurrenceStage::Skipped => {}
            }
        }
        Ok(going)
    }
}

/// The list's statement. What comes from outside is a parameter; the words are our own.
fn list_statement(filter: &OccurrenceFilter) -> String {
    let (beyond, order) = if filter.oldest_first { (">", "ASC") } else { ("<", "DESC") };
    let after = format!(
        "o.due {beyond}= $3 AND (o.due {beyond} $3 OR o.pipeline {beyond} $4 OR (o.pipeline = $4 AND o.id {beyond} $5))"
    );
    let mut conditions = vec![
        asked(filter.pipeline.is_some(), "o.pipeline = $1", &["$1"]),
        asked(filter.backfill.is_some(), "o.backfill = $2", &["$2"]),
        asked(filter.after.is_some(), &after, &["$3", "$4", "$5"]),
    ];
    let words = |words: Vec<&str>| format!("('{}')", words.join("', '"));
    if !filter.stages.is_empty() {
        let stages = words(filter.stages.iter().map(|stage| stage.word()).collect());
        conditions.push(format!("o.state IN {stages}"));
    }
    if !filter.kinds.is_empty() {
        let kinds = words(filter.kinds.iter().map(|kind| kind.word()).collect());
        conditions.push(format!("o.kind IN {kinds}"));
    }
    let conditions = conditions.join(" AND ");
    format!("{COLUMNS} WHERE {conditions} ORDER BY o.due {order}, o.pipeline {order}, o.id {order} LIMIT $6")
}

/// Enters an occurrence. `false` when it is there already, and then it stays as it is, unless it was taken back.
pub(crate) async fn insert(
    session: &mut Session<'_>,
    pipeline: &PipelineName,
    new: &NewOccurrence,
    at: Timestamp,
) -> Result<bool, StoreError> {
    if new.id.is_empty() || new.id.len() > 200 || new.id.chars().any(char::is_control) {
        let what = format!("`{}` is no id of an occurrence", shown(&new.id, 80));
        return Err(StoreError::Refused { doing: session.doing, what });
    }
    let skip = new.fate.skip();
    let entered = session
        .execute(
            sqlx::query(
                "INSERT INTO occurrences (pipeline, id, kind, due, civil, state, reason, detail, stands_for, \
                 backfill, give_up, created, changed) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) \
                 ON CONFLICT (pipeline, id) DO UPDATE SET due = $4, state = $6, reason = $7, detail = $8, \
                 give_up = $11, changed = $12 WHERE occurrences.state = 'skipped' AND occurrences.reason = 'clock' \
                 AND occurrences.stands_for = 1",
            )
            .bind(pipeline.as_str())
            .bind(new.id.as_str())
            .bind(new.kind.word())
            .bind(new.due.as_microsecond())
            .bind(new.civil.clone())
            .bind(new.fate.stage().word())
            .bind(skip.map(|skip| skip.reason.word()))
            .bind(skip.and_then(|skip| skip.detail.as_ref()).map(|detail| shown(detail, 2000)))
            .bind(column(new.stands_for))
            .bind(new.backfill.map(|id| column(id.0)))
            .bind(new.give_up.map(Timestamp::as_microsecond))
            .bind(at.as_microsecond()),
        )
        .await?;
    Ok(entered == 1)
}

/// Writes a decision about an occurrence down, whatever it was before.
async fn set(
    session: &mut Session<'_>,
    pipeline: &PipelineName,
    id: &str,
    fate: &Fate,
    at: Timestamp,
) -> Result<(), StoreError> {
    let skip = fate.skip();
    session
        .execute(
            sqlx::query(
                "UPDATE occurrences SET state = $3, reason = $4, detail = $5, changed = $6 \
                 WHERE pipeline = $1 AND id = $2",
            )
            .bind(pipeline.as_str())
            .bind(id)
            .bind(fate.stage().word())
            .bind(skip.map(|skip| skip.reason.word()))
            .bind(skip.and_then(|skip| skip.detail.as_ref()).map(|detail| shown(detail, 2000)))
            .bind(at.as_microsecond()),
        )
        .await
        .map(drop)
}

/// Skips an occurrence that waits or is queued, and leaves any other.
pub(crate) async fn skip_open(
    session: &mut Session<'_>,
    pipeline: &PipelineName,
    id: &str,
    skip: &Skip,
    at: Timestamp,
) -> Result<(), StoreError> {
    match find(session, pipeline, id).await?.map(|row| row.state) {
        Some(OccurrenceState::Waiting | OccurrenceState::Queued) => {
            set(session, pipeline, id, &Fate::Skip(skip.clone()), at).await
        }
        _ => Ok(()),
    }
}

/// Takes back what was decided about due times of a schedule that are to come again, since the clock went back, and
/// that have not begun. The rows stay, until the time comes and it is decided anew.
pub(crate) async fn take_back(
    session: &mut Session<'_>,
    pipeline: &PipelineName,
    after: Timestamp,
    at: Timestamp,
) -> Result<(), StoreError> {
    session
        .execute(
            sqlx::query(
                "UPDATE occurrences SET state = 'skipped', reason = $3, detail = NULL, changed = $4 \
                 WHERE pipeline = $1 AND due > $2 AND kind = 'schedule' AND state <> 'started'",
            )
            .bind(pipeline.as_str())
            .bind(after.as_microsecond())
            .bind(NotRun::Clock.word())
            .bind(at.as_microsecond()),
        )
        .await
        .map(drop)
}

/// Gives an occurrence its run, in the transaction that creates the run.
pub(crate) async fn start(
    session: &mut Session<'_>,
    pipeline: &PipelineName,
    id: &str,
    run: &RunId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(row) = find(session, pipeline, id).await? else {
        return Err(StoreError::NoSuchOccurrence { pipeline: pipeline.clone(), id: shown(id, 200) });
    };
    if !matches!(row.state, OccurrenceState::Waiting | OccurrenceState::Queued) {
        return Err(StoreError::OccurrenceSettled {
            pipeline: pipeline.clone(),
            id: id.to_owned(),
            state: row.state.stage().word(),
        });
    }
    session
        .execute(
            sqlx::query(
                "UPDATE occurrences SET state = 'started', run = $3, changed = $4 WHERE pipeline = $1 AND id = $2",
            )
            .bind(pipeline.as_str())
            .bind(id)
            .bind(run.as_str())
            .bind(at.as_microsecond()),
        )
        .await
        .map(drop)
}

async fn find(
    session: &mut Session<'_>,
    pipeline: &PipelineName,
    id: &str,
) -> Result<Option<OccurrenceRow>, StoreError> {
    let text = format!("{COLUMNS} WHERE o.pipeline = $1 AND o.id = $2");
    let row = session
        .optional(sqlx::query(sqlx::AssertSqlSafe(text)).bind(pipeline.as_str()).bind(shown(id, 200)))
        .await?;
    row.map(|row| read(&Fields::of(&row, session.place()))).transpose()
}

fn stage_of(fields: &Fields<'_>) -> Result<OccurrenceStage, StoreError> {
    let word = fields.text("state")?;
    OccurrenceStage::ALL
        .into_iter()
        .find(|stage| stage.word() == word)
        .ok_or_else(|| fields.corrupt("state", format_args!("`{word}` is no state")))
}

fn read(fields: &Fields<'_>) -> Result<OccurrenceRow, StoreError> {
    let kind = fields.text("kind")?;
    let state = match stage_of(fields)? {
        OccurrenceStage::Waiting => OccurrenceState::Waiting,
        OccurrenceStage::Queued => OccurrenceState::Queued,
        OccurrenceStage::Started => OccurrenceState::Started {
            run: fields.parsed("run")?,
            status: match fields.optional_text("run_status")? {
                None => None,
                Some(word) => Some(
                    status::of_word(&word)
                        .ok_or_else(|| fields.corrupt("run_status", format_args!("`{word}` is no status")))?,
                ),
            },
        },
        OccurrenceStage::Skipped => {
            let word = fields.text("reason")?;
            let reason = NotRun::of_word(&word)
                .ok_or_else(|| fields.corrupt("reason", format_args!("`{word}` is no reason")))?;
            OccurrenceState::Skipped(Skip { reason, detail: fields.optional_text("detail")? })
        }
    };
    Ok(OccurrenceRow {
        pipeline: fields.parsed("pipeline")?,
        id: fields.text("id")?,
        kind: OccurrenceKind::ALL
            .into_iter()
            .find(|known| known.word() == kind)
            .ok_or_else(|| fields.corrupt("kind", format_args!("`{kind}` is no kind")))?,
        due: fields.instant("due")?,
        civil: fields.optional_text("civil")?,
        state,
        stands_for: fields.count("stands_for")?,
        give_up: fields.optional_instant("give_up")?,
        backfill: fields
            .optional_integer("backfill")?
            .map(|_| fields.count("backfill"))
            .transpose()?
            .map(BackfillId),
        created: fields.instant("created")?,
        changed: fields.instant("changed")?,
    })
}

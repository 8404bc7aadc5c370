//! Slots: how many attempts may be live at once, overall, per pipeline and per pool.
//!
//! A slot is the row of a live attempt, never a counter: what a killed process held is what its attempts in the log
//! still hold. It is taken in the transaction of the event that an attempt is to start, and given back in that of its
//! end. Who may take one first is decided over all who wait, in the order of the engine's claims.

mod turn;

use std::fmt;

use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, PipelineName, RunId, StepName};

use crate::Store;
use crate::error::StoreError;
use crate::log::Effects;
use crate::row::Fields;
use crate::session::Session;
use turn::{Held, rank, turn};

/// Somebody who waits and was not seen for so long, in microseconds of the database's clock, holds up nobody.
const FORGOTTEN: i64 = 15_000_000;

/// A slot that an attempt is to take, with the event that intends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeSlot {
    pub attempt: AttemptNumber,
    pub wish: SlotWish,
}

/// What a step wants a slot for, and how urgently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotWish {
    pub step: StepName,
    pub limits: SlotLimits,
    /// Higher goes first.
    pub priority: i32,
    /// The nearer one goes first; none goes last.
    pub deadline: Option<Timestamp>,
}

/// How many attempts may be live at once, where that is limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotLimits {
    /// Of all runs.
    pub overall: Option<u32>,
    /// Of all runs of the pipeline.
    pub pipeline: Option<u32>,
    /// Of all that name the pool.
    pub pool: Option<Pool>,
}

/// Something scarce, such as `gpu`, and how many attempts may have it at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub slots: u32,
}

/// A slot that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRow {
    pub run: RunId,
    pub step: StepName,
    pub attempt: AttemptNumber,
    pub pipeline: PipelineName,
    pub pool: Option<String>,
    /// By the database's clock.
    pub taken: Timestamp,
}

/// A step that waits for a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotWaiter {
    pub run: RunId,
    pub pipeline: PipelineName,
    pub wish: SlotWish,
    /// By the database's clock.
    pub since: Timestamp,
}

/// Which of the limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    Overall,
    Pipeline(PipelineName),
    Pool(String),
}

/// Why there is no slot now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSlot {
    pub limit: Limit,
    pub slots: u32,
    /// Who has them; some of them, when there are many.
    pub holders: Vec<SlotRow>,
    /// How many that come first wait for the same.
    pub ahead: u32,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overall => f.write_str("the limit of attempts of all runs"),
            Self::Pipeline(pipeline) => write!(f, "the limit of attempts of the pipeline {pipeline}"),
            Self::Pool(pool) => write!(f, "the pool `{pool}`"),
        }
    }
}

impl fmt::Display for NoSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) leaves no slot", self.limit, self.slots)?;
        if let Some(first) = self.holders.first() {
            write!(f, ": {}/{}", first.run, first.step)?;
            match self.holders.len() - 1 {
                0 => {}
                more => write!(f, " and {more} more")?,
            }
            f.write_str(if self.holders.len() == 1 { " holds it" } else { " hold them" })?;
        }
        if self.ahead > 0 {
            write!(f, "; {} that come first wait for it", self.ahead)?;
        }
        Ok(())
    }
}

impl Store {
    /// Says that a step waits for a slot and is still interested: to be called again every few seconds, since who was
    /// not seen for 15 s holds up nobody. Answers what is in the way, or `None` when a [`TakeSlot`] would succeed now.
    pub async fn wait_for_slot(&self, run: &RunId, wish: &SlotWish) -> Result<Option<NoSlot>, StoreError> {
        let mut session = self.database.write("wait for a slot").await?;
        let pipeline = pipeline_of(&mut session, run).await?;
        let now = session.clock().await?;
        let pool = wish.limits.pool.as_ref();
        session
            .execute(
                sqlx::query(
                    "INSERT INTO slot_waits (run, step, pipeline, pool, overall_limit, pipeline_limit, pool_limit, \
                     priority, deadline, since, seen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) \
                     ON CONFLICT (run, step) DO UPDATE SET pool = $4, overall_limit = $5, pipeline_limit = $6, \
                     pool_limit = $7, priority = $8, deadline = $9, seen = $10",
                )
                .bind(run.as_str())
                .bind(wish.step.as_str())
                .bind(pipeline.as_str())
                .bind(pool.map(|pool| pool.name.clone()))
                .bind(wish.limits.overall.map(i64::from))
                .bind(wish.limits.pipeline.map(i64::from))
                .bind(pool.map(|pool| i64::from(pool.slots)))
                .bind(i64::from(wish.priority))
                .bind(wish.deadline.map(Timestamp::as_microsecond))
                .bind(now),
            )
            .await?;
        let refusal = refusal(&mut session, run, &pipeline, wish, now).await?;
        session.commit().await?;
        Ok(refusal)
    }

    /// Says that a step does not wait for a slot any more.
    pub async fn stop_waiting(&self, run: &RunId, step: &StepName) -> Result<(), StoreError> {
        let mut session = self.database.write("wait no longer for a slot").await?;
        forget_wait(&mut session, run, step).await?;
        session.commit().await
    }

    /// All slots that are taken, the oldest first.
    pub async fn slots(&self) -> Result<Vec<SlotRow>, StoreError> {
        let mut session = self.database.read("list the slots").await?;
        let rows = session.all(sqlx::query(select_slots!("ORDER BY taken, run, step"))).await?;
        rows.iter().map(|row| read_slot(&Fields::of(row, session.place()))).collect()
    }

    /// Everybody who waits for a slot, in the order in which they come to it.
    pub async fn slot_waiters(&self) -> Result<Vec<SlotWaiter>, StoreError> {
        let mut session = self.database.read("list who waits for a slot").await?;
        let now = session.clock().await?;
        waiters(&mut session, now).await
    }
}

/// Takes and gives back the slots that go with a change; a run that ended has and wants none.
pub(crate) async fn apply(
    session: &mut Session<'_>,
    run: &RunId,
    effects: &Effects,
    ended: bool,
) -> Result<(), StoreError> {
    for (step, attempt) in &effects.release {
        session
            .execute(
                sqlx::query("DELETE FROM slots WHERE run = $1 AND step = $2 AND attempt = $3")
                    .bind(run.as_str())
                    .bind(step.as_str())
                    .bind(i64::from(attempt.0)),
            )
            .await?;
    }
    if let Some(take) = &effects.take {
        self::take(session, run, take).await?;
    }
    if ended {
        for statement in ["DELETE FROM slots WHERE run = $1", "DELETE FROM slot_waits WHERE run = $1"] {
            session.execute(sqlx::query(statement).bind(run.as_str())).await?;
        }
    }
    Ok(())
}

async fn take(session: &mut Session<'_>, run: &RunId, take: &TakeSlot) -> Result<(), StoreError> {
    let pipeline = pipeline_of(session, run).await?;
    let now = session.clock().await?;
    if let Some(refusal) = refusal(session, run, &pipeline, &take.wish, now).await? {
        return Err(StoreError::NoSlot(Box::new(refusal)));
    }
    let slot = SlotRow {
        run: run.clone(),
        step: take.wish.step.clone(),
        attempt: take.attempt,
        pipeline,
        pool: take.wish.limits.pool.as_ref().map(|pool| pool.name.clone()),
        taken: Timestamp::from_microsecond(now).expect("the database's clock shows a time that there is"),
    };
    insert_slot(session, &slot).await?;
    forget_wait(session, run, &take.wish.step).await
}

pub(crate) async fn insert_slot(session: &mut Session<'_>, slot: &SlotRow) -> Result<(), StoreError> {
    session
        .execute(
            sqlx::query(
                "INSERT INTO slots (run, step, attempt, pipeline, pool, taken) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(slot.run.as_str())
            .bind(slot.step.as_str())
            .bind(i64::from(slot.attempt.0))
            .bind(slot.pipeline.as_str())
            .bind(slot.pool.clone())
            .bind(slot.taken.as_microsecond()),
        )
        .await
        .map(drop)
}

async fn forget_wait(session: &mut Session<'_>, run: &RunId, step: &StepName) -> Result<(), StoreError> {
    session
        .execute(
            sqlx::query("DELETE FROM slot_waits WHERE run = $1 AND step = $2")
                .bind(run.as_str())
                .bind(step.as_str()),
        )
        .await
        .map(drop)
}

async fn pipeline_of(session: &mut Session<'_>, run: &RunId) -> Result<PipelineName, StoreError> {
    let row = session
        .optional(sqlx::query("SELECT pipeline FROM runs WHERE run = $1").bind(run.as_str()))
        .await?
        .ok_or_else(|| StoreError::NoSuchRun { run: run.to_string() })?;
    Fields::of(&row, session.place()).parsed("pipeline")
}

/// What stands in the way of a wish at this moment.
async fn refusal(
    session: &mut Session<'_>,
    run: &RunId,
    pipeline: &PipelineName,
    wish: &SlotWish,
    now: i64,
) -> Result<Option<NoSlot>, StoreError> {
    let held = held(session).await?;
    let mut waiting = waiters(session, now).await?;
    let is_me = |waiter: &SlotWaiter| waiter.run == *run && waiter.wish.step == wish.step;
    waiting.retain(|waiter| !is_me(waiter));
    let me = SlotWaiter {
        run: run.clone(),
        pipeline: pipeline.clone(),
        wish: wish.clone(),
        since: since(session, run, &wish.step, now).await?,
    };
    let Some((limit, slots, ahead)) = turn(held, &waiting, &me) else { return Ok(None) };
    let holders = holders(session, &limit).await?;
    Ok(Some(NoSlot { limit, slots, holders, ahead }))
}

async fn held(session: &mut Session<'_>) -> Result<Held, StoreError> {
    let rows = session
        .all(sqlx::query("SELECT pipeline, pool, COUNT(*) AS number FROM slots GROUP BY pipeline, pool"))
        .await?;
    let mut held = Held::default();
    for row in &rows {
        let fields = Fields::of(row, session.place());
        let pool = fields.optional_text("pool")?;
        held.add(&fields.parsed("pipeline")?, pool.as_deref(), fields.small("number")?);
    }
    Ok(held)
}

/// Those who wait and were seen lately, in order.
async fn waiters(session: &mut Session<'_>, now: i64) -> Result<Vec<SlotWaiter>, StoreError> {
    let rows = session
        .all(
            sqlx::query(
                "SELECT run, step, pipeline, pool, overall_limit, pipeline_limit, pool_limit, priority, deadline, \
                 since FROM slot_waits WHERE seen > $1",
            )
            .bind(now - FORGOTTEN),
        )
        .await?;
    let mut waiters = rows
        .iter()
        .map(|row| read_waiter(&Fields::of(row, session.place())))
        .collect::<Result<Vec<_>, _>>()?;
    waiters.sort_by(|a, b| rank(a).cmp(&rank(b)));
    Ok(waiters)
}

/// Since when a step waits; from now on, when it has not said so before.
async fn since(
    session: &mut Session<'_>,
    run: &RunId,
    step: &StepName,
    now: i64,
) -> Result<Timestamp, StoreError> {
    let row = session
        .optional(
            sqlx::query("SELECT since FROM slot_waits WHERE run = $1 AND step = $2")
                .bind(run.as_str())
                .bind(step.as_str()),
        )
        .await?;
    match row {
        Some(row) => Fields::of(&row, session.place()).instant("since"),
        None => {
            Ok(Timestamp::from_microsecond(now).expect("the database's clock shows a time that there is"))
        }
    }
}

macro_rules! select_slots {
    ($rest:expr) => {
        concat!("SELECT run, step, attempt, pipeline, pool, taken FROM slots ", $rest)
    };
}
use select_slots;

/// Some of those who have what a limit limits, the oldest first.
async fn holders(session: &mut Session<'_>, limit: &Limit) -> Result<Vec<SlotRow>, StoreError> {
    let rows = session
        .all(
            sqlx::query(select_slots!(
                "WHERE ($1 IS NULL OR pipeline = $1) AND ($2 IS NULL OR pool = $2) \
                 ORDER BY taken, run, step LIMIT 20"
            ))
            .bind(match limit {
                Limit::Pipeline(pipeline) => Some(pipeline.to_string()),
                _ => None,
            })
            .bind(match limit {
                Limit::Pool(pool) => Some(pool.clone()),
                _ => None,
            }),
        )
        .await?;
    rows.iter().map(|row| read_slot(&Fields::of(row, session.place()))).collect()
}

pub(crate) fn read_slot(fields: &Fields<'_>) -> Result<SlotRow, StoreError> {
    Ok(SlotRow {
        run: fields.parsed("run")?,
        step: fields.parsed("step")?,
        attempt: AttemptNumber(fields.small("attempt")?),
        pipeline: fields.parsed("pipeline")?,
        pool: fields.optional_text("pool")?,
        taken: fields.instant("taken")?,
    })
}

fn read_waiter(fields: &Fields<'_>) -> Result<SlotWaiter, StoreError> {
    let pool = match fields.optional_text("pool")? {
        Some(name) => Some(Pool { name, slots: fields.small("pool_limit")? }),
        None => None,
    };
    let limits = SlotLimits {
        overall: fields.optional_small("overall_limit")?,
        pipeline: fields.optional_small("pipeline_limit")?,
        pool,
    };
    let priority = fields.integer("priority")?;
    Ok(SlotWaiter {
        run: fields.parsed("run")?,
        pipeline: fields.parsed("pipeline")?,
        wish: SlotWish {
            step: fields.parsed("step")?,
            limits,
            priority: i32::try_from(priority)
                .map_err(|_| fields.corrupt("priority", format_args!("{priority} is out of range")))?,
            deadline: fields.optional_instant("deadline")?,
        },
        since: fields.instant("since")?,
    })
}

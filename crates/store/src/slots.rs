//! Slots: how many attempts may be live at once, overall, per pipeline and per pool.
//!
//! A slot is the row of a live attempt, never a counter: what a killed process held is what its attempts in the log
//! still hold. It is taken in the transaction of the event that an attempt is to start, and given back in that of its
//! end. Who may take one first is decided over all who wait, in the order of the engine's claims.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, PipelineName, RunId, StepName};
use noctule_engine::schedule::Claim;

use crate::Store;
use crate::error::StoreError;
use crate::log::Effects;
use crate::row::Fields;
use crate::session::Session;

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

/// How many slots are taken of what.
#[derive(Debug, Clone, Default)]
struct Held {
    overall: u32,
    pipelines: BTreeMap<PipelineName, u32>,
    pools: BTreeMap<String, u32>,
}

impl Held {
    fn add(&mut self, pipeline: &PipelineName, pool: Option<&str>, number: u32) {
        self.overall += number;
        *self.pipelines.entry(pipeline.clone()).or_default() += number;
        if let Some(pool) = pool {
            *self.pools.entry(pool.to_owned()).or_default() += number;
        }
    }

    /// The first limit of a waiter that is used up, and what it is.
    fn full(&self, waiter: &SlotWaiter) -> Option<(Limit, u32)> {
        let limits = &waiter.wish.limits;
        let used = |count: u32, slots: u32| count >= slots;
        if let Some(pool) = &limits.pool
            && used(self.pools.get(&pool.name).copied().unwrap_or(0), pool.slots)
        {
            return Some((Limit::Pool(pool.name.clone()), pool.slots));
        }
        if let Some(slots) = limits.pipeline
            && used(self.pipelines.get(&waiter.pipeline).copied().unwrap_or(0), slots)
        {
            return Some((Limit::Pipeline(waiter.pipeline.clone()), slots));
        }
        limits.overall.filter(|slots| used(self.overall, *slots)).map(|slots| (Limit::Overall, slots))
    }
}

/// Whether it is `me`'s turn among those who wait; if not, the limit that is in the way, and how many of those who
/// come first wait for the same.
///
/// Who comes first gets a slot in thought, if one is free for it; one that waits for something else that is used up
/// holds back nothing. So free slots do not lie idle for somebody who could not use them.
fn turn(mut held: Held, waiting: &[SlotWaiter], me: &SlotWaiter) -> Option<(Limit, u32, u32)> {
    let mut first: Vec<&SlotWaiter> = waiting.iter().filter(|waiter| rank(waiter) < rank(me)).collect();
    first.sort_by_key(|waiter| rank(waiter));
    for waiter in &first {
        if held.full(waiter).is_none() {
            held.add(&waiter.pipeline, waiter.wish.limits.pool.as_ref().map(|pool| &*pool.name), 1);
        }
    }
    let (limit, slots) = held.full(me)?;
    let same = |waiter: &&&SlotWaiter| match &limit {
        Limit::Overall => true,
        Limit::Pipeline(pipeline) => waiter.pipeline == *pipeline,
        Limit::Pool(name) => waiter.wish.limits.pool.as_ref().is_some_and(|pool| pool.name == *name),
    };
    let ahead = u32::try_from(first.iter().filter(same).count()).unwrap_or(u32::MAX);
    Some((limit, slots, ahead))
}

/// Who comes first has the lower rank.
fn rank(waiter: &SlotWaiter) -> impl Ord + '_ {
    let claim = Claim { priority: waiter.wish.priority, deadline: waiter.wish.deadline, since: waiter.since };
    (claim, &waiter.run, &waiter.wish.step)
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIPELINES: [&str; 2] = ["nightly", "weekly"];
    /// What of each there is, the same for all.
    const OVERALL: u32 = 4;
    const PER_PIPELINE: [u32; 2] = [2, 3];
    const POOLS: [(&str, u32); 2] = [("gpu", 1), ("big", 2)];

    fn waiter() -> impl Strategy<Value = SlotWaiter> {
        let limits = (any::<bool>(), any::<bool>(), proptest::option::of(0..POOLS.len()));
        let urgency = (-1..=1i32, proptest::option::of(0..3i64), 0..3i64);
        (0..PIPELINES.len(), limits, urgency).prop_map(|(pipeline, (overall, own, pool), urgency)| {
            let (priority, deadline, since) = urgency;
            let second = |second| Timestamp::from_second(second).unwrap();
            SlotWaiter {
                run: RunId::from_random(0),
                pipeline: PIPELINES[pipeline].parse().unwrap(),
                wish: SlotWish {
                    step: "train".parse().unwrap(),
                    limits: SlotLimits {
                        overall: overall.then_some(OVERALL),
                        pipeline: own.then_some(PER_PIPELINE[pipeline]),
                        pool: pool.map(|pool| Pool { name: POOLS[pool].0.to_owned(), slots: POOLS[pool].1 }),
                    },
                    priority,
                    deadline: deadline.map(second),
                },
                since: second(since),
            }
        })
    }

    fn waiters() -> impl Strategy<Value = Vec<SlotWaiter>> {
        proptest::collection::vec(waiter(), 1..12).prop_map(|mut waiters| {
            for (number, waiter) in waiters.iter_mut().enumerate() {
                waiter.run = RunId::from_random(number as u128);
            }
            waiters
        })
    }

    fn others(all: &[SlotWaiter], me: &SlotWaiter) -> Vec<SlotWaiter> {
        all.iter().filter(|waiter| waiter.run != me.run).cloned().collect()
    }

    fn grant(held: &mut Held, waiter: &SlotWaiter) {
        held.add(&waiter.pipeline, waiter.wish.limits.pool.as_ref().map(|pool| &*pool.name), 1);
    }

    proptest! {
        /// Whoever asks in whatever order, nobody gets a slot that is not there; and when nobody gets one any more,
        /// there is none that anybody who waits could use.
        #[test]
        fn limits_are_kept_and_no_slot_lies_idle(all in waiters(), order in any::<u64>()) {
            let (mut held, mut waiting) = (Held::default(), all);
            let mut asked_in_vain = 0;
            let mut next = order;
            while asked_in_vain <= waiting.len() && !waiting.is_empty() {
                // Somebody; and when it is in vain, everybody in a row.
                next = next.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let index = match asked_in_vain {
                    0 => (next >> 33) as usize % waiting.len(),
                    row => row - 1,
                };
                let me = waiting[index].clone();
                if turn(held.clone(), &others(&waiting, &me), &me).is_none() {
                    prop_assert!(held.full(&me).is_none(), "there was none for {me:?} in {held:?}");
                    grant(&mut held, &me);
                    waiting.remove(index);
                    asked_in_vain = 0;
                } else {
                    asked_in_vain += 1;
                }
            }
            for waiter in &waiting {
                prop_assert!(held.full(waiter).is_some(), "{waiter:?} could have one in {held:?}");
            }
        }

        /// Of two that want the same, the one that comes first is not refused where the other is not.
        #[test]
        fn nobody_is_overtaken_by_an_equal(all in waiters()) {
            for one in &all {
                for two in all.iter().filter(|two| two.wish.limits == one.wish.limits && two.pipeline == one.pipeline) {
                    if rank(one) < rank(two) && turn(Held::default(), &others(&all, two), two).is_none() {
                        prop_assert!(turn(Held::default(), &others(&all, one), one).is_none());
                    }
                }
            }
        }
    }
}

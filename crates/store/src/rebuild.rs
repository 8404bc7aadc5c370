//! Putting back what follows from the log: the rows of runs, slots, uses of artifacts, and which occurrence has which run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, RunId, StepName};
use noctule_engine::{Event, Run};

use crate::error::StoreError;
use crate::record::{self, status};
use crate::row::Fields;
use crate::session::Session;
use crate::slots::{self, SlotRow};
use crate::{Store, column};

/// What a rebuild found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many runs were folded.
    pub runs: u64,
    /// What was not as the log has it, and now is.
    pub differences: Vec<Difference>,
    /// What cannot be put back, and why: it was left as it is.
    pub left: Vec<String>,
}

/// Something that was not as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What it is about, such as `status of run r…`.
    pub about: String,
    /// `None` when it was missing.
    pub found: Option<String>,
    /// `None` when it should not have been there.
    pub rebuilt: Option<String>,
}

impl Store {
    /// Folds every log and puts right, in one transaction, what is not as the logs have it.
    ///
    /// `pool_of` says from a run's definition which pool a step takes its slot from: the log does not know. Nothing else
    /// can write meanwhile, which is for some 3 ms a run (measured with 10,000 runs of 20 events, most of them damaged):
    /// others wait, and give up for the moment when it takes longer than 15 s.
    pub async fn rebuild(
        &self,
        pool_of: impl Fn(&RunId, &[u8], &StepName) -> Option<String> + Send + Sync,
    ) -> Result<Rebuilt, StoreError> {
        let mut session = self.database.write("rebuild what follows from the log").await?;
        let mut rebuilt = Rebuilt::default();
        orphans(&mut session, &mut rebuilt).await?;
        for run in run_ids(&mut session).await? {
            match folded(&mut session, &run).await? {
                Ok(folded) => put_right(&mut session, &run, &folded, &pool_of, &mut rebuilt).await?,
                Err(why) => rebuilt.left.push(format!("run {run}: {why}")),
            }
            rebuilt.runs += 1;
        }
        if !rebuilt.differences.is_empty() {
            session.commit().await?;
        }
        Ok(rebuilt)
    }
}

/// What a run's log comes to.
struct Folded {
    run: Run,
    changed: Timestamp,
    ended: Option<Timestamp>,
    last_event: u64,
    uses: BTreeSet<(StepName, String)>,
}

/// Logs whose runs have no row: what they were made from is lost with it.
async fn orphans(session: &mut Session<'_>, rebuilt: &mut Rebuilt) -> Result<(), StoreError> {
    let rows = session
        .all(sqlx::query(
            "SELECT DISTINCT e.run AS run FROM events e LEFT JOIN runs r ON r.run = e.run WHERE r.run IS NULL",
        ))
        .await?;
    for row in &rows {
        let run = Fields::of(row, session.place()).text("run")?;
        rebuilt
            .left
            .push(format!("run {run}: it has a log and no row, and with the row its definition is lost"));
    }
    Ok(())
}

async fn run_ids(session: &mut Session<'_>) -> Result<Vec<RunId>, StoreError> {
    let rows = session.all(sqlx::query("SELECT run FROM runs ORDER BY created, run")).await?;
    rows.iter().map(|row| Fields::of(row, session.place()).parsed("run")).collect()
}

/// Folds a log as its appends did, one event after the other.
async fn folded(session: &mut Session<'_>, id: &RunId) -> Result<Result<Folded, String>, StoreError> {
    let rows = session
        .all(
            sqlx::query("SELECT sequence, at, format, bytes FROM events WHERE run = $1 ORDER BY sequence")
                .bind(id.as_str()),
        )
        .await?;
    let mut folded: Option<Folded> = None;
    for (row, sequence) in rows.iter().zip(1..) {
        let fields = Fields::of(row, session.place());
        if fields.count("sequence")? != sequence {
            return Ok(Err(format!("event {sequence} is missing from its log")));
        }
        let at: Timestamp = fields.parsed("at")?;
        let event = match record::decode(fields.small("format")?, &fields.bytes("bytes")?) {
            Ok(event) => event,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let next =
            match (folded.take(), &event) {
                (None, Event::RunCreated { plan }) => Run::begin(at, (**plan).clone()).map(|(run, _)| {
                    Folded { run, changed: at, ended: None, last_event: sequence, uses: BTreeSet::new() }
                }),
                (None, other) => return Ok(Err(format!("its log begins with {}", other.name()))),
                (Some(mut so_far), event) => so_far.run.apply(at, event).map(|_| so_far),
            };
        let mut next = match next {
            Ok(next) => next,
            Err(error) => return Ok(Err(format!("event {sequence} does not fit its log: {error}"))),
        };
        next.ended = next.run.status().is_terminal().then_some(next.ended.unwrap_or(at));
        (next.changed, next.last_event) = (at, sequence);
        next.uses.extend(used(event));
        folded = Some(next);
    }
    Ok(folded.ok_or_else(|| "its log is empty".to_owned()))
}

fn used(event: Event) -> Option<(StepName, String)> {
    match event {
        Event::StepReused { step, artifact, .. } | Event::AttemptSucceeded { step, artifact, .. } => {
            Some((step, artifact.manifest))
        }
        _ => None,
    }
}

async fn put_right(
    session: &mut Session<'_>,
    id: &RunId,
    folded: &Folded,
    pool_of: &(impl Fn(&RunId, &[u8], &StepName) -> Option<String> + Send + Sync),
    rebuilt: &mut Rebuilt,
) -> Result<(), StoreError> {
    put_row_right(session, id, folded, rebuilt).await?;
    put_slots_right(session, id, folded, pool_of, rebuilt).await?;
    put_uses_right(session, id, folded, rebuilt).await?;
    put_occurrence_right(session, id, rebuilt).await
}

async fn put_row_right(
    session: &mut Session<'_>,
    id: &RunId,
    folded: &Folded,
    rebuilt: &mut Rebuilt,
) -> Result<(), StoreError> {
    let row = session
        .one(
            sqlx::query(
                "SELECT pipeline, interval_start, interval_end, status, created, changed, ended, last_event \
                 FROM runs WHERE run = $1",
            )
            .bind(id.as_str()),
        )
        .await?;
    let plan = folded.run.plan();
    let fields = Fields::of(&row, session.place());
    let numbers = [
        ("interval_start", Some(plan.interval.start.as_microsecond())),
        ("interval_end", Some(plan.interval.end.as_microsecond())),
        ("created", Some(folded.run.created().as_microsecond())),
        ("changed", Some(folded.changed.as_microsecond())),
        ("ended", folded.ended.map(Timestamp::as_microsecond)),
        ("last_event", Some(column(folded.last_event))),
    ];
    let texts = [("pipeline", plan.pipeline.as_str()), ("status", status::word(folded.run.status()))];
    let before = rebuilt.differences.len();
    for (name, right) in numbers {
        let found = fields.optional_integer(name)?;
        if found != right {
            let shown = |number: Option<i64>| number.map(|number| shown_number(name, number));
            rebuilt.note(format!("{name} of run {id}"), shown(found), shown(right));
        }
    }
    for (name, right) in texts {
        let found = fields.text(name)?;
        if found != right {
            rebuilt.note(format!("{name} of run {id}"), Some(found), Some(right.to_owned()));
        }
    }
    if rebuilt.differences.len() == before {
        return Ok(());
    }
    session
        .execute(
            sqlx::query(
                "UPDATE runs SET interval_start = $2, interval_end = $3, created = $4, changed = $5, ended = $6, \
                 last_event = $7, pipeline = $8, status = $9 WHERE run = $1",
            )
            .bind(id.as_str())
            .bind(numbers[0].1)
            .bind(numbers[1].1)
            .bind(numbers[2].1)
            .bind(numbers[3].1)
            .bind(numbers[4].1)
            .bind(numbers[5].1)
            .bind(texts[0].1)
            .bind(texts[1].1),
        )
        .await
        .map(drop)
}

/// Instants as people read them.
fn shown_number(name: &str, number: i64) -> String {
    match Timestamp::from_microsecond(number) {
        Ok(instant) if name != "last_event" => instant.to_string(),
        _ => number.to_string(),
    }
}

async fn put_slots_right(
    session: &mut Session<'_>,
    id: &RunId,
    folded: &Folded,
    pool_of: &(impl Fn(&RunId, &[u8], &StepName) -> Option<String> + Send + Sync),
    rebuilt: &mut Rebuilt,
) -> Result<(), StoreError> {
    let live: BTreeMap<(StepName, AttemptNumber), Timestamp> = folded
        .run
        .steps()
        .iter()
        .filter_map(|step| {
            step.live().map(|attempt| ((step.plan().name.clone(), attempt.number), attempt.intended))
        })
        .collect();
    let rows = session
        .all(
            sqlx::query("SELECT run, step, attempt, pipeline, pool, taken FROM slots WHERE run = $1")
                .bind(id.as_str()),
        )
        .await?;
    let mut held = BTreeSet::new();
    for row in &rows {
        let slot = slots::read_slot(&Fields::of(row, session.place()))?;
        let key = (slot.step, slot.attempt);
        if live.contains_key(&key) {
            held.insert(key);
            continue;
        }
        let (step, attempt) = key;
        session
            .execute(
                sqlx::query("DELETE FROM slots WHERE run = $1 AND step = $2 AND attempt = $3")
                    .bind(id.as_str())
                    .bind(step.as_str())
                    .bind(i64::from(attempt.0)),
            )
            .await?;
        rebuilt.note(slot_of(id, &step, attempt), Some("taken".to_owned()), None);
    }
    for ((step, attempt), intended) in live.into_iter().filter(|(key, _)| !held.contains(key)) {
        let row =
            session.one(sqlx::query("SELECT definition FROM runs WHERE run = $1").bind(id.as_str())).await?;
        let definition = Fields::of(&row, session.place()).bytes("definition")?;
        rebuilt.note(slot_of(id, &step, attempt), None, Some("taken".to_owned()));
        let slot = SlotRow {
            run: id.clone(),
            pool: pool_of(id, &definition, &step),
            step,
            attempt,
            pipeline: folded.run.plan().pipeline.clone(),
            taken: intended,
        };
        slots::insert_slot(session, &slot).await?;
    }
    Ok(())
}

fn slot_of(run: &RunId, step: &StepName, attempt: AttemptNumber) -> String {
    format!("slot of attempt {attempt} of {run}/{step}")
}

/// An artifact that the log names is used by the run, as far as the index still knows it.
async fn put_uses_right(
    session: &mut Session<'_>,
    id: &RunId,
    folded: &Folded,
    rebuilt: &mut Rebuilt,
) -> Result<(), StoreError> {
    for (step, manifest) in &folded.uses {
        let entered = session
            .execute(
                sqlx::query(
                    "INSERT INTO artifact_uses (run, step, manifest) SELECT $1, $2, manifest FROM artifacts \
                     WHERE manifest = $3 ON CONFLICT DO NOTHING",
                )
                .bind(id.as_str())
                .bind(step.as_str())
                .bind(manifest.as_str()),
            )
            .await?;
        if entered > 0 {
            rebuilt.note(format!("use of {manifest} by {id}/{step}"), None, Some("used".to_owned()));
        }
    }
    Ok(())
}

/// A run that answers an occurrence is what the occurrence came to. The log does not name it; each of the two rows
/// does.
async fn put_occurrence_right(
    session: &mut Session<'_>,
    id: &RunId,
    rebuilt: &mut Rebuilt,
) -> Result<(), StoreError> {
    let forgotten = session
        .optional(
            sqlx::query(
                "SELECT o.id AS id FROM occurrences o JOIN runs r ON r.run = o.run AND r.pipeline = o.pipeline \
                 WHERE o.run = $1 AND r.occurrence IS NULL",
            )
            .bind(id.as_str()),
        )
        .await?;
    if let Some(row) = forgotten {
        let occurrence = Fields::of(&row, session.place()).text("id")?;
        session
            .execute(
                sqlx::query("UPDATE runs SET occurrence = $2 WHERE run = $1")
                    .bind(id.as_str())
                    .bind(occurrence.clone()),
            )
            .await?;
        rebuilt.note(format!("occurrence of run {id}"), None, Some(occurrence));
    }
    let row = session
        .optional(
            sqlx::query(
                "SELECT o.id AS id, o.state AS state, o.run AS has FROM runs r JOIN occurrences o \
                 ON o.pipeline = r.pipeline AND o.id = r.occurrence \
                 WHERE r.run = $1 AND (o.state <> 'started' OR o.run <> $1)",
            )
            .bind(id.as_str()),
        )
        .await?;
    let Some(row) = row else { return Ok(()) };
    let fields = Fields::of(&row, session.place());
    let found = match fields.optional_text("has")? {
        Some(run) => format!("{} as {run}", fields.text("state")?),
        None => fields.text("state")?,
    };
    rebuilt.note(
        format!("occurrence `{}`", fields.text("id")?),
        Some(found),
        Some(format!("started as {id}")),
    );
    session
        .execute(
            sqlx::query(
                "UPDATE occurrences SET state = 'started', reason = NULL, detail = NULL, run = $1 \
                 WHERE EXISTS (SELECT 1 FROM runs r WHERE r.run = $1 AND r.pipeline = occurrences.pipeline \
                 AND r.occurrence = occurrences.id)",
            )
            .bind(id.as_str()),
        )
        .await
        .map(drop)
}

impl Rebuilt {
    fn note(&mut self, about: String, found: Option<String>, rebuilt: Option<String>) {
        self.differences.push(Difference { about, found, rebuilt });
    }
}

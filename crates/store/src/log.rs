//! The log: what happened to each run, in order, and what goes with it in one transaction.

use jiff::Timestamp;
use noctule_artifacts::launch::Interval;
use noctule_artifacts::{AttemptNumber, PipelineName, RunId, StepName};
use noctule_engine::{Event, RunStatus};

use crate::artifacts::{self, NewArtifact};
use crate::error::StoreError;
use crate::lease::{self, Lease};
use crate::occurrences;
use crate::outbox::{self, Message};
use crate::record::{self, status};
use crate::row::Fields;
use crate::session::Session;
use crate::slots::{self, TakeSlot};
use crate::{Store, column};

/// A run that is to be.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub run: RunId,
    pub pipeline: PipelineName,
    pub interval: Interval,
    /// The id of the occurrence that the run answers, when there is one: it must have been entered and have no run yet,
    /// and becomes `started` in the transaction that creates the run.
    pub occurrence: Option<String>,
    /// When given, nothing is created if somebody else took the lease meanwhile.
    pub lease: Option<Lease>,
    /// What the run was made from, in a form of the controller's own: a run goes on as it began, whatever became of
    /// the pipeline's file.
    pub definition: Vec<u8>,
}

/// Where a writer believes a run's log to end, and the lease under which it writes.
#[derive(Debug, Clone)]
pub struct Position {
    pub run: RunId,
    /// The number of the last event; 0 before the first.
    pub after: u64,
    /// When given, the append fails if somebody else took the lease meanwhile.
    pub lease: Option<Lease>,
}

/// What is appended in one transaction.
#[derive(Debug, Clone)]
pub struct Change {
    pub at: Timestamp,
    pub events: Vec<Event>,
    /// How the run stands after these events, for the list of runs.
    pub status: RunStatus,
    pub effects: Effects,
}

/// What goes with events.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// Artifacts that attempts of this run committed.
    pub artifacts: Vec<NewArtifact>,
    /// Artifacts of earlier runs, by manifest path, that stand for a step of this one. A tombstone is taken off.
    pub reused: Vec<(StepName, String)>,
    pub outbox: Vec<Message>,
    /// The slot of the attempt that is intended here. Every attempt takes one, limited or not, so that the slots are
    /// the live attempts; when there is none for it, nothing is committed ([`StoreError::NoSlot`]).
    pub take: Option<TakeSlot>,
    /// Attempts that ended or were abandoned here, whose slots are given back.
    pub release: Vec<(StepName, AttemptNumber)>,
}

/// An event as the log has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// Its place in the run's log, from 1.
    pub sequence: u64,
    pub at: Timestamp,
    pub event: Event,
}

impl Change {
    pub fn new(at: Timestamp, events: Vec<Event>, status: RunStatus) -> Self {
        Self { at, events, status, effects: Effects::default() }
    }
}

impl Store {
    /// Begins a run with its first events. Returns the number of the last one.
    pub async fn create_run(&self, new: &NewRun, change: &Change) -> Result<u64, StoreError> {
        let mut session = self.database.write("create a run").await?;
        lease::check_given(&mut session, new.lease.as_ref()).await?;
        check_new(&mut session, new).await?;
        insert_run(&mut session, new, change).await?;
        if let Some(occurrence) = &new.occurrence {
            occurrences::start(&mut session, &new.pipeline, occurrence, &new.run, change.at).await?;
        }
        let last = append(&mut session, &new.run, 0, change).await?;
        session.commit().await?;
        Ok(last)
    }

    /// Appends to a run's log and returns the number of the last event. Of two writers that believe the log to end at
    /// the same event, one fails with [`StoreError::MovedOn`].
    pub async fn commit(&self, position: &Position, change: &Change) -> Result<u64, StoreError> {
        let mut session = self.database.write("append to a run's log").await?;
        check_position(&mut session, position).await?;
        let last = append(&mut session, &position.run, position.after, change).await?;
        session.commit().await?;
        Ok(last)
    }

    /// The whole log of a run.
    pub async fn load(&self, run: &RunId) -> Result<Vec<Logged>, StoreError> {
        self.load_after(run, 0).await
    }

    /// A run's events after the one with this number.
    pub async fn load_after(&self, run: &RunId, after: u64) -> Result<Vec<Logged>, StoreError> {
        let mut session = self.database.read("read a run's log").await?;
        let last = last_event(&mut session, run).await?;
        let rows = session
            .all(
                sqlx::query(
                    "SELECT sequence, at, format, bytes FROM events WHERE run = $1 AND sequence > $2 \
                     ORDER BY sequence",
                )
                .bind(run.as_str())
                .bind(column(after)),
            )
            .await?;
        let missing = |sequence| StoreError::Corrupt {
            place: self.database.place.clone(),
            what: format!("event {sequence} of run {run} is missing from its log"),
        };
        if rows.len() as u64 != last.saturating_sub(after) {
            return Err(missing(last));
        }
        let mut events = Vec::with_capacity(rows.len());
        for (row, sequence) in rows.iter().zip(after + 1..) {
            let fields = Fields::of(row, session.place());
            if fields.count("sequence")? != sequence {
                return Err(missing(sequence));
            }
            let event = record::decode(fields.small("format")?, &fields.bytes("bytes")?)?;
            events.push(Logged { sequence, at: fields.parsed("at")?, event });
        }
        Ok(events)
    }
}

async fn check_new(session: &mut Session<'_>, new: &NewRun) -> Result<(), StoreError> {
    let taken = session
        .optional(
            sqlx::query("SELECT run FROM runs WHERE run = $1 OR (pipeline = $2 AND occurrence = $3)")
                .bind(new.run.as_str())
                .bind(new.pipeline.as_str())
                .bind(new.occurrence.clone()),
        )
        .await?;
    let Some(row) = taken else { return Ok(()) };
    let run: RunId = Fields::of(&row, session.place()).parsed("run")?;
    Err(match &new.occurrence {
        Some(occurrence) if run != new.run => {
            StoreError::OccurrenceTaken { occurrence: occurrence.clone(), run }
        }
        _ => StoreError::RunExists { run },
    })
}

async fn insert_run(session: &mut Session<'_>, new: &NewRun, change: &Change) -> Result<(), StoreError> {
    session
        .execute(
            sqlx::query(
                "INSERT INTO runs (run, pipeline, interval_start, interval_end, occurrence, status, created, \
                 changed, ended, last_event, definition) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, NULL, 0, $8)",
            )
            .bind(new.run.as_str())
            .bind(new.pipeline.as_str())
            .bind(new.interval.start.as_microsecond())
            .bind(new.interval.end.as_microsecond())
            .bind(new.occurrence.clone())
            .bind(status::word(change.status))
            .bind(change.at.as_microsecond())
            .bind(new.definition.as_slice()),
        )
        .await
        .map(drop)
}

/// The number of a run's last event; an error when there is no such run.
pub(crate) async fn last_event(session: &mut Session<'_>, run: &RunId) -> Result<u64, StoreError> {
    let row = session
        .optional(sqlx::query("SELECT last_event FROM runs WHERE run = $1").bind(run.as_str()))
        .await?
        .ok_or_else(|| StoreError::NoSuchRun { run: run.to_string() })?;
    Fields::of(&row, session.place()).count("last_event")
}

/// Refuses a writer whose lease or whose idea of the log is out of date.
pub(crate) async fn check_position(session: &mut Session<'_>, position: &Position) -> Result<(), StoreError> {
    lease::check_given(session, position.lease.as_ref()).await?;
    let found = last_event(session, &position.run).await?;
    if found != position.after {
        return Err(StoreError::MovedOn { run: position.run.clone(), expected: position.after, found });
    }
    Ok(())
}

/// Appends after `after`, which the caller has found to be the log's end in this very transaction.
pub(crate) async fn append(
    session: &mut Session<'_>,
    run: &RunId,
    after: u64,
    change: &Change,
) -> Result<u64, StoreError> {
    for (event, sequence) in change.events.iter().zip(after + 1..) {
        session
            .execute(
                sqlx::query(
                    "INSERT INTO events (run, sequence, at, format, bytes) VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(run.as_str())
                .bind(column(sequence))
                .bind(change.at.to_string())
                .bind(i64::from(record::FORMAT))
                .bind(record::encode(event)),
            )
            .await?;
    }
    let last = after + change.events.len() as u64;
    let at = change.at.as_microsecond();
    session
        .execute(
            sqlx::query(
                "UPDATE runs SET last_event = $2, status = $3, changed = $4, \
                 ended = CASE WHEN $5 = 0 THEN NULL ELSE COALESCE(ended, $4) END WHERE run = $1",
            )
            .bind(run.as_str())
            .bind(column(last))
            .bind(status::word(change.status))
            .bind(at)
            .bind(i64::from(change.status.is_terminal())),
        )
        .await?;
    artifacts::apply(session, run, &change.effects).await?;
    slots::apply(session, run, &change.effects, change.status.is_terminal()).await?;
    outbox::put(session, &change.effects.outbox).await?;
    Ok(last)
}

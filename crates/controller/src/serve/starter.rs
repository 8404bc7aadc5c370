//! Queued occurrences become runs: one at a time of each schedule, some at a time of each backfill, and those that
//! matter most first.
//!
//! Everything is decided from what the store has at this moment, so that a start that was cut short is simply made
//! again: an occurrence has its run, or is still queued.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use noctule_artifacts::{PipelineName, RunId};
use noctule_engine::schedule::{Claim, NotRun, admission};
use noctule_spec::{Misfire, Overlap, Schedule};
use noctule_store::{
    BackfillOrder, BackfillRow, BackfillState, Fate, OccurrenceFilter, OccurrenceKind, OccurrenceRow,
    OccurrenceStage, StoreError,
};
use tokio::time::Instant;

use super::agenda::{self, Desk};
use super::catalogue::{Catalogue, Entry};
use super::desk::beginning;
use super::error::RequestError;
use super::status::Trouble;
use crate::Controller;
use crate::ask::{Ask, Asked};
use crate::definition::{Definition, PROGRAM};
use crate::drive::Beginning;
use crate::error::ControllerError;

/// How long an occurrence rests whose run could not be begun.
const PAUSE: Duration = Duration::from_secs(60);

type Key = (PipelineName, String);

/// Begins runs.
#[derive(Default)]
pub(crate) struct Starter {
    /// Occurrences whose runs could not be begun, and when to try again.
    stuck: BTreeMap<Key, (Trouble, Instant)>,
}

/// What a turn of the starter came to.
#[derive(Debug, Default)]
pub(crate) struct Started {
    pub begun: Vec<(RunId, PipelineName)>,
    /// What has to end to make room, with the reason.
    pub cancel: Vec<(RunId, Asked)>,
    pub skipped: Vec<(PipelineName, NotRun, u64)>,
    /// How many wait, by pipeline.
    pub queued: BTreeMap<PipelineName, usize>,
}

/// A run that may begin now.
struct Candidate {
    row: OccurrenceRow,
    claim: Claim,
    definition: Definition,
}

impl Starter {
    pub fn stuck(&self) -> BTreeMap<Key, Trouble> {
        self.stuck.iter().map(|(key, (trouble, _))| (key.clone(), trouble.clone())).collect()
    }

    /// Begins what may begin.
    pub async fn turn(
        &mut self,
        controller: &Controller,
        desk: Desk<'_>,
        catalogue: &Catalogue,
        parallel: u32,
        now: Timestamp,
    ) -> Result<Started, StoreError> {
        let filter = OccurrenceFilter {
            stages: vec![OccurrenceStage::Queued],
            oldest_first: true,
            ..OccurrenceFilter::default()
        };
        let queued = desk.store.occurrences(&filter).await?;
        let mut started = Started::default();
        let mut candidates = Vec::new();
        let mut of_schedules: BTreeMap<PipelineName, Vec<OccurrenceRow>> = BTreeMap::new();
        let keys: BTreeSet<Key> = queued.iter().map(|row| (row.pipeline.clone(), row.id.clone())).collect();
        self.stuck.retain(|key, _| keys.contains(key));
        for row in queued {
            *started.queued.entry(row.pipeline.clone()).or_default() += 1;
            if row.kind != OccurrenceKind::Backfill {
                of_schedules.entry(row.pipeline.clone()).or_default().push(row);
            }
        }
        for (name, rows) in of_schedules {
            let Some(entry) = catalogue.entries.get(&name).filter(|entry| !entry.gone) else { continue };
            candidates.extend(of_schedule(desk, entry, rows, now, &mut started).await?);
        }
        for backfill in desk.store.backfills(None, true, None).await? {
            candidates.extend(of_backfill(desk, &backfill, catalogue, now).await?);
        }
        // Claims that are equal keep their order, which is that of their backfill.
        candidates.sort_by_key(|candidate| candidate.claim);
        for candidate in candidates {
            self.start(controller, desk, candidate, parallel, now, &mut started).await?;
        }
        Ok(started)
    }

    async fn start(
        &mut self,
        controller: &Controller,
        desk: Desk<'_>,
        candidate: Candidate,
        parallel: u32,
        now: Timestamp,
        started: &mut Started,
    ) -> Result<(), StoreError> {
        let Candidate { row, definition, .. } = candidate;
        let key = (row.pipeline.clone(), row.id.clone());
        if self.stuck.get(&key).is_some_and(|(_, again)| *again > Instant::now()) {
            return Ok(());
        }
        let begun = match beginning(&definition, parallel) {
            Ok((id, beginning)) => {
                let beginning =
                    Beginning { occurrence: Some(row.id.clone()), under: Some(desk.lease), ..beginning };
                controller.begin(beginning).await.map(|()| id).map_err(RequestError::from)
            }
            Err(refused) => Err(refused),
        };
        match begun {
            Ok(id) => {
                self.stuck.remove(&key);
                started.begun.push((id, row.pipeline));
                Ok(())
            }
            // It has its run: a start whose answer was lost had happened.
            Err(RequestError::Controller(ControllerError::Store(
                StoreError::OccurrenceTaken { .. } | StoreError::OccurrenceSettled { .. },
            ))) => Ok(()),
            Err(RequestError::Controller(ControllerError::Store(error))) if agenda::ends_turn(&error) => {
                Err(error)
            }
            Err(error) => {
                tracing::warn!(pipeline = %key.0, occurrence = key.1, %error, "the run cannot be begun");
                let since = self.stuck.get(&key).map_or(now, |(trouble, _)| trouble.since);
                let trouble = Trouble { what: error.to_string(), since };
                self.stuck.insert(key, (trouble, Instant::now() + PAUSE));
                Ok(())
            }
        }
    }
}

/// The occurrence of a schedule that may begin now: the oldest, once nothing of it is live.
async fn of_schedule(
    desk: Desk<'_>,
    entry: &Entry,
    mut rows: Vec<OccurrenceRow>,
    now: Timestamp,
    started: &mut Started,
) -> Result<Option<Candidate>, StoreError> {
    let version = &entry.version;
    let name = &version.pipeline.name;
    let schedule = version.pipeline.schedule.as_ref();
    if desk.store.schedule(name).await?.paused.is_some() {
        return Ok(None);
    }
    let live = desk.store.going(name).await?.live;
    if schedule.is_some_and(replaces) {
        let last = rows.pop();
        for row in rows.drain(..) {
            let by = last.as_ref().map_or_else(String::new, |last| format!("by {}", last.id));
            let fate = Fate::Skip(agenda::skip(NotRun::Replaced, Some(by)));
            let from = OccurrenceStage::Queued;
            desk.store.settle_occurrence(name, &row.id, from, &fate, now, Some(desk.lease)).await?;
            started.skipped.push((name.clone(), NotRun::Replaced, 1));
        }
        rows.extend(last);
        for run in &live {
            let why = rows.first().map(|row| format!("the occurrence {} takes its place", row.id));
            let asked = Asked::new(Ask::Cancel { at_once: false }, format!("the schedule of {name}"), why);
            started.cancel.push((run.clone(), asked));
        }
    }
    if !live.is_empty() {
        return Ok(None);
    }
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let deadline = schedule.and_then(|schedule| admission::deadline(schedule, row.due));
    let definition = Definition {
        deadline,
        ..Definition::new(version.file.clone(), version.text.clone(), BTreeMap::new(), row.due, PROGRAM)
    };
    let claim = Claim { priority: version.pipeline.priority, deadline, since: row.due };
    Ok(Some(Candidate { row, claim, definition }))
}

/// Whether a new occurrence takes the place of what is going.
fn replaces(schedule: &Schedule) -> bool {
    schedule.overlap == Overlap::Replace && schedule.misfire != Misfire::RunAll
}

/// The next occurrences of a backfill, as many as it may have at a time. One that has none left, queued or live, is done.
async fn of_backfill(
    desk: Desk<'_>,
    backfill: &BackfillRow,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<Vec<Candidate>, StoreError> {
    let id = backfill.id;
    let progress = backfill.progress;
    if progress.queued == 0 && progress.live == 0 {
        let (from, to) = (backfill.state, BackfillState::Done);
        let by = "the server";
        return match desk.store.change_backfill(id, from, to, by, None, now, Some(desk.lease)).await {
            // Somebody changed it at this moment.
            Ok(()) | Err(StoreError::BackfillIs { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        };
    }
    let free = u64::from(backfill.at_once).saturating_sub(progress.live);
    if backfill.state != BackfillState::Running || free == 0 || progress.queued == 0 {
        return Ok(Vec::new());
    }
    let definition = match Definition::parse(&desk.store.backfill_definition(id).await?) {
        Ok(definition) => definition,
        Err(cause) => {
            tracing::warn!(backfill = %id, cause, "what the backfill is made from cannot be read");
            return Ok(Vec::new());
        }
    };
    let filter = OccurrenceFilter {
        backfill: Some(id),
        stages: vec![OccurrenceStage::Queued],
        oldest_first: backfill.order == BackfillOrder::OldestFirst,
        limit: u32::try_from(free).ok(),
        ..OccurrenceFilter::default()
    };
    let rows = desk.store.occurrences(&filter).await?;
    let entry = catalogue.entries.get(&backfill.pipeline);
    let priority = entry.map_or(0, |entry| entry.version.pipeline.priority);
    let candidates = rows.into_iter().map(|row| Candidate {
        claim: Claim { priority, deadline: None, since: backfill.created },
        // Whatever its definition says, a backfill that is not told to promote does not.
        definition: Definition { at: row.due, register_only: !backfill.promote, ..definition.clone() },
        row,
    });
    Ok(candidates.collect())
}

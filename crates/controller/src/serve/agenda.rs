//! What is due: from every schedule and its watermark to rows of occurrences.
//!
//! Each decision is kept together with the watermark that it moves, in one transaction under the leader's lease, so that
//! nothing is decided twice and nothing is left out. When a schedule's text changes, what was due by the old text is
//! decided first; the new one holds from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use noctule_artifacts::PipelineName;
use noctule_engine::schedule::due::{CLOCK_BACK, ClockBack, Older};
use noctule_engine::schedule::{
    self, Decided as Ruled, Decision, Due, NotRun, Occurrence, Occurrences, Promotion,
};
use noctule_spec::Schedule;
use noctule_store::{
    Advance, Fate, Lease, NewOccurrence, OccurrenceKind, ScheduleRow, Skip, Store, StoreError, Watermark,
};

use super::catalogue::{Catalogue, Entry, Version};

/// What is known of every schedule between two turns.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    plans: BTreeMap<PipelineName, Plan>,
    /// What cannot be computed, by pipeline.
    pub stuck: BTreeMap<PipelineName, String>,
}

#[derive(Debug)]
struct Plan {
    version: Arc<Version>,
    gone: bool,
    watermark: Timestamp,
    /// The first occurrence after the watermark.
    next: Option<Occurrence>,
}

/// What one turn decided.
#[derive(Debug, Default)]
pub(crate) struct Turned {
    /// By pipeline and reason: how many were skipped.
    pub skipped: Vec<(PipelineName, NotRun, u64)>,
    pub clock: Option<ClockBack>,
}

/// Where decisions are kept.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub store: &'a Store,
    pub lease: &'a Lease,
}

impl Agenda {
    /// Begins with the texts that held when somebody last led.
    pub fn begin(&mut self, held: &Catalogue) {
        self.plans.clear();
        for (name, entry) in &held.entries {
            let plan =
                Plan { version: entry.version.clone(), gone: true, watermark: Timestamp::MIN, next: None };
            self.plans.insert(name.clone(), plan);
        }
    }

    /// When the clock next makes a pipeline due.
    pub fn next(&self, pipeline: &PipelineName) -> Option<Occurrence> {
        self.plans.get(pipeline).filter(|plan| !plan.gone).and_then(|plan| plan.next)
    }

    /// Decides about everything that is due by the clock.
    pub async fn turn(
        &mut self,
        desk: Desk<'_>,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<Turned, StoreError> {
        let mut turned = Turned::default();
        for (name, entry) in &catalogue.entries {
            match self.turn_one(desk, name, entry, now, &mut turned).await {
                Ok(()) => {}
                Err(error) if ends_turn(&error) => return Err(error),
                // Somebody else moved it: it is read again.
                Err(StoreError::ScheduleMoved { .. }) => drop(self.plans.remove(name)),
                Err(error) => drop(self.stuck.insert(name.clone(), error.to_string())),
            }
        }
        self.plans.retain(|name, _| catalogue.entries.contains_key(name));
        Ok(turned)
    }

    async fn turn_one(
        &mut self,
        desk: Desk<'_>,
        name: &PipelineName,
        entry: &Entry,
        now: Timestamp,
        turned: &mut Turned,
    ) -> Result<(), StoreError> {
        self.take_over(desk, name, &entry.version, entry.gone, now, turned).await?;
        let Some(plan) = self.plans.get(name) else { return Ok(()) };
        let is_back = plan.watermark.duration_since(now) > CLOCK_BACK;
        if plan.gone || !(is_back || plan.next.is_some_and(|next| next.at <= now)) {
            return Ok(());
        }
        match plan.version.pipeline.schedule.clone() {
            Some(schedule) => self.decide(desk, name, &schedule, now, turned).await,
            None => Ok(()),
        }
    }

    /// Takes over the version that holds now, after deciding by the one that held before.
    async fn take_over(
        &mut self,
        desk: Desk<'_>,
        name: &PipelineName,
        version: &Arc<Version>,
        gone: bool,
        now: Timestamp,
        turned: &mut Turned,
    ) -> Result<(), StoreError> {
        let before = self.plans.get(name);
        if let Some(plan) = before
            && Arc::ptr_eq(&plan.version, version)
            && plan.gone == gone
        {
            return Ok(());
        }
        let (old, new) = (
            before.and_then(|plan| plan.version.pipeline.schedule.clone()),
            version.pipeline.schedule.clone(),
        );
        let is_changed = before.is_some() && old != new;
        if let Some(old) = old.filter(|old| is_changed && old.timetable().is_some()) {
            self.decide(desk, name, &old, now, turned).await?;
        }
        if new.as_ref().is_some_and(|schedule| schedule.timetable().is_some()) {
            let row = desk.store.schedule(name).await?;
            // Neither a new schedule nor a new text runs the past.
            if is_changed || !matches!(row.watermark, Some(Watermark::Time(_))) {
                self.begin_at(desk, &row, now).await?;
            }
        }
        let row = desk.store.schedule(name).await?;
        let watermark = match row.watermark {
            Some(Watermark::Time(at)) => at,
            _ => now,
        };
        let next = self.following(name, new.as_ref(), watermark);
        self.plans.insert(name.clone(), Plan { version: version.clone(), gone, watermark, next });
        Ok(())
    }

    /// Everything up to now is decided.
    async fn begin_at(&self, desk: Desk<'_>, row: &ScheduleRow, now: Timestamp) -> Result<(), StoreError> {
        if let Some(Watermark::Time(at)) = row.watermark
            && at >= now
        {
            return Ok(());
        }
        let advance = step(row, Watermark::Time(now), now);
        desk.store.advance(&advance, desk.lease).await.map(drop)
    }

    async fn decide(
        &mut self,
        desk: Desk<'_>,
        name: &PipelineName,
        schedule: &Schedule,
        now: Timestamp,
        turned: &mut Turned,
    ) -> Result<(), StoreError> {
        let row = desk.store.schedule(name).await?;
        let Some(Watermark::Time(watermark)) = row.watermark else { return Ok(()) };
        let standing = standing(desk.store, &row).await?;
        let due = match schedule::due(schedule, watermark, now, standing) {
            Ok(due) => due,
            Err(error) => {
                self.stuck.insert(name.clone(), error.to_string());
                return Ok(());
            }
        };
        if due.has_news() {
            let advance = Advance {
                occurrences: rows(&due),
                // What had been decided for later than now is due again.
                take_back_after: due.clock.map(|clock| clock.to),
                ..step(&row, Watermark::Time(due.watermark), now)
            };
            let there = desk.store.advance(&advance, desk.lease).await?;
            for id in &there {
                tracing::info!(pipeline = %name, occurrence = id, "it had been decided about before");
            }
            count(&advance.occurrences, name, turned);
        }
        turned.clock = turned.clock.or(due.clock);
        let next = self.following(name, Some(schedule), due.watermark);
        if let Some(plan) = self.plans.get_mut(name) {
            (plan.watermark, plan.next) = (due.watermark, next);
        }
        Ok(())
    }

    fn following(
        &mut self,
        name: &PipelineName,
        schedule: Option<&Schedule>,
        after: Timestamp,
    ) -> Option<Occurrence> {
        let timetable = schedule?.timetable()?;
        match Occurrences::after(timetable, after) {
            Ok(mut following) => {
                self.stuck.remove(name);
                following.next()
            }
            Err(error) => {
                self.stuck.insert(name.clone(), error.to_string());
                None
            }
        }
    }
}

/// Decides about promotions that make pipelines due.
pub(crate) async fn follow_promotions(
    desk: Desk<'_>,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Result<Turned, StoreError> {
    let mut turned = Turned::default();
    for (name, entry) in catalogue.entries.iter().filter(|(_, entry)| !entry.gone) {
        let Some(schedule) = &entry.version.pipeline.schedule else { continue };
        let Some(of) = schedule.promotion() else { continue };
        let row = desk.store.schedule(name).await?;
        let history = desk.store.history(&of.model, &of.alias).await?;
        let last = history.rows().last().map_or(0, |row| row.sequence);
        let seen = match &row.watermark {
            Some(Watermark::Promotion { model, sequence }) if *model == of.model => Some(*sequence),
            // What it follows is new to it: it does not run the past.
            _ => None,
        };
        let to = Watermark::Promotion { model: of.model.clone(), sequence: last.max(seen.unwrap_or(0)) };
        let undecided: Vec<Promotion> = history
            .rows()
            .iter()
            .filter(|row| seen.is_some_and(|seen| row.sequence > seen))
            .map(|row| Promotion { sequence: row.sequence, at: row.at })
            .collect();
        if undecided.is_empty() && seen.is_some() {
            continue;
        }
        let standing = standing(desk.store, &row).await?;
        let decided = schedule::due_promotions(schedule, &undecided, now, standing);
        let occurrences: Vec<NewOccurrence> = decided.iter().map(promoted).collect();
        count(&occurrences, name, &mut turned);
        let advance = Advance { occurrences, ..step(&row, to, now) };
        desk.store.advance(&advance, desk.lease).await?;
    }
    Ok(turned)
}

/// Whether an error is of the store or the seat, and not of one pipeline: there is no use in going on.
pub(crate) fn ends_turn(error: &StoreError) -> bool {
    error.is_temporary() || matches!(error, StoreError::LeaseLost { .. } | StoreError::Full { .. })
}

/// A step forward of a watermark on which nothing was decided.
fn step(row: &ScheduleRow, to: Watermark, now: Timestamp) -> Advance {
    Advance {
        pipeline: row.pipeline.clone(),
        from: row.watermark.clone(),
        to,
        occurrences: Vec::new(),
        skip: Vec::new(),
        take_back_after: None,
        at: now,
    }
}

/// How things stand with a schedule, in the engine's words.
pub(crate) async fn standing(store: &Store, row: &ScheduleRow) -> Result<schedule::Standing, StoreError> {
    let going = store.going(&row.pipeline).await?;
    Ok(schedule::Standing {
        live: going.live.len(),
        queued: usize::try_from(going.queued).unwrap_or(usize::MAX),
        paused: row.paused.is_some(),
    })
}

fn rows(due: &Due) -> Vec<NewOccurrence> {
    let clock = due.clock.as_ref().map(clock_row);
    let older = due.older.as_ref().map(older_row);
    clock.into_iter().chain(older).chain(due.decided.iter().map(scheduled)).collect()
}

fn scheduled(decided: &Ruled<Occurrence>) -> NewOccurrence {
    let Ruled { what, decision } = decided;
    NewOccurrence {
        id: what.id(),
        kind: OccurrenceKind::Schedule,
        due: what.at,
        civil: Some(what.id()),
        stands_for: 1,
        ..row(*decision)
    }
}

fn promoted(decided: &Ruled<Promotion>) -> NewOccurrence {
    let Ruled { what, decision } = decided;
    NewOccurrence { id: what.id(), kind: OccurrenceKind::Promotion, due: what.at, ..row(*decision) }
}

fn older_row(older: &Older) -> NewOccurrence {
    let detail = format!("{} occurrences from {} to {}", older.count, older.first.id(), older.last.id());
    NewOccurrence {
        id: older.id(),
        due: older.last.at,
        civil: Some(older.last.id()),
        fate: Fate::Skip(skip(older.reason, Some(detail))),
        stands_for: older.count,
        ..row(Decision::Skip(older.reason))
    }
}

fn clock_row(clock: &ClockBack) -> NewOccurrence {
    let detail = format!("the clock was set back from {} to {}", clock.from, clock.to);
    NewOccurrence {
        id: clock.id(),
        due: clock.to,
        fate: Fate::Skip(skip(NotRun::Clock, Some(detail))),
        stands_for: 0,
        ..row(Decision::Skip(NotRun::Clock))
    }
}

fn row(decision: Decision) -> NewOccurrence {
    let (fate, give_up) = match decision {
        // Whether it begins at once, after others or instead of them, it goes through the queue.
        Decision::Start | Decision::Queue | Decision::Replace => (Fate::Queue, None),
        Decision::Wait { give_up } => (Fate::Wait, Some(give_up)),
        Decision::Skip(reason) => (Fate::Skip(skip(reason, None)), None),
    };
    NewOccurrence {
        id: String::new(),
        kind: OccurrenceKind::Schedule,
        due: Timestamp::MIN,
        civil: None,
        fate,
        stands_for: 1,
        give_up,
        backfill: None,
    }
}

pub(crate) fn skip(reason: NotRun, detail: Option<String>) -> Skip {
    Skip { reason, detail }
}

fn count(rows: &[NewOccurrence], name: &PipelineName, turned: &mut Turned) {
    for row in rows {
        if let Fate::Skip(skip) = &row.fate {
            turned.skipped.push((name.clone(), skip.reason, row.stands_for));
        }
    }
}

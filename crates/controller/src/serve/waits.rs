//! Occurrences that wait for data: looked for from time to time, each by itself, until they land or are given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::PipelineName;
use noctule_engine::schedule::{self, Decision, NotRun};
use noctule_spec::Pipeline;
use noctule_store::{Fate, OccurrenceFilter, OccurrenceRow, OccurrenceStage, StoreError};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::agenda::{self, Desk, Turned};
use super::catalogue::Catalogue;
use crate::definition::interval_of;
use crate::prepare::ListError;

/// How many objects are looked for at a time.
const AT_ONCE: usize = 8;
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks whether an object is there. The binary brings one in, so that the loop need not know how sources are reached.
#[async_trait]
pub trait Prober: Send + Sync {
    async fn exists(&self, url: &str) -> Result<bool, ListError>;
}

type Key = (PipelineName, String);

/// The looks that are going on, and those that are to come.
pub(crate) struct Waits {
    prober: Arc<dyn Prober>,
    places: Arc<Semaphore>,
    looks: BTreeMap<Key, Look>,
    going: JoinSet<(Key, String, Result<bool, ListError>)>,
    /// Wakes the loop.
    nudge: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Look {
    going: bool,
    next: Option<Timestamp>,
    /// What the last look found.
    last: Option<Found>,
}

#[derive(Debug, Clone)]
enum Found {
    Landed,
    NotThere { url: String },
    Failed { url: String, why: String },
}

impl Waits {
    pub fn new(prober: Arc<dyn Prober>, nudge: Arc<Notify>) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self { prober, places, looks: BTreeMap::new(), going: JoinSet::new(), nudge }
    }

    /// Takes in what was found, decides, and looks again where it is time.
    pub async fn turn(
        &mut self,
        desk: Desk<'_>,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Result<Turned, StoreError> {
        self.take_in();
        let filter = OccurrenceFilter {
            stages: vec![OccurrenceStage::Waiting],
            oldest_first: true,
            ..OccurrenceFilter::default()
        };
        let rows = desk.store.occurrences(&filter).await?;
        let mut turned = Turned::default();
        for row in &rows {
            let entry = catalogue.entries.get(&row.pipeline).filter(|entry| !entry.gone);
            let Some(entry) = entry else { continue };
            self.see_to(desk, &entry.version.pipeline, row, now, &mut turned).await?;
        }
        let key = |row: &OccurrenceRow| (row.pipeline.clone(), row.id.clone());
        let waiting: std::collections::BTreeSet<Key> = rows.iter().map(key).collect();
        self.looks.retain(|key, look| look.going || waiting.contains(key));
        Ok(turned)
    }

    /// How many wait, by pipeline.
    pub fn waiting(&self) -> BTreeMap<PipelineName, usize> {
        let mut waiting = BTreeMap::new();
        for (pipeline, _) in self.looks.keys() {
            *waiting.entry(pipeline.clone()).or_default() += 1;
        }
        waiting
    }

    fn take_in(&mut self) {
        while let Some(done) = self.going.try_join_next() {
            // A look that failed by a fault of its own is made again.
            let Ok((key, url, found)) = done else { continue };
            let Some(look) = self.looks.get_mut(&key) else { continue };
            look.going = false;
            look.last = Some(match found {
                Ok(true) => Found::Landed,
                Ok(false) => Found::NotThere { url },
                Err(ListError { message, .. }) => {
                    tracing::warn!(pipeline = %key.0, occurrence = key.1, error = message, "the data cannot be looked for");
                    Found::Failed { url, why: message }
                }
            });
        }
    }

    async fn see_to(
        &mut self,
        desk: Desk<'_>,
        pipeline: &Pipeline,
        row: &OccurrenceRow,
        now: Timestamp,
        turned: &mut Turned,
    ) -> Result<(), StoreError> {
        let wait = pipeline.schedule.as_ref().and_then(|schedule| schedule.wait()).cloned();
        // A schedule that waits no more lets those go on that did.
        let Some(wait) = wait else { return self.landed(desk, pipeline, row, now, turned).await };
        let key = (row.pipeline.clone(), row.id.clone());
        let look = self.looks.entry(key.clone()).or_default();
        if look.going {
            return Ok(());
        }
        if matches!(look.last, Some(Found::Landed)) {
            return self.landed(desk, pipeline, row, now, turned).await;
        }
        if let Some(last) = look.last.clone()
            && row.give_up.is_some_and(|give_up| give_up <= now)
        {
            return self.give_up(desk, row, last, now, turned).await;
        }
        if look.next.is_some_and(|next| next > now) {
            return Ok(());
        }
        let poll = i64::try_from(wait.poll.seconds()).unwrap_or(i64::MAX);
        let next = now.checked_add(SignedDuration::from_secs(poll)).unwrap_or(Timestamp::MAX);
        // The last look is made when the time is up, not up to a whole pause before.
        look.next =
            Some(row.give_up.map_or(next, |give_up| if give_up > now { next.min(give_up) } else { next }));
        let awaited = interval_of(pipeline, row.due)
            .and_then(|interval| pipeline.awaited(interval).map_err(|error| error.to_string()));
        match awaited {
            Ok(Some(url)) => {
                look.going = true;
                self.look_for(key, url);
            }
            Ok(None) => look.last = Some(Found::Landed),
            Err(why) => look.last = Some(Found::Failed { url: "the data".to_owned(), why }),
        }
        Ok(())
    }

    fn look_for(&mut self, key: Key, url: String) {
        let (prober, places, nudge) = (self.prober.clone(), self.places.clone(), self.nudge.clone());
        self.going.spawn(async move {
            let _place = places.acquire_owned().await;
            let found = match tokio::time::timeout(PATIENCE, prober.exists(&url)).await {
                Ok(found) => found,
                Err(_) => Err(ListError {
                    message: format!("{url} gave no answer within {} s", PATIENCE.as_secs()),
                    temporary: true,
                }),
            };
            nudge.notify_one();
            (key, url, found)
        });
    }

    async fn landed(
        &mut self,
        desk: Desk<'_>,
        pipeline: &Pipeline,
        row: &OccurrenceRow,
        now: Timestamp,
        turned: &mut Turned,
    ) -> Result<(), StoreError> {
        let Some(schedule) = &pipeline.schedule else { return Ok(()) };
        let standing = agenda::standing(desk.store, &desk.store.schedule(&row.pipeline).await?).await?;
        let fate = match schedule::landed(schedule, standing) {
            Decision::Skip(reason) => {
                turned.skipped.push((row.pipeline.clone(), reason, 1));
                Fate::Skip(agenda::skip(reason, None))
            }
            _ => Fate::Queue,
        };
        self.settle(desk, row, &fate, now).await
    }

    async fn give_up(
        &mut self,
        desk: Desk<'_>,
        row: &OccurrenceRow,
        last: Found,
        now: Timestamp,
        turned: &mut Turned,
    ) -> Result<(), StoreError> {
        let detail = match last {
            Found::Landed => return Ok(()),
            Found::NotThere { url } => format!("{url} was not there"),
            Found::Failed { url, why } => format!("{url} could not be looked for: {why}"),
        };
        turned.skipped.push((row.pipeline.clone(), NotRun::GaveUp, 1));
        let fate = Fate::Skip(agenda::skip(NotRun::GaveUp, Some(detail)));
        self.settle(desk, row, &fate, now).await
    }

    async fn settle(
        &mut self,
        desk: Desk<'_>,
        row: &OccurrenceRow,
        fate: &Fate,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let from = OccurrenceStage::Waiting;
        desk.store
            .settle_occurrence(&row.pipeline, &row.id, from, fate, now, Some(desk.lease))
            .await
            .map(drop)?;
        self.looks.remove(&(row.pipeline.clone(), row.id.clone()));
        Ok(())
    }
}

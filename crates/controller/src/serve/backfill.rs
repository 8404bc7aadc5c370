//! Requests about backfills: a range of intervals, run one after the other beside the schedule.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::launch::Interval;
use noctule_artifacts::{PipelineName, RunId};
use noctule_engine::schedule::Calendar;
use noctule_spec::{DataSpan, Pipeline, Span};
use noctule_store::{
    BackfillId, BackfillInterval, BackfillOrder, BackfillRow, BackfillState, NewBackfill, OccurrenceFilter,
    OccurrenceStage, OccurrenceState,
};

use super::desk::{Desk, Said, refusal};
use super::error::RequestError;
use super::who::Who;
use crate::ask::{Ask, Asked};
use crate::definition::Definition;

/// More intervals than these are two backfills.
const MOST: usize = 10_000;
const MOST_AT_ONCE: u32 = 100;

/// A backfill that somebody wants.
#[derive(Debug, Clone)]
pub struct BackfillWish {
    pub pipeline: PipelineName,
    /// The intervals that begin at or after this instant …
    pub from: Timestamp,
    /// … and end at or before this one.
    pub to: Timestamp,
    pub order: BackfillOrder,
    /// How many of its runs may be live at a time.
    pub at_once: u32,
    /// Whether its candidates may become champions. Otherwise they become versions and no alias is moved.
    pub promote: bool,
    pub params: BTreeMap<String, String>,
}

impl Said for BackfillId {
    fn said(&self) -> String {
        format!("began backfill {self}")
    }
}

impl Desk {
    /// The intervals that a backfill would run, in its order.
    pub async fn plan_backfill(&self, wish: &BackfillWish) -> Result<Vec<Interval>, RequestError> {
        let (_, intervals, _) = self.planned(wish, Timestamp::now()).await?;
        Ok(intervals)
    }

    /// Enters a backfill; the leader runs it.
    pub async fn create_backfill(&self, wish: &BackfillWish, who: &Who) -> Result<BackfillId, RequestError> {
        self.audited("backfill.create", wish.pipeline.as_str(), who, self.enter_backfill(wish, who)).await
    }

    async fn enter_backfill(&self, wish: &BackfillWish, who: &Who) -> Result<BackfillId, RequestError> {
        let now = Timestamp::now();
        let (definition, intervals, pipeline) = self.planned(wish, now).await?;
        let (Some(first), Some(last)) =
            (intervals.iter().map(|i| i.start).min(), intervals.iter().map(|i| i.end).max())
        else {
            return Err(RequestError::Backfill("the range holds no whole interval".to_owned()));
        };
        let definition = Definition {
            by: Some(who.name.clone()),
            why: who.why.clone(),
            register_only: !wish.promote,
            ..definition
        };
        let entered = intervals.iter().map(|interval| entered(&pipeline.data, interval));
        let new = NewBackfill {
            pipeline: wish.pipeline.clone(),
            range: Interval { start: first, end: last },
            order: wish.order,
            at_once: wish.at_once,
            promote: wish.promote,
            by: who.name.clone(),
            why: who.why.clone(),
            definition: definition.to_json(),
            intervals: entered.collect::<Result<_, _>>()?,
            at: now,
        };
        let id = self.controller.store.create_backfill(&new, None).await?;
        self.nudge.notify_one();
        Ok(id)
    }

    async fn planned(
        &self,
        wish: &BackfillWish,
        now: Timestamp,
    ) -> Result<(Definition, Vec<Interval>, Pipeline), RequestError> {
        if wish.at_once == 0 || wish.at_once > MOST_AT_ONCE {
            let why = format!("`at_once` is {}, and has to be 1 to {MOST_AT_ONCE}", wish.at_once);
            return Err(RequestError::Backfill(why));
        }
        let good = self.pipeline(&wish.pipeline).await?;
        let mut definition = self.definition(good, wish.params.clone(), now);
        let (_, loaded) = definition.resolve(None).map_err(|refused| refusal(refused, &definition))?;
        let pipeline = loaded.pipeline;
        let mut intervals =
            intervals(&pipeline.data, wish.from, wish.to, now).map_err(RequestError::Backfill)?;
        // What a template makes of an old interval is seen before anything is entered.
        if let Some(first) = intervals.first() {
            definition.at = due(&pipeline.data, first);
            definition.resolve(None).map_err(|refused| refusal(refused, &definition))?;
        }
        if wish.order == BackfillOrder::NewestFirst {
            intervals.reverse();
        }
        Ok((definition, intervals, pipeline))
    }

    /// Lets a backfill begin no more runs; those that are going go on.
    pub async fn pause_backfill(&self, id: BackfillId, who: &Who) -> Result<(), RequestError> {
        let change = self.change_backfill(id, BackfillState::Paused, who);
        self.audited("backfill.pause", &id.to_string(), who, change).await
    }

    pub async fn resume_backfill(&self, id: BackfillId, who: &Who) -> Result<(), RequestError> {
        let change = self.change_backfill(id, BackfillState::Running, who);
        self.audited("backfill.resume", &id.to_string(), who, change).await
    }

    /// Ends a backfill: what has not begun is skipped, and what is going is cancelled.
    pub async fn cancel_backfill(&self, id: BackfillId, who: &Who) -> Result<(), RequestError> {
        let cancel = async {
            self.change_backfill(id, BackfillState::Cancelled, who).await?;
            for run in self.live_of(id).await? {
                let why = who.why.clone().unwrap_or_else(|| format!("backfill {id} was cancelled"));
                let asked = Asked::new(Ask::Cancel { at_once: false }, who.name.clone(), Some(why));
                // One that ended meanwhile is as good as cancelled.
                if let Err(error) = self.send(&run, asked).await {
                    tracing::info!(%error, %run, "a run of a cancelled backfill was not cancelled");
                }
            }
            Ok(())
        };
        self.audited("backfill.cancel", &id.to_string(), who, cancel).await
    }

    async fn live_of(&self, id: BackfillId) -> Result<Vec<RunId>, RequestError> {
        let filter = OccurrenceFilter {
            backfill: Some(id),
            stages: vec![OccurrenceStage::Started],
            ..OccurrenceFilter::default()
        };
        let started = self.controller.store.occurrences(&filter).await?;
        let live = started.into_iter().filter_map(|row| match row.state {
            OccurrenceState::Started { run, status: Some(status) } if !status.is_terminal() => Some(run),
            _ => None,
        });
        Ok(live.collect())
    }

    async fn change_backfill(
        &self,
        id: BackfillId,
        to: BackfillState,
        who: &Who,
    ) -> Result<(), RequestError> {
        let store = &self.controller.store;
        let BackfillRow { state, .. } = store.backfill(id).await?;
        if state == to || state.is_terminal() {
            return Err(RequestError::BackfillIs { id, state: state.word() });
        }
        let (by, why) = (who.name.as_str(), who.why.as_deref());
        store.change_backfill(id, state, to, by, why, Timestamp::now(), None).await?;
        self.nudge.notify_one();
        Ok(())
    }
}

/// The whole intervals of a range, the oldest first.
fn intervals(
    data: &DataSpan,
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
) -> Result<Vec<Interval>, String> {
    if from >= to {
        return Err(format!("it ends ({to}) before it begins ({from})"));
    }
    let of = |data: &DataSpan| Calendar::of(data).map_err(|error| error.to_string());
    let calendar = of(&DataSpan { delay: Span::from_seconds(0), ..data.clone() })?;
    let complete = of(data)?.interval_at(now).map_err(|error| error.to_string())?;
    let mut interval = calendar.interval_at(from).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    loop {
        interval = calendar.following(&interval).map_err(|error| error.to_string())?;
        if interval.end > to {
            return Ok(found);
        }
        if interval.start < from {
            continue;
        }
        if interval.end > complete.end {
            return Err(format!(
                "its range reaches past {}, where the last interval ends whose data are complete",
                complete.end
            ));
        }
        if found.len() == MOST {
            return Err(format!("it has more than {MOST} intervals: split it"));
        }
        found.push(interval);
    }
}

/// The occurrence that gives this interval.
fn due(data: &DataSpan, interval: &Interval) -> Timestamp {
    let delay = i64::try_from(data.delay.seconds()).unwrap_or(i64::MAX);
    interval.end.checked_add(SignedDuration::from_secs(delay)).unwrap_or(Timestamp::MAX)
}

fn entered(data: &DataSpan, interval: &Interval) -> Result<BackfillInterval, RequestError> {
    let zone =
        jiff::tz::TimeZone::get(&data.timezone).map_err(|error| RequestError::Interval(error.to_string()))?;
    let civil = interval.start.to_zoned_datetime(zone).datetime();
    let civil = civil.strftime("%Y-%m-%dT%H:%M").to_string();
    Ok(BackfillInterval { due: due(data, interval), civil })
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_spec::IntervalUnit;

    fn span(interval: IntervalUnit, timezone: &str, delay: u64) -> DataSpan {
        DataSpan { interval, timezone: timezone.into(), delay: Span::from_seconds(delay) }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_gives_its_whole_intervals_and_each_due_time_gives_its_interval_back() {
        let data = span(IntervalUnit::Day, "Europe/Berlin", 3600);
        let now = at("2026-11-24T12:00:00Z");
        let found = intervals(&data, at("2026-10-23T22:00:00Z"), at("2026-10-27T12:00:00Z"), now).unwrap();
        let civil: Vec<String> = found.iter().map(|i| entered(&data, i).unwrap().civil).collect();
        assert_eq!(civil, ["2026-10-24T00:00", "2026-10-25T00:00", "2026-10-26T00:00"]);
        for interval in &found {
            assert_eq!(Calendar::of(&data).unwrap().interval_at(due(&data, interval)).unwrap(), *interval);
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let data = span(IntervalUnit::Hour, "UTC", 0);
        let now = at("2026-11-24T12:30:00Z");
        let err = |from: &str, to: &str| intervals(&data, at(from), at(to), now).unwrap_err();
        assert!(err("2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z").contains("before it begins"));
        assert!(err("2026-11-24T00:00:00Z", "2026-11-24T13:00:00Z").contains("2026-11-24T12:00:00Z"));
        assert!(err("2020-01-01T00:00:00Z", "2026-11-01T00:00:00Z").contains("10000"));
        let none = intervals(&data, at("2026-11-24T01:10:00Z"), at("2026-11-24T01:50:00Z"), now).unwrap();
        assert!(none.is_empty());
    }
}

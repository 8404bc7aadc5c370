//! The last occurrences before an instant, in bounded work, however many there were.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use noctule_spec::{CronLine, Timetable};

use super::{Occurrence, Occurrences, ScheduleError, first_instant, zone};

/// The last occurrences of a span of time, and how many there were before them.
pub(super) struct Latest {
    /// Rising.
    pub occurrences: Vec<Occurrence>,
    pub older: Option<Before>,
}

pub(super) struct Before {
    pub count: u64,
    pub first: Occurrence,
    pub last: Occurrence,
}

impl Latest {
    /// Of the occurrences after `after` and up to `until`, the last `most`. At least one must be asked for.
    pub fn between(
        timetable: &Timetable,
        after: Timestamp,
        until: Timestamp,
        most: usize,
    ) -> Result<Self, ScheduleError> {
        let zone = zone(&timetable.timezone)?;
        let mut occurrences = Vec::new();
        // What is due later is shown later.
        let down_to = last_shown(&zone, after).date();
        for civil in falling(&timetable.cron, last_shown(&zone, until), down_to) {
            let at = first_instant(&zone, civil)?;
            if at <= after {
                break;
            }
            // Of civil times that the clock jumps over, and the one that it jumps to, the last stands for all.
            if occurrences.last().is_some_and(|later: &Occurrence| later.at == at) {
                continue;
            }
            occurrences.push(Occurrence { at, civil });
            if occurrences.len() > most {
                break;
            }
        }
        let last = if occurrences.len() > most { occurrences.pop() } else { None };
        occurrences.reverse();
        let older = match last {
            None => None,
            Some(last) => {
                let first = Occurrences::after(timetable, after)?.next().unwrap_or(last);
                let count = count(&timetable.cron, &zone, after, last.at);
                Some(Before { count, first, last })
            }
        };
        Ok(Self { occurrences, older })
    }
}

/// The last civil minute whose first instant is not after `at`.
fn last_shown(zone: &TimeZone, at: Timestamp) -> DateTime {
    let mut shown = at.to_zoned_datetime(zone.clone()).datetime();
    // Where the clock was set back, it shows times that it has shown before, and the latest of these is meant.
    if let Some(back) = zone.preceding(after_it(at)).next() {
        let turn = back.timestamp();
        let before = zone.to_offset(turn - SignedDuration::from_nanos(1));
        let most = before.to_datetime(turn);
        if most > shown {
            shown = most.saturating_sub(SignedDuration::from_nanos(1));
        }
    }
    let clock = shown.time();
    shown.date().at(clock.hour(), clock.minute(), 0, 0)
}

/// The civil times that a cron line names, falling: those at or before `from`, on days not before `down_to`.
fn falling(line: &CronLine, from: DateTime, down_to: Date) -> impl Iterator<Item = DateTime> {
    let dates = std::iter::successors(Some(from.date()), |date| date.yesterday().ok());
    let dates = dates.take_while(move |date| *date >= down_to).filter(|date| allows(line, *date));
    let on = |date: Date| {
        let hours = line.hours().iter().rev();
        let minutes = |hour: i8| line.minutes().iter().rev().map(move |minute| (hour, *minute as i8));
        hours
            .flat_map(move |hour| minutes(*hour as i8))
            .map(move |(hour, minute)| date.at(hour, minute, 0, 0))
    };
    dates.flat_map(on).skip_while(move |civil| *civil > from)
}

fn allows(line: &CronLine, date: Date) -> bool {
    let weekday = date.weekday().to_sunday_zero_offset();
    line.allows_date(date.month() as u8, date.day() as u8, weekday as u8)
}

/// How many occurrences there are after `after` and up to `until`.
fn count(line: &CronLine, zone: &TimeZone, after: Timestamp, until: Timestamp) -> u64 {
    let named = count_named(line, last_shown(zone, after), last_shown(zone, until));
    let jumps = zone.following(after).take_while(|turn| turn.timestamp() <= until);
    let doubled = jumps.map(|turn| {
        let at = turn.timestamp();
        let before = zone.to_offset(at - SignedDuration::from_nanos(1)).to_datetime(at);
        let to = zone.to_offset(at).to_datetime(at);
        // From the first time that is jumped over to the one that is jumped to: all are due together.
        match before < to {
            true => {
                count_named(line, before.saturating_sub(SignedDuration::from_nanos(1)), to).saturating_sub(1)
            }
            false => 0,
        }
    });
    named - doubled.sum::<u64>()
}

/// How many civil times a cron line names after one and up to another.
fn count_named(line: &CronLine, after: DateTime, until: DateTime) -> u64 {
    let whole = (line.hours().len() * line.minutes().len()) as u64;
    let upto = |civil: DateTime| {
        let clock = (civil.hour() as u8, civil.minute() as u8);
        let hours = line.hours().iter().filter(|hour| **hour < clock.0).count() * line.minutes().len();
        let minutes = match line.hours().contains(&clock.0) {
            true => line.minutes().iter().filter(|minute| **minute <= clock.1).count(),
            false => 0,
        };
        match allows(line, civil.date()) {
            true => (hours + minutes) as u64,
            false => 0,
        }
    };
    let dates = std::iter::successors(Some(after.date()), |date| date.tomorrow().ok());
    let days =
        dates.take_while(|date| *date < until.date()).filter(|date| allows(line, *date)).count() as u64;
    (days * whole + upto(until)).saturating_sub(upto(after))
}

/// `preceding` gives what lies strictly before.
fn after_it(at: Timestamp) -> Timestamp {
    at.checked_add(SignedDuration::from_nanos(1)).unwrap_or(at)
}

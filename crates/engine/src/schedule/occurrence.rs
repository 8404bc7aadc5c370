//! When a schedule is due.

use std::iter::Peekable;
use std::str::FromStr as _;

use chrono::{DateTime as CronTime, NaiveDate, Utc};
use cron::{OwnedScheduleIterator, Schedule as CronSchedule};
use jiff::Timestamp;
use jiff::civil::{self, DateTime};
use jiff::tz::TimeZone;
use noctule_spec::{CronLine, Timetable};

use super::{ScheduleError, first_instant, zone};

/// One due time. Its civil time is what tells it from others of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Occurrence {
    pub at: Timestamp,
    pub civil: DateTime,
}

impl Occurrence {
    /// What tells the occurrence from the others of its pipeline: `2026-11-24T02:15`.
    pub fn id(&self) -> String {
        civil_id(self.civil)
    }
}

pub(super) fn civil_id(civil: DateTime) -> String {
    civil.strftime("%Y-%m-%dT%H:%M").to_string()
}

/// The occurrences after an instant, in order, up to the end of 2100: further the `cron` crate does not count.
///
/// Civil times that the clock jumps over are due together, at the jump: the last of them stands for all. A civil time
/// that the clock shows twice is due the first time only.
pub struct Occurrences {
    zone: TimeZone,
    after: Timestamp,
    civil: Peekable<CivilTimes>,
}

impl Occurrences {
    pub fn after(timetable: &Timetable, after: Timestamp) -> Result<Self, ScheduleError> {
        let zone = zone(&timetable.timezone)?;
        let shown = after.to_zoned_datetime(zone.clone()).datetime();
        let civil = CivilTimes::from(&timetable.cron, shown)?.peekable();
        Ok(Self { zone, after, civil })
    }
}

impl Iterator for Occurrences {
    type Item = Occurrence;

    fn next(&mut self) -> Option<Occurrence> {
        loop {
            let mut civil = self.civil.next()?;
            let at = first_instant(&self.zone, civil).ok()?;
            while let Some(next) =
                self.civil.next_if(|next| first_instant(&self.zone, *next).is_ok_and(|other| other == at))
            {
                civil = next;
            }
            if at > self.after {
                return Some(Occurrence { at, civil });
            }
        }
    }
}

/// The civil times that a cron line names, from a civil time on.
///
/// The `cron` crate joins the two day fields by AND where crontab(5) joins them by OR when both are restricted: such a
/// line is the union of two. It computes on UTC, which stands for civil time here, since no civil time is missing or
/// doubled in it.
struct CivilTimes {
    lines: Vec<Peekable<OwnedScheduleIterator<Utc>>>,
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

impl CivilTimes {
    fn from(line: &CronLine, from: DateTime) -> Result<Self, ScheduleError> {
        let start = as_utc(from).ok_or_else(|| ScheduleError::OutOfRange(from.to_string()))?;
        // The iterator begins strictly after its start.
        let start = start - chrono::TimeDelta::seconds(1);
        let days = listed(line.days());
        let weekdays = line.weekdays().iter().map(|day| WEEKDAYS[usize::from(*day)]);
        let weekdays = weekdays.collect::<Vec<_>>().join(",");
        let day_fields = match line.either_day() {
            true => vec![(days, "*".to_owned()), ("*".to_owned(), weekdays)],
            false => vec![(days, weekdays)],
        };
        let (minutes, hours, months) = (listed(line.minutes()), listed(line.hours()), listed(line.months()));
        let lines = day_fields.into_iter().map(|(days, weekdays)| {
            let text = format!("0 {minutes} {hours} {days} {months} {weekdays} *");
            let schedule = CronSchedule::from_str(&text)
                .map_err(|error| ScheduleError::Line { line: line.to_string(), reason: error.to_string() })?;
            Ok(schedule.after_owned(start).peekable())
        });
        Ok(Self { lines: lines.collect::<Result<_, ScheduleError>>()? })
    }
}

impl Iterator for CivilTimes {
    type Item = DateTime;

    fn next(&mut self) -> Option<DateTime> {
        let earliest = self.lines.iter_mut().filter_map(|line| line.peek().copied()).min()?;
        for line in &mut self.lines {
            line.next_if_eq(&earliest);
        }
        as_civil(earliest)
    }
}

fn listed(values: &[u8]) -> String {
    values.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

fn as_utc(civil: DateTime) -> Option<CronTime<Utc>> {
    let date = NaiveDate::from_ymd_opt(
        i32::from(civil.year()),
        u32::try_from(civil.month()).ok()?,
        u32::try_from(civil.day()).ok()?,
    )?;
    let clock = (civil.hour(), civil.minute(), civil.second());
    let [hour, minute, second] = [clock.0, clock.1, clock.2].map(|n| u32::try_from(n).unwrap_or(0));
    Some(date.and_hms_opt(hour, minute, second)?.and_utc())
}

fn as_civil(time: CronTime<Utc>) -> Option<DateTime> {
    use chrono::{Datelike as _, Timelike as _};
    DateTime::new(
        i16::try_from(time.year()).ok()?,
        i8::try_from(time.month()).ok()?,
        i8::try_from(time.day()).ok()?,
        i8::try_from(time.hour()).ok()?,
        i8::try_from(time.minute()).ok()?,
        i8::try_from(time.second()).ok()?,
        0,
    )
    .ok()
    .filter(|civil| *civil < civil::date(9999, 1, 1).at(0, 0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule(cron: &str, timezone: &str) -> Timetable {
        Timetable { cron: cron.parse().unwrap(), timezone: timezone.into() }
    }

    fn next(cron: &str, timezone: &str, after: &str, count: usize) -> Vec<String> {
        Occurrences::after(&schedule(cron, timezone), after.parse().unwrap())
            .unwrap()
            .take(count)
            .map(|occurrence| format!("{} {}", occurrence.civil, occurrence.at))
            .collect()
    }

    #[test]
    fn a_nightly_line_keeps_its_civil_time() {
        assert_eq!(
            next("15 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3),
            [
                "2026-10-24T02:15:00 2026-10-24T00:15:00Z",
                "2026-10-25T02:15:00 2026-10-25T00:15:00Z",
                "2026-10-26T02:15:00 2026-10-26T01:15:00Z",
            ]
        );
    }

    #[test]
    fn the_night_that_lacks_the_hour_runs_at_the_first_valid_instant() {
        assert_eq!(
            next("15 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T02:15:00 2026-03-29T01:00:00Z", "2026-03-30T02:15:00 2026-03-30T00:15:00Z"]
        );
        assert_eq!(
            next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 2),
            ["2026-03-29T03:00:00 2026-03-29T01:00:00Z", "2026-03-29T03:30:00 2026-03-29T01:30:00Z"]
        );
    }

    #[test]
    fn an_hour_that_the_clock_shows_twice_runs_once() {
        assert_eq!(
            next("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3),
            [
                "2026-10-25T02:30:00 2026-10-25T00:30:00Z",
                "2026-10-25T03:30:00 2026-10-25T02:30:00Z",
                "2026-10-25T04:30:00 2026-10-25T03:30:00Z",
            ]
        );
    }

    #[test]
    fn two_day_fields_mean_either() {
        assert_eq!(
            next("0 0 13 * FRI", "UTC", "2026-11-01T00:00:00Z", 3),
            [
                "2026-11-06T00:00:00 2026-11-06T00:00:00Z",
                "2026-11-13T00:00:00 2026-11-13T00:00:00Z",
                "2026-11-20T00:00:00 2026-11-20T00:00:00Z",
            ]
        );
    }

    /// A field of a cron line with the values that are worth trying.
    fn field(low: u8, high: u8) -> impl Strategy<Value = String> {
        prop_oneof![
            3 => Just("*".to_owned()),
            3 => (low..=high).prop_map(|n| n.to_string()),
            2 => (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            1 => (2..=5u8).prop_map(|n| format!("*/{n}")),
        ]
    }

    proptest! {
        /// In UTC, where civil time has no gaps, `croner` is an independent reading of crontab(5).
        #[test]
        fn croner_agrees(
            fields in (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)),
            seconds in 1_500_000_000i64..2_000_000_000,
        ) {
            let (minute, hour, day, month, weekday) = fields;
            // Vixie's rule for fields that begin with `*`, such as `*/2`, differs between the two.
            prop_assume!(!(day.starts_with("*/") || weekday.starts_with("*/")));
            let line = format!("{minute} {hour} {day} {month} {weekday}");
            let after = Timestamp::from_second(seconds).unwrap();
            let ours: Vec<i64> = Occurrences::after(&schedule(&line, "UTC"), after)
                .unwrap()
                .take(5)
                .map(|occurrence| occurrence.at.as_second())
                .collect();
            let peer = croner::Cron::from_str(&line).unwrap();
            let start = CronTime::<Utc>::from_timestamp(seconds, 0).unwrap();
            let theirs: Vec<i64> = peer.iter_after(start).take(5).map(|time| time.timestamp()).collect();
            prop_assert_eq!(ours, theirs, "{}", line);
        }

        #[test]
        fn occurrences_rise_and_do_not_depend_on_where_one_begins(
            seconds in 1_500_000_000i64..2_000_000_000,
            zone in prop::sample::select(vec!["Europe/Berlin", "America/Havana", "America/St_Johns", "Australia/Lord_Howe"]),
        ) {
            let schedule = schedule("*/20 * * * *", zone);
            let after = Timestamp::from_second(seconds).unwrap();
            let first: Vec<_> = Occurrences::after(&schedule, after).unwrap().take(8).collect();
            prop_assert!(first.windows(2).all(|pair| pair[0].at < pair[1].at && pair[0].civil < pair[1].civil));
            let later: Vec<_> = Occurrences::after(&schedule, first[2].at).unwrap().take(5).collect();
            prop_assert_eq!(&first[3..], &later[..]);
        }
    }
}

//! The spans of data time that runs cover: civil hours, days and weeks of a zone.

use jiff::civil::{DateTime, time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use noctule_artifacts::launch::Interval;
use noctule_spec::{DataSpan, IntervalUnit};

use super::{ScheduleError, first_instant, zone};

/// The intervals of a pipeline, one after the other without gaps.
///
/// An interval lasts from the first instant of its civil hour, day or week (from Monday) to the first instant of the
/// next. So a day may have 23 or 25 hours, an hour that the clock shows twice has two, and one that the clock jumps
/// over does not exist.
#[derive(Debug, Clone)]
pub struct Calendar {
    unit: IntervalUnit,
    zone: TimeZone,
    delay: SignedDuration,
}

impl Calendar {
    pub fn of(data: &DataSpan) -> Result<Self, ScheduleError> {
        let seconds = i64::try_from(data.delay.seconds()).unwrap_or(i64::MAX);
        Ok(Self {
            unit: data.interval,
            zone: zone(&data.timezone)?,
            delay: SignedDuration::from_secs(seconds),
        })
    }

    /// The interval of an occurrence: the last whole one that ended at or before `at` less the delay.
    pub fn interval_at(&self, at: Timestamp) -> Result<Interval, ScheduleError> {
        let beyond = || ScheduleError::OutOfRange(at.to_string());
        let complete = at.checked_sub(self.delay).map_err(|_| beyond())?;
        let mut begin = self.floor(complete.to_zoned_datetime(self.zone.clone()).datetime())?;
        // Where a clock is set back over the begin of a day, the day has begun and the clock shows the one before.
        loop {
            let next = self.step(begin, 1)?;
            if first_instant(&self.zone, next)? > complete {
                break;
            }
            begin = next;
        }
        let end = first_instant(&self.zone, begin)?;
        self.ending_at(begin, end)
    }

    /// The interval that begins where this one ends.
    pub fn following(&self, interval: &Interval) -> Result<Interval, ScheduleError> {
        let shown = interval.end.to_zoned_datetime(self.zone.clone()).datetime();
        let mut civil = self.floor(shown)?;
        loop {
            civil = self.step(civil, 1)?;
            let end = first_instant(&self.zone, civil)?;
            if end > interval.end {
                return Ok(Interval { start: interval.end, end });
            }
        }
    }

    /// A civil hour or day that the clock jumped over is empty, and the interval before it is meant.
    fn ending_at(&self, begin: DateTime, end: Timestamp) -> Result<Interval, ScheduleError> {
        let mut civil = begin;
        loop {
            civil = self.step(civil, -1)?;
            let start = first_instant(&self.zone, civil)?;
            if start < end {
                return Ok(Interval { start, end });
            }
        }
    }

    /// The civil begin of the hour, day or week that holds a civil time.
    fn floor(&self, shown: DateTime) -> Result<DateTime, ScheduleError> {
        let midnight = shown.date().at(0, 0, 0, 0);
        match self.unit {
            IntervalUnit::Hour => Ok(shown.date().to_datetime(time(shown.hour(), 0, 0, 0))),
            IntervalUnit::Day => Ok(midnight),
            IntervalUnit::Week => {
                let back = i64::from(shown.date().weekday().to_monday_zero_offset());
                midnight
                    .checked_sub(Span::new().days(back))
                    .map_err(|_| ScheduleError::OutOfRange(shown.to_string()))
            }
        }
    }

    fn step(&self, civil: DateTime, count: i64) -> Result<DateTime, ScheduleError> {
        let span = match self.unit {
            IntervalUnit::Hour => Span::new().hours(count),
            IntervalUnit::Day => Span::new().days(count),
            IntervalUnit::Week => Span::new().weeks(count),
        };
        civil.checked_add(span).map_err(|_| ScheduleError::OutOfRange(civil.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_spec::Span as Delay;
    use proptest::prelude::*;

    fn calendar(interval: IntervalUnit, timezone: &str, delay: u64) -> Calendar {
        let delay = Delay::from_seconds(delay);
        Calendar::of(&DataSpan { interval, timezone: timezone.into(), delay }).unwrap()
    }

    fn at(calendar: &Calendar, at: &str) -> String {
        let Interval { start, end } = calendar.interval_at(at.parse().unwrap()).unwrap();
        format!("{start}/{end}")
    }

    #[test]
    fn a_run_covers_the_last_whole_day() {
        let utc = calendar(IntervalUnit::Day, "UTC", 0);
        assert_eq!(at(&utc, "2026-11-02T02:15:00Z"), "2026-11-01T00:00:00Z/2026-11-02T00:00:00Z");
        assert_eq!(at(&utc, "2026-11-02T00:00:00Z"), "2026-11-01T00:00:00Z/2026-11-02T00:00:00Z");
        assert_eq!(at(&utc, "2026-11-01T23:59:59.999Z"), "2026-10-31T00:00:00Z/2026-11-01T00:00:00Z");
        let late = calendar(IntervalUnit::Day, "UTC", 3 * 3600);
        assert_eq!(at(&late, "2026-11-02T02:15:00Z"), "2026-10-31T00:00:00Z/2026-11-01T00:00:00Z");
        assert_eq!(at(&late, "2026-11-02T03:00:00Z"), "2026-11-01T00:00:00Z/2026-11-02T00:00:00Z");
    }

    #[test]
    fn days_have_the_length_that_the_zone_gives_them() {
        let berlin = calendar(IntervalUnit::Day, "Europe/Berlin", 0);
        assert_eq!(at(&berlin, "2026-03-30T02:15:00Z"), "2026-03-28T23:00:00Z/2026-03-29T22:00:00Z");
        assert_eq!(at(&berlin, "2026-10-26T02:15:00Z"), "2026-10-24T22:00:00Z/2026-10-25T23:00:00Z");
        // Samoa had no 30 December 2011.
        let apia = calendar(IntervalUnit::Day, "Pacific/Apia", 0);
        assert_eq!(at(&apia, "2011-12-30T12:00:00Z"), "2011-12-29T10:00:00Z/2011-12-30T10:00:00Z");
        // In Havana the clock goes back from 1:00 to 0:00: the day begins once.
        let havana = calendar(IntervalUnit::Day, "America/Havana", 0);
        assert_eq!(at(&havana, "2026-11-01T05:30:00Z"), "2026-10-31T04:00:00Z/2026-11-01T04:00:00Z");
    }

    #[test]
    fn a_day_that_began_before_the_clock_went_back_has_begun() {
        // In Newfoundland, until 2011, the clock went back at 0:01, and showed the day before again.
        let newfoundland = calendar(IntervalUnit::Day, "America/St_Johns", 0);
        assert_eq!(at(&newfoundland, "2010-11-07T03:00:00Z"), "2010-11-06T02:30:00Z/2010-11-07T02:30:00Z");
        // In Sao Paulo it went back from 24:00 to 23:00, and midnight came once, an hour later.
        let sao_paulo = calendar(IntervalUnit::Day, "America/Sao_Paulo", 0);
        assert_eq!(at(&sao_paulo, "2019-02-17T02:30:00Z"), "2019-02-15T02:00:00Z/2019-02-16T02:00:00Z");
        assert_eq!(at(&sao_paulo, "2019-02-17T03:00:00Z"), "2019-02-16T02:00:00Z/2019-02-17T03:00:00Z");
    }

    #[test]
    fn weeks_begin_on_monday() {
        let week = calendar(IntervalUnit::Week, "UTC", 0);
        assert_eq!(at(&week, "2026-11-22T23:00:00Z"), "2026-11-09T00:00:00Z/2026-11-16T00:00:00Z");
        assert_eq!(at(&week, "2026-11-23T00:00:00Z"), "2026-11-16T00:00:00Z/2026-11-23T00:00:00Z");
    }

    #[test]
    fn hours_follow_the_clock() {
        let berlin = calendar(IntervalUnit::Hour, "Europe/Berlin", 0);
        assert_eq!(at(&berlin, "2026-03-29T01:10:00Z"), "2026-03-29T00:00:00Z/2026-03-29T01:00:00Z");
        assert_eq!(at(&berlin, "2026-10-25T01:30:00Z"), "2026-10-24T23:00:00Z/2026-10-25T00:00:00Z");
        assert_eq!(at(&berlin, "2026-10-25T02:05:00Z"), "2026-10-25T00:00:00Z/2026-10-25T02:00:00Z");
        let kolkata = calendar(IntervalUnit::Hour, "Asia/Kolkata", 0);
        assert_eq!(at(&kolkata, "2026-03-29T01:10:00Z"), "2026-03-28T23:30:00Z/2026-03-29T00:30:00Z");
    }

    #[test]
    fn what_cannot_be_computed_is_said() {
        let data = DataSpan { timezone: "Mars/Olympus".into(), ..DataSpan::default() };
        assert_eq!(Calendar::of(&data).unwrap_err(), ScheduleError::UnknownZone("Mars/Olympus".into()));
        let utc = calendar(IntervalUnit::Week, "UTC", 0);
        assert!(matches!(utc.interval_at(Timestamp::MIN), Err(ScheduleError::OutOfRange(_))));
    }

    const ZONES: [&str; 8] = [
        "UTC",
        "Europe/Berlin",
        "America/Havana",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "America/Sao_Paulo",
        "America/St_Johns",
    ];

    proptest! {
        #[test]
        fn intervals_cover_time_without_gaps(
            seconds in 0i64..4_000_000_000,
            zone in prop::sample::select(ZONES.to_vec()),
            unit in prop::sample::select(vec![IntervalUnit::Hour, IntervalUnit::Day, IntervalUnit::Week]),
        ) {
            let calendar = calendar(unit, zone, 0);
            let at = Timestamp::from_second(seconds).unwrap();
            let interval = calendar.interval_at(at).unwrap();
            prop_assert!(interval.start < interval.end && interval.end <= at);
            let next = calendar.following(&interval).unwrap();
            prop_assert!(next.start == interval.end && next.end > at, "{:?}", next);
            prop_assert_eq!(calendar.interval_at(interval.end).unwrap(), interval);
            prop_assert_eq!(calendar.interval_at(next.end).unwrap(), next);
        }
    }
}

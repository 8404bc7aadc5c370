//! Times from numbers and texts.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::source::columns::Unit;
use crate::source::error::SourceError;

/// A time as text, in microseconds since 1970: RFC 3339, or a date with or without a time of day, which is read in
/// `zone`. In a gap of civil time it is the first instant after, in a fold the first of the two.
pub(crate) fn parse(text: &str, zone: &TimeZone) -> Option<i64> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant.as_microsecond());
    }
    // A zone written behind a space, as databases print it, and a bare hour offset.
    if let Some(instant) = with_offset(text) {
        return Some(instant.as_microsecond());
    }
    let civil = text
        .parse::<DateTime>()
        .ok()
        .or_else(|| text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)))?;
    civil_micros(civil, zone)
}

fn with_offset(text: &str) -> Option<Timestamp> {
    if let Some(utc) = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" Z")) {
        return format!("{utc}Z").parse().ok();
    }
    let sign = text.rfind(['+', '-']).filter(|at| *at > 10)?;
    let (time, offset) = text.split_at(sign);
    match offset.len() {
        3 => format!("{}{offset}:00", time.trim_end()).parse().ok(),
        5 => format!("{}{}:{}", time.trim_end(), &offset[..3], &offset[3..]).parse().ok(),
        _ => format!("{}{offset}", time.trim_end()).parse().ok(),
    }
}

/// A civil time in a zone, in microseconds since 1970.
pub(crate) fn civil_micros(civil: DateTime, zone: &TimeZone) -> Option<i64> {
    zone.to_ambiguous_timestamp(civil).compatible().ok().map(|instant| instant.as_microsecond())
}

/// A wall clock without a zone, as microseconds that count as if it were UTC, in a zone.
pub(crate) fn wall_micros(micros: i64, zone: &TimeZone) -> Option<i64> {
    let civil = TimeZone::UTC.to_datetime(Timestamp::from_microsecond(micros).ok()?);
    civil_micros(civil, zone)
}

/// Times outside these years are no times of a log.
const PLAUSIBLE_YEARS: std::ops::Range<i16> = 1990..2101;

fn year(micros: i64) -> Option<i16> {
    Timestamp::from_microsecond(micros).ok().map(|instant| TimeZone::UTC.to_datetime(instant).year())
}

fn plausible(unit: Unit, count: i64) -> bool {
    unit.micros(count).and_then(year).is_some_and(|year| PLAUSIBLE_YEARS.contains(&year))
}

fn shown(unit: Unit, count: i64) -> String {
    match unit.micros(count).and_then(|micros| Timestamp::from_microsecond(micros).ok()) {
        Some(instant) => instant.to_string(),
        None => "past the year 9999".to_owned(),
    }
}

/// Refuses a unit under which a typical count is no plausible time, when another unit makes it one.
pub(crate) fn check_unit(column: &str, unit: Unit, typical: i64) -> Result<(), SourceError> {
    if plausible(unit, typical) {
        return Ok(());
    }
    let guess = Unit::ALL.into_iter().find(|other| plausible(*other, typical));
    let far = unit.micros(typical).and_then(year).is_none_or(|year| year >= PLAUSIBLE_YEARS.end);
    if guess.is_none() && !far {
        return Ok(());
    }
    Err(SourceError::WrongUnit {
        column: column.to_owned(),
        unit: unit.word(),
        shown: shown(unit, typical),
        guess: guess.map(Unit::word),
        better: guess.map_or_else(String::new, |guess| shown(guess, typical)),
    })
}

/// The error for whole numbers without a unit, with the unit that makes them plausible.
pub(crate) fn no_unit(column: &str, from: &str, typical: Option<i64>) -> SourceError {
    let guess = typical.and_then(|count| Unit::ALL.into_iter().find(|unit| plausible(*unit, count)));
    let why = match (guess, typical) {
        (Some(unit), Some(count)) => format!("; so read, {count} is {}", shown(unit, count)),
        _ => String::new(),
    };
    let guess = guess.unwrap_or(Unit::Seconds).word();
    SourceError::NoUnit { column: column.to_owned(), from: from.to_owned(), guess, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let at = |text| {
            parse(text, &berlin).map(|micros| Timestamp::from_microsecond(micros).unwrap().to_string())
        };
        for (text, wanted) in [
            ("2026-11-01T12:00:00Z", "2026-11-01T12:00:00Z"),
            ("2026-11-01 12:00:00+02:00", "2026-11-01T10:00:00Z"),
            ("2026-11-01 12:00:00.25+00", "2026-11-01T12:00:00.25Z"),
            ("2026-11-01 12:00:00 UTC", "2026-11-01T12:00:00Z"),
            ("2026-11-01 12:00:00", "2026-11-01T11:00:00Z"),
            ("2026-07-01", "2026-06-30T22:00:00Z"),
            // A gap and a fold.
            ("2026-03-29 02:30:00", "2026-03-29T01:30:00Z"),
            ("2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Some(wanted), "{text}");
        }
        for bad in ["", "yesterday", "2026-13-01", "12:00", "978300760"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_wrong_unit_is_named_with_the_right_one() {
        check_unit("time", Unit::Seconds, 978_300_760).unwrap();
        check_unit("time", Unit::Seconds, 5).unwrap();
        insta::assert_snapshot!(
            check_unit("time", Unit::Seconds, 978_300_760_000).unwrap_err(),
            @"the column `time` read with `unit: s` gives times such as past the year 9999; with `unit: ms` it gives 2000-12-31T22:12:40Z"
        );
        insta::assert_snapshot!(
            no_unit("time", "ts", Some(978_300_760_000)),
            @"the column `time` holds whole numbers and is to be a time: say what they count with `{from: ts, unit: ms}`; so read, 978300760000 is 2000-12-31T22:12:40Z"
        );
    }
}

//! Partitions of a source, and the span of time that a dated one covers.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// How long the span of a dated partition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    Hour,
    Day,
    Month,
}

/// A partition: the folders `key=value` of an object's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// As in the path: `date=2026-11-01` or `year=2026/month=11`; empty for an unpartitioned source.
    pub key: String,
    /// The civil time at which its span begins, when it is dated.
    pub begins: Option<(DateTime, Grain)>,
}

impl Partition {
    /// The partition of an object, by its path below the source.
    pub fn of_path(path: &str) -> Self {
        let folders: Vec<&str> = path.split('/').rev().skip(1).collect();
        let keys: Vec<&str> = folders.into_iter().rev().filter(|part| pair(part).is_some()).collect();
        let begins = begins(&keys);
        Self { key: keys.join("/"), begins }
    }

    /// From a key as a listing has it.
    pub fn of_key(key: &str) -> Self {
        Self::of_path(&format!("{key}/x"))
    }

    /// The half-open span of time that it covers.
    pub fn span(&self, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let (begins, grain) = self.begins?;
        let ends = begins.checked_add(grain.span()).ok()?;
        Some((instant(begins, zone)?, instant(ends, zone)?))
    }

    /// The columns that the folders stand for.
    pub fn columns(&self) -> impl Iterator<Item = (&str, String)> {
        self.key.split('/').filter_map(|part| pair(part).map(|(name, value)| (name, decoded(value))))
    }
}

impl Grain {
    pub fn span(self) -> Span {
        match self {
            Grain::Hour => Span::new().hours(1),
            Grain::Day => Span::new().days(1),
            Grain::Month => Span::new().months(1),
        }
    }

    /// The civil times at which the partitions begin that cover `[start, end)`.
    pub fn beginnings(self, start: Timestamp, end: Timestamp, zone: &TimeZone) -> Vec<DateTime> {
        let civil = zone.to_datetime(start);
        let mut at = match self {
            Grain::Hour => civil.date().at(civil.hour(), 0, 0, 0),
            Grain::Day => civil.date().at(0, 0, 0, 0),
            Grain::Month => civil.date().first_of_month().at(0, 0, 0, 0),
        };
        let mut all = Vec::new();
        while instant(at, zone).is_some_and(|instant| instant < end) {
            all.push(at);
            let Ok(next) = at.checked_add(self.span()) else { break };
            at = next;
        }
        all
    }

    /// How people write such a beginning.
    pub fn shown(self, begins: DateTime) -> String {
        match self {
            Grain::Hour => format!("{} {:02}:00", begins.date(), begins.hour()),
            Grain::Day => begins.date().to_string(),
            Grain::Month => begins.date().to_string()[..7].to_owned(),
        }
    }
}

/// A civil time as an instant; in a gap the first one after it, in a fold the first of both.
fn instant(civil: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(civil).compatible().ok()
}

fn pair(part: &str) -> Option<(&str, &str)> {
    part.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

/// Hive writes signs that a file system dislikes as `%3A`.
fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| value.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| value.to_owned())
}

/// When the partition begins: from one value such as `2026-11-01` or `2026-11-01T05`, or from year, month, day, hour.
fn begins(keys: &[&str]) -> Option<(DateTime, Grain)> {
    let pairs: Vec<(String, String)> = keys
        .iter()
        .filter_map(|key| pair(key))
        .map(|(name, value)| (name.to_lowercase(), decoded(value)))
        .collect();
    let number = |names: &[&str]| -> Option<i16> {
        pairs.iter().find(|(name, _)| names.contains(&name.as_str()))?.1.parse().ok()
    };
    let hour = number(&["hour", "hh", "h"]).and_then(|hour| i8::try_from(hour).ok());
    let whole = pairs.iter().find_map(|(_, value)| whole_date(value));
    let (date, grain_hour) = match whole {
        Some((date, in_value)) => (date, in_value.or(hour)),
        None => {
            let year = number(&["year", "yyyy", "y"])?;
            let month = i8::try_from(number(&["month", "mm", "m"])?).ok()?;
            let Some(day) = number(&["day", "dd", "d"]) else {
                return Some((Date::new(year, month, 1).ok()?.at(0, 0, 0, 0), Grain::Month));
            };
            (Date::new(year, month, i8::try_from(day).ok()?).ok()?, hour)
        }
    };
    match grain_hour {
        Some(hour) if (0..24).contains(&hour) => Some((date.at(hour, 0, 0, 0), Grain::Hour)),
        Some(_) => None,
        None => Some((date.at(0, 0, 0, 0), Grain::Day)),
    }
}

/// `2026-11-01`, `20261101`, and either with an hour: `2026-11-01-05`, `2026-11-01T05`, `2026-11-01 05:00`.
fn whole_date(value: &str) -> Option<(Date, Option<i8>)> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (date, rest) = if value.len() >= 10 && value.as_bytes()[4] == b'-' && value.is_char_boundary(10) {
        (value[..10].parse::<Date>().ok()?, &value[10..])
    } else if value.len() == 8 && digits(value) {
        let (year, month, day) =
            (value[..4].parse().ok()?, value[4..6].parse().ok()?, value[6..].parse().ok()?);
        (Date::new(year, month, day).ok()?, "")
    } else {
        return None;
    };
    if rest.is_empty() {
        return Some((date, None));
    }
    let rest = rest.strip_prefix(['-', 'T', ' ', '_'])?;
    let hour = rest.get(..2).filter(|hour| digits(hour))?;
    let after = rest[2..].trim_start_matches([':', '0']);
    after.is_empty().then_some((date, Some(hour.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dated_folders_are_understood() {
        let shown = |path: &str| {
            let partition = Partition::of_path(path);
            partition.begins.map(|(begins, grain)| grain.shown(begins)).unwrap_or_else(|| "none".to_owned())
        };
        for (path, begins) in [
            ("date=2026-11-01/part-0.parquet", "2026-11-01"),
            ("x/dt=20261101/a.csv", "2026-11-01"),
            ("year=2026/month=11/day=1/a", "2026-11-01"),
            ("year=2026/month=11/a", "2026-11"),
            ("date=2026-11-01/hour=05/a", "2026-11-01 05:00"),
            ("h=2026-11-01T05/a", "2026-11-01 05:00"),
            ("date=2026-13-01/a", "none"),
            ("country=DE/a", "none"),
            ("a.parquet", "none"),
        ] {
            assert_eq!(shown(path), begins, "{path}");
        }
        let partition = Partition::of_path("logs/date=2026-11-01/name=a%2Fb/f.csv");
        assert_eq!(partition.key, "date=2026-11-01/name=a%2Fb");
        assert_eq!(
            partition.columns().collect::<Vec<_>>(),
            [("date", "2026-11-01".to_owned()), ("name", "a/b".to_owned())]
        );
    }

    #[test]
    fn a_day_is_a_civil_day() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let (start, end) = Partition::of_key("date=2026-10-25").span(&zone).unwrap();
        // The clocks go back an hour on that day.
        assert_eq!(end.duration_since(start).as_hours(), 25);
    }
}

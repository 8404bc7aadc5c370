//! The next occurrences as people want to see them: with the clock's offset, and with what a clock change does to them.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, Offset};
use noctule_spec::Timetable;

use super::{Occurrence, Occurrences, ScheduleError, zone};

/// An occurrence to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upcoming {
    pub occurrence: Occurrence,
    /// The zone's offset from UTC at that instant.
    pub offset: Offset,
    pub shown: Shown,
    /// The last clock change since the occurrence before it, or since the beginning.
    pub change: Option<ClockChange>,
}

/// How often the clock shows an occurrence's civil time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Once,
    /// The clock jumps over it: it is due at the jump.
    Never,
    /// The clock shows it twice: it is due the first time.
    Twice,
}

/// A moment at which a zone's clock is set forward or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockChange {
    pub at: Timestamp,
    pub before: Offset,
    pub after: Offset,
}

/// The next occurrences after an instant, `most` at most.
pub fn upcoming(
    timetable: &Timetable,
    after: Timestamp,
    most: usize,
) -> Result<Vec<Upcoming>, ScheduleError> {
    let zone = zone(&timetable.timezone)?;
    let mut since = after;
    let mut coming = Vec::new();
    for occurrence in Occurrences::after(timetable, after)?.take(most) {
        let shown = match zone.to_ambiguous_timestamp(occurrence.civil).offset() {
            AmbiguousOffset::Unambiguous { .. } => Shown::Once,
            AmbiguousOffset::Gap { .. } => Shown::Never,
            AmbiguousOffset::Fold { .. } => Shown::Twice,
        };
        let changes = zone.following(since).take_while(|turn| turn.timestamp() <= occurrence.at);
        let change = changes
            .map(|turn| {
                let at = turn.timestamp();
                let before = zone.to_offset(at - jiff::SignedDuration::from_nanos(1));
                ClockChange { at, before, after: turn.offset() }
            })
            .filter(|change| change.before != change.after)
            .last();
        coming.push(Upcoming { occurrence, offset: zone.to_offset(occurrence.at), shown, change });
        since = occurrence.at;
    }
    Ok(coming)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cron: &str, timezone: &str, after: &str, most: usize) -> Vec<String> {
        let timetable = Timetable { cron: cron.parse().unwrap(), timezone: timezone.to_owned() };
        let coming = upcoming(&timetable, after.parse().unwrap(), most).unwrap();
        let line = |one: &Upcoming| {
            let change = one.change.map(|change| format!(" [{} to {}]", change.before, change.after));
            format!("{}{} {:?}{}", one.occurrence.id(), one.offset, one.shown, change.unwrap_or_default())
        };
        coming.iter().map(line).collect()
    }

    #[test]
    fn clock_changes_are_marked() {
        assert_eq!(
            shown("15 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3),
            [
                "2026-03-28T02:15+01 Once",
                "2026-03-29T02:15+02 Never [+01 to +02]",
                "2026-03-30T02:15+02 Once"
            ]
        );
        assert_eq!(
            shown("15 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T02:15+02 Twice", "2026-10-26T02:15+01 Once [+02 to +01]"]
        );
        // Of a rare line the last change before it is told.
        assert_eq!(
            shown("0 12 1 1 *", "Europe/Berlin", "2026-02-01T00:00:00Z", 1),
            ["2027-01-01T12:00+01 Once [+02 to +01]"]
        );
        assert_eq!(shown("0 12 * * *", "UTC", "2026-02-01T00:00:00Z", 1), ["2026-02-01T12:00+00 Once"]);
    }

    #[test]
    fn a_zone_that_does_not_exist_is_named() {
        let timetable = Timetable { cron: "0 0 * * *".parse().unwrap(), timezone: "Mars/Olympus".to_owned() };
        let refused = upcoming(&timetable, Timestamp::UNIX_EPOCH, 1).unwrap_err();
        assert_eq!(refused, ScheduleError::UnknownZone("Mars/Olympus".to_owned()));
    }
}

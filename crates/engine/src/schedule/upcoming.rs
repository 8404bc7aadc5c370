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

//! When a pipeline is due, and what span of data time a run covers.
//!
//! Both are computed on civil time, the time that a wall clock in the pipeline's zone shows, and only then mapped to
//! an instant. A civil time that the clock jumps over stands for the first valid instant after the jump; one that the
//! clock shows twice stands for the first of the two.

pub mod admission;
pub mod due;
mod interval;
mod latest;
mod occurrence;
mod upcoming;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

pub use admission::Claim;
pub use due::{Decided, Decision, Due, NotRun, Promotion, Standing, due, due_promotions, landed};
pub use interval::Calendar;
pub use occurrence::{Occurrence, Occurrences};
pub use upcoming::{ClockChange, Shown, Upcoming, upcoming};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("`{0}` is not a time zone; use a name of the IANA database, such as `Europe/Berlin` or `UTC`")]
    UnknownZone(String),
    #[error("{0} lies outside of the years that can be computed with")]
    OutOfRange(String),
    #[error("the cron line `{line}` cannot be computed with: {reason}")]
    Line { line: String, reason: String },
}

fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    TimeZone::get(name).map_err(|_| ScheduleError::UnknownZone(name.to_owned()))
}

/// The first instant at which the clock of the zone shows this civil time or a later one.
fn first_instant(zone: &TimeZone, civil: DateTime) -> Result<Timestamp, ScheduleError> {
    let beyond = |_| ScheduleError::OutOfRange(civil.to_string());
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Gap { after, .. } => {
            // The instant read with the later offset lies before the jump, which is the next one there is.
            let before_jump = after.to_timestamp(civil).map_err(beyond)?;
            let jump = zone.following(before_jump).next();
            jump.map(|jump| jump.timestamp()).ok_or_else(|| ScheduleError::OutOfRange(civil.to_string()))
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
            zone.to_ambiguous_timestamp(civil).earlier().map_err(beyond)
        }
    }
}

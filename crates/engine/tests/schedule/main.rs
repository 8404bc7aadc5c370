//! When a pipeline is due, and what becomes of each occurrence.

mod cron;
mod due;
mod keeper;
mod latest;
mod zones;

use jiff::Timestamp;
use noctule_engine::schedule::Occurrences;
use noctule_spec::{Misfire, Overlap, Schedule, Timetable, Trigger};

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

pub fn timetable(cron: &str, timezone: &str) -> Timetable {
    let cron = cron.parse().unwrap_or_else(|error| panic!("{cron}: {error}"));
    Timetable { cron, timezone: timezone.to_owned() }
}

pub fn schedule(cron: &str, misfire: Misfire, overlap: Overlap) -> Schedule {
    let trigger = Trigger::Clock { timetable: timetable(cron, "Europe/Berlin"), wait: None };
    Schedule { trigger, misfire, overlap, deadline: None }
}

/// The civil times of the next occurrences.
pub fn next(cron: &str, timezone: &str, after: &str, count: usize) -> Vec<String> {
    let occurrences = Occurrences::after(&timetable(cron, timezone), at(after)).unwrap();
    occurrences.take(count).map(|occurrence| occurrence.id()).collect()
}

//! Every zone of the IANA database, around every clock change from 2024 to 2030: a daily line is due exactly once on each
//! civil day, at whatever half hour.
//!
//! Only what lies around a change can go wrong, and of that only the instant and the two offsets matter. So each change
//! that differs from all others in these is tried with all 48 half hours over five days; each zone is tried around
//! each of its changes with the half hours that the change touches; and on ordinary days each zone with some.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use noctule_engine::schedule::Occurrences;

use crate::{at, timetable};

/// A moment at which a zone's clock is set: the instant, and what the clock showed before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    at: Timestamp,
    before: DateTime,
    after: DateTime,
}

fn changes(zone: &TimeZone) -> Vec<Change> {
    let (begin, end) = (at("2024-01-01T00:00:00Z"), at("2031-01-01T00:00:00Z"));
    let turns = zone.following(begin).take_while(|turn| turn.timestamp() < end);
    turns
        .map(|turn| {
            let at = turn.timestamp();
            let before = zone.to_offset(at - SignedDuration::from_nanos(1)).to_datetime(at);
            Change { at, before, after: turn.offset().to_datetime(at) }
        })
        .filter(|change| change.before != change.after)
        .collect()
}

/// Half hours as (hour, minute).
fn half_hours() -> impl Iterator<Item = (i8, i8)> {
    (0..24).flat_map(|hour| [(hour, 0), (hour, 30)])
}

/// A daily line is due once on each of some days, at the first instant at which the clock shows that time or a later one.
fn once_a_day(name: &str, zone: &TimeZone, clock: (i8, i8), first: Date, days: i32) {
    let (hour, minute) = clock;
    let line = timetable(&format!("{minute} {hour} * * *"), name);
    // The clock cannot have been set by more than a day.
    let from = first.at(0, 0, 0, 0).checked_sub(1.day()).unwrap();
    let from = zone.to_ambiguous_timestamp(from).compatible().unwrap();
    let mut coming = Occurrences::after(&line, from).unwrap().skip_while(|due| due.civil.date() < first);
    let mut date = first;
    let mut earlier = Timestamp::MIN;
    for _ in 0..days {
        let due = coming.next().unwrap();
        let wanted = date.at(hour, minute, 0, 0);
        assert_eq!(due.civil, wanted, "{name}, daily at {hour}:{minute:02}, {date}");
        assert!(due.at > earlier, "{name}, daily at {hour}:{minute:02}: {} after {earlier}", due.at);
        let shown = due.at.to_zoned_datetime(zone.clone()).datetime();
        let shown_before =
            (due.at - SignedDuration::from_nanos(1)).to_zoned_datetime(zone.clone()).datetime();
        assert!(shown >= wanted && shown_before < wanted, "{name}: at {} the clock shows {shown}", due.at);
        earlier = due.at;
        date = date.tomorrow().unwrap();
    }
}

#[test]
fn a_daily_line_runs_once_on_every_civil_day_in_every_zone() {
    let zones = TimeZoneDatabase::bundled();
    let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
    assert!(names.len() > 500, "{} zones", names.len());
    let mut seen = BTreeSet::new();
    let (mut tried, mut with_changes) = (0, 0);
    for (index, name) in names.iter().enumerate() {
        let zone = zones.get(name).unwrap();
        let changes = changes(&zone);
        with_changes += usize::from(!changes.is_empty());
        for change in changes {
            let first = change.before.date().min(change.after.date()).checked_sub(2.days()).unwrap();
            let new = seen.insert(change);
            let (low, high) = (change.before.min(change.after), change.before.max(change.after));
            for (hour, minute) in half_hours() {
                let touched = |day: DateTime| (low..=high).contains(&day.date().at(hour, minute, 0, 0));
                if new || touched(low) || touched(high) {
                    once_a_day(name, &zone, (hour, minute), first, 5);
                    tried += 1;
                }
            }
        }
        let some = half_hours().skip(index % 48).step_by(16);
        for clock in some {
            once_a_day(name, &zone, clock, jiff::civil::date(2024 + (index % 7) as i16, 6, 20), 20);
        }
    }
    assert!(seen.len() > 250 && with_changes > 150, "{} changes in {with_changes} zones", seen.len());
    assert!(tried > 15_000, "{tried} lines");
}

/// The same through the decisions: whatever is decided at a look every 20 minutes, each day begins once.
#[test]
fn a_daily_line_begins_once_on_every_civil_day() {
    use noctule_engine::schedule::{Decision, Standing, due};
    use noctule_spec::{Misfire, Overlap, Schedule, Trigger};
    for (name, turn) in [
        ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("America/Havana", "2026-11-01T05:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("Africa/Cairo", "2026-04-23T22:00:00Z"),
        ("Asia/Almaty", "2024-02-29T18:00:00Z"),
    ] {
        for (hour, minute) in half_hours() {
            let timetable = timetable(&format!("{minute} {hour} * * *"), name);
            let trigger = Trigger::Clock { timetable, wait: None };
            let schedule =
                Schedule { trigger, misfire: Misfire::RunLatest, overlap: Overlap::Skip, deadline: None };
            let mut watermark = at(turn) - SignedDuration::from_hours(48);
            let mut days = Vec::new();
            while watermark < at(turn) + SignedDuration::from_hours(48) {
                let now = watermark + SignedDuration::from_mins(20);
                let due = due(&schedule, watermark, now, Standing::default()).unwrap();
                for decided in &due.decided {
                    assert_eq!(decided.decision, Decision::Start);
                    days.push(decided.what.civil.date());
                }
                watermark = due.watermark;
            }
            assert!(days.len() >= 3, "{name} at {hour}:{minute:02}: {days:?}");
            let in_a_row = days.windows(2).all(|pair| pair[1] == pair[0].tomorrow().unwrap());
            assert!(in_a_row, "{name} at {hour}:{minute:02}: {days:?}");
        }
    }
}

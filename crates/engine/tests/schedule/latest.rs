//! Counting back from now gives what counting forward gives, without looking at all that lies between.

use jiff::Timestamp;
use noctule_engine::schedule::{Due, Occurrence, Occurrences, ScheduleError, Standing, due};
use noctule_spec::{Misfire, Overlap, Schedule, Timetable, Trigger};
use proptest::prelude::*;

use crate::{at, schedule};

const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
];

fn field(low: u8, high: u8) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => (low..=high).prop_map(|n| n.to_string()),
        2 => (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (2..=30u8).prop_map(|n| format!("*/{n}")),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let clock = (field(0, 59), prop_oneof![field(0, 23), Just("0-3".to_owned())]);
    let day = (
        prop_oneof![3 => Just("*".to_owned()), 1 => field(1, 28)],
        prop_oneof![3 => Just("*".to_owned()), 1 => field(0, 6)],
    );
    (clock, day).prop_map(|((minute, hour), (day, weekday))| format!("{minute} {hour} {day} * {weekday}"))
}

/// An instant near one at which the clock of some of the zones changes, or any.
fn instant() -> impl Strategy<Value = Timestamp> {
    let turns = prop::sample::select(vec![
        "2026-03-29T01:00:00Z",
        "2026-10-25T01:00:00Z",
        "2026-03-08T07:00:00Z",
        "2026-11-01T05:00:00Z",
        "2026-04-04T15:00:00Z",
        "2026-10-03T15:30:00Z",
        "2026-02-15T02:00:00Z",
        "2010-11-07T02:31:00Z",
        "2018-11-04T03:00:00Z",
        "2019-02-17T02:00:00Z",
        "2011-12-30T10:00:00Z",
    ]);
    let near = prop_oneof![2 => -7_000i64..7_000, 1 => -100_000i64..100_000];
    prop_oneof![
        4 => (turns, near).prop_map(|(turn, seconds)| at(turn) + jiff::SignedDuration::from_secs(seconds)),
        1 => (1_300_000_000i64..2_000_000_000).prop_map(|seconds| Timestamp::from_second(seconds).unwrap()),
    ]
}

fn decided(timetable: &Timetable, after: Timestamp, until: Timestamp) -> Due {
    let trigger = Trigger::Clock { timetable: timetable.clone(), wait: None };
    let schedule = Schedule { trigger, misfire: Misfire::RunAll, overlap: Overlap::Queue, deadline: None };
    due(&schedule, after, until, Standing::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn looking_back_agrees_with_looking_forward(
        line in line(),
        zone in prop::sample::select(ZONES.to_vec()),
        until in instant(),
        hours in 1i64..60,
        seconds in 0i64..3600,
    ) {
        let timetable = crate::timetable(&line, zone);
        let after = until - jiff::SignedDuration::from_secs(hours * 3600 + seconds);
        let forward: Vec<Occurrence> = Occurrences::after(&timetable, after)
            .unwrap()
            .take_while(|occurrence| occurrence.at <= until)
            .collect();
        let due = decided(&timetable, after, until);
        let kept = forward.len().min(1_000);
        let backward: Vec<Occurrence> = due.decided.iter().map(|decided| decided.what).collect();
        prop_assert_eq!(&forward[forward.len() - kept..], &backward[..], "{} in {} until {}", line, zone, until);
        match due.older {
            None => prop_assert_eq!(forward.len(), kept),
            Some(older) => {
                prop_assert_eq!(older.count, (forward.len() - kept) as u64, "{} in {} until {}", line, zone, until);
                prop_assert_eq!(older.first, forward[0]);
                prop_assert_eq!(older.last, forward[forward.len() - kept - 1]);
            }
        }
    }
}

/// What is decided takes milliseconds on an idle machine, and is allowed seconds.
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a test of the time that it takes")]
fn soon(decide: impl FnOnce() -> Result<Due, ScheduleError>) -> Due {
    let begin = std::time::Instant::now();
    let due = decide().unwrap();
    assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{:?}", begin.elapsed());
    due
}

#[test]
fn a_year_is_caught_up_with_in_bounded_work() {
    let minutely = schedule("* * * * *", Misfire::RunLatest, Overlap::Skip);
    let due =
        soon(|| due(&minutely, at("2025-11-24T00:00:30Z"), at("2026-11-24T00:00:30Z"), Standing::default()));
    assert_eq!(due.decided.len(), 1_000);
    let older = due.older.unwrap();
    // In spring the clock jumps over 60 minutes, which are due together with 3:00. In autumn it shows 60 minutes twice,
    // which are due once: so a year of 525,600 minutes has 525,600 - 60 occurrences.
    assert_eq!(older.count + 1_000, 525_600 - 60);
    assert_eq!(older.id(), "2025-11-24T01:01..2026-11-23T08:20");
    assert_eq!(due.decided[0].what.id(), "2026-11-23T08:21");
    assert_eq!(due.decided[999].what.id(), "2026-11-24T01:00");
}

#[test]
fn a_century_of_a_rare_line_is_no_work() {
    let leap = schedule("0 0 29 2 *", Misfire::RunAll, Overlap::Skip);
    let due =
        soon(|| due(&leap, at("2026-01-01T00:00:00Z"), at("2126-01-01T00:00:00Z"), Standing::default()));
    assert_eq!((due.decided.len(), due.older), (24, None));
}

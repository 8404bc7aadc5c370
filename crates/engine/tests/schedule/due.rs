//! The rules, case by case.

use jiff::{SignedDuration, Timestamp};
use noctule_engine::schedule::due::{CLOCK_BACK, ClockBack, GRACE};
use noctule_engine::schedule::{
    Decision, NotRun, Promotion, Standing, admission, due, due_promotions, landed,
};
use noctule_spec::{DataWait, Misfire, Overlap, PromotionOf, Schedule, Span, Trigger};

use crate::{at, schedule};

const IDLE: Standing = Standing { live: 0, queued: 0, paused: false };
const BUSY: Standing = Standing { live: 1, queued: 0, paused: false };
const WAITING: Standing = Standing { live: 0, queued: 1, paused: false };
const PAUSED: Standing = Standing { live: 0, queued: 0, paused: true };

const MISFIRES: [Misfire; 3] = [Misfire::RunLatest, Misfire::RunAll, Misfire::Skip];
const OVERLAPS: [Overlap; 3] = [Overlap::Skip, Overlap::Queue, Overlap::Replace];

fn hourly(misfire: Misfire, overlap: Overlap) -> Schedule {
    schedule("0 * * * *", misfire, overlap)
}

/// Occurrences and decisions, such as `09:00 start`.
fn decided(schedule: &Schedule, watermark: &str, now: &str, standing: Standing) -> Vec<String> {
    let due = due(schedule, at(watermark), at(now), standing).unwrap();
    assert_eq!((due.older, due.clock, due.watermark), (None, None, at(now)));
    due.decided.iter().map(|one| format!("{} {}", &one.what.id()[11..], word(one.decision))).collect()
}

fn word(decision: Decision) -> String {
    match decision {
        Decision::Start => "start".to_owned(),
        Decision::Queue => "queue".to_owned(),
        Decision::Replace => "replace".to_owned(),
        Decision::Wait { give_up } => format!("wait until {give_up}"),
        Decision::Skip(reason) => reason.to_string(),
    }
}

#[test]
fn what_is_due_now_begins() {
    for misfire in MISFIRES {
        for overlap in OVERLAPS {
            let hourly = hourly(misfire, overlap);
            let on_time = decided(&hourly, "2026-11-24T08:00:00Z", "2026-11-24T09:00:59Z", IDLE);
            assert_eq!(on_time, ["10:00 start"], "{misfire:?} {overlap:?}");
            assert!(decided(&hourly, "2026-11-24T09:00:00Z", "2026-11-24T09:59:59Z", IDLE).is_empty());
        }
    }
}

#[test]
fn an_occurrence_is_missed_past_the_grace_and_not_before() {
    let skip = hourly(Misfire::Skip, Overlap::Skip);
    let look = |late: SignedDuration| {
        let due = due(&skip, at("2026-11-24T08:30:00Z"), at("2026-11-24T09:00:00Z") + late, IDLE).unwrap();
        due.decided[0].decision
    };
    assert_eq!(look(GRACE), Decision::Start);
    assert_eq!(look(GRACE + SignedDuration::from_nanos(1)), Decision::Skip(NotRun::Missed));
}

#[test]
fn after_downtime_the_latest_all_or_none_run() {
    let looked = |misfire| {
        decided(&hourly(misfire, Overlap::Skip), "2026-11-24T06:30:00Z", "2026-11-24T09:30:00Z", IDLE)
    };
    assert_eq!(looked(Misfire::RunLatest), ["08:00 superseded", "09:00 superseded", "10:00 start"]);
    assert_eq!(looked(Misfire::RunAll), ["08:00 start", "09:00 queue", "10:00 queue"]);
    assert_eq!(looked(Misfire::Skip), ["08:00 missed", "09:00 missed", "10:00 missed"]);
    // The one that is due at this very moment is the latest.
    let now = |misfire| {
        decided(&hourly(misfire, Overlap::Skip), "2026-11-24T06:30:00Z", "2026-11-24T09:00:10Z", IDLE)
    };
    assert_eq!(now(Misfire::RunLatest), ["08:00 superseded", "09:00 superseded", "10:00 start"]);
    assert_eq!(now(Misfire::Skip), ["08:00 missed", "09:00 missed", "10:00 start"]);
}

#[test]
fn while_the_last_run_is_going_overlap_decides() {
    let looked = |overlap, standing| {
        let hourly = hourly(Misfire::RunLatest, overlap);
        decided(&hourly, "2026-11-24T08:00:00Z", "2026-11-24T09:00:05Z", standing)
    };
    for standing in [BUSY, WAITING] {
        assert_eq!(looked(Overlap::Skip, standing), ["10:00 overlap"]);
        assert_eq!(looked(Overlap::Queue, standing), ["10:00 queue"]);
        assert_eq!(looked(Overlap::Replace, standing), ["10:00 replace"]);
    }
    // Of `run-all` none is left out, whatever `overlap` says.
    for overlap in OVERLAPS {
        let all = hourly(Misfire::RunAll, overlap);
        assert_eq!(decided(&all, "2026-11-24T08:00:00Z", "2026-11-24T09:00:05Z", BUSY), ["10:00 queue"]);
    }
    // A run that was missed overlaps as any other does.
    let late = decided(
        &hourly(Misfire::RunLatest, Overlap::Skip),
        "2026-11-24T07:30:00Z",
        "2026-11-24T09:30:00Z",
        BUSY,
    );
    assert_eq!(late, ["09:00 superseded", "10:00 overlap"]);
}

#[test]
fn two_that_are_due_at_one_look_do_not_run_side_by_side() {
    let looked = |misfire, overlap| {
        let minutely = schedule("* * * * *", misfire, overlap);
        let decided = decided(&minutely, "2026-11-24T08:58:30Z", "2026-11-24T09:00:00Z", IDLE);
        decided.iter().map(|line| line[6..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(looked(Misfire::RunLatest, Overlap::Skip), ["start", "overlap"]);
    assert_eq!(looked(Misfire::RunLatest, Overlap::Queue), ["start", "queue"]);
    assert_eq!(looked(Misfire::Skip, Overlap::Replace), ["superseded", "start"]);
    assert_eq!(looked(Misfire::RunAll, Overlap::Replace), ["start", "queue"]);
}

#[test]
fn a_paused_schedule_begins_nothing_and_says_so() {
    for misfire in MISFIRES {
        for overlap in OVERLAPS {
            let paused =
                decided(&hourly(misfire, overlap), "2026-11-24T07:30:00Z", "2026-11-24T09:00:01Z", PAUSED);
            assert_eq!(paused, ["09:00 paused", "10:00 paused"], "{misfire:?} {overlap:?}");
            assert_eq!(landed(&hourly(misfire, overlap), PAUSED), Decision::Skip(NotRun::Paused));
        }
    }
}

#[test]
fn what_is_too_much_to_be_told_one_by_one_is_told_together() {
    let reason = |misfire, standing| {
        let minutely = schedule("* * * * *", misfire, Overlap::Skip);
        let due = due(&minutely, at("2026-11-20T00:00:00Z"), at("2026-11-24T00:00:00Z"), standing).unwrap();
        assert_eq!(due.decided.len(), 1_000);
        let older = due.older.unwrap();
        assert_eq!(older.count, 4 * 1_440 - 1_000);
        assert!(older.last.at < due.decided[0].what.at);
        older.reason
    };
    assert_eq!(reason(Misfire::RunLatest, IDLE), NotRun::Superseded);
    assert_eq!(reason(Misfire::RunAll, IDLE), NotRun::Missed);
    assert_eq!(reason(Misfire::Skip, IDLE), NotRun::Missed);
    assert_eq!(reason(Misfire::RunAll, PAUSED), NotRun::Paused);
}

#[test]
fn a_clock_that_was_set_back_is_told_of_and_followed() {
    let hourly = hourly(Misfire::RunLatest, Overlap::Skip);
    let watermark = at("2026-11-24T09:00:00Z");
    let look = |now: Timestamp| due(&hourly, watermark, now, IDLE).unwrap();
    // A clock that is drawn back a little is waited for.
    let little = look(watermark - CLOCK_BACK);
    assert_eq!((little.has_news(), little.watermark), (false, watermark));
    assert!(!look(watermark).has_news());
    let back = at("2026-11-24T07:30:00Z");
    let far = look(back);
    assert_eq!(far.clock, Some(ClockBack { from: watermark, to: back }));
    assert_eq!(far.clock.unwrap().id(), "clock/2026-11-24T09:00:00Z..2026-11-24T07:30:00Z");
    assert_eq!((far.has_news(), far.decided.len(), far.watermark), (true, 0, back));
    assert_eq!(decided(&hourly, "2026-11-24T07:30:00Z", "2026-11-24T08:00:01Z", IDLE), ["09:00 start"]);
}

#[test]
fn a_look_that_decides_nothing_has_no_news() {
    let daily = schedule("15 2 * * *", Misfire::RunAll, Overlap::Queue);
    let due = due(&daily, at("2026-11-24T02:00:00Z"), at("2026-11-24T22:00:00Z"), IDLE).unwrap();
    assert!(!due.has_news());
    assert_eq!(due.watermark, at("2026-11-24T22:00:00Z"));
}

fn waiting(misfire: Misfire, overlap: Overlap) -> Schedule {
    let mut schedule = hourly(misfire, overlap);
    if let Trigger::Clock { wait, .. } = &mut schedule.trigger {
        *wait = Some(DataWait {
            data: "s3://b/{{ interval.start | date }}/_SUCCESS".to_owned(),
            poll: Span::from_seconds(300),
            give_up: Span::from_seconds(4 * 3600),
        });
    }
    schedule
}

#[test]
fn an_occurrence_that_waits_for_data_waits_from_its_own_time_on() {
    let looked = decided(
        &waiting(Misfire::RunLatest, Overlap::Skip),
        "2026-11-24T08:00:00Z",
        "2026-11-24T09:00:05Z",
        BUSY,
    );
    assert_eq!(looked, ["10:00 wait until 2026-11-24T13:00:00Z"]);
    let missed = |misfire| {
        decided(&waiting(misfire, Overlap::Skip), "2026-11-24T07:30:00Z", "2026-11-24T09:30:00Z", IDLE)
    };
    assert_eq!(missed(Misfire::RunLatest), ["09:00 superseded", "10:00 wait until 2026-11-24T13:00:00Z"]);
    assert_eq!(
        missed(Misfire::RunAll),
        ["09:00 wait until 2026-11-24T12:00:00Z", "10:00 wait until 2026-11-24T13:00:00Z"]
    );
    assert_eq!(missed(Misfire::Skip), ["09:00 missed", "10:00 missed"]);
}

#[test]
fn what_has_landed_is_decided_as_what_is_due() {
    let after = |overlap, standing| landed(&waiting(Misfire::RunLatest, overlap), standing);
    assert_eq!(after(Overlap::Skip, IDLE), Decision::Start);
    assert_eq!(after(Overlap::Skip, BUSY), Decision::Skip(NotRun::Overlap));
    assert_eq!(after(Overlap::Queue, WAITING), Decision::Queue);
    assert_eq!(after(Overlap::Replace, BUSY), Decision::Replace);
    assert_eq!(landed(&waiting(Misfire::RunAll, Overlap::Skip), BUSY), Decision::Queue);
}

#[test]
fn a_promotion_is_due_as_a_time_is() {
    let after = |misfire| Schedule {
        trigger: Trigger::Promotion(PromotionOf {
            model: "home-feed".parse().unwrap(),
            alias: "champion".parse().unwrap(),
        }),
        ..hourly(misfire, Overlap::Skip)
    };
    let promotions = [
        Promotion { sequence: 7, at: at("2026-11-24T07:00:00Z") },
        Promotion { sequence: 9, at: at("2026-11-24T08:00:00Z") },
    ];
    let looked = |misfire, now: &str| -> Vec<String> {
        let decided = due_promotions(&after(misfire), &promotions, at(now), IDLE);
        decided.iter().map(|one| format!("{} {}", one.what.id(), word(one.decision))).collect()
    };
    let late = "2026-11-24T09:00:00Z";
    assert_eq!(looked(Misfire::RunLatest, late), ["promotion/7 superseded", "promotion/9 start"]);
    assert_eq!(looked(Misfire::RunAll, late), ["promotion/7 start", "promotion/9 queue"]);
    assert_eq!(looked(Misfire::Skip, late), ["promotion/7 missed", "promotion/9 missed"]);
    assert_eq!(looked(Misfire::Skip, "2026-11-24T08:00:30Z"), ["promotion/7 missed", "promotion/9 start"]);
    // Such a schedule has no due times, and its watermark follows the clock.
    let due = due(&after(Misfire::RunAll), at("2026-01-01T00:00:00Z"), at(late), IDLE).unwrap();
    assert!(!due.has_news() && due.watermark == at(late));
}

#[test]
fn reasons_have_words_of_their_own() {
    for reason in NotRun::ALL {
        assert_eq!(NotRun::of_word(reason.word()), Some(reason));
        assert!(!reason.sentence().is_empty());
    }
    assert_eq!(NotRun::of_word("late"), None);
}

#[test]
fn a_deadline_counts_from_the_occurrence() {
    let mut hourly = hourly(Misfire::RunAll, Overlap::Skip);
    let due = at("2026-11-24T09:00:00Z");
    assert_eq!(admission::deadline(&hourly, due), None);
    hourly.deadline = Some(Span::from_seconds(6 * 3600));
    assert_eq!(admission::deadline(&hourly, due), Some(at("2026-11-24T15:00:00Z")));
    assert_eq!(admission::deadline(&hourly, Timestamp::MAX), Some(Timestamp::MAX));
}

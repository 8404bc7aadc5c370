//! Logs of every released format must fold for ever.
//!
//! `golden/format-1-events.ndjson` holds one event of every kind as the format's first release wrote it, and
//! `golden/format-1-run.ndjson` the log of a whole run with the state that it folds to. Neither file ever changes; a
//! new format gets files of its own. `NOCTULE_WRITE_GOLDEN=1` writes those that are missing.

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{AttemptNumber, Outcome, VersionNumber};
use noctule_engine::{Event, Evidence, Handle, Phase, Publication, Run, RunStatus};
use noctule_store::record;
use serde_json::Value;

use crate::events;
use crate::world::{at, digest, run_id};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str, written: impl FnOnce() -> String) -> String {
    let path = path(name);
    if !path.exists() && std::env::var_os("NOCTULE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, written()).unwrap();
    }
    std::fs::read_to_string(path).unwrap()
}

fn line(event: &Event) -> String {
    String::from_utf8(record::encode(event)).unwrap()
}

#[test]
fn events_of_format_1_are_read_and_written_as_ever() {
    let text =
        golden("format-1-events.ndjson", || events::all().iter().map(|event| line(event) + "\n").collect());
    let lines: Vec<&str> = text.lines().collect();
    let events = events::all();
    assert_eq!(lines.len(), events.len());
    for (kept, event) in lines.iter().zip(&events) {
        assert_eq!(&record::decode(1, kept.as_bytes()).unwrap(), event);
        if record::FORMAT == 1 {
            assert_eq!(&line(event), kept);
        }
    }
}

/// A night in which the first training attempt is taken away and the second one ends in a promotion.
pub fn night() -> Vec<(Timestamp, Event)> {
    let step = |name: &str| name.parse().unwrap();
    let one = AttemptNumber(1);
    let mut plan = events::plan();
    for step in &mut plan.steps {
        step.disabled = None;
    }
    let mut log = vec![Event::RunCreated { plan: Box::new(plan) }];
    let begin = |name: &str, attempt| {
        vec![
            Event::AttemptIntended { step: step(name), attempt, launch: digest(name) },
            Event::AttemptStarted {
                step: step(name),
                attempt,
                handle: Handle::Process { pid: 4711, start_time: 99, boot_id: "boot".to_owned() },
            },
            Event::AttemptObserved { step: step(name), attempt, phase: Phase::Running },
        ]
    };
    let succeed = |name: &str, attempt, publication| Event::AttemptSucceeded {
        step: step(name),
        attempt,
        artifact: events::artifact(),
        outcome: Outcome::Ok,
        publication,
    };
    log.extend(begin("model", one));
    log.push(Event::AttemptFailed {
        step: step("model"),
        attempt: one,
        evidence: Evidence::Lost,
        message: None,
    });
    log.push(Event::Woken);
    log.extend(begin("model", AttemptNumber(2)));
    log.push(succeed("model", AttemptNumber(2), None));
    log.push(Event::StepReused {
        step: step("quality"),
        attempt: one,
        artifact: events::artifact(),
        outcome: Outcome::Ok,
        from: run_id(9),
    });
    log.extend(begin("gate", one));
    log.push(Event::Noted { step: Some(step("gate")), text: "it took a while".to_owned() });
    log.push(succeed("gate", one, None));
    log.extend(begin("publish", one));
    let promoted = Publication::Promoted { version: VersionNumber(1), from: None, sequence: 1 };
    log.push(succeed("publish", one, Some(promoted)));
    log.into_iter()
        .enumerate()
        .map(|(i, event)| {
            // Ten minutes apart, so that the pause before the retry is over when the run wakes.
            let at = at(0) + SignedDuration::new(i64::try_from(i).unwrap() * 600, 1);
            (at, event)
        })
        .collect()
}

#[test]
fn a_run_of_format_1_folds_as_ever() {
    let text = golden("format-1-run.ndjson", || {
        let logged = |(at, event): (Timestamp, Event)| {
            let event: Value = serde_json::from_slice(&record::encode(&event)).unwrap();
            format!("{}\n", serde_json::json!({"at": at.to_string(), "event": event}))
        };
        night().into_iter().map(logged).collect()
    });
    let log: Vec<(Timestamp, Event)> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let event = record::decode(1, line["event"].to_string().as_bytes()).unwrap();
            (line["at"].as_str().unwrap().parse().unwrap(), event)
        })
        .collect();
    assert_eq!(log, night());
    let run = Run::fold(log.iter().map(|(at, event)| (*at, event))).unwrap().unwrap();
    assert_eq!(run.status(), RunStatus::Succeeded);
    assert!(run.outstanding().is_empty());
}

#[test]
fn what_is_no_event_is_refused() {
    for bytes in [
        &b""[..],
        b"{}",
        b"\"Nonsense\"",
        b"\xff\xfe",
        br#"{"AttemptGone":{"step":"a","attempt":1,"colour":"red"}}"#,
        br#"{"AttemptGone":{"step":"../x","attempt":1}}"#,
    ] {
        assert!(matches!(record::decode(1, bytes), Err(record::RecordError::Malformed { .. })));
    }
    assert!(matches!(record::decode(0, b"\"Woken\""), Err(record::RecordError::NoFormat)));
    let newer = record::FORMAT + 1;
    assert!(
        matches!(record::decode(newer, b"\"Woken\""), Err(record::RecordError::Newer { found }) if found == newer)
    );
    assert_eq!(record::decode(1, b"\"Woken\"").unwrap(), Event::Woken);
}

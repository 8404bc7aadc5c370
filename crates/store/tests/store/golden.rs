//! Logs of every released format must fold for ever.
//!
//! `golden/format-1-events.ndjson` and `golden/format-1-requests.ndjson` hold events of every kind as the format's first
//! release wrote them, `golden/format-1-run.ndjson` and `golden/format-1-run-again.ndjson` the logs of whole runs, which
//! fold to these states. None of these files ever changes; a new format gets files of its own. `NOCTULE_WRITE_GOLDEN=1` writes those that are missing.

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

fn written_and_read_as_ever(name: &str, events: &[Event]) {
    let text = golden(name, || events.iter().map(|event| line(event) + "\n").collect());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), events.len());
    for (kept, event) in lines.iter().zip(events) {
        assert_eq!(&record::decode(1, kept.as_bytes()).unwrap(), event);
        if record::FORMAT == 1 {
            assert_eq!(&line(event), kept);
        }
    }
}

#[test]
fn events_of_format_1_are_read_and_written_as_ever() {
    written_and_read_as_ever("format-1-events.ndjson", &events::all());
}

#[test]
fn requests_of_format_1_are_read_and_written_as_ever() {
    written_and_read_as_ever("format-1-requests.ndjson", &events::requests());
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
    timed(log)
}

/// The same night; then somebody has the evaluation run again, cancels, and resumes, and the alias already points at the
/// candidate.
fn night_and_morning() -> Vec<(Timestamp, Event)> {
    let step = |name: &str| name.parse().unwrap();
    let two = AttemptNumber(2);
    let mut log: Vec<Event> = night().into_iter().map(|(_, event)| event).collect();
    log.push(Event::Rerun { step: step("quality"), by: "ada".to_owned(), why: None });
    for name in ["quality", "gate"] {
        log.push(Event::AttemptIntended { step: step(name), attempt: two, launch: digest(name) });
        log.push(Event::AttemptSucceeded {
            step: step(name),
            attempt: two,
            artifact: events::artifact(),
            outcome: Outcome::Ok,
            publication: None,
        });
    }
    log.push(Event::CancelRequested { by: "ada".to_owned(), at_once: true, why: Some("enough".to_owned()) });
    log.push(Event::Resumed { by: "ada".to_owned(), why: Some("after all".to_owned()) });
    log.push(Event::AlreadyPublished {
        step: step("publish"),
        attempt: AttemptNumber(3),
        version: VersionNumber(1),
    });
    timed(log)
}

fn timed(log: Vec<Event>) -> Vec<(Timestamp, Event)> {
    log.into_iter()
        .enumerate()
        .map(|(i, event)| {
            // Ten minutes apart, so that the pause before the retry is over when the run wakes.
            let at = at(0) + SignedDuration::new(i64::try_from(i).unwrap() * 600, 1);
            (at, event)
        })
        .collect()
}

fn folds_as_ever(name: &str, log: &[(Timestamp, Event)]) -> Run {
    let text = golden(name, || {
        let logged = |(at, event): &(Timestamp, Event)| {
            let event: Value = serde_json::from_slice(&record::encode(event)).unwrap();
            format!("{}\n", serde_json::json!({"at": at.to_string(), "event": event}))
        };
        log.iter().map(logged).collect()
    });
    let read: Vec<(Timestamp, Event)> = text
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let event = record::decode(1, line["event"].to_string().as_bytes()).unwrap();
            (line["at"].as_str().unwrap().parse().unwrap(), event)
        })
        .collect();
    assert_eq!(read, log);
    Run::fold(read.iter().map(|(at, event)| (*at, event))).unwrap().unwrap()
}

#[test]
fn a_run_of_format_1_folds_as_ever() {
    let run = folds_as_ever("format-1-run.ndjson", &night());
    assert_eq!(run.status(), RunStatus::Succeeded);
    assert!(run.outstanding().is_empty());
}

#[test]
fn a_run_of_format_1_that_people_asked_more_of_folds_as_ever() {
    let run = folds_as_ever("format-1-run-again.ndjson", &night_and_morning());
    assert_eq!(run.status(), RunStatus::Succeeded);
    let words: Vec<String> = run.steps().iter().map(|step| step.state().to_string()).collect();
    assert_eq!(words, ["done", "done", "done", "reused"]);
    let publish = run.step(&"publish".parse().unwrap()).unwrap();
    assert_eq!(publish.publication(), Some(&Publication::Unchanged { version: VersionNumber(1) }));
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

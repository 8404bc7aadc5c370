//! `kill -9` at every event of a run, then `noctule resume`: the end is that of an undisturbed run.

use std::process::Command;

use serde_json::Value;

use crate::house::House;
use crate::shop::{TRAIN, short};

/// What must be the same however often the run was killed.
fn essence(document: &Value) -> Value {
    let steps = document["steps"].as_array().expect("steps");
    let artifacts: Vec<Value> = steps
        .iter()
        // The report of what was published carries the time of it.
        .filter(|step| step["kind"] != "publish")
        .map(|step| serde_json::json!([step["step"], step["artifact"]]))
        .collect();
    serde_json::json!({"status": document["status"], "published": document["published"], "artifacts": artifacts})
}

fn prepared() -> House {
    let house = House::new();
    let text = short(TRAIN, "{metric: ndcg@20, min: 0.001}")
        .replace("users=3000&items=600&events=40000", "users=2000&items=300&events=25000")
        .replace("window: 14d", "window: 6d");
    house.file("p.yaml", text);
    house
}

/// Runs until the orchestrator has killed itself after an event; `false` when the run ended before.
fn run_until(house: &House, event: u64) -> bool {
    let status = house
        .command(&["run", "p.yaml", "--at", "2026-11-20", "--parallel", "1"])
        .env("NOCTULE_KILL_AFTER_EVENT", event.to_string())
        .output()
        .expect("the binary starts")
        .status;
    match status.code() {
        None => true,
        Some(0) => false,
        Some(code) => panic!("exit code {code} instead of a kill after event {event}"),
    }
}

/// Ends every process that works in the house, supervisors and attempts alike.
fn kill_all(house: &House) {
    let place = house.path().to_str().expect("a path in UTF-8");
    // A few rounds, since a supervisor may be about to start its attempt.
    for _ in 0..3 {
        let _ = Command::new("pkill").args(["-9", "-f", place]).status();
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
}

fn check_resumed(house: &House, expected: &Value, event: u64) {
    let resumed = house.noctule(&["resume", "--json"]);
    let document = if resumed.code == 2 && resumed.stderr.contains("nothing left") {
        house.json(0, &["show"])
    } else {
        resumed.expect(0).json()
    };
    assert_eq!(essence(&document), *expected, "killed after event {event}");
    let history = house.json(0, &["models", "history", "feed"]);
    assert_eq!(history.as_array().unwrap().len(), 1, "killed after event {event}: {history:#}");
    assert_eq!(house.json(0, &["models", "list"])[0]["versions"], 1);
}

fn kill_at_every_event(and_children: bool) {
    let undisturbed = prepared();
    let expected = essence(&undisturbed.json(0, &["run", "p.yaml", "--at", "2026-11-20"]));
    // Event 1 is that the run was made: it is committed before anything is driven.
    let mut event = 2;
    loop {
        let house = prepared();
        if !run_until(&house, event) {
            break;
        }
        if and_children {
            kill_all(&house);
        }
        check_resumed(&house, &expected, event);
        // Losing the children at every other moment tells as much, at half the price.
        event += if and_children { 2 } else { 1 };
    }
    assert!(event > 20, "the run had only {event} events");
}

#[test]
fn killing_the_orchestrator_at_every_event_changes_nothing() {
    kill_at_every_event(false);
}

#[test]
fn killing_orchestrator_and_attempts_changes_nothing() {
    kill_at_every_event(true);
}

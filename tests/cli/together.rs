//! Two processes on one `.noctule`, and runs that are ended from outside.

use std::time::{Duration, Instant};

use crate::house::House;
use crate::shop::{nightly, states, words};

const SLOW: &str = "noctule: 1\npipeline: slow\nsteps:\n  wait:\n    uses: shell\n    with: {command: [\"sleep\", \"60\"]}\n  after:\n    uses: shell\n    needs: [wait]\n    with: {command: [\"true\"]}\n";

/// Waits until the newest run has a running step.
fn wait_for_running(house: &House) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let shown = house.noctule(&["show", "--json"]);
        if shown.code == 0 && states(&shown.json()).iter().any(|state| state.ends_with("=running")) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("nothing began to run");
}

#[test]
fn two_runs_of_one_pipeline_at_once_do_no_harm() {
    let house = House::new();
    let arguments = nightly("2026-11-20");
    let first = house.start(&words(&arguments));
    let second = house.start(&words(&arguments));
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let history = house.json(0, &["models", "history", "home-feed"]);
    assert_eq!(history.as_array().unwrap().len(), 1, "{history:#}");
    house.noctule(&["models", "verify"]).expect(0);
}

#[test]
fn a_run_is_cancelled_from_another_process() {
    let house = House::new();
    house.file("p.yaml", SLOW);
    let run = house.start(&["run", "p.yaml"]);
    wait_for_running(&house);
    let busy = house.noctule(&["resume"]).expect(7);
    assert!(busy.stderr.contains("driven by another noctule"), "{}", busy.stderr);
    house.noctule(&["cancel"]).expect(0);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(states(&house.json(0, &["show"])), ["wait=cancelled", "after=cancelled"]);
}

#[test]
fn ctrl_c_ends_a_run_in_order_and_resume_takes_it_up() {
    let house = House::new();
    house.file("p.yaml", SLOW);
    let run = house.start(&["run", "p.yaml"]);
    wait_for_running(&house);
    let pid = rustix::process::Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = run.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("noctule resume"), "{text}");
}

#[test]
fn a_failing_command_is_retried_and_its_last_lines_are_shown() {
    let house = House::new();
    house.file(
        "p.yaml",
        "noctule: 1\npipeline: p\nsteps:\n  a:\n    uses: shell\n    retry: {attempts: 2, backoff: {initial: 1s}}\n    with: {command: \"echo the disk is on fire >&2; exit 9\"}\n  b:\n    uses: shell\n    needs: [a]\n    with: {command: [\"true\"]}\n  c:\n    uses: shell\n    needs: [a]\n    always: true\n    with: {command: [\"true\"]}\n",
    );
    let finished = house.noctule(&["run", "p.yaml"]).expect(1);
    for part in ["the disk is on fire", "exit code 9", "noctule resume", "trying again"] {
        assert!(
            finished.stderr.contains(part) || (part == "exit code 9" && finished.stderr.contains("code 9")),
            "no `{part}` in:\n{}",
            finished.stderr
        );
    }
    let document = house.json(0, &["show"]);
    assert_eq!(states(&document), ["a=failed", "b=skipped", "c=done"]);
    assert_eq!(document["steps"][0]["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(document["steps"][0]["attempts"][1]["class"], "failed");
    let logs = house.noctule(&["logs", "last", "a"]).expect(0);
    assert!(logs.stdout.contains("the disk is on fire"), "{}", logs.stdout);
}

#[test]
fn a_step_beyond_its_memory_and_one_beyond_its_time_are_ended() {
    let house = House::new();
    house.file(
        "p.yaml",
        "noctule: 1\npipeline: p\nsteps:\n  hog:\n    uses: shell\n    retry: {attempts: 1}\n    resources: {memory: 64Mi}\n    with: {command: \"x=$(head -c 300000000 /dev/zero | tr '\\\\0' x); sleep 20\"}\n  slow:\n    uses: shell\n    retry: {attempts: 1}\n    timeouts: {run: 1s, grace: 1s}\n    with: {command: [\"sleep\", \"60\"]}\n",
    );
    let document = house.json(1, &["run", "p.yaml"]);
    assert_eq!(document["steps"][0]["attempts"][0]["class"], "out-of-memory", "{document:#}");
    assert_eq!(document["steps"][1]["attempts"][0]["class"], "timed-out", "{document:#}");
}

//! What makes a run begin, and what holds it back: data that land, another pipeline's promotion, pools, priorities.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::house::House;
use crate::server::{OPEN, Server, command, until};
use crate::shop::{BEATS_POPULARITY, TRAIN, short, step};

#[test]
fn a_run_begins_when_its_data_have_landed_and_not_before() {
    let house = House::new();
    let data = house.path().join("landing/date={{ interval.start | date }}/_SUCCESS");
    let head = format!(
        "schedule:\n  cron: \"* * * * *\"\n  on: {{data: {:?}, poll: 1s, give_up: 4h}}\n",
        data.to_str().unwrap()
    );
    house.file("dags/waits.yaml", command("waits", &head, "[\"true\"]"));
    let server = Server::start(&house, OPEN);
    let waiting = until("an occurrence waits", || {
        let rows = server.document("/occurrences?pipeline=waits&state=waiting");
        rows["occurrences"].as_array().unwrap().last().cloned()
    });
    assert!(waiting["give_up"].is_string(), "{waiting}");
    assert!(server.newest("waits").is_none());
    let page = server.noctule(&["schedule", "waits"]).expect(0).stdout;
    assert!(page.contains("each waits for") && page.contains("_SUCCESS"), "{page}");
    // The last whole day.
    let day = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date().yesterday().unwrap();
    house.file(&format!("landing/date={day}/_SUCCESS"), "");
    let run = until("the run begins", || server.newest("waits"));
    server.wait(run["run"].as_str().unwrap(), "succeeded");
}

#[test]
fn a_run_begins_after_another_pipelines_promotion_once() {
    let house = House::new();
    house.file("dags/short.yaml", short(TRAIN, BEATS_POPULARITY));
    house.file("dags/after.yaml", command("after", "schedule: {on: {promotion: feed}}\n", "[\"true\"]"));
    let server = Server::start(&house, OPEN);
    let page = server.noctule(&["schedule", "after"]).expect(0).stdout;
    assert!(page.contains("after each promotion of feed@champion"), "{page}");
    server.noctule(&["run", "short", "--at", "2026-11-20"]).expect(0);
    let run = until("the follower runs", || server.newest("after"));
    assert_eq!(run["occurrence"], "promotion/1");
    server.wait(run["run"].as_str().unwrap(), "succeeded");
    // Nothing is promoted the second time, so nothing follows.
    server.noctule(&["run", "short", "--at", "2026-11-20"]).expect(0);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(server.document("/runs?pipeline=after")["runs"].as_array().unwrap().len(), 1);
}

/// The most live attempts in the pool that were ever seen, until all runs have ended.
fn most_in_pool(server: &Server<'_>, pool: &str, runs: &[String]) -> usize {
    let mut most = 0;
    let begun = Instant::now();
    loop {
        let slots = server.document("/status")["slots"].clone();
        let live = slots.as_array().unwrap().iter().filter(|slot| slot["pool"] == pool).count();
        most = most.max(live);
        let open = server.document("/runs?live=true&limit=100");
        let open = open["runs"].as_array().unwrap();
        if !open.iter().any(|run| runs.iter().any(|id| run["run"] == id.as_str())) {
            return most;
        }
        assert!(begun.elapsed() < crate::server::PATIENCE, "they do not end: {open:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

const POOLED: &str = "noctule: 1\npipeline: NAME\nHEADsteps:\n  work:\n    uses: shell\n    pool: gpu\n    with: {command: [\"sleep\", \"1\"]}\n";

fn pooled(name: &str, head: &str) -> String {
    POOLED.replace("NAME", name).replace("HEAD", head)
}

fn with_pool(slots: u32) -> String {
    format!("{OPEN}pools: {{gpu: {slots}}}\nparallel: 4\n")
}

#[test]
fn a_pool_is_never_exceeded_not_even_under_kills() {
    let house = House::new();
    house.file("dags/a.yaml", pooled("a", ""));
    house.file("dags/b.yaml", pooled("b", ""));
    let server = Server::start(&house, &with_pool(2));
    let runs: Vec<String> = (0..8).map(|n| server.trigger(if n % 2 == 0 { "a" } else { "b" })).collect();
    std::thread::sleep(Duration::from_millis(700));
    server.kill();
    let server = Server::again(&house);
    let most = most_in_pool(&server, "gpu", &runs);
    assert!((1..=2).contains(&most), "{most} were live in a pool of 2");
    for run in &runs {
        let document = server.document(&format!("/runs/{run}"));
        assert_eq!(document["status"], "succeeded", "{document:#}");
        assert_eq!(step(&document, "work")["attempts"].as_array().unwrap().len(), 1, "{document:#}");
    }
    // What the attempts say of themselves: no three of them at one moment.
    let mut moments = BTreeMap::new();
    for run in &runs {
        let document = server.document(&format!("/runs/{run}"));
        let attempt = &step(&document, "work")["attempts"][0];
        *moments.entry(attempt["running"].as_str().unwrap().to_owned()).or_insert(0) += 1;
        *moments.entry(attempt["ended"].as_str().unwrap().to_owned()).or_insert(0) -= 1;
    }
    let mut live = 0;
    for change in moments.values() {
        live += change;
        assert!(live <= 2, "{moments:#?}");
    }
}

#[test]
fn where_a_slot_is_scarce_the_higher_priority_goes_first() {
    let house = House::new();
    house.file("dags/low.yaml", pooled("low", "priority: -5\n"));
    house.file("dags/high.yaml", pooled("high", "priority: 5\n"));
    let server = Server::start(&house, &with_pool(1));
    let first = server.trigger("low");
    server.wait_step(&first, "work", "running");
    let low = server.trigger("low");
    std::thread::sleep(Duration::from_millis(200));
    let high = server.trigger("high");
    let began = |run: &str| {
        let document = server.wait(run, "succeeded");
        step(&document, "work")["attempts"][0]["running"].as_str().unwrap().to_owned()
    };
    let (low, high) = (began(&low), began(&high));
    assert!(high < low, "high began at {high}, low at {low}");
}

#[test]
fn a_pool_that_nobody_declared_is_an_error_that_names_those_there_are() {
    let house = House::new();
    house.file("dags/a.yaml", pooled("a", "").replace("pool: gpu", "pool: gpus"));
    let server = Server::start(&house, &with_pool(1));
    let problems = until("the file is refused", || {
        let shown = server.document("/pipelines")["problems"].clone();
        (!shown.as_array().unwrap().is_empty()).then(|| shown.to_string())
    });
    assert!(problems.contains("`gpus`") && problems.contains("gpu"), "{problems}");
    let checked = house.noctule(&["check", "dags/a.yaml", "--config", "noctule.yaml"]).expect(2);
    assert!(checked.stderr.contains("gpus"), "{}", checked.stderr);
    let run = house.noctule(&["run", "dags/a.yaml", "--config", "noctule.yaml"]).expect(2);
    assert!(run.stderr.contains("gpus"), "{}", run.stderr);
}

#[test]
fn the_config_that_ships_is_read() {
    let house = House::new();
    house.file("a.yaml", pooled("a", ""));
    for name in ["server.yaml", "local.yaml"] {
        let config = crate::house::workspace().join("configs").join(name);
        let checked = house.noctule(&["check", "a.yaml", "--config", config.to_str().unwrap()]);
        // Of the two only the server's has the pool.
        checked.expect(if name == "server.yaml" { 0 } else { 2 });
    }
}

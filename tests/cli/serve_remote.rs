//! Every command about runs and models says the same here and through a server.

use serde_json::Value;

use crate::house::House;
use crate::server::{OPEN, Server};
use crate::shop::{BEATS_POPULARITY, TRAIN, short};

#[test]
fn every_command_says_the_same_here_and_through_a_server() {
    let house = House::new();
    let text = short(TRAIN, BEATS_POPULARITY);
    house.file("dags/short.yaml", &text);
    let scheduled = text
        .replace(
            "pipeline: short",
            "pipeline: timed\nschedule: {cron: \"30 2 * * *\", timezone: Europe/Berlin}",
        )
        .replace("name: feed", "name: timed-feed")
        .replace("feed@champion", "timed-feed@champion");
    house.file("dags/timed.yaml", scheduled);
    let server = Server::start(&house, OPEN);
    let through = server.noctule(&["run", "short", "--at", "2026-11-20", "--why", "a test"]).expect(0);
    assert!(through.stderr.contains("feed@champion now is version 1"), "{}", through.stderr);

    let commands: &[&[&str]] = &[
        &["runs"],
        &["runs", "--status", "succeeded", "-n", "5"],
        &["show"],
        &["logs", "last"],
        &["logs", "last", "model"],
        &["logs", "last", "-f"],
        &["why", "last", "events"],
        &["why", "last", "publish"],
        &["models", "list"],
        &["models", "show", "feed"],
        &["models", "show", "feed", "1"],
        &["models", "history", "feed"],
        &["models", "verify"],
        &["pipelines"],
        &["pipelines", "short"],
        &["schedule", "timed"],
        &["schedule", "short"],
        &["schedule", "timed", "--past"],
        &["backfill", "list"],
        &["backfill", "short", "--from", "2026-10-01", "--to", "2026-10-03", "--dry-run"],
        &["show", "nonsense!"],
        &["why", "last", "nothing"],
        &["models", "show", "nothing"],
        &["models", "show", "feed", "9"],
        &["models", "unpin", "feed", "--reason", "x"],
        &["resume"],
        &["cancel"],
        &["rerun", "last", "nothing", "--why", "x"],
        &["ignore", "last", "model", "--why", "x"],
        &["pause", "short", "--why", "x"],
        &["backfill", "show", "9"],
    ];
    for command in commands {
        for json in [false, true] {
            let mut arguments = command.to_vec();
            if json {
                arguments.push("--json");
            }
            let there = server.noctule(&arguments);
            arguments.extend(["--config", "noctule.yaml"]);
            let here = house.noctule(&arguments);
            assert_eq!(here.code, there.code, "{command:?}\nhere: {}\nthere: {}", here.stderr, there.stderr);
            assert_eq!(here.stderr, there.stderr, "{command:?}");
            match json && here.code == 0 && !matches!(command[0], "logs") {
                true => {
                    let documents: [Value; 2] = [here.json(), there.json()];
                    assert_eq!(documents[0], documents[1], "{command:?}");
                }
                false => assert_eq!(here.stdout, there.stdout, "{command:?}"),
            }
        }
    }
    let audit = house.noctule(&["admin", "audit", "--config", "noctule.yaml"]).expect(0).stdout;
    assert!(audit.contains("run.trigger") && audit.contains("model.unpin"), "{audit}");
}

#[test]
fn aliases_are_moved_and_runs_resumed_through_a_server() {
    let house = House::new();
    for seed in ["1", "2"] {
        let train = TRAIN.replace("algorithm: ials", &format!("algorithm: ials, seed: {seed}"));
        house.file("dags/short.yaml", short(&train, BEATS_POPULARITY));
        house.noctule(&["run", "dags/short.yaml", "--at", "2026-11-20"]).expect(0);
    }
    let server = Server::start(&house, OPEN);
    let back = server.noctule(&["models", "rollback", "feed", "--reason", "it loops"]).expect(0);
    assert!(back.stderr.contains("now is version 1, and stays there"), "{}", back.stderr);
    server.noctule(&["models", "unpin", "feed", "--reason", "looked into"]).expect(0);
    server.noctule(&["models", "promote", "feed", "2", "--reason", "it is good"]).expect(0);
    let history = server.document("/models/feed/history");
    let last = history["promotions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["by"]["person"]["reason"], "it is good", "{history:#}");
    let pointer = house.path().join(".noctule/store/models/feed/aliases/champion.json");
    assert!(std::fs::read_to_string(pointer).unwrap().contains("\"version\": 2"));

    house.file("dags/slow.yaml", crate::server::command("slow", "", "[\"sleep\", \"30\"]"));
    crate::server::until("the file is loaded", || {
        (server.get("/api/v1/pipelines/slow").status == 200).then_some(())
    });
    let run = server.trigger("slow");
    server.wait_step(&run, "work", "running");
    let cancelled = server.noctule(&["cancel", &run, "--why", "too slow"]).expect(0);
    assert!(cancelled.stderr.contains("cancelled"), "{}", cancelled.stderr);
    let detached = server.noctule(&["resume", &run, "--detach", "--json"]).expect(0).json();
    assert_eq!(detached["run"], run.as_str());
    server.wait_step(&run, "work", "running");
    server.noctule(&["cancel", &run, "--at-once"]).expect(0);
}

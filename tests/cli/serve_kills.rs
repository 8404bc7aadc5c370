//! A server that is killed again and again, at any moment: nothing is lost, nothing takes effect twice.
//!
//! `NOCTULE_KILL_ROUNDS` says how often; without it a hundred times on each database. `NOCTULE_KILL_SEED` repeats the
//! moments of a run of this test.

use std::collections::BTreeSet;
use std::time::Duration;

use noctule_store::Location;
use serde_json::{Value, json};

use crate::house::House;
use crate::serve_postgres::postgres;
use crate::server::{OPEN, Server, command, until};
use crate::shop::{TRAIN, short};
use crate::skip::skipped;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Moments that a seed repeats (Knuth's MMIX).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One round: a server starts, is asked for runs, and is killed at some moment.
fn round(house: &House, chance: &mut Chance, wanted: &[Value], begun: &mut BTreeSet<String>) {
    let mut server = Server::spawn(house);
    if chance.below(4) == 0 {
        // Before anybody could ask it anything.
        std::thread::sleep(Duration::from_millis(chance.below(400)));
        return server.kill();
    }
    server.wait_until_ready();
    for body in wanted {
        let (pipeline, body) = (body["pipeline"].as_str().unwrap(), &body["body"]);
        let answer = server.post(&format!("/api/v1/pipelines/{pipeline}/runs"), body);
        assert_eq!(answer.status, 201, "{}", answer.text());
        begun.insert(answer.json()["run"].as_str().unwrap().to_owned());
    }
    std::thread::sleep(Duration::from_millis(chance.below(1200)));
    server.kill();
}

fn endure(config: &str) {
    let rounds = number("NOCTULE_KILL_ROUNDS").unwrap_or(100);
    let seed = number("NOCTULE_KILL_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
    });
    eprintln!("the moments are those of NOCTULE_KILL_SEED={seed}");
    let house = House::new();
    house.file("dags/job.yaml", command("job", "", "[\"sleep\", \"0.3\"]"));
    let small = short(TRAIN, "{metric: ndcg@20, min: 0.0001}")
        .replace("users=3000&items=600&events=40000", "users=800&items=150&events=9000")
        .replace("window: 14d", "window: 4d")
        .replace("  epochs: 6", "  epochs: 1\n  seed: {type: integer, default: 1}")
        .replace("algorithm: ials", "algorithm: ials, seed: \"{{ params.seed }}\"");
    house.file("dags/short.yaml", small);
    house.file("noctule.yaml", config);
    let mut chance = Chance(seed);
    let (mut begun, mut published) = (BTreeSet::new(), 0_u64);
    for at in 0..rounds {
        let mut wanted = vec![json!({"pipeline": "job", "body": {"why": "a round"}})];
        if at % 10 == 3 {
            published += 1;
            let params = json!({"seed": published.to_string()});
            wanted.push(json!({"pipeline": "short", "body": {"params": params, "at": "2026-11-20"}}));
        }
        let before = begun.len();
        round(&house, &mut chance, &wanted, &mut begun);
        if begun.len() == before && wanted.len() > 1 {
            published -= 1;
        }
    }
    check(&house, &begun, published);
}

fn check(house: &House, begun: &BTreeSet<String>, published: u64) {
    let server = Server::again(house);
    until("every run has ended", || {
        let live = server.document("/runs?live=true&limit=1000");
        live["runs"].as_array().unwrap().is_empty().then_some(())
    });
    let listed = server.document("/runs?limit=1000")["runs"].as_array().unwrap().clone();
    let ids: BTreeSet<String> = listed.iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, *begun, "runs were lost, or begun by nobody");
    for run in &ids {
        let document = server.document(&format!("/runs/{run}"));
        assert_eq!(document["status"], "succeeded", "{document:#}");
        for step in document["steps"].as_array().unwrap() {
            let good = |attempt: &&Value| attempt["result"] == "succeeded";
            let times = step["attempts"].as_array().unwrap().iter().filter(good).count();
            let expected = usize::from(step["state"] == "done" && step["artifact"].is_string());
            assert!(times == expected, "{times} attempts took effect: {step:#}");
        }
    }
    // Each training is another model, so each was promoted, once, one after the other.
    if published > 0 {
        let history = server.document("/models/feed/history")["promotions"].as_array().unwrap().clone();
        let runs: BTreeSet<String> = history.iter().map(|row| row["by"]["run"]["run"].to_string()).collect();
        assert_eq!((history.len() as u64, runs.len() as u64), (published, published), "{history:#?}");
        for (row, number) in history.iter().zip(1_u64..) {
            assert_eq!(row["sequence"], number);
            let from = if number == 1 { Value::Null } else { history[number as usize - 2]["to"].clone() };
            assert_eq!(row["from"], from, "{history:#?}");
        }
    }
    assert_eq!(server.document("/status")["slots"], json!([]));
    assert_eq!(server.stop(), 0);
    let rebuilt = house.noctule(&["admin", "rebuild", "--config", "noctule.yaml", "--json"]).expect(0).json();
    assert_eq!((rebuilt["differences"].clone(), rebuilt["left"].clone()), (json!([]), json!([])));
    house.noctule(&["models", "verify", "--config", "noctule.yaml"]).expect(0);
}

#[test]
fn killed_at_random_moments_on_sqlite_it_loses_nothing_and_does_nothing_twice() {
    endure(OPEN);
}

#[test]
fn killed_at_random_moments_on_postgres_it_loses_nothing_and_does_nothing_twice() {
    match postgres::database() {
        Some(Location::Postgres(url)) => endure(&format!("{OPEN}database: {:?}\n", url.as_str())),
        _ => skipped("killed_at_random_moments_on_postgres", "install PostgreSQL (Debian: postgresql)"),
    }
}

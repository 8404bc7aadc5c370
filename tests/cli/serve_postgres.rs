//! The same server on a real Postgres.

#[path = "../../crates/store/tests/store/postgres.rs"]
#[expect(dead_code, reason = "the store's own tests use more of it")]
pub mod postgres;

use noctule_store::Location;

use crate::house::House;
use crate::server::{OPEN, Server, command, until};
use crate::shop::{BEATS_POPULARITY, TRAIN, short, step};
use crate::skip::skipped;

fn config(test: &str) -> Option<String> {
    match postgres::database() {
        Some(Location::Postgres(url)) => Some(format!("{OPEN}database: {:?}\n", url.as_str())),
        _ => {
            skipped(test, "install PostgreSQL (Debian: postgresql)");
            None
        }
    }
}

#[test]
fn on_postgres_restarts_and_kills_continue_every_run() {
    let Some(config) = config("serve_postgres: restarts") else { return };
    let house = House::new();
    house.file("dags/long.yaml", command("long", "", "[\"sleep\", \"6\"]"));
    let server = Server::start(&house, &config);
    let run = server.trigger("long");
    server.wait_step(&run, "work", "running");
    assert_eq!(server.stop(), 0);
    let server = Server::again(&house);
    server.kill();
    let server = Server::again(&house);
    let document = server.wait(&run, "succeeded");
    assert_eq!(step(&document, "work")["attempts"].as_array().unwrap().len(), 1, "{document:#}");
    // Attempts are processes of one machine, so a second server is refused, and the reason given.
    let second = house.noctule(&["serve", "--config", "noctule.yaml"]).expect(2);
    assert!(second.stderr.contains("one machine"), "{}", second.stderr);
}

#[test]
fn on_postgres_a_backfill_promotes_nothing_and_a_run_does() {
    let Some(config) = config("serve_postgres: backfill") else { return };
    let house = House::new();
    house.file("dags/short.yaml", short(TRAIN, BEATS_POPULARITY));
    let server = Server::start(&house, &config);
    let range = ["backfill", "short", "--from", "2026-11-18", "--to", "2026-11-20"];
    server.noctule(&[&range[..], &["--order", "newest", "--at-once", "2"]].concat()).expect(0);
    until("the backfill is done", || (server.document("/backfills/1")["state"] == "done").then_some(()));
    let shown = server.document("/backfills/1");
    assert_eq!(shown["progress"]["good"], 2, "{shown:#}");
    let models = server.document("/models");
    assert_eq!(models["models"][0]["versions"], 2, "{models:#}");
    assert_eq!(models["models"][0]["aliases"], serde_json::json!({}), "a backfill promoted");
    server.noctule(&["run", "short", "--at", "2026-11-21"]).expect(0);
    let models = server.document("/models");
    assert_eq!(models["models"][0]["aliases"]["champion"]["version"], 3, "{models:#}");
}

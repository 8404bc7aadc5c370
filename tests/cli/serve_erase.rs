//! `noctule erase`: a block list for extracts, and what holds the rows of erased users.

use crate::house::House;
use crate::shop::{BEATS_POPULARITY, TRAIN, short, step};

const TABLE: &str =
    "user_id,item_id,ts\n1,a,2026-11-01\n1,b,2026-11-02\n2,a,2026-11-03\n3,c,2026-11-04\n2,c,2026-11-05\n";

fn prepared() -> House {
    let house = House::new();
    house.file("events.csv", TABLE);
    house.file(
        "p.yaml",
        "noctule: 1\npipeline: p\nsteps:\n  events:\n    uses: extract\n    with: {source: events.csv, columns: {user: user_id, item: item_id, time: ts}}\n  unique:\n    uses: dedup\n    with: {input: events, pairs: keep-latest}\n",
    );
    house
}

#[test]
fn erased_users_are_left_out_of_every_later_extract_and_their_artifacts_go() {
    let house = prepared();
    let first = house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert_eq!(step(&first, "events")["rows"], 5);
    house.file("users.txt", "2\nnobody\n");
    let dry = house.json(0, &["erase", "--users", "users.txt", "--why", "article 17", "--dry-run"]);
    assert_eq!(dry["artifacts"].as_array().unwrap().len(), 2, "{dry:#}");
    let again = house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert_eq!(step(&again, "events")["state"], "reused");

    let erased = house.json(0, &["erase", "--users", "users.txt", "--why", "article 17"]);
    assert_eq!((erased["users"].clone(), erased["new"].clone()), (2.into(), 2.into()));
    let rows: Vec<_> =
        erased["artifacts"].as_array().unwrap().iter().map(|one| one["rows"].clone()).collect();
    assert_eq!(rows, [2, 2], "{erased:#}");
    // The last good run may still be needed by the next one.
    assert!(erased["artifacts"][0]["kept_for"].as_str().unwrap().contains("last good"), "{erased:#}");

    let without = house.json(0, &["run", "p.yaml", "--at", "2026-11-21"]);
    let events = step(&without, "events");
    assert_eq!((events["state"].clone(), events["rows"].clone()), ("done".into(), 3.into()), "{events:#}");
    assert_eq!(events["metrics"]["rows_erased"], 2.0);
    let why = house.noctule(&["why", "last", "events"]).expect(0).stdout;
    assert!(why.contains("erased users"), "{why}");

    let swept = house.json(0, &["erase", "--users", "users.txt", "--why", "article 17"]);
    assert_eq!(swept["new"], 0);
    let artifacts = swept["artifacts"].as_array().unwrap();
    assert!(artifacts.len() == 2 && artifacts.iter().all(|one| one["deleted"] == true), "{swept:#}");
    let run = first["run"].as_str().unwrap();
    let files: Vec<_> = std::fs::read_dir(house.path().join(format!(".noctule/store/runs/{run}/events/1")))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .collect();
    assert!(files.iter().all(|folder| std::fs::read_dir(folder.path()).unwrap().count() == 0), "{files:?}");
    let over = house.json(0, &["erase", "--users", "users.txt", "--why", "article 17"]);
    assert_eq!(over["artifacts"], serde_json::json!([]));
    let audit = house.noctule(&["admin", "audit", "--action", "users.erase"]).expect(0).stdout;
    assert!(audit.contains("article 17"), "{audit}");
}

#[test]
fn versions_that_were_trained_on_erased_users_are_listed() {
    let house = House::new();
    house.file("p.yaml", short(TRAIN, BEATS_POPULARITY));
    house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    house
        .noctule(&[
            "demo",
            "out",
            "--source",
            crate::shop::SOURCE,
            "--until",
            "2026-11-19",
            "--days",
            "1",
            "--format",
            "csv",
        ])
        .expect(0);
    let table = std::fs::read_to_string(house.path().join("out/users/part-0.csv")).unwrap();
    let users: String = table
        .lines()
        .skip(1)
        .take(100)
        .map(|line| format!("{}\n", line.split(',').next().unwrap()))
        .collect();
    house.file("users.txt", users);
    let found = house.json(0, &["erase", "--users", "users.txt", "--why", "article 17", "--dry-run"]);
    let version = &found["versions"][0];
    assert_eq!(
        (version["model"].clone(), version["version"].clone()),
        ("feed".into(), 1.into()),
        "{found:#}"
    );
    assert!(version["why"].as_str().unwrap().contains("it knows"), "{version}");
    assert_eq!(version["aliases"][0], "champion");
    house.file("users.txt", "nobody at all\n");
    let none = house.json(0, &["erase", "--users", "users.txt", "--why", "x", "--dry-run"]);
    assert_eq!(
        (none["versions"].clone(), none["artifacts"].clone()),
        (serde_json::json!([]), serde_json::json!([]))
    );
}

#[test]
fn an_empty_list_and_a_missing_file_are_refused() {
    let house = prepared();
    let missing = house.noctule(&["erase", "--users", "nothing.txt", "--why", "x"]).expect(2);
    assert!(missing.stderr.contains("there is no such file"), "{}", missing.stderr);
    house.file("users.txt", "\n\n");
    let empty = house.noctule(&["erase", "--users", "users.txt", "--why", "x"]).expect(2);
    assert!(empty.stderr.contains("names no user"), "{}", empty.stderr);
}

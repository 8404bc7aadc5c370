//! Ends that somebody asked for: a command's time to finish, a reader that goes away.

use std::process::{Command, Stdio};

use crate::house::House;
use crate::shop::step;

#[test]
fn a_command_that_is_out_of_time_is_asked_to_end_and_given_its_grace() {
    let house = House::new();
    let saved = house.path().join("saved");
    let command = format!(
        "trap 'sleep 1; echo done > {}; exit 0' TERM; sleep 60 & wait",
        saved.to_str().expect("a path in UTF-8")
    );
    house.file(
        "p.yaml",
        format!(
            "noctule: 1\npipeline: slow\nsteps:\n  work:\n    uses: shell\n    with: {{command: \"{command}\"}}\n    \
             retry: {{attempts: 1}}\n    timeouts: {{run: 1s, grace: 20s}}\n"
        ),
    );
    let document = house.json(1, &["run", "p.yaml"]);
    assert_eq!(step(&document, "work")["attempts"][0]["class"], "timed-out", "{document:#}");
    assert_eq!(std::fs::read_to_string(saved).expect("the command had time to save"), "done\n");
}

#[test]
fn a_reader_that_goes_away_is_no_trouble() {
    let house = House::new();
    let mut noctule = Command::new(env!("CARGO_BIN_EXE_noctule"))
        .arg("schema")
        .current_dir(house.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(noctule.stdout.take());
    let ended = noctule.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr.len()), (Some(0), 0), "{ended:?}");

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_noctule"))
        .arg("schema")
        .current_dir(house.path())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&ended.stderr).starts_with("error: standard output cannot be written"));
}

#[test]
fn a_split_by_user_ranks_users_that_the_model_does_not_know() {
    let house = House::new();
    let rows: String =
        (0..600).map(|n| format!("{},{},{}\n", n % 60, (n * 7 + n / 60) % 40, 1_700_000_000 + n)).collect();
    house.file("log.csv", format!("user,item,ts\n{rows}"));
    house.file(
        "p.yaml",
        "noctule: 1\npipeline: strangers\nsteps:\n  events:\n    uses: extract\n    with: {source: log.csv, columns: \
         {user: user, item: item, time: {from: ts, unit: s}}}\n  unique:\n    uses: dedup\n    with: {input: events, \
         pairs: keep-latest}\n  split:\n    uses: split\n    with: {input: unique, by: user, test: 10%}\n  model:\n    \
         uses: train\n    with: {input: split.train, algorithm: ials, factors: 16, epochs: 2}\n  quality:\n    uses: \
         evaluate\n    with: {model: model, history: split.train, test: split.test, compare: [popularity], metrics: \
         [ndcg@20]}\n",
    );
    let document = house.json(0, &["run", "p.yaml"]);
    let metrics = &step(&document, "quality")["metrics"];
    // Both answer strangers by popularity.
    assert!(metrics["model/ndcg@20"].as_f64().unwrap() > 0.0, "{metrics:#}");
    assert_eq!(metrics["model/ndcg@20"], metrics["popularity/ndcg@20"], "{metrics:#}");
}

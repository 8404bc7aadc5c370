//! The search for settings (`tests/peers/search`): its training and scoring never see a test row, and the test is read
//! once.

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::house::{Finished, House, workspace};

/// Ratings of two groups of users, each with films of its own and a few of the other's.
fn ratings() -> String {
    let mut text = "user_id,movie_id,rating,timestamp\n".to_owned();
    for time in 0..12_u32 {
        for user in 0..60_u32 {
            let group = user % 2;
            let strays = (user * 7 + time * 5) % 6 == 0;
            let movie = 2 * ((user * 13 + time * 11) % 30) + if strays { 1 - group } else { group };
            writeln!(text, "{user},{movie},5,{}", 1_000_000 + time * 1000 + user).unwrap();
        }
    }
    text
}

fn search(house: &House) -> Option<Finished> {
    let python = crate::python::with_packages("the_search_reads_the_test_once", &[])?;
    let script = workspace().join("tests/peers/search/search.py");
    let output = Command::new(python)
        .args(["-B", script.to_str().unwrap(), "--noctule", env!("CARGO_BIN_EXE_noctule")])
        .args(["--source", "ratings.csv", "--data", "toy", "--protocol", "P1", "--quick"])
        .args(["--results", "results", "--state", "state"])
        .current_dir(house.path())
        .output()
        .expect("python starts");
    Some(Finished::from(output).expect(0))
}

/// The manifests of all steps of this name: which pipeline ran them, on what.
fn records(house: &House, step: &str) -> Vec<Value> {
    let runs = house.path().join("state/store/runs");
    let manifests =
        runs.read_dir().unwrap().map(|run| run.unwrap().path().join(step).join("1/manifest.json"));
    let read = manifests.filter_map(|manifest| std::fs::read(manifest).ok());
    read.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap()["record"].take()).collect()
}

#[test]
fn the_search_reads_the_test_once() {
    let house = House::new();
    house.file("ratings.csv", ratings());
    let Some(first) = search(&house) else { return };
    assert!(first.stdout.contains("| picked |"), "{}", first.stdout);

    let scored = records(&house, "quality");
    let of_test: Vec<&Value> =
        scored.iter().filter(|record| record["inputs"].get("split.test").is_some()).collect();
    assert_eq!(of_test.len(), 1, "{scored:#?}");
    assert_eq!(of_test[0]["pipeline"], "movielens");
    let trained = records(&house, "model");
    assert!(trained.iter().all(|record| record["inputs"].get("split.test").is_none()), "{trained:#?}");

    let kept = house.path().join("results/toy-P1.json");
    let found: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    let tried = found["validation"].as_array().unwrap();
    assert_eq!(tried.len(), scored.len() - 1);
    assert!(tried.iter().all(|row| row["mean"].as_f64() <= tried[0]["mean"].as_f64()), "{found:#}");
    let (picked, best) = (&found["picked"], &tried[0]["setting"]);
    for name in ["factors", "nu", "regularisation", "unobserved_weight"] {
        assert_eq!(picked[name], best[name], "{name}");
    }
    assert_eq!(picked["epochs"], tried[0]["epoch"]);

    let again = search(&house).unwrap();
    let table = |text: &str| text.lines().filter(|line| line.starts_with('|')).map(str::to_owned).collect();
    let (before, now): (Vec<String>, Vec<String>) = (table(&first.stdout), table(&again.stdout));
    assert_eq!(before, now);
    assert!(again.stdout.contains("was read before"), "{}", again.stdout);
    assert_eq!(records(&house, "quality").len(), scored.len(), "nothing ran again");
}

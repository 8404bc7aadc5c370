//! A trainer of one's own, in Python, evaluates and publishes like ours.

use std::process::Command;

use crate::house::{House, shipped, workspace};

fn python() -> String {
    std::env::var("NOCTULE_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

#[test]
fn the_python_trainer_of_the_example_is_judged_and_published() {
    let python = python();
    let there = Command::new(&python).args(["-c", "import pyarrow, numpy"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return crate::house::skipped(
            "own_trainer",
            "the Python packages pyarrow and numpy (tests/peers/requirements.txt)",
        );
    }
    let house = House::new();
    std::os::unix::fs::symlink(workspace().join("dags"), house.path().join("dags")).unwrap();
    let finished = house.noctule(&[
        "run",
        &shipped("byo-trainer.yaml"),
        "--at",
        "2026-11-20",
        "--param",
        "source=demo://shop?users=3000&items=600&events=40000&seed=5",
        "--param",
        &format!("python={python}"),
        "--json",
    ]);
    let document = finished.json();
    let model = crate::shop::step(&document, "model");
    assert_eq!(model["state"], "done", "{document:#}");
    assert!(matches!(finished.code, 0 | 3 | 5), "{document:#}");
}

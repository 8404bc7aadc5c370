//! A trainer of one's own, in Python, evaluates and publishes like ours.

use crate::house::{House, shipped, workspace};

#[test]
fn the_python_trainer_of_the_example_is_judged_and_published() {
    let test = "the_python_trainer_of_the_example_is_judged_and_published";
    let Some(python) = crate::python::with_packages(test, &["numpy", "pyarrow"]) else { return };
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

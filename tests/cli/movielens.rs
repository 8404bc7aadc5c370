//! The protocols P1 (split by time) and P2 (leave the last one out) on MovieLens' own files: known answers.
//!
//! The files are not part of the project: where they are absent the tests are skipped by name. Put them beside the
//! workspace as `shared/data/ml-100k` and `shared/data/ml-1m`, or name the folder in `NOCTULE_MOVIELENS`.

use std::path::PathBuf;

use serde_json::Value;

use crate::house::{House, shipped, skipped, workspace};
use crate::shop::step;

fn data(test: &str, file: &str) -> Option<String> {
    let folder = std::env::var_os("NOCTULE_MOVIELENS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| workspace().join("../shared/data"));
    let path = folder.join(file);
    if path.exists() {
        return Some(path.canonicalize().unwrap().to_str().unwrap().to_owned());
    }
    skipped(test, "the MovieLens files (absent data)");
    None
}

fn run(house: &House, pipeline: &str, source: &str, seed: u64, more: &[&str]) -> Value {
    let (pipeline, source, seed) = (shipped(pipeline), format!("source={source}"), format!("seed={seed}"));
    let mut arguments = vec!["run", &pipeline, "--param", &source, "--param", &seed];
    for param in more {
        arguments.extend(["--param", param]);
    }
    arguments.push("--json");
    house.noctule(&arguments).json()
}

fn metric(document: &Value, name: &str) -> f64 {
    step(document, "quality")["metrics"][name].as_f64().unwrap_or(f64::NAN)
}

#[track_caller]
fn counts(document: &Value, wanted: [(&str, f64); 6]) {
    let metrics = &step(document, "split")["metrics"];
    for (name, value) in wanted {
        assert_eq!(metrics[name].as_f64(), Some(value), "{name} in {metrics:#}");
    }
}

/// To every digit that the reference prints. It was printed from five digits, so 0.0389524 stands there as 0.0389.
#[track_caller]
fn printed(found: f64, reference: &str) {
    let five: f64 = format!("{found:.5}").parse().unwrap();
    assert_eq!(format!("{five:.4}"), reference);
}

#[test]
fn p1_on_ml_1m() {
    let Some(source) = data("p1_on_ml_1m", "ml-1m/ratings.parquet") else { return };
    let house = House::new();
    let mut ndcg = 0.0;
    for seed in [42, 43, 44] {
        let document = run(&house, "movielens.yaml", &source, seed, &[]);
        ndcg += metric(&document, "model/ndcg@20") / 3.0;
        if seed == 42 {
            counts(
                &document,
                [
                    ("train_rows", 517_753.0),
                    ("train_users", 5975.0),
                    ("train_items", 3489.0),
                    ("test_users", 1155.0),
                    ("test_dropped_unknown_user", 5257.0),
                    ("test_dropped_unknown_item", 99.0),
                ],
            );
            printed(metric(&document, "popularity/ndcg@20"), "0.1721");
            printed(metric(&document, "popularity/recall_capped@20"), "0.1728");
            printed(metric(&document, "popularity/recall@20"), "0.0810");
        }
    }
    assert!((ndcg - 0.1896).abs() <= 0.001, "{ndcg}");
    // The same rows as text, compressed, with a header: the same artifacts.
    let Some(csv) = data("p1_on_ml_1m", "ml-1m/ratings_ge4.csv.gz") else { return };
    let document = run(&house, "movielens.yaml", &csv, 42, &[]);
    assert_eq!(step(&document, "model")["state"], "reused");
}

#[test]
fn p1_on_ml_100k() {
    let Some(source) = data("p1_on_ml_100k", "ml-100k/u.data") else { return };
    let document = run(&House::new(), "movielens.yaml", &source, 42, &[]);
    counts(
        &document,
        [
            ("train_rows", 49_838.0),
            ("train_users", 865.0),
            ("train_items", 1406.0),
            ("test_users", 72.0),
            ("test_dropped_unknown_user", 4093.0),
            ("test_dropped_unknown_item", 44.0),
        ],
    );
    printed(metric(&document, "popularity/ndcg@20"), "0.1404");
    printed(metric(&document, "popularity/recall_capped@20"), "0.1712");
    printed(metric(&document, "popularity/recall@20"), "0.1242");
    assert_eq!(document["verdict"]["verdict"], "inconclusive", "72 users cannot tell");
}

#[test]
fn p2_on_ml_1m() {
    let Some(source) = data("p2_on_ml_1m", "ml-1m/ratings.parquet") else { return };
    let house = House::new();
    let mut ndcg = 0.0;
    for seed in [42, 43] {
        let document = run(&house, "movielens-last-out.yaml", &source, seed, &[]);
        ndcg += metric(&document, "model/ndcg@10") / 2.0;
        if seed == 42 {
            counts(
                &document,
                [
                    ("train_rows", 569_244.0),
                    ("train_users", 6038.0),
                    ("train_items", 3529.0),
                    ("test_users", 6033.0),
                    ("test_dropped_unknown_user", 0.0),
                    ("test_dropped_unknown_item", 4.0),
                ],
            );
            printed(metric(&document, "popularity/hit@10"), "0.0389");
            printed(metric(&document, "popularity/ndcg@10"), "0.0193");
        }
    }
    assert!((ndcg - 0.0449).abs() <= 0.001, "{ndcg}");
}

#[test]
fn p2_on_ml_100k() {
    let Some(source) = data("p2_on_ml_100k", "ml-100k/u.data") else { return };
    let document =
        run(&House::new(), "movielens-last-out.yaml", &source, 42, &["unobserved_weight=1", "epochs=16"]);
    counts(
        &document,
        [
            ("train_rows", 54_433.0),
            ("train_users", 942.0),
            ("train_items", 1430.0),
            ("test_users", 925.0),
            ("test_dropped_unknown_user", 0.0),
            ("test_dropped_unknown_item", 17.0),
        ],
    );
    printed(metric(&document, "popularity/hit@10"), "0.0595");
    printed(metric(&document, "popularity/ndcg@10"), "0.0294");
}

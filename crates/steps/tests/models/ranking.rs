//! Evaluations whose figures can be worked out by hand.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use noctule_depot::Committed;
use noctule_steps::{Class, StepError};
use noctule_tables::Table;
use serde_json::{Value, json};

use crate::lab::{Lab, Rows, Told, input_of, texts};

/// Item 1 has three rows, 2 has two, 3 has two, 4 has one.
fn history() -> Rows {
    vec![(1, 1, 0), (2, 1, 0), (3, 1, 0), (1, 2, 0), (2, 2, 0), (1, 3, 0), (4, 3, 0), (4, 4, 0)]
}

async fn evaluate(lab: &Lab, test: &Rows, with: Value, slices: bool) -> Result<Committed, StepError> {
    let (train, test) = lab.split(&history(), test).await;
    let popularity = json!({"input": "split.train", "algorithm": "popularity"});
    let model = lab.run("train", popularity, Told::reads(&[("split.train", &train)])).await.unwrap();
    let mut settings = json!({
        "model": "model", "history": "split.train", "test": "split.test", "compare": ["popularity"],
        "metrics": ["ndcg@2", "recall@2", "mrr", "coverage@1"],
    });
    let (Value::Object(settings_map), Value::Object(with)) = (&mut settings, with) else { panic!() };
    settings_map.extend(with);
    let mut told = Told::reads(&[("split.train", &train), ("split.test", &test)]);
    told = told.and("model", &input_of(&model, "main"));
    if slices {
        let users = texts(&[("user", &["2", "3", "9"]), ("country", &["de", "fr", "de"])]);
        let tables = lab.tables("extract", &[("main", users)]).await;
        told = told.and("people", &tables["main"]);
    }
    lab.run("evaluate", settings, told).await
}

async fn column(lab: &Lab, quality: &Committed, name: &str) -> Vec<Option<f64>> {
    let path = lab.file(quality, "0000.parquet").await;
    let table = Table::open("users", &[path], None).unwrap();
    let batch = table.scan(&[name], 1).unwrap().next().unwrap().unwrap();
    batch.column(0).as_primitive::<Float64Type>().iter().collect()
}

/// User 2 has seen 1 and 2, so is shown 3, 4. User 3 has seen 1, so is shown 2, 3 (equal counts: the lower id first), 4.
/// User 9 is new, and is shown 1, 2, 3, 4.
#[tokio::test(flavor = "multi_thread")]
async fn figures_are_those_worked_by_hand() {
    let lab = Lab::new();
    let test = vec![(2, 4, 1), (3, 3, 1), (3, 4, 1), (9, 3, 1), (9, 77, 1)];
    let quality = evaluate(&lab, &test, json!({}), false).await.unwrap();
    let second = 1.0 / 3_f64.log2();
    let ideal = 1.0 + second;
    let expected: BTreeMap<&str, [f64; 3]> = BTreeMap::from([
        ("model/ndcg@2", [second, second / ideal, 0.0]),
        ("model/recall@2", [1.0, 0.5, 0.0]),
        ("popularity/mrr", [0.5, 0.5, 1.0 / 3.0]),
    ]);
    for (name, values) in expected {
        let found = column(&lab, &quality, name).await;
        for (found, value) in found.iter().zip(values) {
            assert!((found.unwrap() - value).abs() < 1e-12, "{name}: {found:?}, {value}");
        }
    }
    let report = lab.json(&quality, "evaluation.json").await;
    assert_eq!(report["universe"]["test_users"], json!(3));
    assert_eq!(report["universe"]["dropped_unknown_item"], json!(1));
    assert_eq!(report["universe"]["candidate_items"], json!(4));
    assert_eq!(report["split"]["test_start"], json!("1970-01-01T00:00:01Z"));
    // First places go to 3, 2 and 1, of four items.
    assert_eq!(report["models"][0]["figures"]["coverage@1"]["mean"], json!(0.75));
    let mean = (second + second / ideal) / 3.0;
    let found = report["models"][0]["figures"]["ndcg@2"]["mean"].as_f64().unwrap();
    assert!((found - mean).abs() < 1e-12);
    assert!((quality.manifest.record.metrics["model/ndcg@2"] - mean).abs() < 1e-12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_that_is_not_by_time_is_seen() {
    let lab = Lab::new();
    let quality = evaluate(&lab, &vec![(2, 4, -1), (3, 3, 1)], json!({}), false).await.unwrap();
    assert_eq!(lab.json(&quality, "evaluation.json").await["split"]["test_start"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leak_and_an_empty_test_set_are_refused() {
    let lab = Lab::new();
    let error = evaluate(&lab, &vec![(2, 1, 1)], json!({}), false).await.unwrap_err();
    assert_eq!(error.class, Class::Data);
    assert!(error.to_string().contains("user 2 has item 1 both in the history and in the test"), "{error}");
    let error = evaluate(&lab, &vec![(2, 99, 1)], json!({}), false).await.unwrap_err();
    assert!(error.to_string().contains("no test user is left"), "{error}");
    let error = evaluate(&lab, &vec![], json!({}), false).await.unwrap_err();
    assert!(error.to_string().contains("has no rows"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_is_the_same_for_all_models_and_said() {
    let lab = Lab::new();
    let test: Rows = (10..60).map(|user| (user, 1 + user % 4, 1)).collect();
    let with = json!({"users": {"sample": 20, "salt": "s"}});
    let quality = evaluate(&lab, &test, with.clone(), false).await.unwrap();
    let report = lab.json(&quality, "evaluation.json").await;
    assert_eq!(report["universe"]["scored_users"], json!(20));
    assert_eq!(report["universe"]["salt"], json!("s"));
    let again = evaluate(&lab, &test, with, false).await.unwrap();
    let users = |quality: &Committed| quality.manifest.identity.files.last().unwrap().sha256;
    assert_eq!(users(&quality), users(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_are_scored_by_themselves() {
    let lab = Lab::new();
    let test = vec![(2, 4, 1), (3, 3, 1), (9, 3, 1)];
    let with = json!({"slices": {"users": "people", "columns": ["country"], "min_users": 1}});
    let quality = evaluate(&lab, &test, with, true).await.unwrap();
    let groups = lab.json(&quality, "evaluation.json").await["slices"]["groups"].clone();
    assert_eq!(groups[0]["value"], json!("de"));
    assert_eq!(groups[0]["users"], json!(2));
    // Users 2 and 9: one hit at the second place, and none in the first two.
    assert_eq!(groups[0]["figures"][0]["recall@2"]["mean"], json!(0.5));
    assert_eq!(groups[1]["figures"][0]["recall@2"]["mean"], json!(1.0));
}

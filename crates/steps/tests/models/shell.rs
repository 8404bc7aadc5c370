//! Commands of the user's own.

use std::collections::BTreeMap;

use noctule_artifacts::launch::EnvValue;
use noctule_artifacts::manifest::OutputForm;
use noctule_depot::Committed;
use noctule_steps::{Class, StepError};
use serde_json::{Value, json};

use crate::lab::{Lab, Told, tastes};

async fn sh(lab: &Lab, script: &str, output: &str, told: Told) -> Result<Committed, StepError> {
    let names: BTreeMap<String, String> =
        told.inputs.keys().map(|name| ("TRAIN".to_owned(), name.clone())).collect();
    let with = json!({"command": {"text": script}, "inputs": names, "output": output});
    lab.run("shell", with, told).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_finds_its_inputs_and_leaves_files_and_metrics() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, _) = lab.split(&train, &test).await;
    let script = r#"
        test -s "$NOCTULE_INPUT_TRAIN/0000.parquet" || exit 9
        mkdir "$NOCTULE_OUTPUT/deep"
        echo "$MODE $NOCTULE_INTERVAL_START $NOCTULE_INTERVAL_END" > "$NOCTULE_OUTPUT/deep/told.txt"
        echo '{"loss": 0.5}' > "$NOCTULE_METRICS"
        echo '::noctule:1 {"metric":{"name":"forged","value":1}}'
    "#;
    let mut told = Told::reads(&[("split.train", &train)]);
    told.env.insert("MODE".into(), EnvValue::Text("fast".into()));
    let done = sh(&lab, script, "files", told).await.unwrap();
    let text = std::fs::read_to_string(lab.file(&done, "deep/told.txt").await).unwrap();
    assert_eq!(text, "fast 1970-01-01T00:00:00Z 1970-01-02T00:00:00Z\n");
    let metrics = &done.manifest.record.metrics;
    assert_eq!(metrics["loss"], 0.5);
    assert!(!metrics.contains_key("forged"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_is_the_attempts() {
    let lab = Lab::new();
    for code in [1, 3, 65, 75, 78] {
        let error = sh(&lab, &format!("exit {code}"), "files", Told::default()).await.unwrap_err();
        assert_eq!(error.class.exit_code(), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_must_be_what_was_promised() {
    let lab = Lab::new();
    for (script, output, words) in [
        ("true", "table", "wrote no file"),
        ("echo x > $NOCTULE_OUTPUT/x.csv", "table", "Parquet"),
        ("echo x > $NOCTULE_OUTPUT/x.parquet", "table", "no readable Parquet file"),
        ("true", "model", "has no file `card.json`"),
        ("echo '{}' > $NOCTULE_OUTPUT/card.json", "model", "layout"),
        ("ln -s /etc/hosts $NOCTULE_OUTPUT/x", "files", "neither a file nor a folder"),
        ("echo '[1]' > $NOCTULE_METRICS", "files", "JSON object of numbers"),
        ("echo '{\"a\": \"b\"}' > $NOCTULE_METRICS", "files", "JSON object of numbers"),
    ] {
        let error = sh(&lab, script, output, Told::default()).await.unwrap_err();
        assert_eq!(error.class, Class::Data, "{script}: {error}");
        assert!(error.to_string().contains(words), "{script}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_named() {
    let lab = Lab::new();
    let mut told = Told::default();
    told.env.insert("TOKEN".into(), EnvValue::Secret("not-there-at-all".into()));
    let error = sh(&lab, "true", "files", told).await.unwrap_err();
    assert_eq!(error.class, Class::Configuration);
    assert!(error.to_string().contains("NOCTULE_SECRET_NOT_THERE_AT_ALL"), "{error}");
}

/// A model without factors, written by a shell.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_may_be_written_with_nothing_but_a_shell() {
    let lab = Lab::new();
    let script = r#"
        cat > "$NOCTULE_OUTPUT/card.json" <<END
        {"layout": 1, "form": "counts", "algorithm": "by hand", "fingerprint": "$NOCTULE_FINGERPRINT",
         "data": {"until": "1969-12-31T00:00:00Z"}, "ids": {"user": "integer", "item": "integer"}}
END
        printf 'item,count\n1,3\n2,5\n' > "$NOCTULE_OUTPUT/items.csv"
    "#;
    let model = sh(&lab, script, "model", Told::default()).await.unwrap();
    let outputs = &model.manifest.identity.outputs;
    assert_eq!(outputs.values().next().unwrap().form, OutputForm::Model);

    let (train, test) = lab.split(&vec![(1, 1, 0), (1, 2, 0), (2, 2, 0)], &vec![(2, 1, 1), (3, 2, 1)]).await;
    let mut told = Told::reads(&[("split.train", &train), ("split.test", &test)]);
    told = told.and("model", &crate::lab::input_of(&model, "main"));
    let settings = json!({
        "model": "model", "history": "split.train", "test": "split.test", "metrics": ["hit@1"],
    });
    let quality = lab.run("evaluate", settings, told).await.unwrap();
    let report = lab.json(&quality, "evaluation.json").await;
    assert_eq!(report["models"][0]["figures"]["hit@1"]["mean"], json!(1.0));
    assert_eq!(report["models"][0]["trained_until"], Value::from("1969-12-31T00:00:00Z"));
}

/// The trainer of `dags/byo-trainer.yaml`.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_trainer_writes_a_model_that_beats_popularity() {
    let test = "the_example_trainer_writes_a_model_that_beats_popularity";
    let Some(python) = crate::python::with_packages(test, &["numpy", "pyarrow"]) else { return };
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, test) = lab.split(&train, &test).await;
    let trainer = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dags/trainers/factorise.py");
    let with = json!({
        "command": {"argv": [python, trainer]}, "inputs": {"TRAIN": "split.train"}, "output": "model",
    });
    let mut told = Told::reads(&[("split.train", &train)]);
    told.env.insert("FACTORS".into(), EnvValue::Text("16".into()));
    let model = lab.run("shell", with, told).await.unwrap();
    let mut told = Told::reads(&[("split.train", &train), ("split.test", &test)]);
    told = told.and("model", &crate::lab::input_of(&model, "main"));
    let quality = lab.run("evaluate", crate::lab::evaluate(&["popularity".to_owned()]), told).await.unwrap();
    let report = lab.json(&quality, "evaluation.json").await;
    let ndcg = |model: usize| report["models"][model]["figures"]["ndcg@10"]["mean"].as_f64().unwrap();
    assert!(ndcg(0) > 1.5 * ndcg(1), "{} against {}", ndcg(0), ndcg(1));
}

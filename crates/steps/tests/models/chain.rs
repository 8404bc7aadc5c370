//! Train, evaluate, gate, publish.

use std::collections::BTreeSet;

use noctule_artifacts::{Outcome, VersionNumber};
use noctule_steps::Class;
use noctule_steps::model::{Form, Model};
use noctule_steps::{InputFile, StepError};
use serde_json::{Value, json};

use crate::lab::{Lab, Rows, Told, ials, input_of, published, shuffled, tastes};

fn against(other: &str, bar: Value) -> Value {
    let mut bar = bar;
    let inner = bar.as_object_mut().unwrap().values_mut().next().unwrap();
    inner["against"] = other.into();
    json!({"metric": "ndcg@10", "bar": bar, "confidence": 0.95})
}

fn gain(other: &str, gain: f64) -> Value {
    against(other, json!({"min-gain": {"gain": gain}}))
}

fn drop(other: &str, drop: f64) -> Value {
    against(other, json!({"max-drop": {"drop": drop}}))
}

fn message(result: Result<noctule_depot::Committed, StepError>) -> (Class, String) {
    let error = result.unwrap_err();
    (error.class, error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_night_is_judged_against_popularity_and_published() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, test) = lab.split(&train, &test).await;
    let compare = [("feed@champion", None), ("popularity", None)];
    let rules = json!([gain("popularity", 0.3), drop("feed@champion", 0.01)]);
    let (model, quality, gate) = lab.night((&train, &test), ials(), &compare, rules).await;

    let evaluation = lab.json(&quality, "evaluation.json").await;
    assert_eq!(evaluation["absent"], json!(["feed@champion"]));
    assert_eq!(evaluation["models"][0]["digest"], json!(model.digest));
    assert_eq!(gate.manifest.identity.outcome, Outcome::Ok);
    let facts = &gate.manifest.identity.facts;
    assert_eq!(facts["verdict"], json!("pass"));
    assert_eq!(facts["judged"], json!(model.digest));
    assert_eq!(facts["compared"], json!({"feed@champion": null}));
    let report = lab.json(&gate, "gate.json").await;
    assert_eq!(report["rules"][1]["outcome"], json!("skipped"));
    let page = std::fs::read_to_string(lab.file(&gate, "gate.md").await).unwrap();
    assert!(page.starts_with("# Gate: pass"), "{page}");

    let done = lab.publish(&model, &gate, 1).await.unwrap();
    assert_eq!(lab.json(&done, "published.json").await["digest"], json!(model.digest));
    let version = lab.depot.version(&"feed".parse().unwrap(), VersionNumber(1)).await.unwrap();
    assert_eq!((version.digest, version.gate), (model.digest, Some(gate.digest)));
    assert!(lab.depot.verify_version(&version).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_night_is_compared_with_the_published_version() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, test) = lab.split(&train, &test).await;
    let rules = json!([gain("popularity", 0.3)]);
    let (champion, _, gate) = lab.night((&train, &test), ials(), &[("popularity", None)], rules).await;
    lab.publish(&champion, &gate, 1).await.unwrap();

    let mut other_seed = ials();
    other_seed["seed"] = 2.into();
    let rules = json!([drop("feed@champion", 0.2)]);
    let compare = [("feed@champion", published(&champion, 1))];
    let (_, quality, gate) = lab.night((&train, &test), other_seed, &compare, rules.clone()).await;
    let report = lab.json(&gate, "gate.json").await;
    assert_eq!(gate.manifest.identity.facts["compared"], json!({"feed@champion": 1}));
    assert_eq!(report["verdict"], json!("pass"), "{report}");
    assert_eq!(report["rules"][0]["against_digest"], json!(champion.digest));
    let evaluation = lab.json(&quality, "evaluation.json").await;
    assert_eq!(evaluation["models"][1]["version"], json!(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_has_seen_the_test_day_is_not_comparable() {
    let lab = Lab::new();
    let (early, late) = tastes(1);
    let (train, test) = lab.split(&early, &late).await;
    let all: Vec<_> = early.iter().chain(&late).copied().collect();
    let (everything, _) = lab.split(&all, &late).await;
    let seer = lab.run("train", ials(), Told::reads(&[("split.train", &everything)])).await.unwrap();
    let told = Told::reads(&[("split.train", &train), ("split.test", &test)]);
    let told = told.and("model", &input_of(&seer, "main"));
    let quality = lab.run("evaluate", crate::lab::evaluate(&["popularity".to_owned()]), told).await.unwrap();
    let rules = json!({"evaluation": "quality", "require": [gain("popularity", 0.1)]});
    let told = Told::reads(&[("quality", &input_of(&quality, "report"))]);
    let gate = lab.run("gate", rules, told).await.unwrap();
    assert_eq!(gate.manifest.identity.outcome, Outcome::GateInconclusive);
    let decided = gate.manifest.identity.facts["decided"].as_str().unwrap().to_owned();
    assert!(decided.contains("not comparable: of the candidate"), "{decided}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shuffled_labels_are_rejected_and_cannot_be_published() {
    let lab = Lab::new();
    let (rows, test_rows) = tastes(1);
    let rows = shuffled(rows, 5);
    let (train, test) = lab.split(&rows, &unseen(test_rows, &rows)).await;
    let rules = json!([gain("popularity", 0.1)]);
    let (model, _, gate) = lab.night((&train, &test), ials(), &[("popularity", None)], rules).await;
    assert_ne!(gate.manifest.identity.outcome, Outcome::Ok);
    let (class, text) = message(lab.publish(&model, &gate, 1).await);
    assert_eq!(class, Class::Configuration);
    assert!(text.contains("only what passed can be published"), "{text}");
    assert!(lab.depot.list("models/").await.unwrap().is_empty());
}

/// Test rows that are not among the training rows.
fn unseen(test: Rows, train: &Rows) -> Rows {
    let seen: BTreeSet<(i64, i64)> = train.iter().map(|row| (row.0, row.1)).collect();
    test.into_iter().filter(|row| !seen.contains(&(row.0, row.1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_judged_model_is_published() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, test) = lab.split(&train, &test).await;
    let rules = json!([gain("popularity", 0.1)]);
    let (_, _, gate) = lab.night((&train, &test), ials(), &[("popularity", None)], rules).await;
    let mut other = ials();
    other["seed"] = 9.into();
    let other = lab.run("train", other, Told::reads(&[("split.train", &train)])).await.unwrap();
    let (class, text) = message(lab.publish(&other, &gate, 1).await);
    assert_eq!(class, Class::Configuration);
    assert!(text.contains("only the model that was judged can be published"), "{text}");
    assert!(lab.depot.list("models/").await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_training_gives_the_same_bytes_on_any_number_of_threads() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, _) = lab.split(&train, &test).await;
    let mut digests = Vec::new();
    for threads in [1, 2, 3] {
        let told = Told { threads, ..Told::reads(&[("split.train", &train)]) };
        digests.push(lab.run("train", ials(), told).await.unwrap().digest);
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_tells_what_rebuilds_the_model() {
    let lab = Lab::new();
    let (train_rows, test) = tastes(1);
    let (train, _) = lab.split(&train_rows, &test).await;
    let model = lab.run("train", ials(), Told::reads(&[("split.train", &train)])).await.unwrap();
    let card = lab.json(&model, "card.json").await;
    assert_eq!(card["parameters"]["seed"], json!(1));
    assert_eq!(card["data"]["rows"], json!(train_rows.len()));
    assert_eq!(card["data"]["read"], json!([{"artifact": train.digest, "output": "train"}]));
    assert_eq!(card["data"]["until"], json!(crate::lab::seconds(86_400 - 1_000 + 11)));
    let loss = model.manifest.record.metrics["loss"];
    assert!(loss.is_finite() && model.manifest.record.metrics["epoch_seconds"] >= 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn early_stopping_keeps_the_best_epoch() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, validation) = lab.split(&train, &test).await;
    let mut settings = ials();
    settings["epochs"] = 200.into();
    settings["early_stop"] = json!({"validation": "split.validation", "metric": "ndcg@10", "patience": 2});
    let told = Told::reads(&[("split.train", &train), ("split.validation", &validation)]);
    let model = lab.run("train", settings, told).await.unwrap();
    let training = lab.json(&model, "card.json").await["training"].clone();
    let (epochs, best) = (training["epochs"].as_u64().unwrap(), training["best_epoch"].as_u64().unwrap());
    assert!(epochs < 200 && best + 2 == epochs, "{training}");
    assert!(training["ndcg@10"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn popularity_is_a_model_too() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, test) = lab.split(&train, &test).await;
    let settings = json!({"input": "split.train", "algorithm": "popularity"});
    let rules = json!([drop("popularity", 0.0)]);
    let (model, quality, gate) = lab.night((&train, &test), settings, &[("popularity", None)], rules).await;
    let evaluation = lab.json(&quality, "evaluation.json").await;
    assert_eq!(evaluation["models"][0]["figures"], evaluation["models"][1]["figures"]);
    assert_eq!(gate.manifest.identity.outcome, Outcome::Ok);
    let card = lab.file(&model, "card.json").await;
    let items = lab.file(&model, "items.parquet").await;
    let files = [("card.json", card), ("items.parquet", items)];
    let files: Vec<InputFile> =
        files.into_iter().map(|(name, path)| InputFile { name: name.to_owned(), path }).collect();
    let read = Model::read("model", &files).unwrap();
    assert_eq!(read.card.form, Form::Counts);
    assert!(read.tables.factors.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_whole_is_refused() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, _) = lab.split(&train, &test).await;
    let mut models = Vec::new();
    for seed in [1, 2] {
        let mut settings = ials();
        settings["seed"] = seed.into();
        let model = lab.run("train", settings, Told::reads(&[("split.train", &train)])).await.unwrap();
        let mut files = Vec::new();
        for name in ["card.json", "items.parquet", "users.parquet", "items.safetensors", "users.safetensors"]
        {
            files.push(InputFile { name: name.to_owned(), path: lab.file(&model, name).await });
        }
        models.push(files);
    }
    assert!(Model::read("m", &models[0]).is_ok());
    let read = |files: &[InputFile]| Model::read("m", files).unwrap_err().to_string();

    let mut mixed = models[0].clone();
    mixed[4] = models[1][4].clone();
    assert!(read(&mixed).contains("are of different trainings"), "{}", read(&mixed));

    let error = read(&models[0][..4]);
    assert!(error.contains("has no file `users.safetensors`"), "{error}");

    let cut = lab.home.path().join("cut");
    let bytes = std::fs::read(&models[0][3].path).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let mut torn = models[0].clone();
    torn[3].path = cut;
    assert!(read(&torn).contains("`items.safetensors` of the model m cannot be used"), "{}", read(&torn));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_memory_is_told_before_the_work_with_the_remedy() {
    let lab = Lab::new();
    let (train, test) = tastes(1);
    let (train, test) = lab.split(&train, &test).await;
    let wide = json!({"input": "split.train", "algorithm": "ials", "factors": 2048, "epochs": 1, "seed": 1});
    let small = Told { memory: 64, ..Told::reads(&[("split.train", &train)]) };
    let (class, text) = message(lab.run("train", wide, small.clone()).await);
    assert_eq!(class, Class::Configuration);
    assert!(text.contains("training on 5,780 rows with 2048 factors needs about"), "{text}");
    assert!(text.contains("`resources.memory` gives it 64 MiB: raise it to"), "{text}");
    let few = json!({"input": "split.train", "algorithm": "ials", "factors": 16, "epochs": 1, "seed": 1});
    let model = lab.run("train", few, small).await.unwrap();

    let told = Told::reads(&[("split.train", &train), ("split.test", &test)]);
    let told = told.and("model", &input_of(&model, "main"));
    let with = crate::lab::evaluate(&["popularity".to_owned()]);
    let (class, text) = message(lab.run("evaluate", with.clone(), Told { memory: 32, ..told.clone() }).await);
    assert_eq!(class, Class::Configuration);
    assert!(
        text.contains("`resources.memory` gives it 32 MiB: raise it to 256Mi, or keep a shorter history"),
        "{text}"
    );
    let (_, text) =
        message(lab.run("evaluate", with.clone(), Told { memory: 64, threads: 64, ..told.clone() }).await);
    assert!(text.contains("evaluating 2 models needs about"), "{text}");
    assert!(text.contains("users: {sample"), "{text}");
    lab.run("evaluate", with, Told { memory: 64, ..told }).await.unwrap();
}

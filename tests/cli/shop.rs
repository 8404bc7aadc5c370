//! A small shop that trains in a second, and pipelines over it.

use serde_json::Value;

use crate::house::{House, shipped};

/// Small, and large enough that training beats popularity by far.
pub const SOURCE: &str = "demo://shop?users=3000&items=600&events=40000&seed=5";

/// The arguments that run the shipped nightly pipeline on the small shop, for the night that ends on a date.
pub fn nightly(at: &str) -> Vec<String> {
    let mut arguments = vec!["run".to_owned(), shipped("nightly.yaml"), "--at".to_owned(), at.to_owned()];
    for param in [format!("source={SOURCE}"), "factors=16".to_owned(), "window=14d".to_owned()] {
        arguments.extend(["--param".to_owned(), param]);
    }
    arguments
}

pub fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Runs the nightly pipeline and gives its document.
#[track_caller]
pub fn night(house: &House, code: i32, at: &str) -> Value {
    house.json(code, &words(&nightly(at)))
}

/// The states of a run's steps by name, as `name=state`.
pub fn states(document: &Value) -> Vec<String> {
    let steps = document["steps"].as_array().expect("steps");
    steps
        .iter()
        .map(|step| {
            format!(
                "{}={}",
                step["step"].as_str().unwrap_or_default(),
                step["state"].as_str().unwrap_or_default()
            )
        })
        .collect()
}

/// One step of a run's document.
pub fn step<'a>(document: &'a Value, name: &str) -> &'a Value {
    let steps = document["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("no step {name} in {document:#}"))
}

/// A short pipeline over the small shop: one that publishes `feed` when `rule` lets it, trained on `train`.
pub fn short(train: &str, rule: &str) -> String {
    format!(
        r#"noctule: 1
pipeline: short
params:
  factors: 16
  epochs: 6
steps:
  events:
    uses: extract
    with:
      source: "demo://shop/events?users=3000&items=600&events=40000&seed=5"
      window: 14d
      where: "event = 'watch' AND watch_share >= 0.5"
      columns: {{user: user_id, item: item_id, time: ts}}
  unique:
    uses: dedup
    with: {{input: events, pairs: keep-latest}}
  active:
    uses: filter
    with: {{input: unique, users: {{min_items: 5}}}}
  split:
    uses: split
    with: {{input: active, by: time, test: 1d}}
{train}
  quality:
    uses: evaluate
    with:
      model: model
      history: split.train
      test: split.test
      compare: [feed@champion, popularity]
      metrics: [ndcg@20]
  gate:
    uses: gate
    with: {{evaluation: quality, require: [{rule}]}}
  publish:
    uses: publish
    with: {{model: model, gate: gate, name: feed, alias: champion}}
"#
    )
}

/// Training as it should be.
pub const TRAIN: &str = r#"  model:
    uses: train
    with: {input: split.train, algorithm: ials, factors: "{{ params.factors }}", epochs: "{{ params.epochs }}"}"#;

pub const BEATS_POPULARITY: &str = "{metric: ndcg@20, against: popularity, min_gain: 10%, confidence: 95%}";

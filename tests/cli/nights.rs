//! How often nights pass, against what the report's own standard error predicts.

use std::fmt::Write;

use noctule_gate::power::pass_if_equal;
use serde_json::Value;

use crate::artifact::Artifact;
use crate::house::{House, shipped};

/// What a gate's report says of one rule that allows a drop.
struct Judged {
    passed: bool,
    value: f64,
    standard_error: f64,
    drop: f64,
    /// How often a candidate of equal quality passes, by the report.
    if_equal: f64,
}

impl Judged {
    /// The rule against `other` in the report that a gate of a run left; `None` where it was skipped.
    fn read(house: &House, run: &Value, gate: &str, other: &str) -> Option<Self> {
        let report = Artifact::of(house, run, gate).json("report", "gate.json");
        let rule = report["rules"].as_array().unwrap().iter().find(|rule| rule["against"] == other)?.clone();
        let figures = &rule["figures"];
        let uncertainty = |name: &str| figures["uncertainty"][name].as_f64().unwrap();
        (rule["outcome"] != "skipped").then(|| Self {
            passed: rule["outcome"] == "pass",
            value: figures["value"].as_f64().unwrap(),
            standard_error: uncertainty("standard_error"),
            drop: uncertainty("margin"),
            if_equal: uncertainty("pass_if_equal"),
        })
    }
}

/// Candidates whose true difference is taken to be the same.
struct Nights(Vec<Judged>);

impl Nights {
    fn passed(&self) -> usize {
        self.0.iter().filter(|night| night.passed).count()
    }

    /// The mean difference.
    fn drift(&self) -> f64 {
        self.0.iter().map(|night| night.value).sum::<f64>() / self.0.len() as f64
    }

    /// Holds the number of passes to a probability of each: three standard deviations of their sum.
    #[track_caller]
    fn pass_as_often_as(&self, probability: impl Fn(&Judged) -> f64) {
        let (mut expected, mut variance) = (0.0, 0.0);
        for p in self.0.iter().map(probability) {
            expected += p;
            variance += p * (1.0 - p);
        }
        let (passed, deviation) = (self.passed(), f64::sqrt(variance));
        let off = (passed as f64 - expected) / deviation;
        assert!(off.abs() <= 3.0, "{passed} passed where {expected:.1} ± {deviation:.1} are predicted");
    }

    /// Holds the differences to their standard errors around `truth`: the mean of squares of as many standard normal
    /// values is 1, give or take three standard deviations.
    #[track_caller]
    fn scatter_as_they_say(&self, truth: f64, freedom: usize) {
        let squares: f64 =
            self.0.iter().map(|night| ((night.value - truth) / night.standard_error).powi(2)).sum();
        let (ratio, freedom) = (squares / freedom as f64, freedom as f64);
        let allowed = 3.0 * f64::sqrt(2.0 / freedom);
        assert!((ratio - 1.0).abs() <= allowed, "{ratio} times the variance that the reports speak of");
    }
}

#[test]
fn thirty_nights_each_compare_with_the_real_champion_and_pass_as_often_as_predicted() {
    let house = House::new();
    let pipeline = shipped("nightly.yaml");
    let source = "source=demo://shop?users=6000&items=1500&events=84000";
    let (mut champion, mut versions) = (Value::Null, 0);
    let mut nights = Nights(Vec::new());
    for day in 1..=30 {
        let at = format!("2026-10-{day:02}");
        let mut arguments = vec!["run", &pipeline, "--at", &at, "--json"];
        for param in [source, "window=14d", "factors=32"] {
            arguments.extend(["--param", param]);
        }
        let night = house.noctule(&arguments).json();
        assert_eq!(night["verdict"]["compared"]["home-feed@champion"], champion, "{at}");
        let judged = Judged::read(&house, &night, "gate", "home-feed@champion");
        assert_eq!(judged.is_none(), day == 1, "{at}: from the second night on there is a champion");
        let passes = judged.as_ref().is_none_or(|judged| judged.passed);
        match night["verdict"]["verdict"].as_str() {
            Some("pass") => {
                versions += 1;
                champion = night["published"]["version"].clone();
                assert!(passes && night["published"]["promoted"] == true, "{at}");
            }
            // About 2,700 users cannot tell one percent every night; no night is worse than the last.
            Some("inconclusive") => assert!(!passes && night["published"].is_null(), "{at}"),
            other => panic!("{at}: {other:?}: {night:#}"),
        }
        nights.0.extend(judged);
    }
    assert_eq!(house.json(0, &["models", "list"])[0]["versions"], versions);

    // A model that has seen the latest day is better than yesterday's, by about as much each night.
    let drift = nights.drift();
    assert!((0.005..0.03).contains(&drift), "{drift}");
    nights.scatter_as_they_say(drift, nights.0.len() - 1);
    nights.pass_as_often_as(|night| {
        pass_if_equal(night.standard_error, 0.95, night.drop + drift).expect("a finite error")
    });
}

/// A night on which ten pairs of models are judged that differ in their seed alone.
fn pairs_of_equals(first_seed: usize) -> String {
    let mut text = r#"noctule: 1
pipeline: equals
steps:
  events:
    uses: extract
    with:
      source: "demo://shop/events?users=3000&items=600&events=40000&seed=5"
      window: 14d
      where: "event = 'watch' AND watch_share >= 0.5"
      columns: {user: user_id, item: item_id, time: ts}
  unique:
    uses: dedup
    with: {input: events, pairs: keep-latest}
  active:
    uses: filter
    with: {input: unique, bots: {max_per_minute: 60}, users: {min_items: 10, within: 10d}}
  split:
    uses: split
    with: {input: active, by: time, test: 1d}
"#
    .to_owned();
    for pair in 0..10 {
        let seed = first_seed + 2 * pair;
        for (name, seed) in [("one", seed), ("other", seed + 1)] {
            writeln!(
                text,
                "  {name}-{pair}:\n    uses: train\n    with: {{input: split.train, algorithm: ials, factors: 16, \
                 regularisation: 0.01, epochs: 6, seed: {seed}}}"
            )
            .unwrap();
        }
        writeln!(
            text,
            "  quality-{pair}:\n    uses: evaluate\n    with: {{model: one-{pair}, history: split.train, test: \
             split.test, compare: [other-{pair}], metrics: [ndcg@20]}}\n  gate-{pair}:\n    uses: gate\n    with: \
             {{evaluation: quality-{pair}, require: [{{metric: ndcg@20, against: other-{pair}, max_drop: 5%, \
             confidence: 95%}}]}}"
        )
        .unwrap();
    }
    text
}

#[test]
fn candidates_of_equal_quality_pass_as_often_as_the_report_says() {
    let house = House::new();
    let mut nights = Nights(Vec::new());
    for (night, at) in ["2026-10-10", "2026-10-11", "2026-10-12"].iter().enumerate() {
        house.file("p.yaml", pairs_of_equals(100 * night));
        let run = house.noctule(&["run", "p.yaml", "--at", at, "--json"]).json();
        let judged =
            |pair| Judged::read(&house, &run, &format!("gate-{pair}"), &format!("other-{pair}")).unwrap();
        nights.0.extend((0..10).map(judged));
    }
    let pairs = nights.0.len();
    nights.scatter_as_they_say(0.0, pairs);
    let mean_z =
        nights.0.iter().map(|pair| pair.value / pair.standard_error).sum::<f64>() / (pairs as f64).sqrt();
    assert!(mean_z.abs() <= 3.0, "one of two equals is not better: {mean_z}");
    nights.pass_as_often_as(|night| night.if_equal);
}

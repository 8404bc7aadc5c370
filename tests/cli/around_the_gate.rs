//! The ways around the gate that only show while a run is under way. What `check` refuses stands in `gate.rs`, pins
//! and promotions by hand in `models.rs`.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::artifact::Artifact;
use crate::house::{Finished, House, files};
use crate::shop::{BEATS_POPULARITY, TRAIN, short, states, step};

const AT: &str = "2026-11-20";

fn of_seed(seed: u32) -> String {
    TRAIN.replace("algorithm: ials", &format!("algorithm: ials, seed: {seed}"))
}

/// A version of `feed` per seed, the last of them the champion.
fn versions(seeds: &[u32]) -> House {
    let house = House::new();
    for seed in seeds {
        house.file("p.yaml", short(&of_seed(*seed), BEATS_POPULARITY));
        house.json(0, &["run", "p.yaml", "--at", AT]);
    }
    house
}

fn champion(house: &House) -> Value {
    house.json(0, &["models", "list"])[0]["aliases"]["champion"]["version"].clone()
}

/// A run that stands still between gate and publish.
struct Paused<'a> {
    house: &'a House,
    run: Child,
}

impl<'a> Paused<'a> {
    fn begin(house: &'a House, train: &str) -> Self {
        let (here, go) = (house.path().join("here"), house.path().join("go"));
        // It ends by itself when a test fails meanwhile and nobody lets it go on.
        let wait = "for i in $(seq 2400); do test -e";
        let pause = format!(
            r#"  pause:
    uses: shell
    needs: [gate]
    with: {{command: "touch {}; {wait} {} && exit 0; sleep 0.05; done; exit 1"}}
  publish:
    needs: [pause]
"#,
            here.display(),
            go.display()
        );
        house.file("p.yaml", short(train, BEATS_POPULARITY).replace("  publish:\n", &pause));
        let run = house.start(&["run", "p.yaml", "--at", AT, "--json"]);
        let begun = Instant::now();
        while !here.exists() {
            assert!(begun.elapsed() < Duration::from_secs(120), "the gate was never reached");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { house, run }
    }

    #[track_caller]
    fn go_on(self, code: i32) -> Value {
        self.house.file("go", "");
        Finished::from(self.run.wait_with_output().expect("it ends")).expect(code).json()
    }
}

#[test]
fn an_alias_that_moved_meanwhile_is_compared_with_anew() {
    let house = versions(&[1, 2]);
    let paused = Paused::begin(&house, &of_seed(3));
    house.noctule(&["models", "promote", "feed", "1", "--reason", "it was better"]).expect(0);
    let run = paused.go_on(0);
    assert_eq!(run["verdict"]["compared"]["feed@champion"], 1, "{run:#}");
    for (name, attempts) in [("quality", 2), ("gate", 2), ("publish", 2), ("model", 1)] {
        assert_eq!(step(&run, name)["attempts"].as_array().unwrap().len(), attempts, "{name}");
    }
    let history = house.json(0, &["models", "history", "feed"]);
    let moves: Vec<(&Value, &Value)> =
        history.as_array().unwrap().iter().map(|row| (&row["from"], &row["to"])).collect();
    assert!(moves.contains(&(&1.into(), &3.into())) && moves.len() == 4, "{history:#}");
}

/// The largest file of a model, which is one of its tables of factors.
fn factors(folder: &Path) -> PathBuf {
    let found =
        files(folder).into_iter().filter(|(path, _)| path.extension().is_some_and(|e| e == "safetensors"));
    found.max_by_key(|(_, bytes)| bytes.len()).expect("a model has factors").0
}

#[test]
fn a_model_that_was_altered_after_it_was_judged_is_not_published() {
    let house = versions(&[1]);
    let models = house.path().join(".noctule/store/models");
    let before = files(&models);
    let paused = Paused::begin(&house, &of_seed(2));
    let run = house.json(0, &["show"]);
    let factors = factors(Artifact::of(&house, &run, "model").folder());
    let mut bytes = std::fs::read(&factors).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::remove_file(&factors).unwrap();
    std::fs::write(&factors, bytes).unwrap();
    let run = paused.go_on(1);
    assert!(run["published"].is_null(), "{run:#}");
    assert_eq!(step(&run, "publish")["state"], "failed");
    assert_eq!((champion(&house), files(&models)), (1.into(), before));
}

#[test]
fn a_model_that_has_seen_the_test_day_is_never_a_pass() {
    let house = House::new();
    let seer = TRAIN.replace("input: split.train", "input: active");
    house.file("p.yaml", short(&seer, BEATS_POPULARITY));
    let run = house.json(5, &["run", "p.yaml", "--at", AT]);
    assert!(run["published"].is_null());
    let decided = run["verdict"]["decided"].as_str().unwrap();
    assert!(decided.contains("not comparable: of the candidate"), "{decided}");
}

#[test]
fn a_first_night_without_a_rule_to_judge_by_is_never_a_pass() {
    let house = House::new();
    let rule = "{metric: ndcg@20, against: feed@champion, max_drop: 99%}";
    house.file("p.yaml", short(TRAIN, rule));
    let warned = house.noctule(&["run", "p.yaml", "--at", AT]).expect(5);
    assert!(warned.stderr.contains("a first version can never pass"), "{}", warned.stderr);
    let run = house.json(0, &["show"]);
    assert!(run["verdict"]["decided"].as_str().unwrap().contains("no rule was evaluated"), "{run:#}");
    assert!(run["published"].is_null());
}

#[test]
fn a_rejected_candidate_is_rejected_again_however_often_it_is_run() {
    let house = versions(&[1]);
    let worse = "  model:\n    uses: train\n    with: {input: split.train, algorithm: popularity}";
    house.file("p.yaml", short(worse, BEATS_POPULARITY));
    let first = house.json(3, &["run", "p.yaml", "--at", AT]);
    let again = house.json(3, &["run", "p.yaml", "--at", AT]);
    assert_eq!(step(&again, "gate")["artifact"], step(&first, "gate")["artifact"]);
    house.json(3, &["resume"]);
    assert!(states(&again).contains(&"publish=skipped".to_owned()), "{:?}", states(&again));
    assert_eq!(champion(&house), 1);
}

/// One night after the other may each be a little worse; a fixed version bounds how far that goes.
#[test]
fn a_fixed_version_bounds_how_far_a_chain_of_nights_may_fall() {
    let house = versions(&[1]);
    house
        .noctule(&["models", "promote", "feed", "1", "--alias", "reference", "--reason", "the one"])
        .expect(0);
    let lax = "{metric: ndcg@20, against: feed@champion, max_drop: 60%}";
    let rules = format!("{lax}, {{metric: ndcg@20, against: feed@reference, max_drop: 30%}}");
    let chained = |factors: u32, epochs: u32| {
        short(TRAIN, &rules)
            .replace("[feed@champion, popularity]", "[feed@champion, feed@reference]")
            .replace("factors: 16", &format!("factors: {factors}"))
            .replace("epochs: 6", &format!("epochs: {epochs}"))
    };
    house.file("p.yaml", chained(4, 3));
    let a_little = house.json(0, &["run", "p.yaml", "--at", AT]);
    assert_eq!(a_little["published"]["version"], 2, "{a_little:#}");
    house.file("p.yaml", chained(1, 2));
    let too_far = house.json(3, &["run", "p.yaml", "--at", AT]);
    let report = Artifact::of(&house, &too_far, "gate").json("report", "gate.json");
    assert_eq!(
        (&report["rules"][0]["outcome"], &report["rules"][1]["outcome"]),
        (&"pass".into(), &"fail".into()),
        "{report:#}"
    );
    assert_eq!(champion(&house), 2);
}

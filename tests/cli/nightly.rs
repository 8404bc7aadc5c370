//! The main job: README's first command, on a smaller shop.

use serde_json::Value;

use crate::house::House;
use crate::shop::{night, nightly, states, step, words};

#[test]
fn the_nightly_run_publishes_version_1_and_a_second_run_reuses_it_all() {
    let house = House::new();
    let first = night(&house, 0, "2026-11-20");
    assert_eq!(first["status"], "succeeded");
    assert_eq!(first["verdict"]["verdict"], "pass");
    assert_eq!(first["published"]["version"], 1);
    assert_eq!(first["published"]["promoted"], true);
    let gain = |run: &Value| {
        let metrics = &step(run, "quality")["metrics"];
        metrics["model/ndcg@20"].as_f64().unwrap() / metrics["popularity/ndcg@20"].as_f64().unwrap() - 1.0
    };
    assert!(gain(&first) > 0.3, "{}", gain(&first));

    let second = night(&house, 0, "2026-11-20");
    let reused = |name: &str| states(&second).contains(&format!("{name}=reused"));
    for name in ["catalogue", "events", "safe", "unique", "active", "split", "model", "publish"] {
        assert!(reused(name), "{:?}", states(&second));
    }
    assert_eq!(second["published"]["version"], 1);
    assert_eq!(second["published"]["promoted"], false);
    assert_eq!(step(&second, "model")["artifact"], step(&first, "model")["artifact"]);

    let models = house.json(0, &["models", "list"]);
    assert_eq!(models[0]["versions"], 1);
    let pointer = house.path().join(".noctule/store/models/home-feed/aliases/champion.json");
    let pointer: Value = serde_json::from_slice(&std::fs::read(pointer).unwrap()).unwrap();
    assert_eq!(pointer["version"], 1);
    let factors = house.path().join(".noctule/store").join(pointer["prefix"].as_str().unwrap());
    assert!(factors.join("main/card.json").exists() || factors.join("card.json").exists());
}

#[test]
fn tomorrow_takes_over_the_days_that_did_not_change() {
    let house = House::new();
    night(&house, 0, "2026-11-20");
    let arguments = nightly("2026-11-21");
    let finished = house.noctule(&[words(&arguments), vec!["--json"]].concat());
    let document = finished.json();
    let metrics = &step(&document, "events")["metrics"];
    assert_eq!(metrics["partitions"], 14.0);
    // The new day alone is read, though rows from the future have come into the window and late ones have left it.
    assert_eq!(metrics["partitions_reused"], 13.0, "{metrics}");
    assert!(metrics["partitions_recut"].as_f64().unwrap() >= 1.0, "{metrics}");
    let why = house.noctule(&["why", "last", "events"]).expect(0);
    assert!(why.stdout.contains("date=2026-11-20: absent -> "), "{}", why.stdout);
    let catalogue = house.json(0, &["why", "last", "catalogue"]);
    assert_eq!(catalogue["state"], "done");
}

#[test]
fn a_run_can_be_looked_at_afterwards() {
    let house = House::new();
    let run = night(&house, 0, "2026-11-20");
    let id = run["run"].as_str().unwrap();
    let shown = house.json(0, &["show", &id[..6]]);
    assert_eq!(shown["steps"], run["steps"]);
    assert_eq!(shown["driven_by"], Value::Null);
    let page = house.noctule(&["show"]).expect(0).stdout;
    for part in ["catalogue", "succeeded", "ndcg@20 against popularity", "home-feed@champion"] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    let runs = house.json(0, &["runs"]);
    assert_eq!(runs[0]["run"], id);
    let plan = house.json(
        0,
        &words(&nightly("2026-11-20"))
            .iter()
            .map(|word| if *word == "run" { "plan" } else { word })
            .collect::<Vec<_>>(),
    );
    let expected = |name: &str| {
        plan["steps"].as_array().unwrap().iter().find(|step| step["step"] == name).unwrap()["expected"]
            .clone()
    };
    assert_eq!(expected("events"), "be reused");
    // There is a champion to compare with now.
    assert_eq!(expected("quality"), "run");
    assert_eq!(expected("publish"), "depend");
    house.noctule(&["logs", "last", "model"]).expect(0);
    let nothing = house.noctule(&["show", "rzzzz"]).expect(2);
    assert!(nothing.stderr.contains("noctule runs"), "{}", nothing.stderr);
    house.noctule(&["doctor"]).expect(0);
}

#[test]
fn a_plan_tells_what_an_evaluation_costs() {
    let house = House::new();
    let arguments = nightly("2026-11-20");
    let plan: Vec<&str> =
        words(&arguments).into_iter().map(|word| if word == "run" { "plan" } else { word }).collect();
    // Of 3,000 users and 600 items; there is no champion yet.
    let first = house.noctule(&plan).expect(0).stdout;
    let line = "evaluate quality: about 3,000 users × 600 items × 16 factors = 28.8 M multiply-adds";
    assert!(first.contains(line), "{first}");
    assert!(first.contains("at most: all of the synthetic product's"), "{first}");

    let run = night(&house, 0, "2026-11-20");
    let metrics = &step(&run, "quality")["metrics"];
    let (users, items) =
        (metrics["scored_users"].as_f64().unwrap(), metrics["candidate_items"].as_f64().unwrap());
    let document = house.json(0, &plan);
    let estimate = &step(&document, "quality")["estimate"];
    assert_eq!(estimate["users"].as_f64().unwrap(), users);
    assert_eq!(estimate["items"].as_f64().unwrap(), items);
    let of = |model: &str, factors: u64| serde_json::json!({"model": model, "factors": factors});
    let models = [of("model", 16), of("home-feed@champion", 16), of("popularity", 0)];
    assert_eq!(estimate["models"], Value::from(models.to_vec()));
    assert_eq!(estimate["multiply_adds"].as_f64().unwrap(), users * items * 32.0);
    assert!(estimate["memory_bytes"].as_u64().unwrap() > 500_000, "{estimate}");
    assert_eq!(estimate["basis"], format!("users and items as in run {}", run["run"].as_str().unwrap()));
    assert!(step(&document, "model")["estimate"].is_null());

    house.file("files.yaml", "noctule: 1\npipeline: files\nsteps:\n  log: {uses: extract, with: {source: log.csv}}\n  \
        split: {uses: split, with: {input: log, by: last}}\n  model: {uses: train, with: {input: split.train, algorithm: ials}}\n  \
        quality: {uses: evaluate, with: {model: model, history: split.train, test: split.test, metrics: [ndcg@20]}}\n");
    house.file("log.csv", "user,item,time\n");
    let unknown = house.noctule(&["plan", "files.yaml"]).expect(0).stdout;
    assert!(unknown.contains("evaluate quality: not known yet: how many users and items"), "{unknown}");
}

#[test]
fn nothing_was_run_here_says_so() {
    let house = House::new();
    for arguments in [vec!["show"], vec!["runs"], vec!["resume"], vec!["models", "list"]] {
        let finished = house.noctule(&arguments).expect(2);
        assert!(finished.stderr.contains("nothing was run yet"), "{}", finished.stderr);
    }
    assert!(!house.path().join(".noctule").exists());
}

//! The gate holds, and opens; and the ways around it are closed.

use serde_json::Value;

use crate::house::{House, files};
use crate::shop::{BEATS_POPULARITY, TRAIN, night, nightly, short, states, step, words};

#[test]
fn a_model_that_loses_is_not_published_and_the_champion_stays_to_the_byte() {
    let house = House::new();
    house.file("p.yaml", short(TRAIN, BEATS_POPULARITY));
    let good = house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert_eq!(good["published"]["version"], 1);
    let models = house.path().join(".noctule/store/models");
    let (before, history) = (files(&models), house.json(0, &["models", "history", "feed"]));

    // Popularity cannot beat itself by a tenth.
    let worse = "  model:\n    uses: train\n    with: {input: split.train, algorithm: popularity}";
    house.file("p.yaml", short(worse, BEATS_POPULARITY));
    let bad = house.json(3, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert_eq!(bad["status"], "gate-rejected");
    assert_eq!(bad["verdict"]["verdict"], "fail");
    assert!(states(&bad).contains(&"publish=skipped".to_owned()), "{:?}", states(&bad));
    assert_eq!(files(&models), before);
    assert_eq!(house.json(0, &["models", "history", "feed"]), history);
}

#[test]
fn a_large_loss_against_the_champion_never_passes() {
    let house = House::new();
    let rules = "{metric: ndcg@20, against: popularity, min_gain: 1%, confidence: 95%}, {metric: ndcg@20, against: feed@champion, max_drop: 1%, confidence: 95%}";
    house.file("p.yaml", short(TRAIN, rules));
    house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    // One factor and one epoch lose far more than five in a hundred.
    let finished = house.noctule(&[
        "run",
        "p.yaml",
        "--at",
        "2026-11-20",
        "--param",
        "factors=1",
        "--param",
        "epochs=1",
        "--json",
    ]);
    let document = finished.json();
    assert!(matches!(finished.code, 3 | 5), "{document:#}");
    assert!(document["published"].is_null());
    assert_eq!(house.json(0, &["models", "list"])[0]["aliases"]["champion"]["version"], 1);
}

#[test]
fn too_few_users_are_inconclusive_and_never_a_pass() {
    let house = House::new();
    let text = short(TRAIN, BEATS_POPULARITY)
        .replace("users=3000&items=600&events=40000", "users=300&items=100&events=3000");
    house.file("p.yaml", text);
    let document = house.json(5, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert_eq!(document["verdict"]["verdict"], "inconclusive");
    assert!(document["published"].is_null());
}

#[test]
fn from_the_second_night_on_the_gate_compares_with_the_real_champion() {
    let house = House::new();
    night(&house, 0, "2026-11-20");
    let arguments = nightly("2026-11-21");
    let second = house.noctule(&[words(&arguments), vec!["--json"]].concat()).json();
    let metrics = &step(&second, "quality")["metrics"];
    assert!(metrics["home-feed@champion/ndcg@20"].as_f64().unwrap() > 0.0);
    assert_eq!(second["verdict"]["compared"]["home-feed@champion"], Value::from(1));
}

#[test]
fn a_pipeline_that_goes_around_its_gate_is_refused() {
    let house = House::new();
    let two = format!(
        "{TRAIN}\n  other:\n    uses: train\n    with: {{input: split.train, algorithm: popularity}}"
    );
    let cases = [
        (
            short(&two, BEATS_POPULARITY)
                .replace("publish\n    with: {model: model", "publish\n    with: {model: other"),
            "judged",
        ),
        (short(TRAIN, ""), "`require` is an empty list"),
        (
            short(TRAIN, BEATS_POPULARITY).replace("    uses: gate\n", "    uses: gate\n    when: false\n"),
            "when",
        ),
        (
            short(TRAIN, BEATS_POPULARITY)
                .replace("    uses: publish\n", "    uses: publish\n    always: true\n"),
            "always",
        ),
        (short(TRAIN, BEATS_POPULARITY).replace(", gate: gate", ""), "gate"),
    ];
    for (text, part) in cases {
        house.file("p.yaml", text);
        let finished = house.noctule(&["check", "p.yaml"]).expect(2);
        assert!(finished.stderr.contains(part), "no `{part}` in:\n{}", finished.stderr);
    }
}

#[test]
fn an_empty_registry_does_not_open_the_gate() {
    let house = House::new();
    house.file("p.yaml", short(TRAIN, BEATS_POPULARITY));
    house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    std::fs::remove_file(house.path().join(".noctule/noctule.db")).unwrap();
    for rest in ["noctule.db-wal", "noctule.db-shm"] {
        let _ = std::fs::remove_file(house.path().join(".noctule").join(rest));
    }
    let refused = house.noctule(&["run", "p.yaml", "--at", "2026-11-20"]).expect(2);
    assert!(refused.stderr.contains("belongs to registry"), "{}", refused.stderr);
    house.noctule(&["models", "recover"]).expect(0);
    assert_eq!(house.json(0, &["models", "list"])[0]["aliases"]["champion"]["version"], 1);
    let again = house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert_eq!(again["published"]["version"], 1, "{again:#}");
}

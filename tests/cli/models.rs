//! Published models after the night: pins, rollback, verify, export and import.

use crate::house::House;
use crate::shop::{BEATS_POPULARITY, TRAIN, short};

/// Two versions of `feed`, of two seeds.
fn two_versions() -> House {
    let house = House::new();
    for seed in ["1", "2"] {
        let train = TRAIN.replace("algorithm: ials", &format!("algorithm: ials, seed: {seed}"));
        house.file("p.yaml", short(&train, BEATS_POPULARITY));
        house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    }
    house
}

#[test]
fn a_rollback_pins_and_the_next_candidate_is_held() {
    let house = two_versions();
    let listed = |house: &House| house.json(0, &["models", "list"])[0]["aliases"]["champion"].clone();
    assert_eq!(listed(&house)["version"], 2);
    let refused = house.noctule(&["models", "rollback", "feed", "--reason", " "]).expect(2);
    assert!(refused.stderr.contains("reason"), "{}", refused.stderr);
    house.noctule(&["models", "rollback", "feed", "--reason", "it loops"]).expect(0);
    assert_eq!(listed(&house)["version"], 1);
    assert_eq!(listed(&house)["pinned"], true);

    let train = TRAIN.replace("algorithm: ials", "algorithm: ials, seed: 3");
    house.file("p.yaml", short(&train, BEATS_POPULARITY));
    let held = house.json(6, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert_eq!(held["status"], "held");
    assert_eq!(held["published"]["version"], 3);
    assert_eq!(held["published"]["promoted"], false);
    assert_eq!(listed(&house)["version"], 1);

    house.noctule(&["models", "unpin", "feed", "--reason", "looked into"]).expect(0);
    house.noctule(&["models", "promote", "feed", "3", "--reason", "it passed"]).expect(0);
    assert_eq!(listed(&house)["version"], 3);
    let history = house.noctule(&["models", "history", "feed"]).expect(0).stdout;
    assert!(history.contains("it loops") && history.contains("it passed"), "{history}");
    let pointer =
        std::fs::read_to_string(house.path().join(".noctule/store/models/feed/aliases/champion.json"))
            .unwrap();
    assert!(pointer.contains("\"version\": 3"), "{pointer}");
}

#[test]
fn an_altered_file_is_found_and_a_missing_one_too() {
    let house = two_versions();
    house.noctule(&["models", "verify"]).expect(0);
    let version = house.path().join(".noctule/store/models/feed/versions/1");
    let mut open = vec![version];
    let mut factors = None;
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else if entry.path().ends_with("items.safetensors") {
                factors = Some(entry.path());
            }
        }
    }
    let factors = factors.expect("the version has its factors");
    let mut bytes = std::fs::read(&factors).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::remove_file(&factors).unwrap();
    std::fs::write(&factors, bytes).unwrap();
    let bad = house.noctule(&["models", "verify", "feed"]).expect(7);
    assert!(bad.stdout.contains("damaged"), "{}", bad.stdout);
    let refused = house.noctule(&["models", "promote", "feed", "1", "--reason", "x"]).expect(7);
    assert!(refused.stderr.contains("not promoted"), "{}", refused.stderr);
    std::fs::remove_file(&factors).unwrap();
    let gone = house.noctule(&["models", "verify", "feed"]).expect(7);
    assert!(gone.stdout.contains("missing"), "{}", gone.stdout);
}

#[test]
fn an_exported_version_arrives_elsewhere_as_a_candidate() {
    let house = two_versions();
    house.noctule(&["models", "export", "feed", "2", "out"]).expect(0);
    let other = House::new();
    let folder = house.path().join("out");
    let imported = other.json(0, &["models", "import", folder.to_str().unwrap(), "--name", "borrowed"]);
    assert_eq!((imported["version"].clone(), imported["new"].clone()), (1.into(), true.into()));
    let again = other.json(0, &["models", "import", folder.to_str().unwrap(), "--name", "borrowed"]);
    assert_eq!(again["new"], false);
    let listed = other.json(0, &["models", "list"]);
    assert_eq!(listed[0]["model"], "borrowed");
    assert_eq!(listed[0]["aliases"], serde_json::json!({}));
    other.noctule(&["models", "verify"]).expect(0);
    other.noctule(&["models", "promote", "borrowed", "1", "--reason", "tried"]).expect(0);
}

//! Model files that are altered or gone when a step reads them: an error, and nothing published.

use serde_json::Value;

use crate::house::{House, files};
use crate::shop::{BEATS_POPULARITY, TRAIN, short, step};

/// The short pipeline with a command that runs between a step and the one that needs it.
fn with_accident(before: &str, after: &str, command: &str) -> String {
    let text = short(TRAIN, BEATS_POPULARITY);
    let accident =
        format!("  accident:\n    uses: shell\n    needs: [{after}]\n    with: {{command: {command:?}}}\n");
    let head = format!("  {before}:\n    uses: {}\n", if before == "quality" { "evaluate" } else { before });
    assert!(text.contains(&head));
    text.replace(&head, &format!("{accident}{head}    needs: [accident]\n"))
}

fn failed<'a>(document: &'a Value, name: &str) -> &'a str {
    let attempts = step(document, name)["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1, "trying again cannot help: {document:#}");
    assert_eq!(attempts[0]["class"], "invalid", "{document:#}");
    attempts[0]["message"].as_str().unwrap_or_default()
}

#[test]
fn a_candidate_that_was_altered_or_lost_is_neither_judged_nor_published() {
    let alter = "for f in STORE/runs/*/model/*/main/items.safetensors; do chmod +w $f; printf X | dd of=$f bs=1 seek=300 conv=notrunc; done";
    let lose = "rm STORE/runs/*/model/*/main/users.parquet";
    for (before, after, command, file, fate) in [
        ("quality", "model", alter, "items.safetensors", "is damaged"),
        ("quality", "model", lose, "users.parquet", "is missing"),
        ("publish", "gate", alter, "items.safetensors", "is damaged"),
        ("publish", "gate", lose, "users.parquet", "is missing"),
    ] {
        let house = House::new();
        let store = house.path().join(".noctule/store");
        let command = command.replace("STORE", store.to_str().unwrap());
        house.file("p.yaml", with_accident(before, after, &command));
        let document = house.json(1, &["run", "p.yaml", "--at", "2026-11-20"]);
        assert_eq!(step(&document, "accident")["state"], "done", "{document:#}");
        let message = failed(&document, before);
        assert!(message.contains(file) && message.contains(fate), "{before}: {message}");
        assert!(message.contains("run the step again"), "{before}: {message}");
        assert_eq!(document["published"], Value::Null);
        // No version is readable, and no alias points anywhere.
        let left = files(&store);
        let half =
            left.iter().find(|(path, _)| path.ends_with("version.json") || path.ends_with("champion.json"));
        assert!(half.is_none(), "{half:?}");
        for model in house.json(0, &["models", "list"]).as_array().unwrap() {
            assert_eq!((&model["versions"], &model["aliases"]), (&0.into(), &serde_json::json!({})));
        }
    }
}

#[test]
fn a_champion_that_was_altered_or_lost_is_not_compared_with_and_stays_where_it_is() {
    let house = House::new();
    house.file("p.yaml", short(TRAIN, BEATS_POPULARITY));
    house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    let history = house.json(0, &["models", "history", "feed"]);
    let factors = house.path().join(".noctule/store/models/feed/versions/1/main/items.safetensors");
    let whole = std::fs::read(&factors).unwrap();
    let mut altered = whole.clone();
    altered[400] ^= 1;
    for (bytes, fate) in
        [(Some(&altered), "is damaged"), (None, "is missing"), (Some(&whole[..99].to_vec()), "is damaged")]
    {
        let _ = std::fs::remove_file(&factors);
        if let Some(bytes) = bytes {
            std::fs::write(&factors, bytes).unwrap();
        }
        let document = house.json(1, &["run", "p.yaml", "--at", "2026-11-21"]);
        let message = failed(&document, "quality");
        assert!(message.contains("items.safetensors") && message.contains(fate), "{message}");
        assert_eq!(house.json(0, &["models", "history", "feed"]), history);
    }
    std::fs::write(&factors, &whole).unwrap();
    let document = house.json(0, &["resume"]);
    assert_eq!(document["published"]["version"], 2, "{document:#}");
}

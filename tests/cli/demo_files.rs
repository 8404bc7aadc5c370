//! The synthetic product's logs as files of text.

use serde_json::Value;

use crate::house::House;
use crate::shop::step;

const PIPELINE: &str = r#"noctule: 1
pipeline: text
params:
  files: {type: text}
steps:
  events:
    uses: extract
    with:
      source: "{{ params.files }}"
      window: 3d
      columns: {id: event_id, user: user_id, item: item_id, time: ts}
      expect: {partitions: all}
"#;

#[test]
fn broken_lines_are_kept_aside_and_every_one_is_named() {
    for format in ["csv", "ndjson"] {
        let house = House::new();
        let source = "demo://shop?users=3000&items=600&events=40000&seed=5";
        let demo = ["demo", "logs", "--source", source, "--until", "2026-11-19", "--days", "3"];
        let written = house.json(0, &[&demo[..], &["--format", format]].concat());
        let text = std::fs::read_to_string(house.path().join("logs/faults.ndjson")).unwrap();
        let faults: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let broken: Vec<&Value> = faults.iter().filter(|fault| fault["kind"] == "broken-line").collect();
        assert!(broken.len() >= 9, "{format}: {}", broken.len());
        for what in ["cut", "joined", "no-text"] {
            assert!(broken.iter().any(|fault| fault["what"] == what), "{format}: {what}");
        }
        let without = ["null-item", "null-time"];
        let empty =
            faults.iter().filter(|fault| without.contains(&fault["what"].as_str().unwrap_or_default()));

        house.file("text.yaml", PIPELINE);
        let files = format!("files=logs/events/*/*.{format}");
        let run = house.json(0, &["run", "text.yaml", "--at", "2026-11-20", "--param", &files]);
        let metrics = &step(&run, "events")["metrics"];
        assert_eq!(metrics["rows_rejected"], (broken.len() + empty.count()) as f64, "{format}");
        let lines = written["events"].as_f64().unwrap() + broken.len() as f64;
        assert_eq!(metrics["rows_read"], lines, "{format}");
    }
}

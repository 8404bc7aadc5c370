//! Data that say: do not train on this.

use crate::house::House;
use crate::shop::{states, step};

fn pipeline(expect: &str) -> String {
    format!(
        r#"noctule: 1
pipeline: careful
steps:
  events:
    uses: extract
    with:
      source: logs/events
      window: 5d
      columns: {{user: user_id, item: item_id, time: ts}}
      expect: {{{expect}}}
  unique:
    uses: dedup
    with: {{input: events, pairs: keep-latest}}
"#
    )
}

fn logs(house: &House) {
    let source = "demo://shop?users=200&items=60&events=2000";
    house.noctule(&["demo", "logs", "--source", source, "--until", "2026-11-19", "--days", "6"]).expect(0);
}

#[test]
fn a_missing_partition_stops_the_run_before_anything_else() {
    let house = House::new();
    logs(&house);
    house.file("p.yaml", pipeline("partitions: all"));
    house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
    std::fs::remove_dir_all(house.path().join("logs/events/date=2026-11-17")).unwrap();
    let document = house.json(4, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert_eq!(document["status"], "data-stop");
    assert_eq!(states(&document), ["events=stopped", "unique=skipped"]);
    let notes = step(&document, "events")["notes"].to_string();
    assert!(notes.contains("partitions are missing: 2026-11-17"), "{notes}");
}

#[test]
fn too_few_rows_too_old_rows_and_no_rows_stop_it_too() {
    let house = House::new();
    logs(&house);
    for (expect, at, part) in [
        ("rows: {min: 1000000}", "2026-11-20", "at least 1000000"),
        ("newest: 1h", "2026-11-22", "older than the interval's end"),
        ("rows: {min: 0}", "2027-06-01", "no rows"),
    ] {
        house.file("p.yaml", pipeline(expect));
        let document = house.json(4, &["run", "p.yaml", "--at", at]);
        let notes = step(&document, "events")["notes"].to_string();
        assert!(notes.contains(part), "no `{part}` in {notes}");
    }
}

#[test]
fn a_fall_against_the_last_good_run_stops_it_and_a_changed_expectation_is_judged_anew() {
    let house = House::new();
    logs(&house);
    house.file("p.yaml", pipeline("rows: {vs_last_good: -5%}"));
    let first = house.json(0, &["run", "p.yaml", "--at", "2026-11-19"]);
    assert!(step(&first, "events")["notes"].to_string().contains("last good run is skipped"));
    // Half of the last day's file is gone: a small shop's worth of rows instead.
    let day = house.path().join("logs/events/date=2026-11-19");
    house
        .noctule(&[
            "demo",
            "few",
            "--source",
            "demo://shop?users=200&items=60&events=100",
            "--until",
            "2026-11-19",
            "--days",
            "1",
        ])
        .expect(0);
    std::fs::copy(house.path().join("few/events/date=2026-11-19/part-0.parquet"), day.join("part-0.parquet"))
        .unwrap();
    let second = house.json(4, &["run", "p.yaml", "--at", "2026-11-20"]);
    assert!(step(&second, "events")["notes"].to_string().contains("against"), "{second:#}");
    house.file("p.yaml", pipeline("rows: {vs_last_good: -90%}"));
    house.json(0, &["run", "p.yaml", "--at", "2026-11-20"]);
}

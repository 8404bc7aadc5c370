//! Pairs that are seen again on the test day.

use std::collections::BTreeSet;

use noctule_depot::Committed;
use noctule_steps::StepError;
use serde_json::{Value, json};

use crate::filter::interactions;
use crate::house::{House, metric};

/// Seconds of a day.
const DAY: i64 = 86_400;

async fn parts(rows: &str, dedup: Value, split: Value) -> Result<(House, Committed), StepError> {
    let mut house = House::new();
    let log = interactions(&mut house, "log", rows).await;
    let mut settings = json!({"input": "events"});
    settings.as_object_mut().unwrap().extend(dedup.as_object().unwrap().clone());
    let unique = house.step("dedup", settings, &[("events", &log)]).await?;
    let mut settings = json!({"input": "unique", "seed": 0});
    settings.as_object_mut().unwrap().extend(split.as_object().unwrap().clone());
    let done = house.step("split", settings, &[("unique", &unique)]).await?;
    Ok((house, done))
}

/// Users 1 and 2 over three days; the interval is the last. What is seen again: 1-10 on the test day, 2-10 on the day
/// before, 1-12 twice on the test day, 2-11 on all three.
const LOG: &str = "1 10 -172000 1\n2 10 -171000 1\n2 11 -170000 1\n1 11 -80000 1\n2 10 -79000 1\n2 11 -78000 1\n\
                   1 13 -77000 1\n1 10 100 1\n1 12 200 1\n1 12 300 1\n2 11 400 1\n2 12 500 1\n2 13 600 1\n1 12 200 1";

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_lies_where_it_was_first_seen() {
    let split = json!({"by": "time", "test": {"span": DAY}});
    for rule in ["keep-latest", "keep-max", "sum", "count"] {
        let (house, done) = parts(LOG, json!({"pairs": rule}), split.clone()).await.unwrap();
        let pairs = |text: String| -> Vec<String> {
            let rows = text.lines().skip(1).map(|line| line.split(' ').collect::<Vec<_>>());
            rows.map(|cells| format!("{}-{} {}", cells[2], cells[0], cells[1])).collect()
        };
        let mut train = pairs(house.text(&done, "train").await);
        train.sort();
        // What is seen again later has the time of the first row; what is not keeps its last.
        assert_eq!(
            train,
            [
                "1-10 2026-10-30T00:13:20Z",
                "1-11 2026-10-31T01:46:40Z",
                "1-13 2026-10-31T02:36:40Z",
                "2-10 2026-10-31T02:03:20Z",
                "2-11 2026-10-30T00:46:40Z",
            ],
            "{rule}"
        );
        assert_eq!(pairs(house.text(&done, "test").await), ["2-13 2026-11-01T00:10:00Z"], "{rule}");
        assert_eq!(metric(&done, "test_repeated_pair"), 2.0);
        // Items that nobody had before tonight.
        assert_eq!(metric(&done, "test_dropped_unknown_item"), 2.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_is_cut_likewise_and_a_share_is_one_of_new_pairs() {
    let log = format!("{LOG}\n3 12 -172500 1\n3 13 -172400 1");
    let with = json!({"by": "time", "test": {"span": DAY}, "validation": {"span": DAY}});
    let (house, done) = parts(&log, json!({"pairs": "keep-latest"}), with).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "train").await, @"
    item time user value first_time
    10 2026-10-30T00:30:00Z 2 1.0 2026-10-30T00:30:00Z
    10 2026-10-30T00:13:20Z 1 1.0 2026-10-30T00:13:20Z
    11 2026-10-30T00:46:40Z 2 1.0 2026-10-30T00:46:40Z
    12 2026-10-30T00:05:00Z 3 1.0 2026-10-30T00:05:00Z
    13 2026-10-30T00:06:40Z 3 1.0 2026-10-30T00:06:40Z
    ");
    insta::assert_snapshot!(house.text(&done, "validation").await, @"
    item time user value first_time
    11 2026-10-31T01:46:40Z 1 1.0 2026-10-31T01:46:40Z
    13 2026-10-31T02:36:40Z 1 1.0 2026-10-31T02:36:40Z
    ");
    assert_eq!(metric(&done, "test_repeated_pair"), 2.0);
    assert_eq!(metric(&done, "validation_repeated_pair"), 1.0);

    // Of ten pairs the last three to appear; 2-11 was seen again after the first of them.
    let with = json!({"by": "time", "test": {"share": 0.3}});
    let (house, done) = parts(&log, json!({"pairs": "keep-latest"}), with).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "test").await, @"
    item time user value first_time
    12 2026-11-01T00:05:00Z 1 1.0 2026-11-01T00:03:20Z
    12 2026-11-01T00:08:20Z 2 1.0 2026-11-01T00:08:20Z
    13 2026-11-01T00:10:00Z 2 1.0 2026-11-01T00:10:00Z
    ");
    assert_eq!(metric(&done, "test_repeated_pair"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_ways_to_split_and_to_keep_look_at_rows_alone() {
    let last = json!({"by": "last", "test": "last"});
    let (house, done) = parts(LOG, json!({"pairs": "keep-latest"}), last).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "test").await, @"
    item time user value first_time
    12 2026-11-01T00:05:00Z 1 1.0 2026-11-01T00:03:20Z
    13 2026-11-01T00:10:00Z 2 1.0 2026-11-01T00:10:00Z
    ");
    assert!(!done.manifest.record.metrics.contains_key("test_repeated_pair"));
    // The row that `keep-first` keeps is the first itself.
    let span = json!({"by": "time", "test": {"span": DAY}});
    let (house, done) = parts(LOG, json!({"pairs": "keep-first"}), span).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "test").await, @"
    item time user value
    13 2026-11-01T00:10:00Z 2 1.0
    ");
    assert!(!done.manifest.record.metrics.contains_key("test_repeated_pair"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_of_that_name_is_a_time_or_refused() {
    let mut house = House::new();
    let path = house.file("log.csv", "user,item,time,first\n1,10,1,yes\n2,10,2,no\n");
    let with = json!({"source": path, "columns": {
        "user": {"from": "user"}, "item": {"from": "item"}, "time": {"from": "time", "unit": "s"},
        "first_time": {"from": "first", "type": "text"},
    }});
    let log = house.extract(with).await.unwrap();
    for (kind, with) in [
        ("dedup", json!({"input": "events", "pairs": "keep-latest"})),
        ("split", json!({"input": "events", "by": "time", "test": {"share": 0.5}, "seed": 0})),
    ] {
        let error = house.step(kind, with, &[("events", &log)]).await.err().unwrap();
        assert!(error.to_string().contains("the column `first_time` of `events`"), "{error}");
    }
}

/// Fourteen days of users with ten tastes, who see some items again.
fn fortnight() -> String {
    let mut state = 3u64;
    let mut draw = move |below: i64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % below as u64) as i64
    };
    let mut rows = String::new();
    for user in 0..400 {
        for _ in 0..30 {
            let own = draw(10) < 8;
            let item = if own { (user % 10) * 20 + draw(20) } else { draw(200) };
            let time = (draw(14) - 13) * DAY + draw(DAY);
            rows.push_str(&format!("{user} {item} {time} 1\n"));
        }
    }
    rows
}

/// A model of `train`, and its NDCG beside that of last night's on the rows of `parts`.
async fn compared(house: &mut House, parts: &Committed, old: &Committed) -> (f64, f64) {
    let ials = json!({"input": "split.train", "algorithm": "ials", "factors": 16, "epochs": 6, "seed": 1});
    let model = house.step("train", ials, &[("split.train", parts)]).await.unwrap();
    let with = json!({
        "model": "model", "history": "split.train", "test": "split.test", "compare": ["old"],
        "metrics": ["ndcg@10"],
    });
    let inputs = [("split.train", parts), ("split.test", parts), ("model", &model), ("old", old)];
    let quality = house.step("evaluate", with, &inputs).await.unwrap();
    (metric(&quality, "model/ndcg@10"), metric(&quality, "old/ndcg@10"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_champion_gains_nothing_by_what_is_seen_again() {
    let rows = fortnight();
    let before: String = rows
        .lines()
        .filter(|row| row.split(' ').nth(2).unwrap().parse::<i64>().unwrap() < 0)
        .map(|row| format!("{row}\n"))
        .collect();
    let mut house = House::new();
    let unique = json!({"input": "events", "pairs": "keep-latest"});
    // Last night's model has learnt all that was seen before the test day.
    let log = interactions(&mut house, "before", &before).await;
    let known = house.step("dedup", unique.clone(), &[("events", &log)]).await.unwrap();
    let ials = json!({"input": "unique", "algorithm": "ials", "factors": 16, "epochs": 6, "seed": 1});
    let old = house.step("train", ials, &[("unique", &known)]).await.unwrap();

    let log = interactions(&mut house, "log", &rows).await;
    let all = house.step("dedup", unique, &[("events", &log)]).await.unwrap();
    let split = json!({"input": "unique", "by": "time", "test": {"span": DAY}, "seed": 0});
    let parts = house.step("split", split.clone(), &[("unique", &all)]).await.unwrap();
    assert!(metric(&parts, "test_repeated_pair") > 100.0);
    assert_eq!(metric(&parts, "train_rows"), metric(&known, "rows"));
    let pairs = |text: String| -> BTreeSet<String> {
        let rows = text.lines().skip(1).map(|line| line.split(' ').collect::<Vec<_>>());
        rows.map(|cells| format!("{}-{}", cells[2], cells[0])).collect()
    };
    let (seen, test) = (pairs(house.text(&known, "main").await), pairs(house.text(&parts, "test").await));
    assert!(seen.is_disjoint(&test));
    let (candidate, champion) = compared(&mut house, &parts, &old).await;
    assert_eq!(candidate, champion, "both have learnt the same pairs");

    // Going by the latest time alone, what is seen again is missing tonight, and flatters last night's model.
    let main = "main".parse().unwrap();
    let entry = all.manifest.identity.files_of(&main).next().unwrap();
    let path = house.depot.fetch(&all.manifest, &all.path, entry).await.unwrap();
    let bare = json!({"source": path, "format": "parquet", "columns": {
        "user": {"from": "user"}, "item": {"from": "item"}, "time": {"from": "time"},
    }});
    let bare = house.extract(bare).await.unwrap();
    let parts = house.step("split", split, &[("unique", &bare)]).await.unwrap();
    let (candidate, champion) = compared(&mut house, &parts, &old).await;
    assert!(champion > 1.05 * candidate, "{champion} against {candidate}");
}

use noctule_steps::{Class, StepError};
use serde_json::{Value, json};

use crate::filter::interactions;
use crate::house::{House, metric};

async fn split(rows: &str, with: Value) -> Result<(House, noctule_depot::Committed), StepError> {
    let mut house = House::new();
    let input = interactions(&mut house, "log", rows).await;
    let mut settings = json!({"input": "events", "seed": 0});
    settings.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    let done = house.step("split", settings, &[("events", &input)]).await?;
    Ok((house, done))
}

/// An output's rows as `user-item`, sorted.
async fn side(house: &House, done: &noctule_depot::Committed, output: &str) -> String {
    let text = house.text(done, output).await;
    let mut rows: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(' ').collect();
            format!("{}-{}", cells[2], cells[0])
        })
        .collect();
    rows.sort();
    rows.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn ties_in_time_are_broken_by_user_then_item_as_numbers() {
    // Ten rows; the last two by (time, user, item) are 10-9 and 10-10, though "9" is above "10" as text.
    let rows =
        ["10 9 5", "1 9 1", "10 10 5", "9 10 5", "9 9 5", "1 10 1", "2 9 1", "2 10 1", "10 11 1", "9 11 1"];
    let with = json!({"by": "time", "test": {"share": 0.2}});
    let mut reversed = rows;
    reversed.reverse();
    for rows in [rows, reversed] {
        let (house, done) = split(&rows.join("\n"), with.clone()).await.unwrap();
        assert_eq!(side(&house, &done, "test").await, "10-10 10-9");
        assert_eq!(metric(&done, "train_rows"), 8.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_is_cut_before_the_intervals_end_and_unknown_rows_are_dropped() {
    // The interval ends at 86,400 seconds; the row after it is in no set.
    let rows = "1 10 0\n1 11 10\n2 10 20\n2 11 82800\n3 10 82801\n1 12 82802\n1 10 90000\n2 12 82799";
    let with = json!({"by": "time", "test": {"span": 3600}});
    let (house, done) = split(rows, with).await.unwrap();
    assert_eq!(side(&house, &done, "train").await, "1-10 1-11 2-10 2-12");
    assert_eq!(side(&house, &done, "test").await, "1-12 2-11");
    assert_eq!(metric(&done, "dropped_after_interval"), 1.0);
    assert_eq!(metric(&done, "test_dropped_unknown_user"), 1.0);
    assert_eq!(metric(&done, "test_dropped_unknown_item"), 0.0);
    assert_eq!(metric(&done, "test_rows_before"), 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_row_of_each_user_with_two_and_the_one_before_for_validation() {
    // User 2 has all in one second: the last is the greatest item. User 5 keeps its only row in training.
    let rows = "1 10 0\n1 11 1\n1 12 2\n2 12 0\n2 10 0\n2 11 0\n3 10 9\n4 11 1\n4 12 2\n5 12 0";
    let with = json!({"by": "last", "test": "last"});
    let (house, done) = split(rows, with).await.unwrap();
    assert_eq!(side(&house, &done, "test").await, "1-12 2-12 4-12");
    assert_eq!(side(&house, &done, "train").await, "1-10 1-11 2-10 2-11 3-10 4-11 5-12");
    let with = json!({"by": "last", "test": "last", "validation": "last"});
    let (house, done) = split(rows, with).await.unwrap();
    assert_eq!(side(&house, &done, "test").await, "1-12 2-12 4-12");
    assert_eq!(side(&house, &done, "validation").await, "1-11 2-11");
    assert_eq!(side(&house, &done, "train").await, "1-10 2-10 3-10 4-11 5-12");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draw_depends_on_the_ids_and_the_seed_alone() {
    let rows: Vec<String> = (0..200).map(|i| format!("{} {} {}", i % 20, i / 20, i)).collect();
    let with = json!({"by": "random", "test": {"share": 0.1}, "seed": 7});
    let (house, done) = split(&rows.join("\n"), with.clone()).await.unwrap();
    let first = side(&house, &done, "test").await;
    assert_eq!(metric(&done, "test_rows"), 20.0);
    let mut backwards = rows.clone();
    backwards.reverse();
    let (house, done) = split(&backwards.join("\n"), with).await.unwrap();
    assert_eq!(side(&house, &done, "test").await, first);
    let with = json!({"by": "random", "test": {"share": 0.1}, "seed": 8});
    let (house, done) = split(&rows.join("\n"), with).await.unwrap();
    assert_ne!(side(&house, &done, "test").await, first);

    let with = json!({"by": "user", "test": {"share": 0.25}, "seed": 7});
    let (_, done) = split(&rows.join("\n"), with).await.unwrap();
    assert_eq!((metric(&done, "test_users"), metric(&done, "test_rows")), (5.0, 50.0));
    assert_eq!((metric(&done, "train_users"), metric(&done, "train_rows")), (15.0, 150.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaks_or_is_empty_is_refused() {
    for (rows, with, says) in [
        ("1 10 0\n1 10 1\n2 10 2", json!({"by": "last", "test": "last"}), "user 1 with item 10"),
        (
            "1 10 0\n2 11 1",
            json!({"by": "last", "test": "last"}),
            "the test set is empty: no user has two rows; take more data, or split otherwise",
        ),
        (
            "1 10 0\n2 11 1",
            json!({"by": "time", "test": {"share": 0.1}}),
            "`test: 10%` of 2 rows is less than one; take more data, or a larger share",
        ),
        (
            "1 10 0\n1 11 1",
            json!({"by": "time", "test": {"span": 60}}),
            "the newest has the time 2026-11-01T00:00:01Z",
        ),
        ("1 10 0\n2 11 9", json!({"by": "time", "test": {"share": 0.5}}), "without a training row"),
        ("1 10 0\n2 11 9", json!({"by": "time", "test": {"share": 1.0}}), "the training set is empty"),
    ] {
        let error = split(rows, with).await.err().unwrap();
        assert_eq!(error.class, Class::Data);
        assert!(error.to_string().contains(says), "{error}");
    }
}

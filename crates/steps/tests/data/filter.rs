use serde_json::{Value, json};

use crate::house::{House, metric};

/// Interactions as lines `user item time harm`, times in seconds of 2026-11-01.
pub async fn interactions(house: &mut House, name: &str, rows: &str) -> noctule_depot::Committed {
    let mut csv = "user,item,time,value\n".to_owned();
    for row in rows.lines().map(str::trim).filter(|row| !row.is_empty()) {
        let cells: Vec<&str> = row.split_whitespace().collect();
        let time: i64 = cells[2].parse::<i64>().unwrap() + 1_793_491_200;
        csv.push_str(&format!("{},{},{time},{}\n", cells[0], cells[1], cells.get(3).unwrap_or(&"1")));
    }
    let path = house.file(&format!("{name}.csv"), csv);
    let with = json!({
        "source": path,
        "columns": {
            "user": {"from": "user"}, "item": {"from": "item"}, "value": {"from": "value"},
            "time": {"from": "time", "unit": "s"},
        },
    });
    house.extract(with).await.unwrap()
}

async fn filtered(
    rows: &str,
    with: Value,
) -> Result<(House, noctule_depot::Committed), noctule_steps::StepError> {
    let mut house = House::new();
    let input = interactions(&mut house, "log", rows).await;
    let mut settings = json!({"input": "events", "ranges": {}});
    settings.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    let done = house.step("filter", settings, &[("events", &input)]).await?;
    Ok((house, done))
}

/// The kept rows as `user-item`.
async fn pairs(house: &House, done: &noctule_depot::Committed) -> String {
    let text = house.text(done, "main").await;
    let rows: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split(' ').collect();
            format!("{}-{}", cells[2], cells[0])
        })
        .collect();
    rows.join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn active_users_are_counted_by_distinct_items_within_a_span() {
    let rows = "1 10 0\n1 10 50\n1 11 86399\n2 10 0\n2 11 1\n3 12 70000\n3 13 70001";
    let (house, done) = filtered(rows, json!({"users": {"min_items": 2}})).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "1-10 1-10 1-11 2-10 2-11 3-12 3-13");
    // In the last 20,000 seconds user 1 has one item, user 2 none.
    let (house, done) = filtered(rows, json!({"users": {"min_items": 2, "within": 20_000}})).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "3-12 3-13");
    assert_eq!(metric(&done, "rows_before"), 7.0);
    assert_eq!(metric(&done, "users_before"), 3.0);
    assert_eq!(metric(&done, "items_before"), 4.0);
    assert_eq!(metric(&done, "rows_after_users"), 2.0);
    assert_eq!(metric(&done, "items_after_users"), 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_is_what_is_left_after_dropping_over_and_over() {
    // 4-13 hangs on 13, 13 on 3 and 4; without 4 item 13 falls, and then user 3.
    let rows = "1 10 0\n1 11 1\n2 10 2\n2 11 3\n3 10 4\n3 13 5\n4 13 6";
    let (house, done) = filtered(rows, json!({"k_core": {"users": 2, "items": 2}})).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "1-10 1-11 2-10 2-11");
    let (house, done) = filtered(rows, json!({"support": {"min_users": 3}})).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "1-10 2-10 3-10");
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_are_known_by_a_minute_of_the_clock() {
    // User 1 has three rows in one minute, user 2 three within sixty seconds, but in two minutes.
    let rows = "1 10 0\n1 11 30\n1 12 59\n2 10 45\n2 11 59\n2 12 60";
    let (house, done) = filtered(rows, json!({"bots": {"max_per_minute": 2}})).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "2-10 2-11 2-12");
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_windows_and_lists_drop_rows() {
    let rows = "1 10 0 0.5\n1 11 100 0.9\n2 12 86399 0.1\n3 10 5 0.5";
    let with = json!({"ranges": {"value": {"min": 0.5, "max": 0.8}}});
    let (house, done) = filtered(rows, with).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "1-10 3-10");
    let (house, done) = filtered(rows, json!({"window": 86_300})).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "1-11 2-12");
    let block = json!({"block": {"users": {"listed": ["3"]}, "items": {"listed": ["12", "99"]}}});
    let (house, done) = filtered(rows, block).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "1-10 1-11");
    let (house, done) = filtered(rows, json!({"harm": {"max": 0.5, "column": "value"}})).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "1-10 2-12 3-10");
    for (with, says) in [
        (json!({"block": {"users": {"listed": ["x"]}}}), "`x` in the block list is no whole number"),
        (json!({"ranges": {"valu": {"min": 1.0}}}), "did you mean `value`?"),
        (json!({"ranges": {"time": {"min": 1.0}}}), "only numbers can be compared"),
        (json!({"users": {"min_items": 9}}), "the rule `users` dropped the last 4 rows"),
    ] {
        let error = filtered(rows, with).await.err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_says_what_is_known_and_harmless() {
    let mut house = House::new();
    let input = interactions(&mut house, "log", "1 10 0\n1 11 1\n2 12 2\n2 13 3").await;
    let path = house.file("items.csv", "item,harm\n10,0.8\n11,0.81\n13,\n");
    let with = json!({"source": path, "columns": {"item": {"from": "item"}, "harm": {"from": "harm"}}});
    let items = house.extract(with).await.unwrap();
    let with = json!({"input": "events", "items": "catalogue", "ranges": {}, "harm": {"max": 0.8, "column": "harm"}});
    let done = house.step("filter", with, &[("events", &input), ("catalogue", &items)]).await.unwrap();
    assert_eq!(pairs(&house, &done).await, "1-10");
    assert_eq!(metric(&done, "rows_after_items"), 3.0);
    assert!(done.manifest.record.notes.iter().any(|note| note.contains("1 items have no `harm`")));
}

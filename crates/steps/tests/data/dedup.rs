use serde_json::{Value, json};

use crate::filter::interactions;
use crate::house::{House, metric};

async fn pairs(rule: &str) -> String {
    let rows = "1 10 5 0.5\n1 10 7 0.1\n2 10 1 1.5\n1 11 3 2\n1 10 6 0.9\n1 10 7 0.2\n2 10 1 1.5";
    let mut house = House::new();
    let input = interactions(&mut house, "log", rows).await;
    let done =
        house.step("dedup", json!({"input": "events", "pairs": rule}), &[("events", &input)]).await.unwrap();
    house.text(&done, "main").await.replace("2026-11-01T00:00:0", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_of_each_pair_stays_in_its_place() {
    insta::assert_snapshot!(pairs("keep-latest").await, @"
    item time user value first_time
    11 3Z 1 2.0 3Z
    10 7Z 1 0.2 5Z
    10 1Z 2 1.5 1Z
    ");
    insta::assert_snapshot!(pairs("keep-first").await, @"
    item time user value
    10 5Z 1 0.5
    10 1Z 2 1.5
    11 3Z 1 2.0
    ");
    insta::assert_snapshot!(pairs("keep-max").await, @"
    item time user value first_time
    11 3Z 1 2.0 3Z
    10 6Z 1 0.9 5Z
    10 1Z 2 1.5 1Z
    ");
    insta::assert_snapshot!(pairs("sum").await, @"
    item time user value first_time
    11 3Z 1 2.0 3Z
    10 7Z 1 1.7 5Z
    10 1Z 2 3.0 1Z
    ");
    insta::assert_snapshot!(pairs("count").await, @"
    item time user value first_time
    11 3Z 1 1.0 3Z
    10 7Z 1 4.0 5Z
    10 1Z 2 2.0 1Z
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_events_are_dropped_by_key() {
    let mut house = House::new();
    let csv = "id,user,item,kind\na,1,10,x\nb,1,11,x\na,1,10,x\n,2,12,x\n,2,12,x\na,1,10,y\n";
    let path = house.file("log.csv", csv);
    let column = |name: &str| json!({"from": name});
    let with = json!({"source": path, "columns": {
        "id": column("id"), "user": column("user"), "item": column("item"), "kind": column("kind"),
    }});
    let input = house.extract(with).await.unwrap();
    for (key, rows) in [(json!(["id"]), 4.0), (json!(["id", "kind"]), 5.0), (json!(["user"]), 2.0)] {
        let with = json!({"input": "events", "repeated": {"key": key}});
        let done = house.step("dedup", with, &[("events", &input)]).await.unwrap();
        assert_eq!(done.manifest.identity.outputs[&"main".parse().unwrap()].rows, Some(rows as u64));
        assert_eq!(metric(&done, "repeated_events"), 6.0 - rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_become_the_oldest_and_stay_it() {
    let mut house = House::new();
    let input = interactions(&mut house, "log", "1 20 1\n1 30 2\n2 30 3\n3 40 4").await;
    let catalogue = |house: &House, text: &str| -> Value {
        let path = house.file("items.csv", text);
        json!({"source": path, "columns": {"item": {"from": "item"}, "title": {"from": "title"}}})
    };
    let with = catalogue(
        &house,
        "item,title\n20,The Little Blue Train\n30,The little blue train!\n40,The Little Blue Train 2\n",
    );
    let items = house.extract(with).await.unwrap();
    let with = json!({
        "input": "events", "items": "catalogue", "pairs": "keep-latest",
        "near": {"columns": ["title"], "jaccard": 0.7, "method": "auto"},
    });
    let inputs = [("events", &input), ("catalogue", &items)];
    let done = house.step("dedup", with, &inputs).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "main").await, @"
    item time user value first_time
    20 2026-11-01T00:00:02Z 1 1.0 2026-11-01T00:00:01Z
    20 2026-11-01T00:00:03Z 2 1.0 2026-11-01T00:00:03Z
    40 2026-11-01T00:00:04Z 3 1.0 2026-11-01T00:00:04Z
    ");
    insta::assert_snapshot!(house.text(&done, "canonical").await, @"
    item canonical
    20 20
    30 20
    40 40
    ");
    insta::assert_snapshot!(house.text(&done, "items").await, @"
    item title
    20 The Little Blue Train
    40 The Little Blue Train 2
    ");
}

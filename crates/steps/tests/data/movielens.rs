//! The two protocols of the reference results, down to each count.

use std::path::Path;

use noctule_depot::Committed;
use serde_json::{Value, json};

use crate::house::{House, metric};
use crate::real::movielens;

async fn counts(house: &mut House, events: &Committed, with: Value) -> [u64; 9] {
    let mut settings = json!({"input": "events", "seed": 0});
    settings.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    let done = house.step("split", settings, &[("events", events)]).await.unwrap();
    [
        "train_rows",
        "train_users",
        "train_items",
        "test_rows_before",
        "test_users_before",
        "test_dropped_unknown_user",
        "test_dropped_unknown_item",
        "test_users",
        "test_rows",
    ]
    .map(|name| metric(&done, name) as u64)
}

async fn check(test: &str, with: impl Fn(&Path) -> Value, positives: f64, p1: [u64; 9], p2: [u64; 9]) {
    let Some(folder) = movielens(test) else { return };
    let mut house = House::new();
    let events = house.extract(with(&folder)).await.unwrap();
    assert_eq!(metric(&events, "rows"), positives);
    assert_eq!(counts(&mut house, &events, json!({"by": "time", "test": {"share": 0.1}})).await, p1);
    assert_eq!(counts(&mut house, &events, json!({"by": "last", "test": "last"})).await, p2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ml_100k() {
    let with = |folder: &Path| {
        json!({
            "source": folder.join("ml-100k/u.data"), "format": "csv", "delimiter": "\t", "header": false,
            "names": ["user", "item", "rating", "ts"],
            "columns": {
                "user": {"from": "user"}, "item": {"from": "item"}, "value": {"from": "rating"},
                "time": {"from": "ts", "unit": "s"},
            },
            "step": {"where": "rating >= 4"},
        })
    };
    let p1 = [49_838, 865, 1_406, 5_537, 153, 4_093, 44, 72, 1_400];
    let p2 = [54_433, 942, 1_430, 942, 942, 0, 17, 925, 925];
    check("steps data movielens::ml_100k", with, 55_375.0, p1, p2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ml_1m() {
    let with = |folder: &Path| {
        json!({
            "source": folder.join("ml-1m/ratings.parquet"),
            "columns": {
                "user": {"from": "user_id"}, "item": {"from": "movie_id"}, "value": {"from": "rating"},
                "time": {"from": "timestamp", "unit": "s"},
            },
            "step": {"where": "rating >= 4"},
        })
    };
    let p1 = [517_753, 5_975, 3_489, 57_528, 1_220, 5_257, 99, 1_155, 52_172];
    let p2 = [569_244, 6_038, 3_529, 6_037, 6_037, 0, 4, 6_033, 6_033];
    check("steps data movielens::ml_1m", with, 575_281.0, p1, p2).await;
}

//! The bytes of an artifact depend on its inputs and settings alone.

use noctule_depot::Committed;
use serde_json::json;

use crate::house::{House, metric};

/// A log of many users and items, in no order, with repeated pairs and tied times.
fn log() -> String {
    let mut csv = "user,item,time,value,note\n".to_owned();
    let mut state = 1u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..300_000 {
        let (user, item, time, value) = (draw(900), draw(700), 1_793_491_200 + draw(86_400), draw(100));
        csv.push_str(&format!("u{user},{item},{time},{value}.5,\"n{}\"\n", user % 7));
    }
    csv
}

/// The four data steps, one after the other.
async fn chain(threads: u32, memory_mib: u64) -> Vec<Committed> {
    let mut house = House::new();
    house.resources.threads = threads;
    house.resources.memory_bytes = memory_mib << 20;
    let path = house.file("log.csv", log());
    let column = |name: &str| json!({"from": name});
    let with = json!({"source": path, "columns": {
        "user": column("user"), "item": column("item"), "value": column("value"), "note": column("note"),
        "time": {"from": "time", "unit": "s"},
    }});
    let events = house.extract(with).await.unwrap();
    let with = json!({
        "input": "events", "ranges": {"value": {"min": 1.0}}, "bots": {"max_per_minute": 3},
        "users": {"min_items": 20, "within": 43_200}, "k_core": {"users": 5, "items": 5},
    });
    let active = house.step("filter", with, &[("events", &events)]).await.unwrap();
    let with = json!({"input": "active", "pairs": "sum"});
    let unique = house.step("dedup", with, &[("active", &active)]).await.unwrap();
    let with = json!({"input": "unique", "by": "time", "test": {"share": 0.1}, "validation": {"share": 0.1}, "seed": 0});
    let parts = house.step("split", with, &[("unique", &unique)]).await.unwrap();
    vec![events, active, unique, parts]
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_and_memory_change_nothing_and_the_bytes_are_the_known_ones() {
    let one = chain(1, 256).await;
    let four = chain(4, 256).await;
    let small = chain(2, 6).await;
    for ((one, four), small) in one.iter().zip(&four).zip(&small) {
        assert_eq!(one.digest, four.digest);
        assert_eq!(one.digest, small.digest);
    }
    for (one, small) in one.iter().zip(&small).skip(1) {
        assert_eq!(metric(one, "spilled_bytes"), 0.0);
        assert!(metric(small, "spilled_bytes") > 0.0, "{}", small.manifest.identity.kind);
    }
    let rows: Vec<f64> =
        ["train_rows", "validation_rows", "test_rows"].map(|name| metric(&one[3], name)).to_vec();
    assert_eq!(rows, [165_212.0, 18_356.0, 20_396.0]);
    // Other bytes for the same input: raise the kind's VERSION, and only then take the new digests.
    let digests: Vec<String> =
        one.iter().map(|done| format!("{} {}", done.manifest.identity.kind, done.digest.short())).collect();
    insta::assert_snapshot!(digests.join("\n"), @"
    extract 59518e236b97
    filter eba707e69507
    dedup 728dbac66dc3
    split 2a9994a9d643
    ");
}

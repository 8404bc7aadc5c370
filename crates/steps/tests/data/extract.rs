use noctule_artifacts::Outcome;
use noctule_steps::Class;
use serde_json::json;

use crate::house::{House, day, metric};

const LOG: &str = "\
user_id,item_id,event,share,ts
1,10,watch,0.9,1793491200
1,11,click,,1793491201
2,10,watch,x,1793491202
2,12,watch,0.7,1793491203
,12,watch,0.7,1793491204
3,12,watch,0.8,
3,13,click,oops,1793491205
4,14
";

fn log_settings(path: &std::path::Path) -> serde_json::Value {
    json!({
        "source": path,
        "columns": {
            "user": {"from": "user_id"},
            "item": {"from": "item_id"},
            "value": {"from": "share", "type": "float"},
            "time": {"from": "ts", "unit": "s"},
        },
        "step": {"where": "event = 'watch'", "rejected": {"max_share": 1.0}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_kept_matched_or_kept_aside() {
    let mut house = House::new();
    let path = house.file("log.csv", LOG);
    let done = house.extract(log_settings(&path)).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "main").await, @"
    item time user value
    10 2026-11-01T00:00:00Z 1 0.9
    12 2026-11-01T00:00:03Z 2 0.7
    ");
    insta::assert_snapshot!(house.text(&done, "rejected").await, @"
    object place column reason found
    file://DIR/log.csv 4 share is no finite number x
    file://DIR/log.csv 6 user_id has no user -
    file://DIR/log.csv 7 ts has no time -
    file://DIR/log.csv 9 - has 2 fields where 5 are expected 4,14
    ");
    assert_eq!(metric(&done, "rows_read"), 8.0);
    assert_eq!(metric(&done, "rows_not_matched"), 2.0);
    assert_eq!(metric(&done, "rows_rejected"), 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rejected_rows_are_fatal_and_shown() {
    let mut house = House::new();
    let path = house.file("log.csv", LOG);
    let mut with = log_settings(&path);
    with["step"]["rejected"]["max_share"] = json!(0.1);
    let error = house.extract(with).await.unwrap_err();
    assert_eq!(error.class, Class::Data);
    let text = error.to_string().replace(&house.folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(text, @"4 of 8 rows cannot be read, more than `rejected.max_share` allows (10%): correct them, allow more, or leave rows out with `where:`; file://DIR/log.csv row 4, column `share`: is no finite number (`x`); file://DIR/log.csv row 6, column `user_id`: has no user; file://DIR/log.csv row 7, column `ts`: has no time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_column_and_a_unit_are_named() {
    let mut house = House::new();
    let path = house.file("log.csv", LOG);
    let mut with = log_settings(&path);
    with["columns"]["user"]["from"] = json!("userid");
    let error = house.extract(with).await.unwrap_err().to_string();
    assert!(error.contains("no column `userid` (did you mean `user_id`?)"), "{error}");

    let mut with = log_settings(&path);
    with["columns"]["time"] = json!({"from": "ts"});
    let error = house.extract(with).await.unwrap_err().to_string();
    assert!(error.contains("`{from: ts, unit: s}`; so read, 1793491203 is 2026-11-01"), "{error}");

    let mut with = log_settings(&path);
    with["columns"]["time"]["unit"] = json!("ms");
    let error = house.extract(with).await.unwrap_err().to_string();
    assert!(error.contains("with `unit: s` it gives 2026-11-01T00:00:0"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gives_another_answer_each_time_is_refused() {
    let mut house = House::new();
    let path = house.file("log.csv", LOG);
    for condition in ["random() < 0.5", "ts < now()", "ts <", "nothing = 1", "ts"] {
        let mut with = log_settings(&path);
        with["step"]["where"] = json!(condition);
        let error = house.extract(with).await.unwrap_err();
        assert_eq!(error.class, Class::Configuration, "{condition}: {error}");
    }
}

/// Three days by folder; rows late by a day, from before the window and from the future.
fn days(house: &House) {
    for (day, rows) in [
        ("2026-10-30", "1,10,2026-10-30 12:00:00\n"),
        ("2026-10-31", "1,11,2026-10-31 12:00:00\n2,10,2026-10-30 23:59:59\n3,1,2020-01-01\n"),
        ("2026-11-01", "2,11,2026-11-01 12:00:00\n2,12,2026-10-31 01:00:00\n4,1,2031-01-01\n"),
        ("2026-11-02", "9,9,2026-11-02 01:00:00\n"),
    ] {
        house.file(&format!("log/date={day}/a.csv"), format!("user,item,time\n{rows}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_pruned_cut_and_taken_over() {
    let mut house = House::new();
    days(&house);
    let with = json!({
        "source": house.folder.path().join("log"),
        "columns": {"user": {"from": "user"}, "item": {"from": "item"}, "time": {"from": "time"}},
        "step": {"window": 2 * 86400, "expect": {"partitions": "all", "newest": 86400}},
    });
    let first = house.extract(with.clone()).await.unwrap();
    assert_eq!(first.manifest.identity.outcome, Outcome::Ok);
    insta::assert_snapshot!(house.text(&first, "main").await, @"
    item time user
    11 2026-10-31T12:00:00Z 1
    11 2026-11-01T12:00:00Z 2
    12 2026-10-31T01:00:00Z 2
    ");
    assert_eq!(metric(&first, "rows_before_window"), 2.0);
    assert_eq!(metric(&first, "rows_after_window"), 1.0);
    assert_eq!(metric(&first, "rows_late"), 1.0);
    assert_eq!(metric(&first, "partitions_reused"), 0.0);

    // The same night again: all is taken over, and the artifact is the same.
    house.earlier = vec![first.path.clone()];
    let again = house.extract(with.clone()).await.unwrap();
    assert_eq!(metric(&again, "partitions_reused"), 2.0);
    assert_eq!(again.digest, first.digest);

    // The next night sees a new day; the one that left the window is not read, and a late row of last
    // night's has left it, too.
    house.interval = day("2026-11-02T00:00:00Z");
    let next = house.extract(with.clone()).await.unwrap();
    assert_eq!(metric(&next, "partitions"), 2.0);
    assert_eq!((metric(&next, "partitions_reused"), metric(&next, "partitions_recut")), (1.0, 1.0));
    insta::assert_snapshot!(house.text(&next, "outside").await, @"
    item time user place
    12 2026-10-31T01:00:00Z 2 1
    1 2031-01-01T00:00:00Z 4 2
    ");
    house.earlier.clear();
    let fresh = house.extract(with).await.unwrap();
    assert_eq!(fresh.digest, next.digest, "taken over or read, the result is one");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_day_is_read_twice_for_rows_from_the_future_or_the_past() {
    let mut house = House::new();
    for (date, rows) in [
        (
            "01",
            "1,10,2026-11-01 12:00:00\n1,11,2026-11-03 01:00:00\n1,12,2026-11-01 13:00:00\n-,13,2026-11-01\n",
        ),
        ("02", "2,10,2026-11-02 12:00:00\n2,11,2026-11-01 23:00:00\n2,12,2026-11-04 23:00:00\n"),
        ("03", "3,10,2026-11-03 12:00:00\n"),
        ("04", "4,10,2026-11-04 12:00:00\n4,11,2026-11-02 01:00:00\n"),
    ] {
        house.file(&format!("log/date=2026-11-{date}/a.csv"), format!("user,item,time\n{rows}"));
    }
    let with = json!({
        "source": house.folder.path().join("log"),
        "columns": {
            "user": {"from": "user", "type": "integer"}, "item": {"from": "item"}, "time": {"from": "time"},
        },
        "step": {"window": 3 * 86400, "rejected": {"max_share": 0.5}},
    });
    let mut kept = Vec::new();
    for night in ["01", "02", "03", "04"] {
        house.interval = day(&format!("2026-11-{night}T00:00:00Z"));
        let done = house.extract(with.clone()).await.unwrap();
        assert_eq!(metric(&done, "partitions") - metric(&done, "partitions_reused"), 1.0, "{night}");
        let earlier = std::mem::take(&mut house.earlier);
        let fresh = house.extract(with.clone()).await.unwrap();
        assert_eq!(fresh.digest, done.digest, "{night}");
        for name in ["rows_read", "rows_rejected", "rows_before_window", "rows_after_window", "rows_late"] {
            assert_eq!(metric(&fresh, name), metric(&done, name), "{night}: {name}");
        }
        house.earlier = earlier;
        house.earlier.insert(0, done.path.clone());
        kept.push(
            house.text(&done, "main").await.lines().skip(1).map(|row| row.replace(":00:00Z", "")).collect(),
        );
    }
    let kept: Vec<Vec<String>> = kept;
    insta::assert_debug_snapshot!(kept, @r#"
    [
        [
            "10 2026-11-01T12 1",
            "12 2026-11-01T13 1",
        ],
        [
            "10 2026-11-01T12 1",
            "12 2026-11-01T13 1",
            "10 2026-11-02T12 2",
            "11 2026-11-01T23 2",
        ],
        [
            "10 2026-11-01T12 1",
            "11 2026-11-03T01 1",
            "12 2026-11-01T13 1",
            "10 2026-11-02T12 2",
            "11 2026-11-01T23 2",
            "10 2026-11-03T12 3",
        ],
        [
            "10 2026-11-02T12 2",
            "12 2026-11-04T23 2",
            "10 2026-11-03T12 3",
            "10 2026-11-04T12 4",
            "11 2026-11-02T01 4",
        ],
    ]
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_partition_and_no_rows_are_a_data_stop() {
    let mut house = House::new();
    days(&house);
    std::fs::remove_dir_all(house.folder.path().join("log/date=2026-10-31")).unwrap();
    let with = json!({
        "source": house.folder.path().join("log"),
        "columns": {"user": {"from": "user"}, "item": {"from": "item"}, "time": {"from": "time"}},
        "step": {"window": 3 * 86400, "expect": {"partitions": "all"}},
    });
    let done = house.extract(with.clone()).await.unwrap();
    assert_eq!(done.manifest.identity.outcome, Outcome::DataStop);
    assert!(
        done.manifest.record.notes.iter().any(|note| note.contains("2026-10-31")),
        "{:?}",
        done.manifest.record.notes
    );

    house.interval = day("2026-12-01T00:00:00Z");
    let none = house.extract(with).await.unwrap();
    assert_eq!(none.manifest.identity.outcome, Outcome::DataStop);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_after_it_was_listed_is_tried_again() {
    let mut house = House::new();
    let path = house.file("log.csv", LOG);
    let with = crate::house::settings(log_settings(&path));
    let listing = house.list(&with).await.unwrap();
    house.file("log.csv", format!("{LOG}9,9,watch,0.5,1793491209\n"));
    let error = house.launch("extract", with, &[], listing).await.unwrap_err();
    assert_eq!(error.class, Class::Temporary, "{error}");
    assert!(error.to_string().contains("log.csv` changed while it was read"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_read_as_it_is_written() {
    let mut house = House::new();
    let latin1 = b"1::Caf\xe9 \"Noir\"::Drama\n2::Plain::A|B\n";
    let path = house.file("movies.dat", latin1);
    let with = json!({
        "source": path, "delimiter": "::", "header": false, "names": ["id", "title", "genres"],
        "quote": "", "encoding": "latin1", "columns": {"item": {"from": "id"}, "title": {"from": "title"}},
    });
    let done = house.extract(with).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "main").await, @r#"
    item title
    1 Café "Noir"
    2 Plain
    "#);

    // The same bytes are no UTF-8: the row is kept aside, and with the default share that is too many.
    let with = json!({
        "source": path, "delimiter": "::", "header": false, "names": ["id", "title", "genres"],
        "columns": {"item": {"from": "id"}, "title": {"from": "title"}},
    });
    let error = house.extract(with).await.unwrap_err().to_string();
    assert!(error.contains("is not UTF-8; set `encoding: latin1`"), "{error}");

    let lines = "{\"u\": {\"id\": 7}, \"i\": \"a\"}\n[1]\n{\"u\": {\"id\": 8}, \"i\": \"日本\"}\n";
    let mut packed = zstd_of(lines.as_bytes());
    let path = house.file("log.ndjson.zst", &packed);
    let with = json!({
        "source": path, "columns": {"user": {"from": "u.id"}, "item": {"from": "i"}},
        "step": {"rejected": {"max_share": 0.5}},
    });
    let done = house.extract(with.clone()).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "main").await, @"
    item user
    a 7
    日本 8
    ");
    packed.truncate(packed.len() - 3);
    house.file("log.ndjson.zst", &packed);
    let error = house.extract(with).await.unwrap_err();
    assert!(error.class == Class::Data && error.to_string().contains("half written"), "{error}");
}

fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_are_joined() {
    let mut house = House::new();
    let log = house.file("log.csv", "user,item\n2,b\n1,a\n1,c\n1,b\n");
    let items = house.file("items.csv", "id,harm\na,0.1\nb,0.9\n");
    let with = json!({
        "step": {
            "sources": {
                "log": {"source": log, "columns": {}},
                "items": {"source": items, "columns": {}},
            },
            "sql": "SELECT log.user, log.item, items.harm FROM log JOIN items ON log.item = items.id",
        },
    });
    let done = house.extract(with.clone()).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "main").await, @"
    user item harm
    1 a 0.1
    1 b 0.9
    2 b 0.9
    ");
    for sql in [
        "SELECT random() AS x FROM log",
        "DROP TABLE log",
        "COPY log TO '/tmp/x'",
        "SELECT",
        "SELECT * FROM logs",
    ] {
        let mut with = with.clone();
        with["step"]["sql"] = json!(sql);
        let error = house.extract(with).await.unwrap_err();
        assert_eq!(error.class, Class::Configuration, "{sql}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_query_gives_is_held_to_the_same_rules() {
    let mut house = House::new();
    let log = house.file(
        "log.csv",
        "user,item,ts\n2,b,2026-11-01 01:00:00\n1,a,2026-10-01 00:00:00\n3,c,2026-11-01 02:00:00\nx,c\n",
    );
    let items = house.file("items.csv", "id,price\na,1\nb,0\nb,2\n");
    let with = json!({
        "step": {
            "rejected": {"max_share": 0.5},
            "window": 86_400,
            "sources": {
                "log": {"source": log, "columns": {}},
                "items": {"source": items, "columns": {}},
            },
            "sql": "SELECT log.user, items.id AS item, CAST(log.ts AS TIMESTAMP) AS time, 1.0 / CAST(items.price AS DOUBLE) AS value FROM log LEFT JOIN items ON log.item = items.id",
        },
    });
    let done = house.extract(with).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "main").await, @"
    user item time value
    2 b 2026-11-01T01:00:00Z 0.5
    ");
    insta::assert_snapshot!(house.text(&done, "rejected").await, @"
    object place column reason found
    file://DIR/log.csv 5 - has 2 fields where 3 are expected x,c
    the SQL's result 3 value is no finite number inf
    the SQL's result 4 item has no item -
    ");
    assert_eq!(metric(&done, "rows_rejected"), 3.0);
    assert_eq!(metric(&done, "rows_before_window"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_tell_other_types_are_refused_with_the_remedy() {
    let mut house = House::new();
    house.file("log/date=2026-10-31/a.csv", "user,item\n1,10\n");
    house.file("log/date=2026-11-01/a.csv", "user,item\nx1,10\n");
    let column = |name: &str| json!({"from": name});
    let with = json!({
        "source": house.folder.path().join("log"),
        "columns": {"user": column("user"), "item": column("item")},
    });
    let error = house.extract(with.clone()).await.unwrap_err();
    assert_eq!(error.class, Class::Data);
    insta::assert_snapshot!(error, @"the column `user` is Utf8 in the partition `date=2026-11-01` and Int64 in `date=2026-10-31`: say what it is in `columns`, such as `user: {from: user, type: text}`");
    let mut with = with;
    with["columns"]["user"]["type"] = json!("text");
    house.extract(with.clone()).await.unwrap();
    with["step"] = json!({"window": 86_400});
    let error = house.extract(with).await.unwrap_err().to_string();
    assert!(error.contains("a `window` needs a column `time`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_a_list_of_columns_give_their_keys() {
    let mut house = House::new();
    let lines = "{\"user\": 1, \"item\": 9223372036854775807, \"ok\": true}\n\n{\"user\": -9223372036854775808, \"item\": 2, \"name\": \"Ünïcode 😀\"}\n";
    let path = house.file("log.jsonl", lines);
    let done = house.extract(json!({"source": path, "columns": {}})).await.unwrap();
    insta::assert_snapshot!(house.text(&done, "main").await, @"
    item name ok user
    9223372036854775807 - true 1
    2 Ünïcode 😀 - -9223372036854775808
    ");
    let column = |name: &str| json!({"from": name});
    let with = json!({"source": path, "columns": {"user": column("usr"), "item": column("item")}});
    let error = house.extract(with).await.unwrap_err().to_string();
    assert!(error.contains("no column `usr` (did you mean `user`?)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_and_nonsense_are_told_apart() {
    let mut house = House::new();
    let column = |name: &str| json!({"from": name});
    let with = |path: &std::path::Path| json!({"source": path, "columns": {"user": column("user"), "item": column("item")}});
    let empty = house.file("empty.csv", "");
    assert_eq!(house.extract(with(&empty)).await.unwrap().manifest.identity.outcome, Outcome::DataStop);
    let head = house.file("head.csv", "\u{feff}user,item\r\n");
    assert_eq!(house.extract(with(&head)).await.unwrap().manifest.identity.outcome, Outcome::DataStop);
    for (name, content, says) in [
        ("half.parquet", &b"PAR1 and no more"[..], "is no readable Parquet file"),
        ("empty.parquet", b"", "is no readable Parquet file"),
        ("log.csv.gz", b"no gzip", "compressed otherwise than `compression:` says"),
        ("log.xlsx", b"PK", "set `format:` to parquet, csv or ndjson"),
    ] {
        let path = house.file(name, content);
        let error = house.extract(with(&path)).await.unwrap_err().to_string();
        assert!(error.contains(says), "{name}: {error}");
    }
    let missing = house.folder.path().join("nowhere");
    let error = house.extract(with(&missing)).await.unwrap_err();
    assert!(error.to_string().contains("there is nothing at"), "{error}");
}

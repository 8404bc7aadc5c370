//! Data that look odd and are well: they simply work, through the whole pipeline.

use std::collections::BTreeSet;

use arrow::array::{
    DictionaryArray, Float64Array, Int8Array, Int64Array, StringArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::Int8Type;

use crate::house::House;
use crate::shop::{states, step};
use crate::table::{column, parquet, rows, values};

/// A moment on the last day of the interval that `--at 2026-11-02` names, in seconds.
const NOON: i64 = 1_793_534_400;
const AT: [&str; 2] = ["--at", "2026-11-02"];

/// Extracts as `with` says, and goes on to a published version of `feed`.
fn whole(with: &str, split: &str) -> String {
    format!(
        r#"noctule: 1
pipeline: odd
steps:
  events:
    uses: extract
    with: {{{with}}}
  unique:
    uses: dedup
    with: {{input: events, pairs: keep-latest}}
  active:
    uses: filter
    with: {{input: unique, users: {{min_items: 1}}}}
  split:
    uses: split
    with: {{input: active, {split}}}
  model:
    uses: train
    with: {{input: split.train, algorithm: ials, factors: 8, epochs: 2}}
  quality:
    uses: evaluate
    with: {{model: model, history: split.train, test: split.test, compare: [popularity], metrics: [ndcg@20]}}
  gate:
    uses: gate
    with: {{evaluation: quality, require: [{{metric: ndcg@20, min: 0.01}}]}}
  publish:
    uses: publish
    with: {{model: model, gate: gate, name: feed, alias: champion}}
"#
    )
}

fn published(house: &House, text: String) -> serde_json::Value {
    house.file("p.yaml", text);
    let document = house.json(0, &["run", "p.yaml", AT[0], AT[1]]);
    assert_eq!(document["published"]["promoted"], true, "{document:#}");
    document
}

/// The ids of `users` or `items` that the published version knows.
fn ids(house: &House, map: &str, version: u32) -> BTreeSet<String> {
    let file = format!(".noctule/store/models/feed/versions/{version}/main/{map}.parquet");
    values(&house.path().join(file), map.trim_end_matches('s')).into_iter().collect()
}

#[test]
fn ids_may_be_any_text_and_any_number_of_64_bits() {
    let texts =
        ["Ünïcode", "日本", "\u{202e}rtl", "é", "e\u{301}", "\u{200b}", "a b\nc", "\"q\",", "𝕏", "a\0b"];
    let numbers = [i64::MIN, i64::MAX, 0, -1, i64::MIN + 1, i64::MAX - 1];
    let pairs: Vec<(i64, &str)> =
        numbers.iter().flat_map(|user| texts.iter().map(|item| (*user, *item))).collect();
    let times = (0..pairs.len() as i64).map(|row| NOON + row);
    let house = House::new();
    house.file(
        "log.parquet",
        parquet(vec![
            ("user", column(Int64Array::from_iter_values(pairs.iter().map(|pair| pair.0)))),
            ("item", column(StringArray::from_iter_values(pairs.iter().map(|pair| pair.1)))),
            ("ts", column(Int64Array::from_iter_values(times))),
        ]),
    );
    let with = "source: log.parquet, columns: {user: user, item: item, time: {from: ts, unit: s}}";
    published(&house, whole(with, "by: random, test: 20%"));
    assert_eq!(ids(&house, "users", 1), numbers.iter().map(i64::to_string).collect());
    assert_eq!(ids(&house, "items", 1), texts.iter().map(|text| (*text).to_owned()).collect());
    house.noctule(&["models", "verify"]).expect(0);
}

#[test]
fn unsigned_ids_past_the_signed_ones_are_names() {
    let house = House::new();
    let users = [u64::MAX, u64::MAX - 1, 1 << 63, 7];
    let pairs: Vec<(u64, i64)> = users.iter().flat_map(|user| (0..5).map(|item| (*user, item))).collect();
    house.file(
        "log.parquet",
        parquet(vec![
            ("user", column(UInt64Array::from_iter_values(pairs.iter().map(|pair| pair.0)))),
            ("item", column(Int64Array::from_iter_values(pairs.iter().map(|pair| pair.1)))),
            ("ts", column(Int64Array::from_iter_values((0..20).map(|row| NOON + row)))),
        ]),
    );
    let with = "source: log.parquet, columns: {user: user, item: item, time: {from: ts, unit: s}}";
    published(&house, whole(with, "by: random, test: 20%"));
    assert_eq!(ids(&house, "users", 1), users.iter().map(u64::to_string).collect());
}

/// A log as pandas writes its categories: every column has a dictionary with keys of eight bits.
fn categories(house: &House) {
    let keys = |modulus: i8| Int8Array::from_iter_values((0..120).map(|row: i8| row % modulus));
    let texts = |modulus: i8, values: &[&str]| {
        let values = StringArray::from(values.to_vec());
        column(DictionaryArray::<Int8Type>::new(keys(modulus), column(values)))
    };
    let items = Int64Array::from_iter_values((0..10).map(|item| item * 1_000_000_007));
    let times = TimestampNanosecondArray::from_iter_values((0..120).map(|row| (NOON + row) * 1_000_000_000));
    house.file(
        "log.parquet",
        parquet(vec![
            ("user", texts(12, &["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "ü", "日"])),
            ("item", column(DictionaryArray::<Int8Type>::new(keys(10), column(items)))),
            ("event", texts(3, &["watch", "klïck", "like"])),
            (
                "share",
                column(DictionaryArray::<Int8Type>::new(
                    keys(4),
                    column(Float64Array::from(vec![0.25, 0.5, 0.75, 1.0])),
                )),
            ),
            (
                "ts",
                column(DictionaryArray::<Int8Type>::new(Int8Array::from_iter_values(0..120), column(times))),
            ),
        ]),
    );
}

#[test]
fn dictionaries_with_small_keys_work_in_every_form() {
    let house = House::new();
    categories(&house);
    let columns = "columns: {user: user, item: item, value: share, time: ts}";
    let plain = format!("source: log.parquet, {columns}");
    let matched = format!(
        "source: log.parquet, {columns}, where: \"event IN ('watch', 'klïck') AND share > 0.3 AND user LIKE 'u%' AND item <> 0 AND ts > '2026-01-01'\""
    );
    let joined = "sources: {e: {source: log.parquet}, f: {source: log.parquet}}, sql: \"SELECT e.user, e.item, max(e.ts) AS time, max(e.share) AS value FROM e JOIN f ON e.user = f.user AND e.event = f.event WHERE e.event <> 'like' AND f.event LIKE '%ï%' GROUP BY e.user, e.item, e.event\"";
    for (version, with, wanted) in [(1, plain.as_str(), 120), (2, &matched, 48), (3, joined, 20)] {
        let document = published(&house, whole(with, "by: random, test: 20%"));
        assert_eq!(step(&document, "events")["rows"], wanted, "{with}");
        assert!(ids(&house, "users", version).iter().all(|user| user.starts_with('u') || version != 2));
    }
    assert!(ids(&house, "users", 1).contains("日"));
}

#[test]
fn text_in_latin1_is_read_where_the_source_says_so() {
    let house = House::new();
    let mut log = b"user;item;ts\n".to_vec();
    for row in 0..20_i64 {
        let names: [&[u8]; 4] = [b"Jos\xe9", b"Ren\xe9e", b"\xc5sa", b"Zo\xeb"];
        let items: [&[u8]; 5] = [b"caf\xe9", b"na\xefve", b"\xdcber", b"\xa3", b"plain"];
        let fields = [names[row as usize % 4], items[row as usize % 5], (NOON + row).to_string().as_bytes()]
            .join(&b';');
        log.extend(fields);
        log.push(b'\n');
    }
    house.file("log.csv", log);
    let with =
        "source: log.csv, encoding: latin1, columns: {user: user, item: item, time: {from: ts, unit: s}}";
    published(&house, whole(with, "by: random, test: 20%"));
    assert_eq!(ids(&house, "users", 1), ["José", "Renée", "Åsa", "Zoë"].map(str::to_owned).into());
    assert_eq!(ids(&house, "items", 1), ["café", "naïve", "Über", "£", "plain"].map(str::to_owned).into());

    house.file("p.yaml", whole(&with.replace(", encoding: latin1", ""), "by: random, test: 20%"));
    let refused = house.noctule(&["run", "p.yaml", AT[0], AT[1]]).expect(1);
    assert!(refused.stderr.contains("set `encoding: latin1`"), "{}", refused.stderr);
}

#[test]
fn rows_without_a_time_are_kept_aside_unless_the_condition_removes_them() {
    let house = House::new();
    let times = (0..40).map(|row| (row % 4 > 0).then_some((NOON + row) * 1_000_000));
    house.file(
        "log.parquet",
        parquet(vec![
            ("user", column(Int64Array::from_iter_values((0..40).map(|row| row % 8)))),
            ("item", column(Int64Array::from_iter_values((0..40).map(|row| row % 5)))),
            ("ts", column(times.collect::<TimestampMicrosecondArray>())),
        ]),
    );
    let source = "source: log.parquet, columns: {user: user, item: item, time: ts}";
    let all = format!("{source}, rejected: {{max_share: 25%}}");
    let document = published(&house, whole(&all, "by: random, test: 20%"));
    assert_eq!(step(&document, "events")["rows"], 30);
    let rejected = rows(&house, &document, "events", "rejected");
    assert_eq!(rejected.len(), 10);
    assert!(
        rejected[0].starts_with("ts||file://") && rejected[0].ends_with("|1|has no time"),
        "{rejected:?}"
    );

    let matched = format!("{source}, where: ts IS NOT NULL");
    house.file("p.yaml", whole(&matched, "by: random, test: 20%"));
    let document = house.json(0, &["run", "p.yaml", AT[0], AT[1]]);
    assert_eq!(step(&document, "events")["rows"], 30);
    assert_eq!(step(&document, "events")["metrics"]["rows_rejected"], 0.0);

    house.file("p.yaml", whole(source, "by: random, test: 20%"));
    let refused = house.noctule(&["run", "p.yaml", AT[0], AT[1]]).expect(1);
    assert!(refused.stderr.contains("10 of 40 rows cannot be read"), "{}", refused.stderr);
    assert!(refused.stderr.contains("has no time"), "{}", refused.stderr);
}

#[test]
fn one_item_goes_all_the_way_and_one_row_as_far_as_it_means_something() {
    let house = House::new();
    let log: String = (0..4).map(|user| format!("{user},only,{}\n", NOON + user)).collect();
    house.file("log.csv", format!("user,item,ts\n{log}"));
    let with = "source: log.csv, columns: {user: user, item: item, time: {from: ts, unit: s}}";
    published(&house, whole(with, "by: user, test: 50%"));

    house.file("log.csv", format!("user,item,ts\nme,only,{NOON}\n"));
    let (head, _) =
        whole(with, "by: last").split_once("  split:").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    house.file(
        "p.yaml",
        head + "  model:\n    uses: train\n    with: {input: active, algorithm: ials, factors: 4, epochs: 2}\n  \
                plain:\n    uses: train\n    with: {input: active, algorithm: popularity}\n",
    );
    let document = house.json(0, &["run", "p.yaml", AT[0], AT[1]]);
    assert!(states(&document).iter().all(|state| state.ends_with("=done")), "{document:#}");

    // There is nothing to test on, and that is what it says.
    house.file("p.yaml", whole(with, "by: last"));
    let document = house.json(1, &["run", "p.yaml", AT[0], AT[1]]);
    let attempt = &step(&document, "split")["attempts"][0];
    assert_eq!(attempt["class"], "invalid");
    assert!(attempt["message"].as_str().unwrap().contains("no user has two rows"), "{attempt:#}");
}

//! What a broken file or a wrong word gets: exit code 2, at once, and nothing is left behind.

use std::process::Command;

use arrow::array::{Float64Array, Int64Array, StringArray};
use serde_json::Value;

use crate::house::{Finished, House, files, shipped};
use crate::shop::{states, step};
use crate::table::{column, parquet, rows};

#[track_caller]
fn refused(house: &House, arguments: &[&str], parts: &[&str]) {
    let (finished, seconds) = timed(house, arguments);
    let finished = finished.expect(2);
    for part in parts {
        assert!(finished.stderr.contains(part), "no `{part}` in:\n{}", finished.stderr);
    }
    assert!(seconds < 1.0, "it took {seconds} seconds of a processor");
    assert!(!house.path().join(".noctule").exists(), "state was made for a run that never was");
}

/// Runs a command and measures it on the processor: on a busy machine the clock would tell of others.
fn timed(house: &House, arguments: &[&str]) -> (Finished, f64) {
    let plain = house.command(arguments);
    let mut command = Command::new("sh");
    command.args(["-c", "\"$@\"; code=$?; times >times.txt; exit $code", "sh"]);
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(house.path());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let finished = Finished::from(command.output().unwrap());
    let times = std::fs::read_to_string(house.path().join("times.txt")).unwrap();
    // `0m0.010s 0m0.004s` of the shell, and in the second line of its children.
    let seconds = |time: &str| {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    let children = times.lines().nth(1).unwrap();
    (finished, children.split_whitespace().map(seconds).sum())
}

#[test]
fn files_that_are_no_pipelines_are_refused_at_once() {
    let house = House::new();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty.yaml", vec![], "empty"),
        ("huge.yaml", vec![b'a'; 50 << 20], "1 MiB"),
        ("brackets.yaml", vec![b'['; 20_000], "nest"),
        ("braces.yaml", b"{a: ".repeat(20_000), "nest"),
        ("latin.yaml", b"noctule: 1\npipeline: caf\xe9\n".to_vec(), "UTF-8"),
        ("binary.yaml", (0..=255).cycle().take(4096).collect(), "binary.yaml"),
        ("text.yaml", b"hello".to_vec(), "hello"),
    ];
    for (name, bytes, part) in cases {
        house.file(name, bytes);
        refused(&house, &["run", name], &[name, part]);
    }
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    for i in 1..40 {
        bomb += &format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1);
    }
    house.file("bomb.yaml", bomb);
    refused(&house, &["run", "bomb.yaml"], &["bomb.yaml"]);
    refused(&house, &["run", "."], &["folder"]);
    refused(&house, &["run", "nowhere.yaml"], &["nowhere.yaml", "no such file"]);
    // Whichever command reads it.
    for command in ["check", "plan"] {
        refused(&house, &[command, "huge.yaml"], &["1 MiB"]);
        refused(&house, &[command, "bomb.yaml"], &["bomb.yaml"]);
        refused(&house, &[command, "brackets.yaml"], &["nest"]);
    }
}

#[test]
fn every_mistake_is_shown_at_once_with_its_line() {
    let house = House::new();
    house.file(
        "bad.yaml",
        "noctule: 1\npipeline: bad\nsteps:\n  a:\n    uses: extrct\n    with: {source: x}\n  b:\n    uses: dedup\n    with: {input: aa, pears: keep-latest}\n",
    );
    refused(
        &house,
        &["check", "bad.yaml"],
        &["bad.yaml:5:11", "did you mean `extract`", "bad.yaml:9", "`a`", "pairs"],
    );
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_fine() {
    let house = House::new();
    let text = std::fs::read_to_string(shipped("nightly.yaml")).unwrap();
    house.file("crlf.yaml", format!("\u{feff}{}", text.replace('\n', "\r\n")));
    house.noctule(&["check", "crlf.yaml"]).expect(0);
}

#[test]
fn params_are_checked() {
    let house = House::new();
    let nightly = shipped("nightly.yaml");
    refused(&house, &["run", &nightly, "--param", "factor=3"], &["factor", "did you mean `factors`"]);
    refused(&house, &["run", &nightly, "--param", "factors=many"], &["factors"]);
    refused(&house, &["run", &nightly, "--param", "factors"], &["--param name=value"]);
    refused(&house, &["run", &nightly, "--at", "yesterday"], &["--at yesterday"]);
}

/// Extracts as `with` says, for the pipeline to go on to a model: what is wrong with the data must end it before.
fn pipeline(with: &str) -> String {
    format!(
        r#"noctule: 1
pipeline: p
steps:
  events:
    uses: extract
    with: {{{with}}}
  split:
    uses: split
    with: {{input: events, by: random, test: 50%}}
  model:
    uses: train
    with: {{input: split.train, algorithm: popularity}}
  quality:
    uses: evaluate
    with: {{model: model, history: split.train, test: split.test, metrics: [ndcg@20]}}
  gate:
    uses: gate
    with: {{evaluation: quality, require: [{{metric: ndcg@20, min: 0}}]}}
  publish:
    uses: publish
    with: {{model: model, gate: gate, name: feed, alias: champion}}
"#
    )
}

/// Runs a pipeline over bad data; its first step ends it, and nothing is published.
fn ended_by_data(house: &House, code: i32, with: &str) -> Value {
    house.file("p.yaml", pipeline(with));
    let document = house.json(code, &["run", "p.yaml", "--at", "2026-11-02"]);
    let others = states(&document).split_off(1);
    assert!(others.iter().all(|state| state.ends_with("=skipped")), "{document:#}");
    assert_eq!(document["published"], Value::Null);
    let published = files(&house.path().join(".noctule/store"));
    assert!(published.iter().all(|(path, _)| !path.to_string_lossy().contains("/models/")), "{published:?}");
    document
}

const USUAL: &str = "columns: {user: user, item: item, time: {from: ts, unit: s}}";

#[test]
fn data_that_cannot_be_used_are_invalid_and_nothing_is_published() {
    let house = House::new();
    let whole = parquet(vec![
        ("user", column(Int64Array::from_iter_values(0..2000))),
        ("item", column(StringArray::from_iter_values((0..2000).map(|row| format!("item {row}"))))),
    ]);
    let mut footer = whole.clone();
    let end = footer.len();
    footer[end - 200..end - 20].fill(0xff);
    let mut page = whole.clone();
    page[4..200].fill(0xff);
    house.file("half.parquet", &whole[..end / 2]);
    house.file("footer.parquet", footer);
    house.file("page.parquet", page);
    house.file("nothing.parquet", "");
    house.file("text.parquet", "user,item\n1,2\n");
    house.file("cut.csv.gz", [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0x4b; 9]].concat());
    house.file("good.csv", "user,item,ts\n1,10,1793534400\n2,11,1793534401\n");
    house.file("words.csv", "user,item,ts\none,10,never\ntwo,11,later\n");
    house.file(
        "nan.parquet",
        parquet(vec![
            ("user", column(Int64Array::from_iter_values(0..3))),
            ("item", column(Int64Array::from_iter_values(0..3))),
            ("value", column(Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]))),
        ]),
    );
    house.file("unknown", "user,item\n1,2\n");
    let damaged = "it is damaged or only half written; write it again";
    let typed = "columns: {user: {from: user, type: integer}, item: item}";
    for (with, parts) in [
        ("source: missing.csv", &["nothing at", "missing.csv", "check the path"][..]),
        ("source: none*.csv", &["nothing at", "none*.csv"]),
        ("source: half.parquet", &["half.parquet", damaged]),
        ("source: footer.parquet", &["footer.parquet", damaged]),
        ("source: page.parquet", &["page.parquet", damaged]),
        ("source: nothing.parquet", &["nothing.parquet", damaged]),
        ("source: text.parquet", &["text.parquet", damaged]),
        ("source: cut.csv.gz", &["cut.csv.gz", "only half written"]),
        ("source: unknown", &["unknown", "set `format:`"]),
        (
            "source: good.csv, columns: {user: userr, item: item}",
            &["good.csv", "`userr`", "did you mean `user`"],
        ),
        ("source: good.csv, columns: {user: user, item: item, time: ts}", &["`time`", "unit: s"]),
        (
            "source: good.csv, columns: {user: user, item: item, time: {from: ts, unit: ms}}",
            &["`time`", "unit: ms", "1970-01-21", "with `unit: s` it gives 2026-11-01T12:00:0"],
        ),
        (
            "source: good.csv, columns: {user: user, item: item, time: {from: ts, unit: ns}}",
            &["unit: ns", "with `unit: s` it gives 2026"],
        ),
        (&format!("source: words.csv, {typed}"), &["words.csv row 2, column `user`", "(`one`)", "max_share"]),
        (
            &format!("source: words.csv, {USUAL}"),
            &["words.csv row 2, column `ts`", "is no time (`never`)", "max_share"],
        ),
        ("source: nan.parquet", &["3 of 3 rows", "row 1, column `value`", "NaN", "inf", "-inf", "max_share"]),
    ] {
        let document = ended_by_data(&house, 1, with);
        assert_eq!(document["status"], "failed", "{document:#}");
        let attempts = step(&document, "events")["attempts"].as_array().unwrap();
        assert_eq!(attempts[0]["class"], "invalid", "{with}: {document:#}");
        assert_eq!(attempts.len(), 1, "it was tried again");
        let message = attempts[0]["message"].as_str().unwrap_or_default();
        for part in parts {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
    }
}

#[test]
fn no_rows_in_the_window_are_a_data_stop() {
    let house = House::new();
    house.file("early.csv", "user,item,ts\n1,10,1700000000\n2,11,1700000001\n");
    house.file("days/date=2020-01-01/a.csv", "user,item,ts\n1,10,1577836800\n");
    house.file("header.csv", "user,item,ts\n");
    house.file("items.csv", "item\n10\n");
    let joined = format!(
        "sources: {{e: {{source: days/, {USUAL}}}, i: {{source: items.csv}}}}, window: 2d, sql: \"SELECT e.* FROM e JOIN i ON e.item = i.item\""
    );
    for (with, parts) in [
        (
            format!("source: early.csv, window: 2d, {USUAL}"),
            &["in the 2d before 2026-11-02", "2 before the window"][..],
        ),
        (
            format!("source: early.csv, {USUAL}, where: \"user > 5\""),
            &["`early.csv`", "2 not matched by `where`"],
        ),
        (format!("source: days/, window: 2d, {USUAL}"), &["there are no rows", "0 read from `days/`"]),
        (format!("source: header.csv, {USUAL}"), &["there are no rows", "`header.csv`"]),
        (joined, &["the source `e` has no rows", "there are no rows"]),
    ] {
        let document = ended_by_data(&house, 4, &with);
        assert_eq!(document["status"], "data-stop", "{document:#}");
        let notes = step(&document, "events")["notes"].to_string();
        for part in parts {
            assert!(notes.contains(part), "no `{part}` in: {notes}");
        }
    }
}

#[test]
fn malformed_lines_are_counted_kept_aside_and_fatal_above_the_share() {
    let house = House::new();
    let good: String = (0..94).map(|row| format!("{},{},{}\n", row % 7, row, 1_793_534_400 + row)).collect();
    let bad = b"1,2\n\"open,3,1793534400\n3,4,1793534400,5\n\xff\xfe,5,1793534400\n,6,1793534400\n7,8,soon\n";
    house.file("log.csv", [b"user,item,ts\n", &bad[..], good.as_bytes()].concat());
    let good: String = (0..94)
        .map(|row| format!("{{\"user\": {}, \"item\": {row}, \"ts\": {}}}\n", row % 7, 1_793_534_400 + row))
        .collect();
    let bad = b"{\"user\": 1,\nnot json\n[1, 2, 3]\n{\"user\": \"\xff\"}\n{\"item\": 2, \"ts\": 1793534400}\n{\"user\": 1, \"item\": 2, \"ts\": \"soon\"}\n";
    house.file("log.ndjson", [&bad[..], good.as_bytes()].concat());
    let columns = "columns: {user: {from: user, type: integer}, item: {from: item, type: integer}, time: {from: ts, unit: s}}";
    for (source, reasons) in [
        (
            "log.csv",
            [
                "has 2 fields where 3",
                "never closed",
                "has 4 fields",
                "is not UTF-8",
                "has no user",
                "is no time",
            ],
        ),
        (
            "log.ndjson",
            [
                "is no JSON object",
                "is no JSON object",
                "but no object",
                "is not UTF-8",
                "has no user",
                "is no time",
            ],
        ),
    ] {
        let with = format!("source: {source}, {columns}");
        house.file(
            "p.yaml",
            pipeline(&format!("{with}, rejected: {{max_share: 6%}}")).split_once("  split:").unwrap().0,
        );
        let document = house.json(0, &["run", "p.yaml", "--at", "2026-11-02"]);
        let metrics = &step(&document, "events")["metrics"];
        assert_eq!(
            (&metrics["rows_read"], &metrics["rows_rejected"]),
            (&100.0.into(), &6.0.into()),
            "{source}"
        );
        assert_eq!(step(&document, "events")["rows"], 94);
        let rejected = rows(&house, &document, "events", "rejected");
        assert_eq!(rejected.len(), 6, "{rejected:?}");
        for (row, reason) in rejected.iter().zip(reasons) {
            assert!(row.contains(source) && row.contains(reason), "no `{reason}` in {row}");
        }
        // Above the share it is fatal, on a night that takes the part over too.
        let document = ended_by_data(&house, 1, &format!("{with}, rejected: {{max_share: 5%}}"));
        let attempt = &step(&document, "events")["attempts"][0];
        assert_eq!(attempt["class"], "invalid");
        let message = attempt["message"].as_str().unwrap();
        assert!(message.contains("6 of 100 rows cannot be read"), "{message}");
        assert!(message.contains("allows (5%)") && message.contains(reasons[0]), "{message}");
    }
}

#[test]
fn a_store_of_another_registry_is_refused() {
    let house = House::new();
    house.file("store/registry.json", r#"{"format":1,"registry":"regaaaaaaaaaaaaaaaa"}"#);
    house.file("config.yaml", "store: store\n");
    house
        .file("p.yaml", "noctule: 1\npipeline: p\nsteps:\n  a: {uses: shell, with: {command: [\"true\"]}}\n");
    let finished = house.noctule(&["run", "p.yaml", "--config", "config.yaml"]).expect(2);
    assert!(finished.stderr.contains("belongs to registry"), "{}", finished.stderr);
}

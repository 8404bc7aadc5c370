//! What a broken file or a wrong word gets: exit code 2, at once, and nothing is left behind.

use std::time::{Duration, Instant};

use crate::house::{House, shipped};

#[track_caller]
fn refused(house: &House, arguments: &[&str], parts: &[&str]) {
    let begun = Instant::now();
    let finished = house.noctule(arguments).expect(2);
    for part in parts {
        assert!(finished.stderr.contains(part), "no `{part}` in:\n{}", finished.stderr);
    }
    // A hang would be minutes; the machine may be busy.
    assert!(begun.elapsed() < Duration::from_secs(10), "it took {:?}", begun.elapsed());
    assert!(!house.path().join(".noctule").exists(), "state was made for a run that never was");
}

#[test]
fn files_that_are_no_pipelines_are_refused_at_once() {
    let house = House::new();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("empty.yaml", vec![], "empty"),
        ("huge.yaml", vec![b'a'; 50 << 20], "1 MiB"),
        ("brackets.yaml", vec![b'['; 20_000], "nest"),
        ("latin.yaml", b"noctule: 1\npipeline: caf\xe9\n".to_vec(), "UTF-8"),
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

#[test]
fn data_that_cannot_be_used_are_invalid_and_nothing_is_published() {
    let house = House::new();
    let pipeline = |source: &str, columns: &str| {
        format!(
            "noctule: 1\npipeline: p\nsteps:\n  events:\n    uses: extract\n    with: {{source: {source}, columns: {{{columns}}}}}\n"
        )
    };
    house.file("broken.parquet", b"PAR1 this is no footer PAR1");
    house.file("good.csv", "user,item,ts\n1,10,1700000000\n2,11,1700000001\n");
    house.file("nan.csv", "user,item,value\n1,10,NaN\n2,11,inf\n");
    let cases = [
        ("missing.csv", "user: user", "missing.csv"),
        ("broken.parquet", "user: user", "broken.parquet"),
        ("good.csv", "user: userr", "did you mean `user`"),
        ("good.csv", "user: user, time: ts", "unit"),
        ("nan.csv", "user: user, value: {from: value, type: float}", "rejected"),
    ];
    for (source, columns, part) in cases {
        house.file("p.yaml", pipeline(source, columns));
        let document = house.json(1, &["run", "p.yaml"]);
        assert_eq!(document["status"], "failed", "{document:#}");
        let attempt = &document["steps"][0]["attempts"][0];
        assert_eq!(attempt["class"], "invalid", "{source}: {document:#}");
        let message = attempt["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "no `{part}` in: {message}");
        assert_eq!(document["steps"][0]["attempts"].as_array().unwrap().len(), 1, "it was tried again");
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

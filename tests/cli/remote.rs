//! Sources and stores elsewhere: behind HTTP, in an object store, and those that let nobody in.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::house::{Finished, House, files};
use crate::servers::{Answer, S3, Web};
use crate::shop::{BEATS_POPULARITY, TRAIN, short, step};
use crate::table::rows;

const LOG: &str = "user,item\n1,10\n2,11\n,12\n";

/// Extracts from an address; an attempt is repeated at once.
fn extract(address: &str, more: &str) -> String {
    format!(
        "noctule: 1\npipeline: remote\ndefaults: {{retry: {{attempts: 2, backoff: {{initial: 1s}}}}}}\nsteps:\n  events:\n    uses: extract\n    with: {{source: \"{address}\", columns: {{user: user, item: item}}{more}}}\n"
    )
}

/// The class and message of the first attempt of `events`.
fn failure(document: &Value) -> (&str, &str) {
    let attempt = &step(document, "events")["attempts"][0];
    (attempt["class"].as_str().unwrap_or_default(), attempt["message"].as_str().unwrap_or_default())
}

#[test]
fn a_signed_address_is_fetched_as_it_is_and_its_signature_is_nowhere_to_be_seen() {
    let web = Web::serve(|method, path| {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        match (query.contains("X-Amz-Signature=S3cr3t%2FSign"), path) {
            // As presigned addresses are: good for one method.
            (true, "/a%2Fb/log.csv") if method == "GET" => Answer::of("one", LOG),
            (true, "/half.parquet") if method == "GET" => Answer::of("two", "PAR1 half"),
            (_, _) => Answer::refusal(403, &format!("<Error><Provided>{query}</Provided></Error>")),
        }
    });
    let house = House::new();
    let signed = format!("{}/a%2Fb/log.csv?X-Amz-Date=1&X-Amz-Signature=S3cr3t%2FSign", web.root);
    house.file("p.yaml", extract(&signed, ", rejected: {max_share: 50%}"));
    let done = house.json(0, &["run", "p.yaml"]);
    assert_eq!(rows(&house, &done, "events", "main"), ["10|1", "11|2"]);
    assert!(rows(&house, &done, "events", "rejected")[0].contains("log.csv?…"));
    let asked = web.asked();
    assert!(
        asked.iter().all(|line| line.ends_with("/a%2Fb/log.csv?X-Amz-Date=1&X-Amz-Signature=S3cr3t%2FSign"))
    );

    // Signed anew it is the same source, and what was read is taken over.
    let again = signed.replace("X-Amz-Date=1", "X-Amz-Date=2");
    house.file("p.yaml", extract(&again, ", rejected: {max_share: 50%}"));
    assert_eq!(step(&house.json(0, &["run", "p.yaml"]), "events")["state"], "reused");
    assert_eq!(web.asked().len(), asked.len() + 2, "{:?}", web.asked());

    let mut seen = String::new();
    for (address, message) in [
        (signed.replace("S3cr3t", "S3cr3tOfYore"), "may not be read"),
        (signed.replace("a%2Fb/log.csv", "half.parquet"), "is no readable Parquet file"),
        (signed.replace("a%2Fb/log.csv", "half.parquet") + "#S3cr3t", "is no readable Parquet file"),
    ] {
        house.file("p.yaml", extract(&address, ""));
        let finished = house.noctule(&["run", "p.yaml"]).expect(1);
        assert!(finished.stderr.contains(message) && finished.stderr.contains("?…"), "{}", finished.stderr);
        seen += &finished.stderr;
    }
    for command in
        [&["show", "--json"][..], &["runs", "--json"], &["logs", "last"], &["plan", "p.yaml", "--json"]]
    {
        let shown = house.noctule(command);
        seen += &(shown.stdout + &shown.stderr);
    }
    for (path, bytes) in files(&house.path().join(".noctule/store")) {
        // What an attempt is told has to hold all that it needs to fetch.
        if !path.to_string_lossy().ends_with(".launch.json") {
            seen += &String::from_utf8_lossy(&bytes);
        }
    }
    assert!(!seen.contains("S3cr3t"), "{}", seen.lines().find(|line| line.contains("S3cr3t")).unwrap());
}

#[test]
fn a_source_that_changes_while_it_is_read_is_not_read_as_something_else() {
    // Each look finds another version than the request before, as long as the log is being written.
    let versions = AtomicUsize::new(0);
    let web = Web::serve(move |method, path| {
        let last = if path.starts_with("/settles") { 2 } else { usize::MAX };
        let version = match method {
            "HEAD" => versions.load(Ordering::SeqCst),
            _ => (versions.fetch_add(1, Ordering::SeqCst) + 1).min(last),
        };
        Answer::of(&format!("v{version}"), format!("user,item\n{version},{version}\n"))
    });
    let house = House::new();
    house.file("p.yaml", extract(&format!("{}/restless.csv", web.root), ""));
    let document = house.json(1, &["run", "p.yaml"]);
    let (class, message) = failure(&document);
    assert_eq!(class, "transient", "{document:#}");
    assert!(message.contains("/restless.csv` changed while it was read"), "{message}");
    assert!(message.contains("run again when nothing writes to it"), "{message}");
    assert_eq!(step(&document, "events")["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(step(&document, "events")["manifest"], Value::Null, "nothing of it is an artifact");

    house.file("p.yaml", extract(&format!("{}/settles.csv", web.root), ""));
    let document = house.json(0, &["run", "p.yaml"]);
    assert_eq!(rows(&house, &document, "events", "main"), ["2|2"], "what was listed last was read");
}

#[test]
fn a_local_file_that_is_replaced_while_it_is_read_is_an_error() {
    let house = House::new();
    let log = house.file("log.csv", "user,item\n1,1\n");
    house.file("p.yaml", extract("log.csv", ""));
    let run = house.start(&["run", "p.yaml", "--json"]);
    let mut run = run;
    let mut number = 0_u64;
    while run.try_wait().unwrap().is_none() {
        number += 1;
        std::fs::write(house.path().join("next.csv"), format!("user,item\n{number},1\n")).unwrap();
        std::fs::rename(house.path().join("next.csv"), &log).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let document = Finished::from(run.wait_with_output().unwrap()).expect(1).json();
    let (class, message) = failure(&document);
    assert_eq!(class, "transient", "{document:#}");
    assert!(message.contains("log.csv` changed while it was read"), "{message}");
}

#[test]
fn a_whole_night_may_live_in_an_object_store() {
    let s3 = S3::serve();
    let house = House::new();
    house.file("config.yaml", "store: s3://bucket/noctule\n");
    let shop = "demo://shop?users=1000&items=200&events=8000&seed=5";
    house.noctule(&["demo", "logs", "--source", shop, "--until", "2026-11-19", "--days", "6"]).expect(0);
    for (path, bytes) in files(&house.path().join("logs/events")) {
        let name = path.strip_prefix(house.path().join("logs")).unwrap().to_str().unwrap().to_owned();
        let file = s3.file(&name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
    std::fs::remove_dir_all(house.path().join("logs")).unwrap();
    let source = "source: \"demo://shop/events?users=3000&items=600&events=40000&seed=5\"";
    let rule = BEATS_POPULARITY.replace(", confidence: 95%", "").replace("10%", "1%");
    let text = short(TRAIN, &rule).replace(source, "source: s3://bucket/events").replace("14d", "6d");
    house.file("p.yaml", text);

    let run = ["run", "p.yaml", "--at", "2026-11-20", "--config", "config.yaml", "--json"];
    let first = Finished::from(s3.command(&house, &run).output().unwrap()).expect(0).json();
    assert_eq!(first["published"]["version"], 1, "{first:#}");
    assert_eq!(first["published"]["promoted"], true);
    assert!(step(&first, "events")["rows"].as_u64().unwrap() > 1000);
    assert!(s3.file("noctule/models/feed/versions/1/version.json").is_file());
    assert!(s3.file("noctule/models/feed/aliases/champion.json").is_file());
    assert!(!house.path().join(".noctule/store").exists(), "the store is elsewhere");
    let with = |arguments: &[&str]| {
        let all = [arguments, &["--config", "config.yaml", "--json"]].concat();
        Finished::from(s3.command(&house, &all).output().unwrap())
    };
    with(&["models", "verify"]).expect(0);

    // Again it is all known; a day written anew is read anew, and no other.
    let again = with(&["run", "p.yaml", "--at", "2026-11-20"]).expect(0).json();
    assert_eq!(step(&again, "events")["state"], "reused");
    let day = |date: &str| s3.file(&format!("events/date={date}/part-0.parquet"));
    std::fs::copy(day("2026-11-18"), day("2026-11-19")).unwrap();
    let changed = with(&["run", "p.yaml", "--at", "2026-11-20"]);
    let changed = changed.json();
    assert_eq!(step(&changed, "events")["metrics"]["partitions_reused"], 5.0, "{changed:#}");

    // The right secret is asked for where it is missing, and before anything is begun.
    let mut stranger = s3.command(&house, &run);
    stranger.env("AWS_SECRET_ACCESS_KEY", "guess");
    let refused = Finished::from(stranger.output().unwrap()).expect(2);
    assert!(refused.stderr.contains("no permission"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("guess"), "{}", refused.stderr);
    // With a store of its own, the same stranger is turned away by the source.
    let mut stranger = s3.command(&house, &["run", "p.yaml", "--at", "2026-11-20", "--json"]);
    stranger.env("AWS_SECRET_ACCESS_KEY", "guess");
    let document = Finished::from(stranger.output().unwrap()).expect(1).json();
    let (class, message) = failure(&document);
    assert_eq!(class, "invalid", "{document:#}");
    assert!(message.contains("`s3://bucket/events` may not be read"), "{message}");
}

#[test]
fn a_store_or_source_without_credentials_says_which_to_set() {
    // In the place of the service that gives the machines of a cloud their credentials.
    let nobody = Web::serve(|_, _| Answer::refusal(404, ""));
    let host = nobody.root.trim_start_matches("http://").to_owned();
    let house = House::new();
    let run = |arguments: &[&str]| {
        let mut command = house.command(arguments);
        command.env("AWS_METADATA_ENDPOINT", &nobody.root);
        command.env("GCE_METADATA_HOST", &host).env("GCE_METADATA_IP", &host);
        Finished::from(command.output().unwrap())
    };
    for (address, variables) in [
        ("s3://absent/x", "AWS_ACCESS_KEY_ID"),
        ("gs://absent/x", "GOOGLE_SERVICE_ACCOUNT"),
        ("az://absent/x", "AZURE_STORAGE_ACCOUNT_NAME"),
    ] {
        house.file("p.yaml", extract(&format!("{address}/log.csv"), ""));
        let document = run(&["run", "p.yaml", "--json"]).expect(1).json();
        let (class, message) = failure(&document);
        assert_eq!(class, "invalid", "{document:#}");
        assert!(message.contains("needs credentials") && message.contains(variables), "{message}");

        house.file("config.yaml", format!("store: {address}\n"));
        let refused = run(&["run", "p.yaml", "--config", "config.yaml"]).expect(2);
        assert!(refused.stderr.contains(variables), "{}", refused.stderr);
    }
}

//! What a valid pipeline becomes.

use std::collections::BTreeMap;

use noctule_artifacts::RunId;
use noctule_artifacts::launch::{EnvValue, Interval};
use noctule_spec::kinds::{dedup, evaluate, extract, filter, gate, publish, shell, split, train};
use noctule_spec::{Context, Loaded, Misfire, Overlap, SourceText, Span, StepKind, Style, load};
use serde_json::json;

const NIGHTLY: &str = include_str!("../valid/nightly.yaml");

fn context(params: &[(&str, &str)]) -> Context {
    Context {
        params: params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        interval: Interval {
            start: "2026-11-22T23:00:00Z".parse().unwrap(),
            end: "2026-11-23T23:00:00Z".parse().unwrap(),
        },
        run: Some(RunId::from_random(7)),
        now: "2026-11-24T01:15:00Z".parse().unwrap(),
        pools: None,
    }
}

fn loaded(text: impl Into<Vec<u8>>, params: &[(&str, &str)]) -> Loaded {
    let source = SourceText::new("p.yaml", text);
    load(&source, &context(params)).unwrap_or_else(|found| panic!("{}", found.render(&source, Style::Plain)))
}

fn kind(loaded: &Loaded, step: &str) -> StepKind {
    loaded.pipeline.step(&step.parse().unwrap()).unwrap_or_else(|| panic!("{step}")).kind.clone()
}

fn step(name: &str, body: &str) -> String {
    format!("noctule: 1\npipeline: p\nsteps:\n  {name}:\n{body}")
}

#[test]
fn the_nightly_pipeline_is_what_it_says() {
    let Loaded { pipeline, warnings } = loaded(NIGHTLY, &[]);
    assert_eq!(warnings, []);
    assert_eq!(pipeline.name.as_str(), "nightly-recs");
    assert_eq!(pipeline.owner.as_deref(), Some("recs-team"));
    let schedule = pipeline.schedule.as_ref().unwrap();
    let timetable = schedule.timetable().unwrap();
    assert_eq!(timetable.cron.to_string(), "15 2 * * *");
    assert_eq!(
        (timetable.timezone.as_str(), schedule.misfire, schedule.overlap),
        ("Europe/Berlin", Misfire::RunLatest, Overlap::Skip)
    );
    assert_eq!(schedule.deadline, Some(Span::from_seconds(6 * 3600)));
    assert_eq!(pipeline.params["factors"], 64);
    assert_eq!(pipeline.alerts.slack.as_ref().unwrap().token.secret, "slack-token");
    let names: Vec<&str> = pipeline.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(
        names,
        ["catalogue", "events", "safe", "unique", "active", "split", "model", "quality", "gate", "publish"]
    );
    let quality = pipeline.step(&"quality".parse().unwrap()).unwrap();
    let inputs: Vec<(&str, &str, &str)> = quality
        .inputs
        .iter()
        .map(|input| (input.reference.as_str(), input.step.as_str(), input.output.as_str()))
        .collect();
    assert_eq!(
        inputs,
        [("model", "model", "main"), ("split.test", "split", "test"), ("split.train", "split", "train")]
    );
    assert_eq!(quality.models, ["home-feed@champion"]);
    let needs: Vec<&str> = quality.needs.iter().map(|name| name.as_str()).collect();
    assert_eq!(needs, ["model", "split"]);
    assert_eq!(quality.retry.attempts, 3);
    assert_eq!(quality.timeouts.run, Span::from_seconds(7200));
    let model = pipeline.step(&"model".parse().unwrap()).unwrap();
    assert_eq!(
        (model.resources.cpu.unwrap().threads(), model.resources.memory.unwrap().bytes()),
        (8, 32 << 30)
    );
    let safe = pipeline.step(&"safe".parse().unwrap()).unwrap();
    assert_eq!((safe.resources.cpu.unwrap().threads(), safe.resources.memory.unwrap().bytes()), (2, 4 << 30));
}

#[test]
fn settings_are_canonical_with_all_defaults() {
    let loaded = loaded(NIGHTLY, &[("factors", "128")]);
    assert_eq!(
        kind(&loaded, "events").canonical(),
        json!({
            "sources": {"source": {
                "source": "demo://shop/events", "format": "auto", "header": true, "quote": "\"", "encoding": "utf8",
                "compression": "auto",
                "columns": {
                    "user": {"from": "user_id"}, "item": {"from": "item_id"}, "value": {"from": "watch_share"},
                    "time": {"from": "ts"},
                },
            }},
            "window": 2_419_200, "snapshot": null, "where": "event = 'watch' AND watch_share >= 0.5", "sql": null,
            "rejected": {"max_share": 0.01},
            "expect": {"partitions": "all", "rows": {"vs_last_good": -0.3}, "newest": 7200},
        })
    );
    assert_eq!(
        kind(&loaded, "model").canonical(),
        json!({
            "input": "split.train", "algorithm": "ials", "factors": 128, "epochs": 16, "regularisation": 0.003,
            "nu": 1.0, "unobserved_weight": 0.1, "init_stddev": 0.1, "seed": 42,
        })
    );
    assert_eq!(
        kind(&loaded, "gate").canonical(),
        json!({"evaluation": "quality", "require": [
            {"metric": "ndcg@20", "bar": {"min-gain": {"against": "popularity", "gain": 0.1}}, "confidence": 0.95},
            {"metric": "ndcg@20", "bar": {"max-drop": {"against": "home-feed@champion", "drop": 0.01}}, "confidence": 0.95},
        ]})
    );
    assert_eq!(kind(&loaded, "split").canonical()["test"], json!({"span": 86_400}));
}

#[test]
fn canonical_settings_are_read_back_as_they_were() {
    fn again<T: serde::de::DeserializeOwned>(kind: &StepKind) -> T {
        serde_json::from_value(kind.canonical()).unwrap_or_else(|error| panic!("{}: {error}", kind.name()))
    }
    let with_shell = format!(
        "{NIGHTLY}  mine:\n    uses: shell\n    with: {{command: make all, inputs: {{TRAIN: split.train}}, reuse: {{files: [Makefile]}}}}\n"
    );
    for step in loaded(with_shell, &[]).pipeline.steps {
        let read = match &step.kind {
            kind @ StepKind::Extract(_) => StepKind::Extract(again::<extract::Settings>(kind)),
            kind @ StepKind::Filter(_) => StepKind::Filter(again::<filter::Settings>(kind)),
            kind @ StepKind::Dedup(_) => StepKind::Dedup(again::<dedup::Settings>(kind)),
            kind @ StepKind::Split(_) => StepKind::Split(again::<split::Settings>(kind)),
            kind @ StepKind::Train(_) => StepKind::Train(again::<train::Settings>(kind)),
            kind @ StepKind::Evaluate(_) => StepKind::Evaluate(again::<evaluate::Settings>(kind)),
            kind @ StepKind::Gate(_) => StepKind::Gate(again::<gate::Settings>(kind)),
            kind @ StepKind::Publish(_) => StepKind::Publish(again::<publish::Settings>(kind)),
            kind @ StepKind::Shell(_) => StepKind::Shell(again::<shell::Settings>(kind)),
        };
        assert_eq!(read, step.kind);
    }
}

#[test]
fn what_an_expectation_says_is_no_part_of_the_fingerprint() {
    let loaded = loaded(NIGHTLY, &[]);
    let events = kind(&loaded, "events");
    assert!(events.canonical().get("expect").is_some());
    assert!(events.fingerprint_settings().get("expect").is_none());
    assert_eq!(kind(&loaded, "model").fingerprint_settings(), kind(&loaded, "model").canonical());
}

#[test]
fn who_reads_the_end_of_the_interval_is_known() {
    let loaded = loaded(NIGHTLY, &[]);
    let readers: Vec<&str> = loaded
        .pipeline
        .steps
        .iter()
        .filter(|step| step.kind.reads_interval_end())
        .map(|step| step.name.as_str())
        .collect();
    assert_eq!(readers, ["catalogue", "events", "active", "split"]);
}

#[test]
fn line_ends_and_byte_order_marks_make_no_difference() {
    let plain = loaded(NIGHTLY, &[]).pipeline;
    assert_eq!(loaded(NIGHTLY.replace('\n', "\r\n"), &[]).pipeline, plain);
    assert_eq!(loaded(format!("\u{feff}{NIGHTLY}"), &[]).pipeline, plain);
    assert_eq!(loaded(format!("---\n{NIGHTLY}...\n"), &[]).pipeline, plain);
}

#[test]
fn the_order_of_the_file_is_kept_as_far_as_needs_allow() {
    let text = "noctule: 1\npipeline: p\nsteps:\n\
        \x20 d: {uses: filter, with: {input: b, users: {min_items: 1}}}\n\
        \x20 c: {uses: shell, with: {command: [make]}, needs: [d]}\n\
        \x20 b: {uses: extract, with: {source: b.csv}}\n\
        \x20 a: {uses: extract, with: {source: a.csv}}\n";
    let loaded = loaded(text, &[]);
    let names: Vec<&str> = loaded.pipeline.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["b", "d", "c", "a"]);
}

#[test]
fn a_step_lays_its_own_words_over_the_defaults() {
    let text = "noctule: 1\npipeline: p\n\
        defaults: {retry: {attempts: 5, backoff: {initial: 1s}}, timeouts: {grace: 5s}, resources: {cpu: 2}}\n\
        steps:\n  a:\n    uses: shell\n    with: {command: [make]}\n    retry: {backoff: {max: 1m}, on_exit: [3]}\n    \
        resources: {memory: 1Gi}\n    exclusive: true\n    always: true\n";
    let loaded = loaded(text, &[]);
    let step = &loaded.pipeline.steps[0];
    assert_eq!((step.retry.attempts, step.retry.on_exit.as_slice()), (5, &[3][..]));
    assert_eq!((step.retry.backoff.initial.seconds(), step.retry.backoff.max.seconds()), (1, 60));
    assert_eq!((step.timeouts.grace.seconds(), step.timeouts.stop.seconds()), (5, 600));
    assert_eq!(
        (step.resources.cpu.unwrap().millis(), step.resources.memory.unwrap().bytes()),
        (2000, 1 << 30)
    );
    assert!(step.exclusive && step.always);
}

#[test]
fn the_run_is_seen_in_env_and_labels() {
    let body = "    uses: shell\n    with: {command: [make, \"{{ interval.start | date }}\"]}\n    \
        env: {RUN: \"{{ run.id }}\", AT: \"{{ run.at }}\", N: 1, TOKEN: {secret: my-token}}\n    \
        labels: {run: \"{{ run.id }}\"}\n";
    let loaded = loaded(step("a", body), &[]);
    let step = &loaded.pipeline.steps[0];
    let run = RunId::from_random(7).to_string();
    assert_eq!(
        step.env,
        BTreeMap::from([
            ("RUN".to_owned(), EnvValue::Text(run.clone())),
            ("AT".to_owned(), EnvValue::Text("2026-11-24T01:15:00Z".to_owned())),
            ("N".to_owned(), EnvValue::Text("1".to_owned())),
            ("TOKEN".to_owned(), EnvValue::Secret("my-token".to_owned())),
        ])
    );
    assert_eq!(step.labels["run"], run);
    assert_eq!(step.kind.canonical()["command"], json!({"argv": ["make", "2026-11-22"]}));
}

#[test]
fn when_switches_a_step_off_and_says_why() {
    let text = "noctule: 1\npipeline: p\nparams: {full: true, size: 3}\nsteps:\n\
        \x20 a: {uses: shell, with: {command: [make]}, when: \"{{ params.full }}\"}\n\
        \x20 b: {uses: shell, with: {command: [make]}, when: \"{{ params.size > 3 }}\"}\n\
        \x20 c: {uses: shell, with: {command: [make]}, when: false}\n";
    let loaded = loaded(text, &[("full", "false")]);
    let why: Vec<Option<&str>> = loaded.pipeline.steps.iter().map(|step| step.disabled.as_deref()).collect();
    assert_eq!(
        why,
        [
            Some("`when: {{ params.full }}` is false"),
            Some("`when: {{ params.size > 3 }}` is false"),
            Some("`when` is false"),
        ]
    );
}

#[test]
fn parameters_keep_their_types_through_templates() {
    let text = "noctule: 1\npipeline: p\n\
        params: {names: [u, i], header: false, source: {type: text}, share: 2.5%, factors: {type: integer, default: 8, choices: [8, 16]}}\n\
        steps:\n\
        \x20 a: {uses: extract, with: {source: \"{{ params.source }}\", names: \"{{ params.names }}\", header: \"{{ params.header }}\", rejected: {max_share: \"{{ params.share }}\"}}}\n\
        \x20 b: {uses: train, with: {input: a, algorithm: ials, factors: \"{{ params.factors }}\", epochs: \"{{ params.factors * 2 }}\"}}\n";
    let loaded = loaded(text, &[("source", "1"), ("names", "x, y ,z"), ("factors", "16")]);
    let StepKind::Extract(settings) = kind(&loaded, "a") else { panic!() };
    let source = &settings.sources[extract::ONLY_SOURCE];
    assert_eq!(source.source, "1");
    assert_eq!(source.names.as_deref(), Some(&["x".to_owned(), "y".to_owned(), "z".to_owned()][..]));
    assert!(!source.header);
    assert_eq!(settings.rejected.max_share.fraction(), 0.025);
    let StepKind::Train(settings) = kind(&loaded, "b") else { panic!() };
    assert_eq!((settings.factors, settings.epochs), (16, 32));
}

#[test]
fn names_of_columns_mean_that_no_line_names_them() {
    for (keys, header) in [
        ("", true),
        ("names: [u, i]", false),
        ("names: [u, i], header: false", false),
        ("header: false", false),
    ] {
        let body = format!("    uses: extract\n    with: {{source: a.csv, {keys}}}\n");
        let StepKind::Extract(settings) = kind(&loaded(step("a", &body), &[]), "a") else { panic!() };
        assert_eq!(settings.sources[extract::ONLY_SOURCE].header, header, "{keys}");
    }
}

#[test]
fn short_ways_of_writing_mean_the_long_ones() {
    let text = "noctule: 1\npipeline: p\nsteps:\n\
        \x20 a: {uses: extract, with: {sql: SELECT * FROM l JOIN r USING (id), sources: {l: {source: l.csv}, r: {source: r.csv, columns: {id: {from: i, type: integer}}}}}}\n\
        \x20 b: {uses: filter, with: {input: a, block: {users: [1, x, 007], items: a}}}\n\
        \x20 c: {uses: dedup, with: {input: b, repeated: {key: event}}}\n\
        \x20 d: {uses: dedup, with: {input: b, repeated: {key: [user, time]}}}\n\
        \x20 e: {uses: split, with: {input: c, by: last, validation: last}}\n\
        \x20 f: {uses: shell, with: {command: \"echo hi\"}}\n";
    let loaded = loaded(text, &[]);
    let StepKind::Filter(settings) = kind(&loaded, "b") else { panic!() };
    let block = settings.block.unwrap();
    assert_eq!(block.users, Some(filter::BlockList::Listed(vec!["1".into(), "x".into(), "007".into()])));
    assert_eq!(block.items, Some(filter::BlockList::Table("a".parse().unwrap())));
    let StepKind::Dedup(settings) = kind(&loaded, "c") else { panic!() };
    assert_eq!(settings.repeated.unwrap().key, dedup::Columns(vec!["event".into()]));
    let StepKind::Dedup(settings) = kind(&loaded, "d") else { panic!() };
    assert_eq!(settings.repeated.unwrap().key, dedup::Columns(vec!["user".into(), "time".into()]));
    assert_eq!(kind(&loaded, "e").canonical()["test"], "last");
    assert_eq!(kind(&loaded, "f").canonical()["command"], json!({"text": "echo hi"}));
}

#[test]
fn without_a_run_its_id_is_a_placeholder() {
    let text = step("a", "    uses: shell\n    with: {command: [make]}\n    env: {RUN: \"{{ run.id }}\"}\n");
    let source = SourceText::new("p.yaml", text);
    let loaded = load(&source, &Context { run: None, ..context(&[]) }).unwrap();
    assert_eq!(loaded.pipeline.steps[0].env["RUN"], EnvValue::Text("<run id>".to_owned()));
}

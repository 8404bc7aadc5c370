//! What a schedule says about when a pipeline is due, and what its runs may use.

use std::collections::BTreeMap;

use noctule_artifacts::launch::Interval;
use noctule_spec::{Context, Limits, Misfire, Overlap, Pipeline, SourceText, Span, Style, load};

const WAITS: &str = include_str!("../valid/waits-for-data.yaml");
const AFTER: &str = include_str!("../valid/after-a-promotion.yaml");

fn interval(start: &str, end: &str) -> Interval {
    Interval { start: start.parse().unwrap(), end: end.parse().unwrap() }
}

fn read(text: &str) -> Result<Pipeline, String> {
    let source = SourceText::new("p.yaml", text);
    let context = Context {
        params: BTreeMap::new(),
        interval: interval("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
        run: None,
        now: "2026-11-24T02:15:00Z".parse().unwrap(),
        pools: Some(["gpu".to_owned()].into()),
    };
    load(&source, &context).map(|loaded| loaded.pipeline).map_err(|found| found.render(&source, Style::Plain))
}

fn schedule(text: &str) -> String {
    format!(
        "noctule: 1\npipeline: p\nschedule:\n{text}\nsteps: {{a: {{uses: shell, with: {{command: [make]}}}}}}\n"
    )
}

#[test]
fn data_are_awaited_under_a_name_of_their_own_for_every_interval() {
    let pipeline = read(WAITS).unwrap();
    let schedule = pipeline.schedule.as_ref().unwrap();
    let wait = schedule.wait().unwrap();
    assert_eq!(wait.data, "s3://logs/date={{ interval.start | date }}/_SUCCESS");
    assert_eq!((wait.poll, wait.give_up), (Span::from_seconds(60), Span::from_seconds(4 * 3600)));
    assert_eq!((schedule.misfire, schedule.overlap), (Misfire::RunAll, Overlap::Queue));
    assert_eq!(schedule.timetable().unwrap().timezone, "Europe/Berlin");
    assert!(schedule.promotion().is_none());
    let night = interval("2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z");
    assert_eq!(pipeline.awaited(night).unwrap().as_deref(), Some("s3://logs/date=2026-12-31/_SUCCESS"));
}

#[test]
fn a_wait_has_defaults_and_may_name_parameters() {
    let text = "  cron: \"0 3 * * *\"\n  on: {data: \"{{ params.root }}/{{ interval.end | date('%Y/%m/%d') }}.done\"}\nparams: {root: /data}";
    let pipeline = read(&schedule(text)).unwrap();
    let wait = pipeline.schedule.as_ref().and_then(|schedule| schedule.wait()).unwrap();
    assert_eq!((wait.poll, wait.give_up), (Span::from_seconds(300), Span::from_seconds(86_400)));
    let night = interval("2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z");
    assert_eq!(pipeline.awaited(night).unwrap().as_deref(), Some("/data/2027/01/01.done"));
}

#[test]
fn days_are_those_of_the_data() {
    let text = "  cron: \"0 3 * * *\"\n  on: {data: \"/data/{{ interval.start | date }}\"}\ndata: {timezone: Europe/Berlin}";
    let pipeline = read(&schedule(text)).unwrap();
    let night = interval("2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z");
    assert_eq!(pipeline.awaited(night).unwrap().as_deref(), Some("/data/2026-11-23"));
}

#[test]
fn without_a_wait_nothing_is_awaited() {
    let night = interval("2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z");
    for text in ["  cron: \"0 3 * * *\"", "  on: {promotion: home-feed}"] {
        assert_eq!(read(&schedule(text)).unwrap().awaited(night).unwrap(), None);
    }
}

#[test]
fn a_promotion_is_of_the_champion_unless_it_says_another_alias() {
    let of = |text: &str| {
        let pipeline = read(text).unwrap();
        let of = pipeline.schedule.as_ref().unwrap().promotion().unwrap().clone();
        format!("{}@{}", of.model, of.alias)
    };
    assert_eq!(of(&schedule("  on: {promotion: home-feed}")), "home-feed@champion");
    // The pipeline publishes `home-feed@champion` itself, which is not what it waits for.
    assert_eq!(of(AFTER), "home-feed@reference");
}

#[test]
fn a_pipeline_says_what_it_may_use_and_what_it_publishes() {
    let pipeline = read(WAITS).unwrap();
    assert_eq!((pipeline.priority, pipeline.limits), (-10, Limits { attempts: Some(4) }));
    let pools: Vec<_> = pipeline.steps.iter().filter_map(|step| step.pool.as_deref()).collect();
    assert_eq!(pools, ["gpu"]);
    let published: Vec<String> =
        pipeline.publishes().map(|(name, alias)| format!("{name}@{alias}")).collect();
    assert_eq!(published, ["home-feed@champion"]);
    let plain = read(&schedule("  cron: \"0 3 * * *\"")).unwrap();
    assert_eq!((plain.priority, plain.limits), (0, Limits::default()));
}

#[test]
fn a_schedule_that_is_no_mapping_is_refused() {
    for (text, part) in [
        ("  - cron: x", "`schedule` is a list"),
        ("  15 2 * * *", "`schedule` is `15 2 * * *`"),
        ("  on: home-feed", "`on` is `home-feed`"),
        ("  on:", "`on` is empty"),
        ("  on: {data: [a, b]}", "`data` is a list"),
        ("  {}", "neither `cron` nor `on`"),
    ] {
        let shown = read(&schedule(text)).unwrap_err();
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
    let empty =
        read("noctule: 1\npipeline: p\nschedule:\nsteps: {a: {uses: shell, with: {command: [make]}}}\n")
            .unwrap_err();
    assert!(empty.contains("`schedule` is empty"), "{empty}");
}

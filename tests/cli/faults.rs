//! What the data steps remove from a log, against the file that names each planted fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use serde_json::Value;

use crate::artifact::{Artifact, ids, integers, rows, texts};
use crate::house::{House, workspace};
use crate::shop::step;

/// One day's log, with some hundred faults of most kinds.
const SHOP: &str = "demo://shop?users=100000&items=16000&events=600000&seed=11";
const DAY: &str = "2026-11-19";
const NIGHT: &str = "2026-11-20";

/// The shipped nightly pipeline's rules, each in a step of its own, so that what a rule removed can be told. The log is
/// only that of watching, where most faults are; whether enough of an item was watched is no question of faults.
const PIPELINE: &str = r#"noctule: 1
pipeline: cleaning
steps:
  catalogue:
    uses: extract
    with:
      source: shop/items
      columns: {item: item_id, title: title, text: description, harm: harm_score}
  events:
    uses: extract
    with:
      source: shop/events
      window: 2d
      where: "event = 'watch'"
      columns: {id: event_id, user: user_id, item: item_id, value: watch_share, time: ts}
  possible:
    uses: filter
    with: {input: events, ranges: {value: {min: 0, max: 1}}}
  harmless:
    uses: filter
    with: {input: possible, items: catalogue, harm: {max: 0.8}}
  human:
    uses: filter
    with: {input: harmless, bots: {max_per_minute: 60}}
  once:
    uses: dedup
    with: {input: human, repeated: {key: id}}
  unique:
    uses: dedup
    with: {input: once, pairs: keep-latest, items: catalogue, near: {columns: [title, text], jaccard: 0.7}}
"#;

/// The lists of `faults.ndjson`, by kind.
struct Planted(BTreeMap<String, Vec<Value>>);

impl Planted {
    fn read(house: &House) -> Self {
        let text = std::fs::read_to_string(house.path().join("shop/faults.ndjson")).unwrap();
        let mut kinds: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for line in text.lines() {
            let fault: Value = serde_json::from_str(line).unwrap();
            kinds.entry(fault["kind"].as_str().unwrap().to_owned()).or_default().push(fault);
        }
        Self(kinds)
    }

    fn of(&self, kind: &str) -> &[Value] {
        self.0.get(kind).unwrap_or_else(|| panic!("no fault of kind {kind} was planted"))
    }

    fn ids(&self, kind: &str, key: &str) -> BTreeSet<i64> {
        self.of(kind).iter().map(|fault| number(fault, key)).collect()
    }

    /// The pairs of a kind at or above the threshold, or below it.
    fn pairs(&self, kind: &str, above: bool) -> BTreeSet<(i64, i64)> {
        let wanted = |fault: &&Value| (fault["jaccard"].as_f64().unwrap() >= 0.7) == above;
        let pair = |fault: &Value| (number(fault, "first"), number(fault, "second"));
        self.of(kind).iter().filter(wanted).map(pair).collect()
    }
}

fn number(fault: &Value, key: &str) -> i64 {
    fault[key].as_i64().unwrap_or_else(|| panic!("no {key} in {fault}"))
}

/// A row of the log, or of a step's output.
#[derive(Clone, Copy)]
struct Row {
    id: i64,
    user: i64,
    item: i64,
}

fn read(batches: &[RecordBatch]) -> Vec<Row> {
    let rows = ids(batches, "id").into_iter().zip(ids(batches, "user")).zip(ids(batches, "item"));
    rows.map(|((id, user), item)| Row { id, user, item }).collect()
}

/// The rows of a run's steps, and the log that they were made of.
struct Cleaned {
    /// The ids of the log's rows, in its order, and whether each is of watching.
    log: Vec<(i64, bool)>,
    rejected: BTreeSet<i64>,
    steps: BTreeMap<&'static str, Vec<Row>>,
    canonical: BTreeMap<i64, i64>,
}

impl Cleaned {
    fn read(house: &House, run: &Value) -> Self {
        let raw = rows(&house.path().join(format!("shop/events/date={DAY}/part-0.parquet")));
        let watched = texts(&raw, "event").into_iter().map(|event| event == "watch");
        let log: Vec<(i64, bool)> = ids(&raw, "event_id").into_iter().zip(watched).collect();
        let rejects = Artifact::of(house, run, "events").rows("rejected");
        // A place is a row of the one file, from 1.
        let rejected = ids(&rejects, "place").into_iter().map(|place| log[place as usize - 1].0).collect();
        let names = ["events", "possible", "harmless", "human", "once", "unique"];
        let steps = names.map(|name| (name, read(&Artifact::of(house, run, name).rows("main"))));
        let map = Artifact::of(house, run, "unique").rows("canonical");
        let canonical = ids(&map, "item").into_iter().zip(ids(&map, "canonical")).collect();
        Self { log, rejected, steps: steps.into(), canonical }
    }

    /// A set of what stands in the rows that a step put out.
    fn set(&self, step: &str, of: impl Fn(&Row) -> i64) -> BTreeSet<i64> {
        self.steps[step].iter().map(of).collect()
    }

    /// What stands in the rows before a step and no longer in those behind it.
    fn removed(&self, before: &str, step: &str, of: impl Fn(&Row) -> i64) -> BTreeSet<i64> {
        &self.set(before, &of) - &self.set(step, &of)
    }

    /// The ids of the log's watch rows.
    fn watched(&self) -> BTreeSet<i64> {
        self.log.iter().filter(|(_, watched)| *watched).map(|(id, _)| *id).collect()
    }

    /// How often each event id stands in the output of a step.
    fn copies(&self, step: &str) -> BTreeMap<i64, i64> {
        let mut copies = BTreeMap::new();
        for row in &self.steps[step] {
            *copies.entry(row.id).or_default() += 1;
        }
        copies
    }

    /// All pairs of items that one of them, or a third, stands for.
    fn joined(&self) -> BTreeSet<(i64, i64)> {
        let mut groups: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (item, stands) in &self.canonical {
            groups.entry(*stands).or_default().push(*item);
        }
        let pairs = |group: &Vec<i64>| -> Vec<(i64, i64)> {
            let ahead = |n: usize| group[n + 1..].iter().map(move |other| (group[n], *other));
            (0..group.len()).flat_map(ahead).collect()
        };
        groups.values().flat_map(pairs).collect()
    }
}

/// What was found of one kind of fault.
struct Score {
    fault: &'static str,
    by: &'static str,
    planted: usize,
    found: usize,
    right: usize,
}

impl Score {
    fn new<T: Ord>(
        fault: &'static str,
        by: &'static str,
        planted: &BTreeSet<T>,
        found: &BTreeSet<T>,
    ) -> Self {
        let right = planted.intersection(found).count();
        Self { fault, by, planted: planted.len(), found: found.len(), right }
    }

    fn precision(&self) -> f64 {
        self.right as f64 / self.found as f64
    }

    fn recall(&self) -> f64 {
        self.right as f64 / self.planted as f64
    }

    fn line(&self) -> String {
        let Self { fault, by, planted, found, .. } = self;
        format!("| {fault} | {by} | {planted} | {found} | {:.4} | {:.4} |\n", self.precision(), self.recall())
    }
}

/// Faults that are told by a rule without a threshold of likeness.
fn exact(cleaned: &Cleaned, planted: &Planted) -> Vec<Score> {
    let watched = cleaned.watched();
    let kept = &cleaned.set("events", |row| row.id) | &cleaned.rejected;
    let future = &planted.ids("future", "event_id") & &watched;
    let malformed = &cleaned.rejected | &cleaned.removed("events", "possible", |row| row.id);
    let harmful = &planted.ids("harmful", "item_id") & &cleaned.set("possible", |row| row.item);
    let bots = &planted.ids("bot", "user_id") & &cleaned.set("harmless", |row| row.user);
    // A copy is an event with its number: the second, the third.
    let (before, behind) = (cleaned.copies("human"), cleaned.copies("once"));
    let copies = before.iter().flat_map(|(id, count)| (behind[id]..*count).map(|copy| (*id, copy)));
    let repeated =
        planted.of("duplicate").iter().filter(|fault| before.contains_key(&number(fault, "event_id")));
    let repeated =
        repeated.flat_map(|fault| (1..number(fault, "times")).map(|copy| (number(fault, "event_id"), copy)));
    vec![
        Score::new("events from the future", "`extract`, `window`", &future, &(&watched - &kept)),
        Score::new(
            "malformed rows",
            "`extract`, `rejected`; `filter`, `ranges`",
            &(&planted.ids("malformed", "event_id") & &watched),
            &malformed,
        ),
        Score::new(
            "harmful items",
            "`filter`, `harm`",
            &harmful,
            &cleaned.removed("possible", "harmless", |row| row.item),
        ),
        Score::new("bots", "`filter`, `bots`", &bots, &cleaned.removed("harmless", "human", |row| row.user)),
        Score::new("copies of an event", "`dedup`, `repeated`", &repeated.collect(), &copies.collect()),
    ]
}

/// The ids of the rows that a log without faults would have left, one a user and item.
fn expected(cleaned: &Cleaned, planted: &Planted, house: &House) -> BTreeSet<i64> {
    let raw = rows(&house.path().join(format!("shop/events/date={DAY}/part-0.parquet")));
    let wrong = &planted.ids("future", "event_id") | &planted.ids("malformed", "event_id");
    let (bots, harmful) = (planted.ids("bot", "user_id"), planted.ids("harmful", "item_id"));
    let twins: BTreeMap<i64, i64> =
        planted.pairs("twins", true).into_iter().map(|(first, second)| (second, first)).collect();
    let times = raw.iter().flat_map(|batch| {
        let column = batch.column_by_name("ts").expect("a time").as_primitive::<TimestampMicrosecondType>();
        (0..column.len()).map(|row| column.is_valid(row).then(|| column.value(row))).collect::<Vec<_>>()
    });
    let columns = cleaned.log.iter().zip(ids(&raw, "user_id")).zip(integers(&raw, "item_id")).zip(times);
    let mut latest: BTreeMap<(i64, i64), (i64, i64)> = BTreeMap::new();
    for ((((id, watched), user), item), time) in columns {
        let (Some(item), Some(time)) = (item, time) else { continue };
        if *watched && !wrong.contains(id) && !bots.contains(&user) && !harmful.contains(&item) {
            let item = twins.get(&item).copied().unwrap_or(item);
            let row = latest.entry((user, item)).or_insert((time, *id));
            *row = (*row).max((time, *id));
        }
    }
    latest.into_values().map(|(_, id)| id).collect()
}

#[test]
fn planted_faults_are_found_and_nothing_else_is() {
    let house = House::new();
    house.noctule(&["demo", "shop", "--source", SHOP, "--until", DAY, "--days", "1"]).expect(0);
    house.file("p.yaml", PIPELINE);
    let run = house.json(0, &["run", "p.yaml", "--at", NIGHT]);
    let (planted, cleaned) = (Planted::read(&house), Cleaned::read(&house, &run));

    let mut table =
        "| fault | found by | planted | found | precision | recall |\n|---|---|---:|---:|---:|---:|\n"
            .to_owned();
    for score in exact(&cleaned, &planted) {
        table += &score.line();
        assert!(score.planted >= 30, "too few to tell: {}", score.line());
        assert!(score.precision() >= 0.99 && score.recall() >= 0.99, "{}", score.line());
    }
    let joined = cleaned.joined();
    let near = "twins alike by 0.7 or more";
    let near = Score::new(near, "`dedup`, `near`", &planted.pairs("twins", true), &joined);
    assert!(near.planted >= 100 && near.precision() >= 0.98 && near.recall() >= 0.98, "{}", near.line());
    table += &near.line();
    let left = cleaned.set("unique", |row| row.id);
    let left = Score::new("rows that stay", "all of them", &expected(&cleaned, &planted, &house), &left);
    assert!(left.precision() >= 0.99 && left.recall() >= 0.99, "{}", left.line());
    table += &left.line();

    let hard = &planted.pairs("hard-negative", true) | &planted.pairs("hard-negative", false);
    let wrongly = hard.intersection(&joined).count();
    assert!(hard.len() >= 100 && wrongly * 100 <= hard.len(), "{wrongly} of {} were joined", hard.len());
    let below = planted.pairs("twins", false);
    let beyond = below.intersection(&joined).count();
    writeln!(
        table,
        "\nOf {} sequels, episodes and remakes {wrongly} were joined; of {} twins alike by less than 0.7, {beyond}.",
        hard.len(),
        below.len()
    )
    .unwrap();

    // Late rows and rows out of order are no reason to lose any.
    let metrics = &step(&run, "events")["metrics"];
    let (watched, kept) = (cleaned.watched(), cleaned.set("possible", |row| row.id));
    let late = &planted.ids("late", "event_id") & &watched;
    assert_eq!(metrics["rows_late"], late.len() as f64);
    assert!(late.is_subset(&kept) && (&planted.ids("out-of-order", "event_id") & &watched).is_subset(&kept));

    let page = std::fs::read_to_string(workspace().join("docs/results.md")).unwrap();
    assert!(page.contains(&table), "docs/results.md does not show what was found:\n{table}");
}

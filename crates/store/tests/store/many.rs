//! Ten thousand runs, each with the log of a whole night.

use std::time::{Duration, Instant};

use noctule_artifacts::RunId;
use noctule_store::{Fate, Location, OccurrenceFilter, OccurrenceStage, RunCursor, RunFilter, Store, record};

use crate::golden::night;
use crate::world::{World, at, day, due, run_id};

const RUNS: usize = 10_000;
/// What a run's definition takes: the text of a pipeline.
const DEFINITION: usize = 8_000;

/// Writes the runs past the store, which would take its time to make them durable one by one.
async fn fill(world: &World) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let bytes = |bytes: &[u8]| match world.location {
        Location::File(_) => format!("X'{}'", hex(bytes)),
        Location::Postgres(_) => format!("CAST('\\x{}' AS BYTEA)", hex(bytes)),
    };
    let definition = match world.location {
        Location::File(_) => format!("zeroblob({DEFINITION})"),
        Location::Postgres(_) => format!("decode(repeat('78', {DEFINITION}), 'hex')"),
    };
    let last = night().len();
    for first in (0..RUNS).step_by(500) {
        let rows = (first..first + 500).map(|number| {
            let pipeline = if number == 17 { "rare".to_owned() } else { format!("pipeline-{}", number % 50) };
            let start = day(number as i64 / 50).start.as_microsecond();
            let end = day(number as i64 / 50).end.as_microsecond();
            let created = at(number as i64 * 60).as_microsecond();
            let (status, ended) = match number {
                number if number >= RUNS - 8 => ("running", "NULL".to_owned()),
                number if number % 7 == 0 => ("failed", created.to_string()),
                _ => ("succeeded", created.to_string()),
            };
            format!(
                "('{}', '{pipeline}', {start}, {end}, NULL, '{status}', {created}, {created}, {ended}, {last}, {definition})",
                run_id(number as u32)
            )
        });
        let rows: Vec<String> = rows.collect();
        world.sql(&format!("INSERT INTO runs VALUES {}", rows.join(", "))).await;
    }
    for (sequence, (at, event)) in (1..).zip(night()) {
        let event = bytes(&record::encode(&event));
        world.sql(&format!("INSERT INTO events SELECT run, {sequence}, '{at}', 1, {event} FROM runs")).await;
    }
}

/// The shortest of a few tries: what it takes when nothing else is going on.
async fn took<T>(what: &str, mut ask: impl AsyncFnMut() -> T) -> T {
    let (mut best, mut answer) = (Duration::MAX, None);
    for _ in 0..5 {
        let begun = Instant::now();
        answer = Some(ask().await);
        best = best.min(begun.elapsed());
    }
    println!("{what}: {:.1} ms", best.as_secs_f64() * 1000.0);
    assert!(best < Duration::from_millis(500), "{what} took {best:?} of {RUNS} runs");
    answer.unwrap()
}

async fn list(store: &Store, filter: RunFilter) -> Vec<RunId> {
    store.runs(&filter).await.unwrap().into_iter().map(|row| row.run).collect()
}

on_both! {
    async fn ten_thousand_runs_are_listed_and_shown_fast(world: World) {
        fill(&world).await;
        let page = |filter: RunFilter| RunFilter { limit: Some(50), ..filter };
        let store = took("open", async || world.another().await).await;
        let newest = run_id(RUNS as u32 - 1);
        let first = took("the newest 50", async || list(&store, page(RunFilter::default())).await).await;
        assert_eq!((first.len(), &first[0]), (50, &newest));
        let deep = RunCursor { created: at(60 * 5_000), run: run_id(5_000) };
        let after = || page(RunFilter { after: Some(deep.clone()), ..RunFilter::default() });
        let found = took("50 from the middle", async || list(&store, after()).await).await;
        assert_eq!(found[0], run_id(4_999));
        let rare = || page(RunFilter { pipeline: Some("rare".parse().unwrap()), ..RunFilter::default() });
        assert_eq!(took("a pipeline that ran once", async || list(&store, rare()).await).await, [run_id(17)]);
        let live = || page(RunFilter { live: true, ..RunFilter::default() });
        assert_eq!(took("the live ones", async || list(&store, live()).await).await.len(), 8);
        let failed = || page(RunFilter { statuses: vec![noctule_engine::RunStatus::Failed], ..RunFilter::default() });
        assert_eq!(took("50 that failed", async || list(&store, failed()).await).await.len(), 50);
        let some = run_id(4_321);
        took("show one", async || {
            store.run(&some).await.unwrap();
            store.definition(&some).await.unwrap();
            store.notes(&some).await.unwrap();
            store.artifacts_of(&some).await.unwrap();
            store.load(&some).await.unwrap().len()
        })
        .await;
        took("find one by its id's beginning", async || store.find_run(&some.as_str()[..8]).await.unwrap()).await;
        let pipeline = "pipeline-7".parse().unwrap();
        took("the last good one", async || store.last_good(&pipeline, day(150).start).await.unwrap().unwrap()).await;
        took("look for old ones to forget", async || store.expire_runs(at(0), 100).await.unwrap()).await;
        pages(&store).await;
    }

    async fn a_schedule_of_every_minute_costs_little_after_months(world: World) {
        // 200 days of one pipeline, and what is open of others.
        world.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 288000) \
             INSERT INTO occurrences (pipeline, id, kind, due, state, reason, stands_for, created, changed) \
             SELECT 'minutely', CAST(i AS TEXT), 'schedule', CAST(i AS BIGINT) * 60000000, 'skipped', 'overlap', 1, i, i FROM n"
        ).await;
        for number in 0..20 {
            let pipeline = format!("pipeline-{number}");
            crate::world::enter(&world.store, &pipeline, vec![due(number, "a", Fate::Queue)]).await;
        }
        let queued = || OccurrenceFilter { stages: vec![OccurrenceStage::Queued], oldest_first: true, ..Default::default() };
        let store = &world.store;
        let open = took("what is queued", async || store.occurrences(&queued()).await.unwrap()).await;
        assert_eq!(open.len(), 20);
        let minutely = "minutely".parse().unwrap();
        assert_eq!(took("what it has going", async || store.going(&minutely).await.unwrap()).await, Default::default());
        let page = |after| OccurrenceFilter { pipeline: Some("minutely".parse().unwrap()), limit: Some(50), after, ..Default::default() };
        let first = took("its latest 50", async || store.occurrences(&page(None)).await.unwrap()).await;
        let middle = noctule_store::OccurrenceCursor { due: at(0).min(jiff::Timestamp::from_second(150_000 * 60).unwrap()), ..first[0].cursor() };
        let found = took("50 from the middle", async || store.occurrences(&page(Some(middle.clone()))).await.unwrap()).await;
        assert_eq!((first[0].id.as_str(), found[0].id.as_str()), ("288000", "150000"));
        took("forget 1000", async || store.expire_occurrences(at(0), 1000).await.unwrap()).await;
    }
}

/// Page by page everything is listed, once.
async fn pages(store: &Store) {
    let (mut all, mut after) = (vec![], None);
    loop {
        let filter = RunFilter { after: after.take(), limit: Some(999), ..RunFilter::default() };
        let rows = store.runs(&filter).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = Some(last.cursor());
        all.extend(rows.into_iter().map(|row| row.run));
    }
    let whole: Vec<RunId> = (0..RUNS as u32).rev().map(run_id).collect();
    assert!(all == whole, "{} of {RUNS}", all.len());
}

//! Where a test takes place, and what it begins with.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::launch::Interval;
use noctule_artifacts::{AttemptNumber, Digest, Outcome, RunId};
use noctule_engine::{Event, RunStatus};
use noctule_store::{
    Acquired, Advance, Change, Fate, Lease, Location, NewArtifact, NewOccurrence, NewRun, OccurrenceKind,
    Position, Store, Watermark,
};

use crate::postgres;

/// A database of the test's own.
pub struct World {
    pub location: Location,
    pub store: Store,
    /// Removed with its database at the end.
    _folder: Option<tempfile::TempDir>,
}

impl World {
    /// A further connection to the same database, as another process would have.
    pub async fn another(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }

    /// Runs SQL past the store, as an administrator or a fault would.
    pub async fn sql(&self, text: &str) {
        match &self.location {
            Location::File(path) => sqlite(path, &[text]).await,
            Location::Postgres(_) => {
                postgres::sql(&self.location, &format!("SET search_path TO noctule; {text}"));
            }
        }
    }
}

/// Runs SQL on a file past the store.
pub async fn sqlite(path: &Path, statements: &[&str]) {
    use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let options = options.foreign_keys(false);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    for statement in statements {
        connection.execute(AssertSqlSafe((*statement).to_owned())).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// The address of a database for another process; a location only shows itself without its secrets.
pub fn address(location: &Location) -> String {
    match location {
        Location::File(path) => path.display().to_string(),
        Location::Postgres(url) => url.to_string(),
    }
}

/// Writes a test once and runs it on both databases.
macro_rules! on_both {
    ($(async fn $name:ident($world:ident: World) $body:block)*) => { $(
        mod $name {
            #[allow(unused_imports, reason = "not every body needs a name from outside")]
            use super::*;

            async fn test($world: $crate::world::World) $body

            #[test]
            fn sqlite() {
                $crate::world::on_sqlite(test);
            }

            #[test]
            fn postgres() {
                $crate::world::on_postgres(concat!(module_path!(), "::postgres"), test);
            }
        }
    )* };
}

pub fn on_sqlite<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::file(folder.path().join("noctule.db"));
    run(location, Some(folder), test);
}

pub fn on_postgres<F: Future<Output = ()>>(name: &str, test: impl FnOnce(World) -> F) {
    match postgres::database() {
        Some(location) => run(location, None, test),
        None => postgres::skipped(name, "install Debian package postgresql"),
    }
}

fn run<F: Future<Output = ()>>(
    location: Location,
    folder: Option<tempfile::TempDir>,
    test: impl FnOnce(World) -> F,
) {
    block_on(async move {
        let store = Store::open(&location).await.unwrap();
        test(World { location, store, _folder: folder }).await;
    });
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_790_000_000 + second)
}

pub fn run_id(number: u32) -> RunId {
    RunId::from_random(u128::from(number))
}

pub fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// The civil day with this number as an interval.
pub fn day(number: i64) -> Interval {
    Interval { start: at(number * 86_400), end: at((number + 1) * 86_400) }
}

pub fn new_run(number: u32, pipeline: &str, interval: Interval) -> NewRun {
    NewRun {
        run: run_id(number),
        pipeline: pipeline.parse().unwrap(),
        interval,
        occurrence: None,
        lease: None,
        definition: b"pipeline: nightly".to_vec(),
    }
}

pub fn noted(text: &str) -> Event {
    Event::Noted { step: None, text: text.to_owned() }
}

pub fn change(second: i64, events: Vec<Event>) -> Change {
    Change::new(at(second), events, RunStatus::Running)
}

pub fn ended(second: i64, status: RunStatus) -> Change {
    Change::new(at(second), vec![noted("the end")], status)
}

pub fn after(run: &RunId, sequence: u64) -> Position {
    Position { run: run.clone(), after: sequence, lease: None }
}

/// Creates a run with one event in its log.
pub async fn begin(store: &Store, number: u32) -> RunId {
    begin_for(store, number, "nightly", day(i64::from(number))).await
}

pub async fn begin_for(store: &Store, number: u32, pipeline: &str, interval: Interval) -> RunId {
    let new = new_run(number, pipeline, interval);
    let last = store.create_run(&new, &change(i64::from(number), vec![noted("begun")])).await.unwrap();
    assert_eq!(last, 1);
    new.run
}

pub fn artifact(run: &RunId, step: &str, content: &str) -> NewArtifact {
    NewArtifact {
        manifest: format!("runs/{run}/{step}/1/manifest.json"),
        digest: digest(content),
        fingerprint: digest(&format!("fingerprint of {content}")),
        kind: "extract".to_owned(),
        outcome: Outcome::Ok,
        pipeline: "nightly".parse().unwrap(),
        run: run.clone(),
        step: step.parse().unwrap(),
        attempt: AttemptNumber(1),
        created: at(5),
        borrows: vec![],
    }
}

/// The lease of a leader, which lasts as long as any test.
pub async fn lead(store: &Store) -> Lease {
    match store.acquire("leader", "the test", Duration::from_secs(3600)).await.unwrap() {
        Acquired::Held(lease) => lease,
        Acquired::Taken { by, .. } => by,
    }
}

/// An occurrence of a schedule, due at this second.
pub fn due(second: i64, id: &str, fate: Fate) -> NewOccurrence {
    NewOccurrence {
        id: id.to_owned(),
        kind: OccurrenceKind::Schedule,
        due: at(second),
        civil: Some(id.to_owned()),
        fate,
        stands_for: 1,
        give_up: None,
        backfill: None,
    }
}

/// Enters occurrences as the leader would, and says which were there already.
pub async fn enter(store: &Store, pipeline: &str, occurrences: Vec<NewOccurrence>) -> Vec<String> {
    let pipeline = pipeline.parse().unwrap();
    let from = store.schedule(&pipeline).await.unwrap().watermark;
    let to = Watermark::Time(occurrences.last().unwrap().due);
    let advance = Advance { occurrences, ..Advance::new(pipeline, from, to, at(0)) };
    store.advance(&advance, &lead(store).await).await.unwrap()
}

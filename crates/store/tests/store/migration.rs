//! A database of every earlier schema opens with all that was in it. The schemas' texts never change, so each is its
//! own golden file.

use noctule_engine::{Run, RunStatus};
use noctule_store::{Fate, Location, NewRun, Note, Store, StoreError, record};

use crate::golden::night;
use crate::world::{
    after, at, block_on, change, day, due, enter, new_run, noted, on_postgres, run_id, sqlite,
};

const FIRST: &str = include_str!("../../src/migrations/0001_first.sql");
const REGISTRY: &str = "regabcdefghijklmnop";

/// The statements that make a database of schema 1 with a run in it that published a version. `bytes` writes bytes as
/// the dialect does.
fn first_schema(kind: &str, bytes: impl Fn(&[u8]) -> String) -> String {
    let (run, log) = (run_id(1), night());
    let mut text = FIRST.replace("{bytes}", kind);
    text += "CREATE TABLE noctule_schema (only_one BIGINT PRIMARY KEY CHECK (only_one = 1), version BIGINT NOT NULL);
             INSERT INTO noctule_schema VALUES (1, 1);";
    text += &format!("INSERT INTO registry VALUES (1, '{REGISTRY}', '2026-11-01T00:00:00Z');");
    let (first, last) = (log[0].0.as_microsecond(), log.last().unwrap().0.as_microsecond());
    let (start, end) = (day(1).start.as_microsecond(), day(1).end.as_microsecond());
    text += &format!(
        "INSERT INTO runs VALUES ('{run}', 'nightly', {start}, {end}, NULL, 'succeeded', {first}, {last}, {last}, {}, {});",
        log.len(),
        bytes(b"as it was")
    );
    for (sequence, (at, event)) in (1..).zip(&log) {
        text += &format!(
            "INSERT INTO events VALUES ('{run}', {sequence}, '{at}', 1, {});",
            bytes(&record::encode(event))
        );
    }
    text += &format!("INSERT INTO notes VALUES (1, '{run}', 'model', '{}', 'it took a while');", at(5));
    let digest = crate::world::digest("model");
    text += &format!(
        "INSERT INTO artifacts VALUES ('m', '{digest}', '{digest}', 'train', 'ok', 'nightly', '{run}', 'model', 2, 5, 'live', NULL);
         INSERT INTO artifact_uses VALUES ('{run}', 'model', 'm');
         INSERT INTO models VALUES ('home-feed', '2026-11-01T00:00:00Z');
         INSERT INTO reservations VALUES ('home-feed', 1, '{run}', 'publish', '{digest}', '2026-11-01T00:00:00Z');
         INSERT INTO versions VALUES ('home-feed', 1, '{digest}', 'nightly', '{run}', 'model', '{digest}', '2026-11-01T00:00:00Z');
         INSERT INTO promotions VALUES ('home-feed', 1, 'champion', 0, NULL, 1, '2026-11-01T00:00:00Z', '{run}', '{digest}', NULL, NULL, 0);
         INSERT INTO outbox VALUES (1, 'pointer', 'home-feed@champion', {}, 1, 2, 3, 'no route');
         INSERT INTO leases VALUES ('run/{run}', 'host', 7, 0);
         INSERT INTO counters VALUES ('note', 1), ('outbox', 1), ('version/home-feed', 1), ('promotion/home-feed', 1);",
        bytes(b"payload")
    );
    text
}

async fn check(store: &Store) {
    let run = run_id(1);
    assert_eq!(store.registry_id().await.unwrap().as_str(), REGISTRY);
    let row = store.run(&run).await.unwrap();
    assert_eq!((row.status, row.interval, row.occurrence), (RunStatus::Succeeded, day(1), None));
    let log = store.load(&run).await.unwrap();
    let folded = Run::fold(log.iter().map(|logged| (logged.at, &logged.event))).unwrap().unwrap();
    assert_eq!(folded.status(), RunStatus::Succeeded);
    assert_eq!(store.definition(&run).await.unwrap(), b"as it was");
    let note = Note { step: Some("model".parse().unwrap()), at: at(5), text: "it took a while".to_owned() };
    assert_eq!(store.notes(&run).await.unwrap(), [note]);
    assert_eq!(store.artifacts_of(&run).await.unwrap()[0].1.manifest, "m");
    let (state, version) =
        store.alias(&"home-feed".parse().unwrap(), &"champion".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((state.version.0, version.run), (1, run.clone()));
    assert_eq!(store.waiting_messages().await.unwrap()[0].last_error.as_deref(), Some("no route"));
    assert_eq!(store.rebuild(|_, _, _| None).await.unwrap().left, [""; 0]);

    // It goes on as a database of today.
    enter(store, "nightly", vec![due(1, "a", Fate::Queue)]).await;
    let next = NewRun { occurrence: Some("a".to_owned()), ..new_run(2, "nightly", day(2)) };
    store.create_run(&next, &change(2, vec![noted("begun")])).await.unwrap();
    store.commit(&after(&next.run, 1), &change(3, vec![noted("on")])).await.unwrap();
    assert_eq!(store.going(&"nightly".parse().unwrap()).await.unwrap().live, [next.run]);
}

#[test]
fn a_database_of_schema_1_is_brought_to_todays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noctule.db");
    let hex = |bytes: &[u8]| format!("X'{}'", hex(bytes));
    block_on(async {
        sqlite(&path, &[&first_schema("BLOB", hex)]).await;
        let location = Location::file(&path);
        // Several find it at once, and one of them brings it on.
        let opening: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn({
                    let location = location.clone();
                    async move { Store::open(&location).await.unwrap() }
                })
            })
            .collect();
        for open in opening {
            open.await.unwrap().registry_id().await.unwrap();
        }
        check(&Store::open(&location).await.unwrap()).await;
    });
}

#[test]
fn a_postgres_of_schema_1_is_brought_to_todays() {
    on_postgres("migration::a_postgres_of_schema_1_is_brought_to_todays", async |world| {
        world.sql("DROP SCHEMA noctule CASCADE; CREATE SCHEMA noctule").await;
        world.sql(&first_schema("BYTEA", |bytes| format!("'\\x{}'", hex(bytes)))).await;
        check(&world.another().await).await;
    });
}

#[test]
fn a_migration_that_fails_half_way_leaves_the_old_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noctule.db");
    let location = Location::file(&path);
    block_on(async {
        sqlite(&path, &[&first_schema("BLOB", |bytes| format!("X'{}'", hex(bytes)))]).await;
        // Somebody's own table where one of ours is to be.
        sqlite(&path, &["CREATE TABLE erased_users (mine TEXT)"]).await;
        let error = Store::open(&location).await.err().expect("it is in the way");
        assert!(matches!(error, StoreError::Database { .. }), "{error}");
        sqlite(&path, &["DROP TABLE erased_users", "SELECT * FROM runs"]).await;
        check(&Store::open(&location).await.unwrap()).await;
    });
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

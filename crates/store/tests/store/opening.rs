//! Databases that cannot be used, and what is said about them.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use noctule_store::{Location, Store, StoreError};

use crate::world::{block_on, on_postgres, sqlite};
use crate::{child, postgres};

async fn refusal(location: &Location) -> StoreError {
    Store::open(location).await.err().expect("it cannot be opened")
}

on_both! {
    async fn many_open_a_new_database_at_once(world: World) {
        let fresh = match &world.location {
            Location::File(path) => Location::file(path.with_file_name("fresh.db")),
            Location::Postgres(_) => postgres::database().unwrap(),
        };
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let location = fresh.clone();
                tokio::spawn(async move { Store::open(&location).await.unwrap().registry_id().await.unwrap() })
            })
            .collect();
        let mut ids = vec![];
        for task in tasks {
            ids.push(task.await.unwrap());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1, "one of them made it, the others found it");
    }

    async fn a_newer_database_is_refused(world: World) {
        world.sql("UPDATE noctule_schema SET version = 999").await;
        let error = refusal(&world.location).await;
        assert!(matches!(error, StoreError::Newer { found: 999, .. }), "{error}");
        assert!(error.to_string().contains("a newer noctule wrote it"));
    }
}

#[test]
fn another_programs_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    block_on(async {
        sqlite(&path, &["CREATE TABLE customers (name TEXT)"]).await;
        let before = std::fs::read(&path).unwrap();
        let error = refusal(&Location::file(&path)).await;
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "it was left alone");
    });
}

#[test]
fn what_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, and long enough for a header. ".repeat(100)).unwrap();
    block_on(async {
        let error = refusal(&Location::file(&text)).await;
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        let error = refusal(&Location::file(folder.path())).await;
        assert!(matches!(error, StoreError::Location { .. }), "{error}");
        let below_file = text.join("noctule.db");
        assert!(Store::open(&Location::file(below_file)).await.is_err());
    });
    assert!(std::fs::read_to_string(&text).unwrap().starts_with("not a database"), "it was left alone");
}

#[test]
fn an_empty_file_and_odd_names_work() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["empty.db", "a b?c#d%25é.db", "deep/er/noctule.db"] {
        let path = folder.path().join(name);
        if name == "empty.db" {
            std::fs::write(&path, "").unwrap();
        }
        block_on(async {
            let store = Store::open(&Location::file(&path)).await.unwrap();
            store.close().await;
        });
        assert!(path.metadata().unwrap().len() > 0, "{name} lies where it was asked for");
    }
}

#[test]
fn a_damaged_file_is_told_from_a_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noctule.db");
    block_on(async {
        let location = Location::file(&path);
        let store = Store::open(&location).await.unwrap();
        for number in 1..40 {
            crate::world::begin(&store, number).await;
        }
        store.close().await;
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[4096..length / 2].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        let met = match Store::open(&location).await {
            Err(error) => error,
            Ok(store) => store.runs(&noctule_store::RunFilter::default()).await.unwrap_err(),
        };
        assert!(matches!(met, StoreError::Corrupt { .. }), "{met:?}");
    });
}

#[test]
fn a_lost_event_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noctule.db");
    block_on(async {
        let store = Store::open(&Location::file(&path)).await.unwrap();
        let run = crate::world::begin(&store, 1).await;
        let more = crate::world::change(2, vec![crate::world::noted("a"), crate::world::noted("b")]);
        store.commit(&crate::world::after(&run, 1), &more).await.unwrap();
        sqlite(&path, &["DELETE FROM events WHERE sequence = 2"]).await;
        assert!(matches!(store.load(&run).await, Err(StoreError::Corrupt { .. })));
        sqlite(&path, &["DELETE FROM events WHERE sequence = 3"]).await;
        assert!(matches!(store.load(&run).await, Err(StoreError::Corrupt { .. })), "the last ones too");
    });
}

#[test]
fn a_postgres_that_is_not_there_is_away() {
    block_on(async {
        let location = "postgres://ada:hunter2@127.0.0.1:1/noctule".parse().unwrap();
        let error = refusal(&location).await;
        assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
        assert!(error.is_temporary());
        assert!(!error.to_string().contains("hunter2"));
    });
}

#[test]
fn a_postgres_without_the_right_to_create_says_so() {
    on_postgres("opening::a_postgres_without_the_right_to_create_says_so", async |world| {
        postgres::sql(&world.location, "CREATE ROLE guest LOGIN");
        let Location::Postgres(url) = &world.location else { unreachable!() };
        let guest: Location = url.as_str().replace("postgres@", "guest@").parse().unwrap();
        let error = refusal(&guest).await;
        assert!(matches!(error, StoreError::Permission { .. }), "{error:?}");

        let missing: Location = url.as_str().replace(url.path(), "/nowhere").parse().unwrap();
        let error = refusal(&missing).await;
        assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
    });
}

#[test]
fn a_writer_waits_for_another_program_and_readers_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noctule.db");
    block_on(async {
        use sqlx::{Connection as _, Executor as _};
        let store = Store::open(&Location::file(&path)).await.unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        other.execute("BEGIN IMMEDIATE").await.unwrap();
        let writer = store.clone();
        let writing = tokio::spawn(async move { crate::world::begin(&writer, 1).await });
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!writing.is_finished());
        assert!(store.runs(&noctule_store::RunFilter::default()).await.unwrap().is_empty());
        other.execute("COMMIT").await.unwrap();
        let run = writing.await.unwrap();
        assert_eq!(store.load(&run).await.unwrap().len(), 1);
    });
}

#[test]
fn a_folder_without_rights_is_a_matter_of_permission() {
    let name = "opening::a_folder_without_rights_is_a_matter_of_permission";
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o555)).unwrap();
    // The test binary may lie where other users cannot reach it: a copy lies where they can.
    let open_to_all = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open_to_all.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = open_to_all.path().join("store-tests");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in ["noctule.db", "deeper/noctule.db"] {
        let mut writer = child::command_of(&program, folder.path().join(path).to_str().unwrap(), 1);
        if rustix::process::geteuid().is_root() {
            // Root may write anywhere.
            let Some((uid, gid)) = postgres::unprivileged() else {
                return postgres::skipped(name, "run it as a user without root's rights");
            };
            writer.uid(uid).gid(gid);
        }
        let said = match writer.output() {
            Ok(done) => String::from_utf8_lossy(&done.stdout).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return postgres::skipped(
                    name,
                    "let every user run the test binary, or do not run it as root",
                );
            }
            Err(error) => panic!("{error}"),
        };
        assert!(said.contains("stopped by Permission"), "{said}");
        assert!(said.contains("give this user the right"), "{said}");
    }
}

#[test]
fn a_full_disk_is_told() {
    let name = "opening::a_full_disk_is_told";
    let folder = tempfile::tempdir().unwrap();
    let writer = child::command(folder.path().join("noctule.db").to_str().unwrap());
    // A file system of its own, in a namespace of its own, that goes with the process.
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]);
    command
        .arg("mount -t tmpfs -o size=1m tmpfs \"$1\" || exit 77; shift; exec \"$@\"")
        .arg("sh")
        .arg(folder.path());
    command.arg(writer.get_program()).args(writer.get_args());
    for (key, value) in writer.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    let done = command.output();
    let refused =
        |done: &Output| matches!(done.status.code(), Some(77)) || done.stderr.starts_with(b"unshare:");
    let done = match done {
        Ok(done) if !refused(&done) => done,
        _ => return postgres::skipped(name, "allow user namespaces (`unshare --map-root-user --mount`)"),
    };
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("committed"), "{said}");
    assert!(said.contains("stopped by Full"), "{said}");
    assert!(said.contains("no space is left"), "{said}");
}

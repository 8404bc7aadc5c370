//! Backups of a database that is being written to, and what is and is not put back.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use noctule_store::{Acquired, Location, RunFilter, Store, StoreError, restore};

use crate::world::{after, begin, block_on, change, noted, on_postgres, on_sqlite, sqlite};
use crate::{child, crash};

/// A folder with a database of some runs, closed, and a backup of it.
struct Place {
    folder: tempfile::TempDir,
    database: PathBuf,
    backup: PathBuf,
}

impl Place {
    async fn new(runs: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (database, backup) = (folder.path().join("noctule.db"), folder.path().join("backup.db"));
        let place = Self { folder, database, backup };
        let store = place.open().await;
        for number in 1..=runs {
            begin(&store, number).await;
        }
        let made = store.backup(&place.backup).await.unwrap();
        assert_eq!((made.runs, made.bytes), (u64::from(runs), place.backup.metadata().unwrap().len()));
        store.close().await;
        place
    }

    async fn open(&self) -> Store {
        Store::open(&self.location()).await.unwrap()
    }

    fn location(&self) -> Location {
        Location::file(&self.database)
    }

    async fn refused(&self, backup: &Path) -> StoreError {
        let before = self.database.exists().then(|| std::fs::read(&self.database).unwrap());
        let error = restore(backup, &self.location()).await.unwrap_err();
        let after = self.database.exists().then(|| std::fs::read(&self.database).unwrap());
        assert!(before == after, "the database was left alone");
        let left: Vec<_> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with('.') || name.contains("replaced"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        error
    }
}

async fn runs(store: &Store) -> usize {
    store.runs(&RunFilter::default()).await.unwrap().len()
}

/// A process that writes, once it has committed something.
fn writer(database: &Path) -> Child {
    let mut child =
        child::command_from(database.to_str().unwrap(), 1000).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("committed")));
    child
}

#[test]
fn a_backup_is_whole_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("noctule.db");
    block_on(async {
        let store = Store::open(&Location::file(&database)).await.unwrap();
        let mut writing = writer(&database);
        // Nobody reads on: it must not stop at a full pipe.
        let output = writing.stdout.take().unwrap();
        std::thread::spawn(move || BufReader::new(output).lines().map_while(Result::ok).for_each(drop));
        let mut last = 0;
        for round in 0..5 {
            let backup = folder.path().join(format!("backup-{round}.db"));
            let made = store.backup(&backup).await.unwrap();
            assert!(made.runs >= last);
            last = made.runs;
            tokio::time::sleep(Duration::from_millis(60)).await;
            let copy = Store::open(&Location::file(&backup)).await.unwrap();
            assert_eq!(copy.registry_id().await.unwrap(), store.registry_id().await.unwrap());
            crash::check(&copy, &Default::default()).await;
        }
        assert!(last > 1, "the writer wrote meanwhile");
        writing.kill().unwrap();
        writing.wait().unwrap();
    });
}

#[test]
fn a_backup_goes_only_where_nothing_is() {
    on_sqlite(async |world| {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::write(&taken, "precious").unwrap();
        let error = world.store.backup(&taken).await.unwrap_err();
        assert!(error.to_string().contains("is there already"), "{error}");
        assert_eq!(std::fs::read(&taken).unwrap(), b"precious");
        assert!(world.store.backup(&folder.path().join("no/such/folder.db")).await.is_err());
        assert!(world.store.backup(Path::new("/")).await.is_err());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(world.store.backup(&link).await.is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing half done lies about");
        let odd = folder.path().join("a 'b\" é?.db");
        world.store.backup(&odd).await.unwrap();
        assert!(odd.is_file());
    });
    on_postgres("backup::a_backup_goes_only_where_nothing_is", async |world| {
        let error = world.store.backup(Path::new("/nowhere")).await.unwrap_err();
        assert!(error.to_string().contains("pg_dump"), "{error}");
        let error = restore(Path::new("/nowhere"), &world.location).await.unwrap_err();
        assert!(error.to_string().contains("pg_restore"), "{error}");
    });
}

#[test]
fn a_backup_is_put_back_and_what_was_there_is_kept() {
    block_on(async {
        let place = Place::new(3).await;
        let store = place.open().await;
        let id = store.registry_id().await.unwrap();
        begin(&store, 4).await;
        store.close().await;
        let restored = restore(&place.backup, &place.location()).await.unwrap();
        assert_eq!((restored.registry, restored.runs), (id, 3));
        let store = place.open().await;
        assert_eq!(runs(&store).await, 3);
        let run = begin(&store, 5).await;
        store.commit(&after(&run, 1), &change(2, vec![noted("it goes on")])).await.unwrap();
        store.close().await;
        let replaced = Store::open(&Location::file(restored.replaced.unwrap())).await.unwrap();
        assert_eq!(runs(&replaced).await, 4);
        assert!(place.backup.is_file());
        // Twice within a second, which is the grain of the other name.
        restore(&place.backup, &place.location()).await.unwrap();
        restore(&place.backup, &place.location()).await.unwrap();
        assert_eq!(runs(&place.open().await).await, 3);
    });
}

#[test]
fn a_backup_is_put_where_nothing_was() {
    block_on(async {
        let place = Place::new(3).await;
        let elsewhere = place.folder.path().join("a/new/one.db");
        let restored = restore(&place.backup, &Location::file(&elsewhere)).await.unwrap();
        assert_eq!((restored.runs, restored.replaced), (3, None));
        assert_eq!(runs(&Store::open(&Location::file(&elsewhere)).await.unwrap()).await, 3);
    });
}

#[test]
fn a_link_goes_on_pointing_at_the_database() {
    block_on(async {
        let place = Place::new(3).await;
        let link = tempfile::tempdir().unwrap();
        let link = link.path().join("noctule.db");
        std::os::unix::fs::symlink(&place.database, &link).unwrap();
        let restored = restore(&place.backup, &Location::file(&link)).await.unwrap();
        assert!(link.is_symlink());
        assert_eq!(restored.replaced.unwrap().parent(), place.database.canonicalize().unwrap().parent());
        assert_eq!(runs(&place.open().await).await, 3);
    });
}

#[test]
fn a_database_that_is_in_use_is_not_replaced() {
    block_on(async {
        let place = Place::new(3).await;
        let mut writing = writer(&place.database);
        let error = restore(&place.backup, &place.location()).await.unwrap_err();
        assert!(matches!(error, StoreError::Served { .. }), "{error}");
        writing.kill().unwrap();
        writing.wait().unwrap();
        // What it left in its log is not lost with it.
        let store = place.open().await;
        assert!(runs(&store).await > 3);
        let error = place.refused(&place.backup).await;
        assert!(matches!(error, StoreError::Served { .. }), "this process has it open: {error}");
        let lasting = Duration::from_secs(600);
        let Acquired::Held(lease) = store.acquire("leader", "host 7", lasting).await.unwrap() else {
            panic!()
        };
        store.close().await;
        let error = place.refused(&place.backup).await;
        assert!(matches!(error, StoreError::Served { .. }), "{error}");
        assert!(error.to_string().contains("host 7 holds a lease"), "{error}");
        let store = place.open().await;
        store.release(&lease).await.unwrap();
        store.close().await;
        assert_eq!(restore(&place.backup, &place.location()).await.unwrap().runs, 3);
    });
}

#[test]
fn what_is_no_whole_backup_is_refused() {
    block_on(async {
        let place = Place::new(40).await;
        let whole = std::fs::read(&place.backup).unwrap();
        let bad = place.folder.path().join("bad.db");
        let mut holed = whole.clone();
        let middle = holed.len() / 8192 * 4096;
        holed[middle..middle + 4096].fill(0x5a);
        let mut flipped = whole.clone();
        flipped[100] ^= 0xff;
        let cases: [(&str, Vec<u8>); 6] = [
            ("empty", vec![]),
            ("cut off", whole[..whole.len() / 2].to_vec()),
            ("cut within a page", whole[..whole.len() - 100].to_vec()),
            ("holed", holed),
            ("flipped", flipped),
            ("text", b"not a database, and long enough for a header. ".repeat(100)),
        ];
        for (name, bytes) in cases {
            std::fs::write(&bad, bytes).unwrap();
            let error = place.refused(&bad).await;
            assert!(matches!(error, StoreError::NoBackup { .. }), "{name}: {error}");
        }
        for nothing in [place.folder.path().join("missing.db"), place.folder.path().to_owned()] {
            let error = place.refused(&nothing).await;
            assert!(matches!(error, StoreError::NoBackup { .. }), "{error}");
        }
        std::fs::remove_file(&bad).unwrap();
        sqlite(&bad, &["CREATE TABLE customers (name TEXT)"]).await;
        let error = place.refused(&bad).await.to_string();
        assert!(error.contains("not a database of noctule's"), "{error}");
        std::fs::write(&bad, &whole).unwrap();
        sqlite(&bad, &["DELETE FROM runs"]).await;
        let error = place.refused(&bad).await.to_string();
        assert!(error.contains("refers to one that is missing"), "{error}");
        std::fs::write(&bad, &whole).unwrap();
        sqlite(&bad, &["UPDATE noctule_schema SET version = 999"]).await;
        let error = place.refused(&bad).await.to_string();
        assert!(error.contains("a newer noctule wrote it (schema 999"), "{error}");
        // A copy of a database that is in use lacks what lies in its log.
        std::fs::write(&bad, &whole).unwrap();
        std::fs::write(place.folder.path().join("bad.db-wal"), "rows").unwrap();
        let error = place.refused(&bad).await.to_string();
        assert!(error.contains("make a backup with `noctule admin backup`"), "{error}");
    });
}

#[test]
fn the_backup_of_another_registry_is_refused() {
    block_on(async {
        let (place, other) = (Place::new(3).await, Place::new(2).await);
        let error = place.refused(&other.backup).await;
        assert!(error.to_string().contains("the backup is of reg"), "{error}");
    });
}

#[test]
fn a_damaged_database_is_replaced() {
    block_on(async {
        for damage in [&b"x"[..], b"", &[0x5a; 20_000]] {
            let place = Place::new(3).await;
            std::fs::write(&place.database, damage).unwrap();
            std::fs::write(place.folder.path().join("noctule.db-wal"), "what was left of it").unwrap();
            let restored = restore(&place.backup, &place.location()).await.unwrap();
            assert_eq!(runs(&place.open().await).await, 3);
            assert_eq!(std::fs::read(restored.replaced.unwrap()).unwrap(), damage);
        }
    });
}

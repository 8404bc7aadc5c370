//! A copy of a SQLite database in one file, and putting one back.
//!
//! Postgres has its own tools for this.

use std::fs::File;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use noctule_artifacts::RegistryId;
use rustix::fs::FlockOperation;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::error::StoreError;
use crate::location::Location;
use crate::migrations::KNOWN;
use crate::session::Dialect;
use crate::{Store, shown};

/// A backup that was made and looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    pub path: PathBuf,
    pub bytes: u64,
    pub runs: u64,
}

/// A backup that was put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub registry: RegistryId,
    pub runs: u64,
    /// Where the database lies that was there before.
    pub replaced: Option<PathBuf>,
}

impl Store {
    /// Writes one state of the database to a new file, while others go on writing, and reads it back.
    ///
    /// The file is complete and on disk when it has its name. Only SQLite.
    pub async fn backup(&self, path: &Path) -> Result<BackedUp, StoreError> {
        const DOING: &str = "make a backup";
        if self.database.dialect == Dialect::Postgres {
            let what =
                "it lies in Postgres: use `pg_dump --schema=noctule`, or your provider's backups".to_owned();
            return Err(StoreError::Refused { doing: DOING, what });
        }
        let failed = |error| StoreError::of_file(&path.display().to_string(), DOING, error);
        if path.symlink_metadata().is_ok() {
            let what = format!("{} is there already", path.display());
            return Err(StoreError::Refused { doing: DOING, what });
        }
        let partial = beside(path, ".partial").map_err(failed)?;
        let made = async {
            self.database.vacuum_into(&partial, DOING).await?;
            let looked_at = look_at(&partial).await?;
            let bytes = keep(&partial, path).map_err(failed)?;
            Ok(BackedUp { path: path.to_owned(), bytes, runs: looked_at.runs })
        };
        let made = made.await;
        if made.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        made
    }
}

/// Puts a backup in the place of a database that nobody uses. What was there is kept beside it under another name.
///
/// Runs and versions from after the backup are unknown to it: `noctule models recover` puts back the rows of models
/// whose files are in the store, which a registry needs before it publishes again.
pub async fn restore(backup: &Path, location: &Location) -> Result<Restored, StoreError> {
    const DOING: &str = "restore a backup";
    let Location::File(target) = location else {
        let what = format!("{location} lies in Postgres: use `pg_restore`, or your provider's backups");
        return Err(StoreError::Refused { doing: DOING, what });
    };
    // A link goes on pointing at what is put in place.
    let target = &target.canonicalize().unwrap_or_else(|_| target.clone());
    let failed = |error| StoreError::of_file(&target.display().to_string(), DOING, error);
    refuse_live_copy(backup)?;
    look_at(backup).await?;
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let partial = beside(target, ".restoring").map_err(failed)?;
    let placed = async {
        std::fs::copy(backup, &partial).map_err(failed)?;
        File::open(&partial).and_then(|file| file.sync_all()).map_err(failed)?;
        // What is put in place is what was looked at, whatever became of the backup meanwhile.
        let found = look_at(&partial).await?;
        let replaced = replace(target, &partial, &found, DOING).await?;
        Ok(Restored { registry: found.registry, runs: found.runs, replaced })
    };
    let placed = placed.await;
    if placed.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    placed
}

/// What a file turned out to be.
struct LookedAt {
    registry: RegistryId,
    runs: u64,
}

/// Reads a backup through: whether it is whole, noctule's, and not from a newer one. It is not changed.
async fn look_at(path: &Path) -> Result<LookedAt, StoreError> {
    let refused = |why: String| StoreError::NoBackup { path: path.to_owned(), why };
    let bytes = match path.metadata() {
        Ok(there) if there.is_file() => there.len(),
        Ok(_) => return Err(refused("it is no file".to_owned())),
        Err(error) => return Err(refused(error.to_string())),
    };
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    let opened = SqliteConnection::connect_with(&options).await;
    let mut connection = opened.map_err(|error| refused(format!("it does not open ({error})")))?;
    let found = read_through(&mut connection, bytes).await;
    let closed = connection.close().await;
    let found = found.map_err(|error| match error {
        sqlx::Error::Protocol(why) => refused(why),
        other => refused(format!("it is damaged or no database ({other})")),
    })?;
    closed.map_err(|error| refused(error.to_string()))?;
    Ok(found)
}

/// Reads everything. What is wrong with the content, rather than with reading it, is a `Protocol` error in our words.
async fn read_through(connection: &mut SqliteConnection, bytes: u64) -> Result<LookedAt, sqlx::Error> {
    let wrong = |why: String| Err(sqlx::Error::Protocol(why));
    let whole: String =
        sqlx::query("PRAGMA integrity_check(1)").fetch_one(&mut *connection).await?.try_get(0)?;
    if whole != "ok" {
        return wrong(format!("it is damaged ({})", shown(&whole, 200)));
    }
    if let Some(row) = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut *connection).await? {
        let table: String = row.try_get(0)?;
        return wrong(format!("it is damaged (a row of {table} refers to one that is missing)"));
    }
    let pages: i64 = sqlx::query("PRAGMA page_count").fetch_one(&mut *connection).await?.try_get(0)?;
    let page: i64 = sqlx::query("PRAGMA page_size").fetch_one(&mut *connection).await?.try_get(0)?;
    if u64::try_from(pages * page) != Ok(bytes) {
        return wrong(format!("it is cut off: it has {bytes} bytes where {} are meant", pages * page));
    }
    let tables =
        sqlx::query("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'noctule_schema'");
    if tables.fetch_optional(&mut *connection).await?.is_none() {
        return wrong("it is not a database of noctule's".to_owned());
    }
    let schema: i64 =
        sqlx::query("SELECT version FROM noctule_schema").fetch_one(&mut *connection).await?.try_get(0)?;
    if schema > KNOWN {
        return wrong(format!(
            "a newer noctule wrote it (schema {schema}, and this one knows schemas up to {KNOWN}); use that one"
        ));
    }
    let row = sqlx::query("SELECT id, (SELECT COUNT(*) FROM runs) AS runs FROM registry");
    let row = row.fetch_one(connection).await?;
    let (id, runs): (String, i64) = (row.try_get("id")?, row.try_get("runs")?);
    match id.parse() {
        Ok(registry) => Ok(LookedAt { registry, runs: u64::try_from(runs).unwrap_or(0) }),
        Err(error) => wrong(format!("it is damaged ({error})")),
    }
}

/// A database that is in use, or a plain copy of one, has its latest rows in a second file, which would be lost.
fn refuse_live_copy(backup: &Path) -> Result<(), StoreError> {
    let log = with_end(backup, "-wal");
    match log.metadata() {
        Ok(there) if there.len() > 0 => Err(StoreError::NoBackup {
            path: backup.to_owned(),
            why: format!(
                "{} lies beside it, so it is a database that is in use or a copy of one; make a backup with \
                 `noctule admin backup`",
                log.display()
            ),
        }),
        _ => Ok(()),
    }
}

/// Puts `partial` in the place of `target`, and says where what was there lies now.
async fn replace(
    target: &Path,
    partial: &Path,
    found: &LookedAt,
    doing: &'static str,
) -> Result<Option<PathBuf>, StoreError> {
    let place = target.display().to_string();
    let failed = |error| StoreError::of_file(&place, doing, error);
    if target.symlink_metadata().is_err() {
        std::fs::rename(partial, target).and_then(|()| sync_folder(target)).map_err(failed)?;
        return Ok(None);
    }
    settle(target, found, &place, doing).await?;
    // Every connection of SQLite in write-ahead mode holds a lock on its file for as long as it lives, so nobody has
    // it open when the whole file can be locked. Whoever opens it meanwhile waits for us.
    let file = File::options().read(true).write(true).open(target).map_err(failed)?;
    let in_use = || StoreError::Served { place: place.clone(), by: "another process has it open".to_owned() };
    rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| in_use())?;
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S.%6fZ").to_string();
    let aside = with_end(target, &format!(".replaced-{stamp}"));
    // Only a damaged database still has these.
    for end in ["-wal", "-shm"] {
        let part = with_end(target, end);
        if part.exists() {
            std::fs::rename(&part, with_end(&aside, end)).map_err(failed)?;
        }
    }
    std::fs::hard_link(target, &aside)
        .and_then(|()| std::fs::rename(partial, target))
        .and_then(|()| sync_folder(target))
        .map_err(failed)?;
    drop(file);
    Ok(Some(aside))
}

/// Brings the database that is to be replaced into its one file, and looks whether somebody uses it. One that is too
/// damaged to be asked is replaced all the same.
async fn settle(target: &Path, found: &LookedAt, place: &str, doing: &'static str) -> Result<(), StoreError> {
    let options =
        SqliteConnectOptions::new().filename(target).busy_timeout(std::time::Duration::from_secs(2));
    let asked = async {
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let asked = ask(&mut connection, found).await;
        connection.close().await?;
        asked
    };
    let served = |by| Err(StoreError::Served { place: place.to_owned(), by });
    match asked.await.map_err(|error| StoreError::of_driver(place, doing, error)) {
        Ok(Answer::Free) => Ok(()),
        Ok(Answer::Held { by }) => served(format!("{by} holds a lease")),
        Ok(Answer::Other { registry }) => Err(StoreError::Refused {
            doing,
            what: format!(
                "{place} is the registry {registry} and the backup is of {}: move the database away first if you \
                 mean it",
                found.registry
            ),
        }),
        Err(StoreError::Locked { .. }) => served("another process has it open".to_owned()),
        // Damaged, empty, or without our tables.
        Err(StoreError::Corrupt { .. } | StoreError::Database { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

/// What a database says that is to be replaced.
enum Answer {
    /// Nobody uses it, and it is one file now.
    Free,
    Held {
        by: String,
    },
    /// It is not what the backup is of.
    Other {
        registry: String,
    },
}

async fn ask(connection: &mut SqliteConnection, found: &LookedAt) -> Result<Answer, sqlx::Error> {
    let registry: String =
        sqlx::query("SELECT id FROM registry").fetch_one(&mut *connection).await?.try_get(0)?;
    if registry != found.registry.as_str() {
        return Ok(Answer::Other { registry });
    }
    let holder = sqlx::query(
        "SELECT holder FROM leases WHERE expires > CAST(unixepoch('subsec') * 1000000 AS INTEGER) LIMIT 1",
    );
    if let Some(row) = holder.fetch_optional(&mut *connection).await? {
        return Ok(Answer::Held { by: row.try_get(0)? });
    }
    // This fails when another connection is open.
    sqlx::query("PRAGMA journal_mode = DELETE").fetch_one(&mut *connection).await?;
    Ok(Answer::Free)
}

/// Makes a finished file durable under its name, where nothing may be, and says how long it is.
fn keep(partial: &Path, path: &Path) -> std::io::Result<u64> {
    let file = File::open(partial)?;
    file.sync_all()?;
    match std::fs::hard_link(partial, path) {
        Ok(()) => std::fs::remove_file(partial)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(error),
        // A file system without links.
        Err(_) => std::fs::rename(partial, path)?,
    }
    sync_folder(path)?;
    Ok(file.metadata()?.len())
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let path = std::path::absolute(path)?;
    File::open(path.parent().unwrap_or(&path))?.sync_all()
}

/// A hidden name in the same folder, which no other process uses.
fn beside(path: &Path, end: &str) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let Some(name) = path.file_name() else { return Err(std::io::ErrorKind::InvalidFilename.into()) };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!("{end}-{:08x}", rand::random::<u32>()));
    Ok(path.with_file_name(hidden))
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(end);
    PathBuf::from(text)
}

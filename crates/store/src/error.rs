//! What can go wrong with the store: what happened, where, and what to do.

use std::path::PathBuf;

use noctule_artifacts::{AttemptNumber, ModelName, PipelineName, RunId};
use noctule_registry::Refusal;
use sqlx::error::DatabaseError;

use crate::backfills::BackfillId;
use crate::record::RecordError;
use crate::slots::NoSlot;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "the database {place} is locked, so noctule could not {doing}: another process has been writing to it for too \
         long; find it (`noctule runs`, `fuser` on the file) and end it, or wait and try again"
    )]
    Locked { place: String, doing: &'static str, source: sqlx::Error },

    #[error(
        "the database {place} cannot be reached, so noctule could not {doing}: check that it runs, that the address is \
         right and that a connection is free, then `noctule resume`"
    )]
    Away { place: String, doing: &'static str, source: sqlx::Error },

    #[error(
        "the database {place} has schema {found} and this noctule knows schemas up to {known}: a newer noctule wrote \
         it; use that one, or point the configuration at another database"
    )]
    Newer { place: String, found: i64, known: i64 },

    #[error(
        "{place} holds the tables of another program and none of noctule's: point the configuration at a database of \
         noctule's own"
    )]
    Foreign { place: String },

    #[error(
        "the database {place} is damaged ({what}): restore it from a backup, or move it away and rebuild the models' \
         rows with `noctule models recover`"
    )]
    Corrupt { place: String, what: String },

    #[error(
        "no space is left for the database {place}, so noctule could not {doing}: free some there, then `noctule resume`; \
         with a little space `noctule prune` frees more"
    )]
    Full { place: String, doing: &'static str, source: sqlx::Error },

    #[error(
        "noctule may not use the database {place}, so it could not {doing}: give this user the right to read and write \
         it and, for a file, its folder"
    )]
    Permission { place: String, doing: &'static str, source: Box<dyn std::error::Error + Send + Sync> },

    #[error(
        "the database file {} would lie on a network file system ({kind}), where SQLite's locks cannot be trusted: put \
         `.noctule` on a local disk, or use Postgres",
        .path.display()
    )]
    NetworkFileSystem { path: PathBuf, kind: String },

    #[error("`{text}` is not the place of a database: {rule}")]
    Location { text: String, rule: &'static str },

    #[error(
        "run {run} has moved on: its log was expected to end with event {expected} and ends with event {found}, so \
         another noctule drives it; leave it to that one, or read the log again before you go on"
    )]
    MovedOn { run: RunId, expected: u64, found: u64 },

    #[error("the run {run} exists already")]
    RunExists { run: RunId },

    #[error("the occurrence {occurrence} has its run already: {run}")]
    OccurrenceTaken { occurrence: String, run: RunId },

    #[error("the pipeline {pipeline} has no occurrence `{id}`")]
    NoSuchOccurrence { pipeline: PipelineName, id: String },

    #[error("the occurrence `{id}` of {pipeline} is {state} already, so no run can begin for it")]
    OccurrenceSettled { pipeline: PipelineName, id: String, state: &'static str },

    #[error(
        "the schedule of {pipeline} has moved on meanwhile, so another noctule decides about it: read it again before \
         you go on"
    )]
    ScheduleMoved { pipeline: PipelineName },

    #[error("there is no backfill {id}")]
    NoSuchBackfill { id: BackfillId },

    #[error("the backfill {id} is {found}, so it cannot be made {wanted}")]
    BackfillIs { id: BackfillId, found: &'static str, wanted: &'static str },

    #[error("no slot is free: {0}")]
    NoSlot(Box<NoSlot>),

    #[error("there is no token named `{name}` that is not revoked")]
    NoSuchToken { name: String },

    #[error("a token named `{name}` is there already: revoke it first, or take another name")]
    TokenNameTaken { name: String },

    #[error("{} cannot be restored: {why}", .path.display())]
    NoBackup { path: PathBuf, why: String },

    #[error("the database {place} is in use ({by}): stop what uses it before you restore a backup over it")]
    Served { place: String, by: String },

    #[error("there is no run {run}: `noctule runs` lists those there are")]
    NoSuchRun { run: String },

    #[error("{found} runs begin with `{prefix}`: type more of the id ({examples})")]
    AmbiguousRun { prefix: String, found: usize, examples: String },

    #[error(
        "the lease `{name}` is no longer held here (token {ours}, now {now}): another noctule has taken over, and this \
         one must stop what it did under it"
    )]
    LeaseLost { name: String, ours: u64, now: u64 },

    #[error("the artifact {manifest} is being swept and cannot be used any more: compute the step again")]
    ArtifactGone { manifest: String },

    #[error("the artifact {manifest} is not in the index, so run {run} cannot use it")]
    NoSuchArtifact { manifest: String, run: RunId },

    #[error(
        "attempt {attempt} of {run} has artifact {manifest} in the index with another digest: two programs wrote under \
         one prefix; compare both with the log of the run, and begin it again with `noctule run`"
    )]
    ArtifactDiffers { run: RunId, attempt: AttemptNumber, manifest: String },

    #[error("the rows of {model} cannot be rebuilt here: {why}")]
    Unrecoverable { model: ModelName, why: String },

    #[error(
        "this database already serves a registry with runs or models of its own and cannot take over another: start \
         from an empty database"
    )]
    InUse,

    #[error("the publication was called off before anything was written")]
    CalledOff,

    #[error("noctule could not {doing}: {what}")]
    Refused { doing: &'static str, what: String },

    #[error(transparent)]
    Registry(#[from] Refusal),

    #[error(transparent)]
    Record(#[from] RecordError),

    #[error(
        "the database {place} failed, so noctule could not {doing}: what it said is below; if it keeps failing, `noctule doctor` \
         looks at it"
    )]
    Database { place: String, doing: &'static str, source: sqlx::Error },
}

impl StoreError {
    /// Whether the same request may succeed later without anybody doing anything. After it, read the log again: a
    /// connection that broke while it committed does not say whether it did.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Away { .. })
    }

    /// Sorts an error of the driver by its code, never by its text.
    pub(crate) fn of_driver(place: &str, doing: &'static str, source: sqlx::Error) -> Self {
        let place = place.to_owned();
        match trouble(&source) {
            Trouble::Locked => Self::Locked { place, doing, source },
            Trouble::Away => Self::Away { place, doing, source },
            Trouble::Full => Self::Full { place, doing, source },
            Trouble::Permission => Self::Permission { place, doing, source: Box::new(source) },
            Trouble::Corrupt => Self::Corrupt { place, what: source.to_string() },
            Trouble::Other => Self::Database { place, doing, source },
        }
    }

    /// Sorts an error of the file system on the way to a database file.
    pub(crate) fn of_file(place: &str, doing: &'static str, error: std::io::Error) -> Self {
        let place = place.to_owned();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::Full { place, doing, source: sqlx::Error::Io(error) }
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Self::Permission { place, doing, source: Box::new(error) }
            }
            _ => Self::Database { place, doing, source: sqlx::Error::Io(error) },
        }
    }
}

enum Trouble {
    Locked,
    Away,
    Full,
    Permission,
    Corrupt,
    Other,
}

fn trouble(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Database(error) => trouble_of_code(error.as_ref()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Trouble::Away,
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Trouble::Corrupt,
        _ => Trouble::Other,
    }
}

fn trouble_of_code(error: &(dyn DatabaseError + 'static)) -> Trouble {
    let Some(code) = error.code() else { return Trouble::Other };
    // Postgres has SQLSTATEs of five characters, SQLite decimal result codes: https://sqlite.org/rescode.html
    if code.len() == 5 {
        return trouble_of_sqlstate(&code);
    }
    let Ok(code) = code.parse::<i32>() else { return Trouble::Other };
    /// Growing the shared memory file failed: the usual face of a full disk in WAL mode.
    const IOERR_SHMSIZE: i32 = 4874;
    match (code, code & 0xff) {
        (IOERR_SHMSIZE, _) | (_, 13) => Trouble::Full,
        (_, 5 | 6) => Trouble::Locked,
        (_, 3 | 8 | 14 | 23) => Trouble::Permission,
        (_, 11 | 26) => Trouble::Corrupt,
        _ => Trouble::Other,
    }
}

/// Classes and codes of https://www.postgresql.org/docs/current/errcodes-appendix.html
fn trouble_of_sqlstate(code: &str) -> Trouble {
    match code {
        "55P03" | "40P01" | "40001" | "57014" => Trouble::Locked,
        "53100" => Trouble::Full,
        "42501" | "25006" => Trouble::Permission,
        "3D000" | "53300" | "53400" | "25P03" => Trouble::Away,
        "XX001" | "XX002" => Trouble::Corrupt,
        _ if code.starts_with("28") => Trouble::Permission,
        _ if code.starts_with("08") || code.starts_with("57P") => Trouble::Away,
        _ => Trouble::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::{Connection as _, Executor as _, SqliteConnection};

    async fn met(connection: &mut SqliteConnection, statement: &'static str) -> StoreError {
        let error = connection.execute(statement).await.unwrap_err();
        StoreError::of_driver("x.db", "try it", error)
    }

    #[tokio::test]
    async fn troubles_are_told_by_their_codes() {
        let folder = tempfile::tempdir().unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.path().join("x.db"))
            .create_if_missing(true)
            .busy_timeout(std::time::Duration::ZERO);
        let mut one = SqliteConnection::connect_with(&options).await.unwrap();
        let mut two = SqliteConnection::connect_with(&options).await.unwrap();
        one.execute("CREATE TABLE t (x TEXT NOT NULL)").await.unwrap();

        one.execute("BEGIN IMMEDIATE").await.unwrap();
        let locked = met(&mut two, "BEGIN IMMEDIATE").await;
        assert!(matches!(locked, StoreError::Locked { .. }) && locked.is_temporary(), "{locked:?}");
        one.execute("ROLLBACK").await.unwrap();

        one.execute("PRAGMA max_page_count = 3").await.unwrap();
        let full = met(&mut one, "INSERT INTO t VALUES (hex(zeroblob(100000)))").await;
        assert!(matches!(full, StoreError::Full { .. }) && !full.is_temporary(), "{full:?}");

        one.execute("PRAGMA query_only = ON").await.unwrap();
        let read_only = met(&mut one, "INSERT INTO t VALUES ('x')").await;
        assert!(matches!(read_only, StoreError::Permission { .. }), "{read_only:?}");

        let other = met(&mut two, "INSERT INTO t VALUES (NULL)").await;
        assert!(matches!(other, StoreError::Database { .. }), "{other:?}");
    }

    #[test]
    fn states_of_postgres_are_sorted() {
        let is = |code: &str, wanted: fn(&Trouble) -> bool| wanted(&trouble_of_sqlstate(code));
        assert!(is("55P03", |trouble| matches!(trouble, Trouble::Locked)));
        assert!(is("53100", |trouble| matches!(trouble, Trouble::Full)));
        assert!(is("28P01", |trouble| matches!(trouble, Trouble::Permission)));
        assert!(is("57P01", |trouble| matches!(trouble, Trouble::Away)));
        assert!(is("08006", |trouble| matches!(trouble, Trouble::Away)));
        assert!(is("XX001", |trouble| matches!(trouble, Trouble::Corrupt)));
        assert!(is("23505", |trouble| matches!(trouble, Trouble::Other)));
    }
}

//! A connection to either database, and a transaction on it: the only place that knows which of the two it is.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyConnectOptions, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use crate::error::StoreError;
use crate::file_system::network_file_system;
use crate::location::{Location, file_url};

/// The key of the advisory lock that Postgres writers take, `noctule` in ASCII. Advisory locks are per database.
const WRITER_LOCK: i64 = 0x6e_6f63_7475_6c65;

/// How long a writer waits for another; the greetings below say the same to the databases.
const LOCK_PATIENCE: Duration = Duration::from_secs(15);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// An open database.
pub(crate) struct Database {
    pool: AnyPool,
    pub(crate) dialect: Dialect,
    pub(crate) place: String,
    /// Writers of one process queue here, in order, rather than poll the file's lock against each other.
    turn: Mutex<()>,
}

/// One transaction. A session that is dropped before [`Session::commit`] leaves no trace.
///
/// Both databases have one writer at a time, SQLite by `BEGIN IMMEDIATE`, Postgres by an advisory lock that is the
/// transaction's first act: what a writer reads stays true until it commits, and what the tests show on one database
/// holds on the other. Transactions are milliseconds long, and a batch orchestrator has few.
pub(crate) struct Session<'a> {
    database: &'a Database,
    pub(crate) doing: &'static str,
    transaction: Transaction<'static, Any>,
    _turn: Option<MutexGuard<'a, ()>>,
}

pub(crate) type Statement<'q> = Query<'q, Any, AnyArguments>;

impl Database {
    pub(crate) async fn connect(location: &Location) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let place = location.to_string();
        let (url, dialect) = match location {
            Location::File(path) => (prepare_file(path, &place)?, Dialect::Sqlite),
            Location::Postgres(url) => (url.to_string(), Dialect::Postgres),
        };
        let failed = |error| StoreError::of_driver(&place, "open it", error);
        let options = AnyConnectOptions::from_str(&url).map_err(failed)?;
        // The pool tries again what fails, and in the end knows only that time ran out: ask once without it.
        let mut probe = AnyConnection::connect_with(&options).await.map_err(failed)?;
        greet(&mut probe, dialect).await.map_err(failed)?;
        probe.close().await.map_err(failed)?;
        // SQLite ends a transaction by itself when the disk is full, and the driver goes on to count it as open: such
        // a connection can begin no other, so it is closed rather than given out again.
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(move |connection, _| Box::pin(greet(connection, dialect)))
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_lazy_with(options);
        Ok(Self { pool, dialect, place, turn: Mutex::new(()) })
    }

    /// Puts a SQLite file into WAL mode, which it keeps. Apart from opening it, so that another program's file is left
    /// as it is.
    pub(crate) async fn use_write_ahead_log(&self) -> Result<(), StoreError> {
        if self.dialect != Dialect::Sqlite {
            return Ok(());
        }
        let doing = "prepare its tables";
        let mut patience = LOCK_PATIENCE;
        loop {
            match self.set_write_ahead_log(doing).await {
                // The change of mode takes an exclusive lock and does not wait for it.
                Err(StoreError::Locked { .. }) if !patience.is_zero() => {
                    patience = patience.saturating_sub(LOCK_PAUSE);
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                done => return done,
            }
        }
    }

    async fn set_write_ahead_log(&self, doing: &'static str) -> Result<(), StoreError> {
        use sqlx::Row as _;
        let row = sqlx::query("PRAGMA journal_mode = WAL").fetch_one(&self.pool).await;
        let mode =
            row.and_then(|row| row.try_get::<String, _>(0)).map_err(|error| self.failed(doing, error))?;
        if mode != "wal" {
            let what =
                format!("use the write-ahead log of {}: its file system gives it `{mode}`", self.place);
            return Err(StoreError::Refused { doing, what });
        }
        Ok(())
    }

    /// A transaction that sees one state of the database and changes nothing.
    pub(crate) async fn read(&self, doing: &'static str) -> Result<Session<'_>, StoreError> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN DEFERRED",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        self.begin(begin, doing, None).await
    }

    /// A transaction that alone may write until it ends.
    pub(crate) async fn write(&self, doing: &'static str) -> Result<Session<'_>, StoreError> {
        let turn = self.turn.lock().await;
        match self.dialect {
            Dialect::Sqlite => self.begin("BEGIN IMMEDIATE", doing, Some(turn)).await,
            Dialect::Postgres => {
                let mut session =
                    self.begin("BEGIN ISOLATION LEVEL READ COMMITTED", doing, Some(turn)).await?;
                session.execute(sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(WRITER_LOCK)).await?;
                Ok(session)
            }
        }
    }

    /// Writes what the database holds at this moment to a new SQLite file. Others go on writing.
    pub(crate) async fn vacuum_into(&self, path: &Path, doing: &'static str) -> Result<(), StoreError> {
        let Some(text) = path.to_str() else {
            let what = format!("SQLite takes only paths that are Unicode, and {} is not", path.display());
            return Err(StoreError::Refused { doing, what });
        };
        let done = sqlx::query("VACUUM INTO $1").bind(text).execute(&self.pool).await;
        done.map(drop).map_err(|error| self.failed(doing, error))
    }

    async fn begin<'a>(
        &'a self,
        statement: &'static str,
        doing: &'static str,
        turn: Option<MutexGuard<'a, ()>>,
    ) -> Result<Session<'a>, StoreError> {
        let transaction = self.pool.begin_with(statement).await.map_err(|error| self.failed(doing, error))?;
        Ok(Session { database: self, doing, transaction, _turn: turn })
    }

    pub(crate) fn failed(&self, doing: &'static str, error: sqlx::Error) -> StoreError {
        StoreError::of_driver(&self.place, doing, error)
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Session<'_> {
    pub(crate) fn dialect(&self) -> Dialect {
        self.database.dialect
    }

    pub(crate) fn place(&self) -> &str {
        &self.database.place
    }

    /// Runs a statement and says how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: Statement<'_>) -> Result<u64, StoreError> {
        let done = statement.execute(&mut *self.transaction).await;
        done.map(|done| done.rows_affected()).map_err(|error| self.database.failed(self.doing, error))
    }

    pub(crate) async fn all(&mut self, statement: Statement<'_>) -> Result<Vec<AnyRow>, StoreError> {
        let rows = statement.fetch_all(&mut *self.transaction).await;
        rows.map_err(|error| self.database.failed(self.doing, error))
    }

    pub(crate) async fn optional(&mut self, statement: Statement<'_>) -> Result<Option<AnyRow>, StoreError> {
        let row = statement.fetch_optional(&mut *self.transaction).await;
        row.map_err(|error| self.database.failed(self.doing, error))
    }

    pub(crate) async fn one(&mut self, statement: Statement<'_>) -> Result<AnyRow, StoreError> {
        let row = statement.fetch_one(&mut *self.transaction).await;
        row.map_err(|error| self.database.failed(self.doing, error))
    }

    /// Runs several statements without parameters.
    pub(crate) async fn script(&mut self, text: String) -> Result<(), StoreError> {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut *self.transaction).await;
        done.map(drop).map_err(|error| self.database.failed(self.doing, error))
    }

    /// The database's clock, in microseconds since 1970: the one clock that all holders of leases share.
    pub(crate) async fn clock(&mut self) -> Result<i64, StoreError> {
        use sqlx::Row as _;
        let statement = match self.dialect() {
            Dialect::Sqlite => "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now",
            Dialect::Postgres => {
                "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now"
            }
        };
        let row = self.one(sqlx::query(statement)).await?;
        row.try_get("now").map_err(|error| self.database.failed(self.doing, error))
    }

    /// The next number of a counter, from 1. Numbers are given out in the order of commits and without gaps.
    pub(crate) async fn next(&mut self, counter: &str) -> Result<i64, StoreError> {
        use sqlx::Row as _;
        let row = self
            .one(
                sqlx::query(
                    "INSERT INTO counters (name, value) VALUES ($1, 1) \
                     ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value",
                )
                .bind(counter),
            )
            .await?;
        row.try_get("value").map_err(|error| self.database.failed(self.doing, error))
    }

    /// Raises a counter to at least `value`.
    pub(crate) async fn raise(&mut self, counter: &str, value: i64) -> Result<(), StoreError> {
        self.execute(
            sqlx::query(
                "INSERT INTO counters (name, value) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET value = $2 WHERE counters.value < $2",
            )
            .bind(counter)
            .bind(value),
        )
        .await
        .map(drop)
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let Self { database, doing, transaction, _turn } = self;
        transaction.commit().await.map_err(|error| database.failed(doing, error))
    }
}

/// A condition of a list's statement, as the filter has it or not. What a filter does not ask for is not named, so that
/// an index serves what it does ask for; but Postgres wants to see a use of every parameter.
pub(crate) fn asked(given: bool, condition: &str, parameters: &[&str]) -> String {
    match given {
        true => condition.to_owned(),
        false => parameters.iter().map(|name| format!("{name} IS NULL")).collect::<Vec<_>>().join(" AND "),
    }
}

async fn greet(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), sqlx::Error> {
    for statement in greeting(dialect) {
        connection.execute(*statement).await?;
    }
    Ok(())
}

/// What every connection is told first.
fn greeting(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        // synchronous=FULL: in WAL mode NORMAL may lose the last commits with the power, and an intent that is lost
        // after its effect is an attempt that nobody knows of.
        Dialect::Sqlite => {
            &["PRAGMA busy_timeout = 15000", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"]
        }
        Dialect::Postgres => &[
            "SET search_path TO noctule",
            "SET lock_timeout = '15s'",
            "SET statement_timeout = '60s'",
            // A frozen writer gives the writers' lock back long before its lease runs out.
            "SET idle_in_transaction_session_timeout = '5s'",
            "SET client_min_messages = 'warning'",
        ],
    }
}

/// Makes the folder of a database file and looks at the file system under it.
fn prepare_file(path: &Path, place: &str) -> Result<String, StoreError> {
    let failed = |error| StoreError::of_file(place, "open it", error);
    let path = std::path::absolute(path).map_err(failed)?;
    if path.is_dir() {
        return Err(StoreError::Location {
            text: place.to_owned(),
            rule: "it is a folder; name a file in it",
        });
    }
    let folder = path.parent().expect("an absolute path that is no folder has a parent");
    std::fs::create_dir_all(folder).map_err(failed)?;
    // A link may lead elsewhere than its folder.
    let looked_at = if path.exists() { &path } else { folder };
    if let Some(kind) = network_file_system(looked_at).map_err(failed)? {
        return Err(StoreError::NetworkFileSystem { path, kind });
    }
    file_url(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_whose_transaction_ended_by_itself_is_not_given_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::connect(&Location::file(folder.path().join("x.db"))).await.unwrap();
        let mut session = database.write("be cut short").await.unwrap();
        // As SQLite does when there is no space to commit.
        session.script("ROLLBACK".to_owned()).await.unwrap();
        session.commit().await.unwrap_err();
        // It goes back to the others in its own time, and only then may be the next to be given out.
        for _ in 0..1000 {
            if database.pool.num_idle() > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut session = database.write("write again").await.unwrap();
        session.script("CREATE TABLE t (x TEXT)".to_owned()).await.unwrap();
        session.commit().await.unwrap();
    }
}

//! The schema, and how a database gets to it.

use jiff::Timestamp;
use noctule_artifacts::RegistryId;
use sqlx::Row as _;

use crate::error::StoreError;
use crate::session::{Database, Dialect, Session};

/// Every step that the schema ever took. A released one never changes; the next one is added below.
const STEPS: &[&str] =
    &[include_str!("migrations/0001_first.sql"), include_str!("migrations/0002_serve.sql")];

/// The schema that this program reads and writes.
pub(crate) const KNOWN: i64 = STEPS.len() as i64;

/// Brings the database to the known schema, in one transaction that no other writer can enter.
pub(crate) async fn migrate(database: &Database) -> Result<(), StoreError> {
    check(database).await?;
    database.use_write_ahead_log().await?;
    let mut session = database.write("prepare its tables").await?;
    let found = version(&mut session).await?;
    if found == KNOWN {
        return Ok(());
    }
    if found == 0 {
        begin(&mut session).await?;
    }
    let bytes = match session.dialect() {
        Dialect::Sqlite => "BLOB",
        Dialect::Postgres => "BYTEA",
    };
    for step in &STEPS[usize::try_from(found).expect("a version read as not above KNOWN is small")..] {
        session.script(step.replace("{bytes}", bytes)).await?;
    }
    if found == 0 {
        mint_registry(&mut session).await?;
    }
    session
        .execute(
            sqlx::query(
                "INSERT INTO noctule_schema (only_one, version) VALUES (1, $1) \
                 ON CONFLICT (only_one) DO UPDATE SET version = $1",
            )
            .bind(KNOWN),
        )
        .await?;
    session.commit().await
}

/// Looks at the database and changes nothing.
async fn check(database: &Database) -> Result<(), StoreError> {
    let mut session = database.read("look at its tables").await?;
    version(&mut session).await.map(drop)
}

/// The version of the schema that is there; 0 for an empty database.
async fn version(session: &mut Session<'_>) -> Result<i64, StoreError> {
    let tables = match session.dialect() {
        Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        // The name type is not one that both drivers share.
        Dialect::Postgres => {
            "SELECT CAST(tablename AS TEXT) AS name FROM pg_catalog.pg_tables WHERE schemaname = 'noctule'"
        }
    };
    let doing = session.doing;
    let place = session.place().to_owned();
    let failed = |error| StoreError::of_driver(&place, doing, error);
    let mut names = Vec::new();
    for row in session.all(sqlx::query(tables)).await? {
        names.push(row.try_get::<String, _>("name").map_err(failed)?);
    }
    if names.is_empty() {
        return Ok(0);
    }
    if !names.iter().any(|name| name == "noctule_schema") {
        return Err(StoreError::Foreign { place: place.clone() });
    }
    // Postgres passes over a schema on its path that the user may not look into, and would call the table missing.
    let row = session
        .one(sqlx::query(match session.dialect() {
            Dialect::Sqlite => "SELECT version FROM noctule_schema",
            Dialect::Postgres => "SELECT version FROM noctule.noctule_schema",
        }))
        .await?;
    let found = row.try_get("version").map_err(failed)?;
    if found > KNOWN {
        return Err(StoreError::Newer { place, found, known: KNOWN });
    }
    Ok(found)
}

async fn begin(session: &mut Session<'_>) -> Result<(), StoreError> {
    if session.dialect() == Dialect::Postgres {
        // `IF NOT EXISTS` would ask for the right to create even where an administrator made the schema before.
        let there = session
            .one(sqlx::query("SELECT to_regnamespace('noctule') IS NOT NULL AS there"))
            .await?
            .try_get::<bool, _>("there")
            .map_err(|error| StoreError::of_driver(session.place(), session.doing, error))?;
        if !there {
            session.script("CREATE SCHEMA noctule".to_owned()).await?;
        }
    }
    session
        .script(
            "CREATE TABLE noctule_schema (only_one BIGINT PRIMARY KEY CHECK (only_one = 1), \
             version BIGINT NOT NULL)"
                .to_owned(),
        )
        .await
}

/// A database is a registry of its own from its first moment.
async fn mint_registry(session: &mut Session<'_>) -> Result<(), StoreError> {
    let id = RegistryId::from_random(rand::random());
    session
        .execute(
            sqlx::query("INSERT INTO registry (only_one, id, created) VALUES (1, $1, $2)")
                .bind(id.to_string())
                .bind(Timestamp::now().to_string()),
        )
        .await
        .map(drop)
}

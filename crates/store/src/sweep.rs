//! Sweeping what nothing needs, in two steps.
//!
//! First a tombstone, set in a transaction that checks references; a day later the deletion, which begins in a
//! transaction that finds the tombstone still there. In between, whoever uses the artifact takes the tombstone off in
//! the transaction of that use. So a reuse and a sweep that meet never both win.

use jiff::Timestamp;
use noctule_artifacts::{ModelName, RunId, VersionNumber};

use crate::Store;
use crate::artifacts::{self, ArtifactState, IndexedArtifact, select_artifacts};
use crate::error::StoreError;
use crate::record::status::good_statuses;
use crate::row::Fields;
use crate::session::Session;

/// What keeps an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A run that has not ended uses it.
    LiveRun(RunId),
    /// It belongs to the latest good run of its pipeline.
    LastGood(RunId),
    /// It is the model of a registered version, or the gate that let it pass.
    Version(ModelName, VersionNumber),
    /// A later artifact names files of it.
    Borrower(String),
}

/// What became of the wish to set a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tombstone {
    Set,
    Kept(Reference),
    /// It has one already, or is past that.
    NotLive(ArtifactState),
    /// No run's log ever named it.
    Unknown,
}

impl Store {
    /// Live artifacts whose runs all ended before `since`: candidates for a tombstone, the oldest first.
    pub async fn unused_since(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<IndexedArtifact>, StoreError> {
        let mut session = self.database.read("look for artifacts that nothing needs").await?;
        let rows = session
            .all(
                sqlx::query(select_artifacts!(
                    "WHERE state = 'live' AND NOT EXISTS (SELECT 1 FROM artifact_uses u JOIN runs r ON r.run = u.run \
                     WHERE u.manifest = artifacts.manifest AND (r.ended IS NULL OR r.ended >= $1)) \
                     ORDER BY created, manifest LIMIT $2"
                ))
                .bind(since.as_microsecond())
                .bind(i64::from(limit)),
            )
            .await?;
        rows.iter().map(|row| artifacts::read(&Fields::of(row, session.place()))).collect()
    }

    /// Sets a tombstone on an artifact that nothing refers to.
    pub async fn set_tombstone(&self, manifest: &str, at: Timestamp) -> Result<Tombstone, StoreError> {
        let mut session = self.database.write("set a tombstone").await?;
        match artifacts::find(&mut session, manifest).await?.map(|artifact| artifact.state) {
            None => return Ok(Tombstone::Unknown),
            Some(ArtifactState::Live) => {}
            Some(state) => return Ok(Tombstone::NotLive(state)),
        }
        if let Some(reference) = reference(&mut session, manifest).await? {
            return Ok(Tombstone::Kept(reference));
        }
        session
            .execute(
                sqlx::query("UPDATE artifacts SET state = 'tombstone', tombstoned = $2 WHERE manifest = $1")
                    .bind(manifest)
                    .bind(at.as_microsecond()),
            )
            .await?;
        session.commit().await?;
        Ok(Tombstone::Set)
    }

    /// What keeps an artifact; `None` when nothing does.
    pub async fn reference_to(&self, manifest: &str) -> Result<Option<Reference>, StoreError> {
        let mut session = self.database.read("look for what needs an artifact").await?;
        reference(&mut session, manifest).await
    }

    /// Artifacts whose tombstones are from before `before`, and those whose deletion was begun and not finished.
    pub async fn deletable(&self, before: Timestamp) -> Result<Vec<IndexedArtifact>, StoreError> {
        let mut session = self.database.read("look for artifacts to delete").await?;
        let rows = session
            .all(
                sqlx::query(select_artifacts!(
                    "WHERE state = 'deleting' OR (state = 'tombstone' AND tombstoned <= $1) \
                     ORDER BY created, manifest"
                ))
                .bind(before.as_microsecond()),
            )
            .await?;
        rows.iter().map(|row| artifacts::read(&Fields::of(row, session.place()))).collect()
    }

    /// Begins a deletion. `false` when the tombstone is gone or younger than `before`: then nothing may be deleted.
    pub async fn begin_deletion(&self, manifest: &str, before: Timestamp) -> Result<bool, StoreError> {
        let mut session = self.database.write("begin to delete an artifact").await?;
        let begun = session
            .execute(
                sqlx::query(
                    "UPDATE artifacts SET state = 'deleting' WHERE manifest = $1 \
                     AND (state = 'deleting' OR (state = 'tombstone' AND tombstoned <= $2))",
                )
                .bind(manifest)
                .bind(before.as_microsecond()),
            )
            .await?;
        session.commit().await?;
        Ok(begun == 1)
    }

    /// Records that an artifact's files are gone. From now on it is expired, and not damaged.
    pub async fn end_deletion(&self, manifest: &str) -> Result<(), StoreError> {
        let mut session = self.database.write("record that an artifact was deleted").await?;
        session
            .execute(
                sqlx::query(
                    "UPDATE artifacts SET state = 'expired' WHERE manifest = $1 AND state = 'deleting'",
                )
                .bind(manifest),
            )
            .await?;
        session.commit().await
    }
}

async fn reference(session: &mut Session<'_>, manifest: &str) -> Result<Option<Reference>, StoreError> {
    let row = session
        .optional(
            sqlx::query(concat!(
                "SELECT r.run AS run, CASE WHEN r.ended IS NULL THEN 1 ELSE 0 END AS live \
                 FROM artifact_uses u JOIN runs r ON r.run = u.run WHERE u.manifest = $1 AND (r.ended IS NULL OR \
                 (r.status IN ",
                good_statuses!(),
                " AND NOT EXISTS (SELECT 1 FROM runs later WHERE later.pipeline = r.pipeline \
                 AND later.interval_start > r.interval_start AND later.status IN ",
                good_statuses!(),
                "))) ORDER BY live DESC, r.created DESC LIMIT 1"
            ))
            .bind(manifest),
        )
        .await?;
    if let Some(row) = row {
        let fields = Fields::of(&row, session.place());
        let run = fields.parsed("run")?;
        return Ok(Some(if fields.flag("live")? {
            Reference::LiveRun(run)
        } else {
            Reference::LastGood(run)
        }));
    }
    let row = session
        .optional(
            sqlx::query(
                "SELECT v.model AS model, v.number AS number FROM artifacts a JOIN versions v \
                 ON v.digest = a.digest OR v.gate = a.digest WHERE a.manifest = $1 LIMIT 1",
            )
            .bind(manifest),
        )
        .await?;
    if let Some(row) = row {
        let fields = Fields::of(&row, session.place());
        let number = VersionNumber(fields.small("number")?);
        return Ok(Some(Reference::Version(fields.parsed("model")?, number)));
    }
    let row = session
        .optional(
            sqlx::query(
                "SELECT b.manifest AS manifest FROM artifact_borrows b JOIN artifacts a ON a.manifest = b.manifest \
                 WHERE b.lender = $1 AND a.state <> 'expired' LIMIT 1",
            )
            .bind(manifest),
        )
        .await?;
    row.map(|row| Fields::of(&row, session.place()).text("manifest").map(Reference::Borrower)).transpose()
}

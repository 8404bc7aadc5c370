//! The index of artifacts: which manifest has which fingerprint, and which run uses it.
//!
//! The files themselves are the depot's. A row outlives its files, so that what was swept can be told from what was
//! lost.

use std::str::FromStr;

use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, Digest, Manifest, Outcome, PipelineName, RunId, StepName, layout};

use crate::Store;
use crate::error::StoreError;
use crate::log::Effects;
use crate::row::Fields;
use crate::session::Session;

/// An artifact that an attempt has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    /// Path of the manifest in the depot.
    pub manifest: String,
    pub digest: Digest,
    pub fingerprint: Digest,
    pub kind: String,
    pub outcome: Outcome,
    pub pipeline: PipelineName,
    pub run: RunId,
    pub step: StepName,
    pub attempt: AttemptNumber,
    pub created: Timestamp,
    /// Manifests of earlier artifacts, files of which this one's manifest names.
    pub borrows: Vec<String>,
}

/// An artifact as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedArtifact {
    pub manifest: String,
    pub digest: Digest,
    pub fingerprint: Digest,
    pub kind: String,
    pub outcome: Outcome,
    pub pipeline: PipelineName,
    /// The run that made it.
    pub run: RunId,
    pub step: StepName,
    pub attempt: AttemptNumber,
    pub created: Timestamp,
    pub state: ArtifactState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArtifactState {
    Live,
    /// To be deleted, unless somebody uses it before.
    Tombstone {
        since: Timestamp,
    },
    /// Its files are being deleted.
    Deleting,
    /// Its files were deleted because nothing needed them.
    Expired,
}

impl NewArtifact {
    /// The index's view of a manifest that lies at `path`.
    pub fn of(path: &str, manifest: &Manifest) -> Self {
        let record = &manifest.record;
        let mut borrows: Vec<String> = record.elsewhere.values().filter_map(|file| lender(file)).collect();
        borrows.sort_unstable();
        borrows.dedup();
        Self {
            manifest: path.to_owned(),
            digest: manifest.digest(),
            fingerprint: record.fingerprint.digest(),
            kind: manifest.identity.kind.clone(),
            outcome: manifest.identity.outcome,
            pipeline: record.pipeline.clone(),
            run: record.run.clone(),
            step: record.step.clone(),
            attempt: record.attempt,
            created: record.finished,
            borrows,
        }
    }
}

/// The manifest of the attempt below whose prefix a file lies.
fn lender(file: &str) -> Option<String> {
    let mut parts = file.split('/');
    let (runs, run, step, attempt) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let attempt = AttemptNumber::from_str(attempt).ok()?;
    (runs == "runs").then_some(())?;
    Some(layout::attempt_manifest(&run.parse().ok()?, &step.parse().ok()?, attempt))
}

macro_rules! select_artifacts {
    ($rest:expr) => {
        concat!(
            "SELECT manifest, digest, fingerprint, kind, outcome, pipeline, run, step, attempt, created, state, \
             tombstoned FROM artifacts ",
            $rest
        )
    };
}
pub(crate) use select_artifacts;

impl Store {
    /// Artifacts of this fingerprint that may be taken over, the newest first. Whether their files are whole is for
    /// the depot to say.
    pub async fn reusable(&self, fingerprint: Digest) -> Result<Vec<IndexedArtifact>, StoreError> {
        let mut session = self.database.read("look for an artifact to reuse").await?;
        let rows = session
            .all(
                sqlx::query(select_artifacts!(
                    "WHERE fingerprint = $1 AND state IN ('live', 'tombstone') ORDER BY created DESC, manifest"
                ))
                .bind(fingerprint.to_string()),
            )
            .await?;
        rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect()
    }

    /// Earlier artifacts of a step, the newest first, whose parts may be taken over.
    pub async fn earlier(
        &self,
        pipeline: &PipelineName,
        step: &StepName,
        limit: u32,
    ) -> Result<Vec<IndexedArtifact>, StoreError> {
        let mut session = self.database.read("look for parts to reuse").await?;
        let rows = session
            .all(
                sqlx::query(select_artifacts!(
                    "WHERE pipeline = $1 AND step = $2 AND state IN ('live', 'tombstone') \
                     ORDER BY created DESC, manifest LIMIT $3"
                ))
                .bind(pipeline.as_str())
                .bind(step.as_str())
                .bind(i64::from(limit)),
            )
            .await?;
        rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect()
    }

    /// Artifacts whose files are there, the newest first, after the one at a manifest path: a page of all.
    pub async fn kept_artifacts(
        &self,
        after: Option<&IndexedArtifact>,
        limit: u32,
    ) -> Result<Vec<IndexedArtifact>, StoreError> {
        let mut session = self.database.read("list the artifacts").await?;
        let rows = session
            .all(
                sqlx::query(select_artifacts!(
                    "WHERE state IN ('live', 'tombstone') AND ($1 IS NULL OR created < $1 \
                     OR (created = $1 AND manifest > $2)) ORDER BY created DESC, manifest LIMIT $3"
                ))
                .bind(after.map(|after| after.created.as_microsecond()))
                .bind(after.map(|after| after.manifest.clone()))
                .bind(i64::from(limit)),
            )
            .await?;
        rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect()
    }

    /// The artifact at a manifest path; `None` when no run's log ever named it.
    pub async fn artifact(&self, manifest: &str) -> Result<Option<IndexedArtifact>, StoreError> {
        let mut session = self.database.read("read the index of artifacts").await?;
        find(&mut session, manifest).await
    }

    /// The artifacts that stand for the steps of a run, made there or taken over.
    pub async fn artifacts_of(&self, run: &RunId) -> Result<Vec<(StepName, IndexedArtifact)>, StoreError> {
        let mut session = self.database.read("read a run's artifacts").await?;
        let rows = session
            .all(
                sqlx::query(
                    "SELECT u.step AS used_by, a.manifest, a.digest, a.fingerprint, a.kind, a.outcome, a.pipeline, \
                     a.run, a.step, a.attempt, a.created, a.state, a.tombstoned \
                     FROM artifact_uses u JOIN artifacts a ON a.manifest = u.manifest \
                     WHERE u.run = $1 ORDER BY a.created, a.manifest, u.step",
                )
                .bind(run.as_str()),
            )
            .await?;
        rows.iter()
            .map(|row| {
                let fields = Fields::of(row, session.place());
                Ok((fields.parsed("used_by")?, read(&fields)?))
            })
            .collect()
    }
}

/// Enters a change's artifacts and uses.
pub(crate) async fn apply(
    session: &mut Session<'_>,
    run: &RunId,
    effects: &Effects,
) -> Result<(), StoreError> {
    for artifact in &effects.artifacts {
        insert(session, artifact).await?;
        for lender in artifact.borrows.iter().filter(|lender| **lender != artifact.manifest) {
            revive(session, run, lender).await?;
            session
                .execute(
                    sqlx::query(
                        "INSERT INTO artifact_borrows (manifest, lender) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                    )
                    .bind(artifact.manifest.as_str())
                    .bind(lender.as_str()),
                )
                .await?;
        }
        take_use(session, run, &artifact.step, &artifact.manifest).await?;
    }
    for (step, manifest) in &effects.reused {
        take_use(session, run, step, manifest).await?;
    }
    Ok(())
}

async fn insert(session: &mut Session<'_>, artifact: &NewArtifact) -> Result<(), StoreError> {
    let entered = session
        .execute(
            sqlx::query(
                "INSERT INTO artifacts (manifest, digest, fingerprint, kind, outcome, pipeline, run, step, attempt, \
                 created, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'live') ON CONFLICT DO NOTHING",
            )
            .bind(artifact.manifest.as_str())
            .bind(artifact.digest.to_string())
            .bind(artifact.fingerprint.to_string())
            .bind(artifact.kind.as_str())
            .bind(outcome_word(artifact.outcome))
            .bind(artifact.pipeline.as_str())
            .bind(artifact.run.as_str())
            .bind(artifact.step.as_str())
            .bind(i64::from(artifact.attempt.0))
            .bind(artifact.created.as_microsecond()),
        )
        .await?;
    if entered == 0 {
        let present = find(session, &artifact.manifest).await?;
        if present.is_none_or(|present| present.digest != artifact.digest) {
            return Err(StoreError::ArtifactDiffers {
                run: artifact.run.clone(),
                attempt: artifact.attempt,
                manifest: artifact.manifest.clone(),
            });
        }
    }
    Ok(())
}

async fn take_use(
    session: &mut Session<'_>,
    run: &RunId,
    step: &StepName,
    manifest: &str,
) -> Result<(), StoreError> {
    revive(session, run, manifest).await?;
    session
        .execute(
            sqlx::query(
                "INSERT INTO artifact_uses (run, step, manifest) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(run.as_str())
            .bind(step.as_str())
            .bind(manifest),
        )
        .await
        .map(drop)
}

/// Takes a tombstone off an artifact that is used again. Once its deletion has begun there is no way back.
async fn revive(session: &mut Session<'_>, run: &RunId, manifest: &str) -> Result<(), StoreError> {
    let revived = session
        .execute(
            sqlx::query(
                "UPDATE artifacts SET state = 'live', tombstoned = NULL \
                 WHERE manifest = $1 AND state IN ('live', 'tombstone')",
            )
            .bind(manifest),
        )
        .await?;
    if revived == 1 {
        return Ok(());
    }
    let manifest = manifest.to_owned();
    Err(match find(session, &manifest).await? {
        None => StoreError::NoSuchArtifact { manifest, run: run.clone() },
        Some(_) => StoreError::ArtifactGone { manifest },
    })
}

pub(crate) async fn find(
    session: &mut Session<'_>,
    manifest: &str,
) -> Result<Option<IndexedArtifact>, StoreError> {
    let row = session.optional(sqlx::query(select_artifacts!("WHERE manifest = $1")).bind(manifest)).await?;
    row.map(|row| read(&Fields::of(&row, session.place()))).transpose()
}

pub(crate) fn read(fields: &Fields<'_>) -> Result<IndexedArtifact, StoreError> {
    let outcome = fields.text("outcome")?;
    let state = fields.text("state")?;
    Ok(IndexedArtifact {
        manifest: fields.text("manifest")?,
        digest: fields.parsed("digest")?,
        fingerprint: fields.parsed("fingerprint")?,
        kind: fields.text("kind")?,
        outcome: outcome_of_word(&outcome)
            .ok_or_else(|| fields.corrupt("outcome", format_args!("`{outcome}` is no outcome")))?,
        pipeline: fields.parsed("pipeline")?,
        run: fields.parsed("run")?,
        step: fields.parsed("step")?,
        attempt: AttemptNumber(fields.small("attempt")?),
        created: fields.instant("created")?,
        state: match &*state {
            "live" => ArtifactState::Live,
            "tombstone" => ArtifactState::Tombstone { since: fields.instant("tombstoned")? },
            "deleting" => ArtifactState::Deleting,
            "expired" => ArtifactState::Expired,
            other => return Err(fields.corrupt("state", format_args!("`{other}` is no state"))),
        },
    })
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::DataStop => "data-stop",
        Outcome::GateRejected => "gate-rejected",
        Outcome::GateInconclusive => "gate-inconclusive",
    }
}

fn outcome_of_word(word: &str) -> Option<Outcome> {
    [Outcome::Ok, Outcome::DataStop, Outcome::GateRejected, Outcome::GateInconclusive]
        .into_iter()
        .find(|outcome| outcome_word(*outcome) == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lender_of_a_file_is_the_attempt_it_lies_under() {
        let run = RunId::from_random(3);
        let path = format!("runs/{run}/events/2/main/date=2026-11-01.parquet");
        assert_eq!(lender(&path), Some(format!("runs/{run}/events/2/manifest.json")));
        for other in ["", "models/home-feed/versions/1/x", "runs/x/y/z/w", &format!("runs/{run}/events")] {
            assert_eq!(lender(other), None, "{other}");
        }
    }
}

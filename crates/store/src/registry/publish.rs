//! A run's candidate becomes a version, and perhaps the champion.

use jiff::Timestamp;
use noctule_artifacts::{AliasName, Digest, ModelName, RunId, StepName, VersionNumber};
use noctule_registry::version::Registration;
use noctule_registry::{Decision, PassedGate, Version, identity};

use super::{Standing, add_model, find_version, has_model, insert_version, number_counter};
use crate::Store;
use crate::error::StoreError;
use crate::log::{Change, Position, append, check_position};
use crate::row::Fields;
use crate::session::Session;

/// A wish for a version number.
#[derive(Debug, Clone)]
pub struct Reserve {
    pub model: ModelName,
    /// Who asks. The same run and step get the same number for the same model again.
    pub run: RunId,
    pub step: StepName,
    /// The digest of the model artifact that is to stand under the number.
    pub digest: Digest,
    /// Whether the depot has files below `models/<name>/`: a model that has and that the registry does not know is an
    /// orphan, and gets no number.
    pub in_store: bool,
    pub at: Timestamp,
}

/// A candidate whose files stand verified under its number, and the gate that it passed.
#[derive(Debug, Clone)]
pub struct Publishing {
    pub candidate: Version,
    pub alias: AliasName,
    pub gate: PassedGate,
    /// The version that the gate compared with; `None` when the alias pointed nowhere then.
    pub compared: Option<VersionNumber>,
    pub at: Timestamp,
}

impl Store {
    /// Gives out the next version number of a model, or the one that the candidate has already.
    pub async fn reserve_version(&self, wish: &Reserve) -> Result<VersionNumber, StoreError> {
        let mut session = self.database.write("reserve a version number").await?;
        let known = has_model(&mut session, &wish.model).await?;
        identity::check_model(&wish.model, known, wish.in_store)?;
        if let Some(number) = reserved(&mut session, wish).await? {
            return Ok(number);
        }
        add_model(&mut session, &wish.model, wish.at).await?;
        let number = session.next(&number_counter(&wish.model)).await?;
        session
            .execute(
                sqlx::query(
                    "INSERT INTO reservations (model, number, run, step, digest, at) \
                     VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(wish.model.as_str())
                .bind(number)
                .bind(wish.run.as_str())
                .bind(wish.step.as_str())
                .bind(wish.digest.to_string())
                .bind(wish.at.to_string()),
            )
            .await?;
        let number = u32::try_from(number).map_err(|_| StoreError::Refused {
            doing: session.doing,
            what: format!("{} has used up its version numbers", wish.model),
        })?;
        session.commit().await?;
        Ok(VersionNumber(number))
    }

    /// Decides about a candidate and writes down, in one transaction, everything that follows: the version, the
    /// promotion, and the change of the run's log with its messages, which `then` makes from the decision.
    ///
    /// When the candidate is the champion already, no version is registered. A held candidate is. `then` may answer
    /// `None` to call it all off, and nothing is written ([`StoreError::CalledOff`]).
    pub async fn publish<C: Into<Option<Change>>>(
        &self,
        position: &Position,
        publishing: &Publishing,
        then: impl FnOnce(&Decision) -> C + Send,
    ) -> Result<(u64, Decision), StoreError> {
        let mut session = self.database.write("publish a model").await?;
        check_position(&mut session, position).await?;
        let candidate = &publishing.candidate;
        let standing = Standing::of(&mut session, &candidate.model, &publishing.alias).await?;
        let decision = standing.place(publishing.at).promote_by_run(
            candidate,
            publishing.gate,
            publishing.compared,
            position.run.clone(),
        )?;
        match &decision {
            Decision::AlreadyChampion { .. } => {}
            Decision::Held(_) => register(&mut session, candidate).await.map(drop)?,
            Decision::Promoted(row) => {
                register(&mut session, candidate).await?;
                standing.append(&mut session, row).await?;
            }
        }
        let change = then(&decision).into().ok_or(StoreError::CalledOff)?;
        let last = append(&mut session, &position.run, position.after, &change).await?;
        session.commit().await?;
        Ok((last, decision))
    }

    /// Registers a candidate that is not to be promoted, such as a backfill's, with the change of its run's log.
    pub async fn register(
        &self,
        position: &Position,
        candidate: &Version,
        change: &Change,
    ) -> Result<u64, StoreError> {
        let mut session = self.database.write("register a version").await?;
        check_position(&mut session, position).await?;
        register(&mut session, candidate).await?;
        let last = append(&mut session, &position.run, position.after, change).await?;
        session.commit().await?;
        Ok(last)
    }

    /// Registers a version that was brought in from another registry. It is a candidate: no alias points at it.
    pub async fn register_import(&self, version: &Version) -> Result<Registration, StoreError> {
        let mut session = self.database.write("register an imported version").await?;
        let registration = register(&mut session, version).await?;
        session.commit().await?;
        Ok(registration)
    }
}

async fn reserved(session: &mut Session<'_>, wish: &Reserve) -> Result<Option<VersionNumber>, StoreError> {
    let row = session
        .optional(
            sqlx::query(
                "SELECT number FROM reservations WHERE model = $1 AND run = $2 AND step = $3 AND digest = $4",
            )
            .bind(wish.model.as_str())
            .bind(wish.run.as_str())
            .bind(wish.step.as_str())
            .bind(wish.digest.to_string()),
        )
        .await?;
    row.map(|row| Fields::of(&row, session.place()).small("number").map(VersionNumber)).transpose()
}

/// Registers a version under the number that was reserved for its model.
async fn register(session: &mut Session<'_>, version: &Version) -> Result<Registration, StoreError> {
    let present = find_version(session, &version.model, version.number).await?;
    let registration = version.register(present.as_ref())?;
    if registration == Registration::New {
        let reserved = session
            .optional(
                sqlx::query("SELECT digest FROM reservations WHERE model = $1 AND number = $2")
                    .bind(version.model.as_str())
                    .bind(i64::from(version.number.0)),
            )
            .await?;
        let meant = match &reserved {
            Some(row) => Some(Fields::of(row, session.place()).parsed::<Digest>("digest")?),
            None => None,
        };
        if meant != Some(version.digest) {
            return Err(StoreError::Refused {
                doing: session.doing,
                what: format!(
                    "version {} of {} was not reserved for the model {}: reserve a number for it first",
                    version.number, version.model, version.digest
                ),
            });
        }
        insert_version(session, version).await?;
    }
    Ok(registration)
}

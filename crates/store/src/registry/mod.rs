//! The registry's rows. What may happen to them is `noctule_registry`'s to say; here it is asked within the
//! transaction that writes the answer down.

mod by_hand;
mod publish;
mod recover;

use jiff::Timestamp;
use noctule_artifacts::version::PromotedBy;
use noctule_artifacts::{AliasName, Digest, ModelName, VersionNumber};
use noctule_registry::{AliasState, History, Promotion, Refusal, Version};

use crate::error::StoreError;
use crate::row::Fields;
use crate::session::Session;
use crate::{Store, column};

pub use by_hand::ByHand;
pub use publish::{Publishing, Reserve};

/// A model as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRow {
    pub model: ModelName,
    /// How many versions are registered.
    pub versions: u64,
    pub aliases: Vec<(AliasName, AliasState)>,
}

impl Store {
    /// All models, by name.
    pub async fn models(&self) -> Result<Vec<ModelRow>, StoreError> {
        let mut session = self.database.read("list the models").await?;
        let rows = session
            .all(sqlx::query(
                "SELECT m.model AS model, COUNT(v.number) AS versions FROM models m \
                 LEFT JOIN versions v ON v.model = m.model GROUP BY m.model",
            ))
            .await?;
        let mut models = Vec::with_capacity(rows.len());
        for row in &rows {
            let fields = Fields::of(row, session.place());
            let (model, versions) = (fields.parsed::<ModelName>("model")?, fields.count("versions")?);
            let aliases = aliases(&mut session, &model).await?;
            models.push(ModelRow { model, versions, aliases });
        }
        // Databases order texts by their own locale.
        models.sort_by(|a, b| a.model.cmp(&b.model));
        Ok(models)
    }

    /// Whether the registry has the model: it gets its row with the first number that is reserved for it.
    pub async fn has_model(&self, model: &ModelName) -> Result<bool, StoreError> {
        let mut session = self.database.read("look for a model").await?;
        has_model(&mut session, model).await
    }

    /// The versions of a model by number, those without an alias too.
    pub async fn versions(&self, model: &ModelName) -> Result<Vec<Version>, StoreError> {
        let mut session = self.database.read("list the versions of a model").await?;
        expect_model(&mut session, model).await?;
        let rows = session
            .all(sqlx::query(select_versions!("WHERE model = $1 ORDER BY number")).bind(model.as_str()))
            .await?;
        rows.iter().map(|row| read_version(&Fields::of(row, session.place()))).collect()
    }

    pub async fn version(&self, model: &ModelName, number: VersionNumber) -> Result<Version, StoreError> {
        let mut session = self.database.read("read a version").await?;
        expect_version(&mut session, model, number).await
    }

    /// The version of a model that has this digest, the latest if several have.
    pub async fn version_of_digest(
        &self,
        model: &ModelName,
        digest: Digest,
    ) -> Result<Option<Version>, StoreError> {
        let mut session = self.database.read("look for a version by its digest").await?;
        let row = session
            .optional(
                sqlx::query(select_versions!(
                    "WHERE model = $1 AND digest = $2 ORDER BY number DESC LIMIT 1"
                ))
                .bind(model.as_str())
                .bind(digest.to_string()),
            )
            .await?;
        row.map(|row| read_version(&Fields::of(&row, session.place()))).transpose()
    }

    /// Where an alias points, and the version there; `None` while it points nowhere.
    pub async fn alias(
        &self,
        model: &ModelName,
        alias: &AliasName,
    ) -> Result<Option<(AliasState, Version)>, StoreError> {
        let mut session = self.database.read("resolve an alias").await?;
        let history = history(&mut session, model, alias).await?;
        let Some(state) = history.state().cloned() else { return Ok(None) };
        let version = expect_version(&mut session, model, state.version).await?;
        Ok(Some((state, version)))
    }

    /// The history of one alias.
    pub async fn history(&self, model: &ModelName, alias: &AliasName) -> Result<History, StoreError> {
        let mut session = self.database.read("read an alias's history").await?;
        history(&mut session, model, alias).await
    }

    /// All promotions of a model's aliases, in order.
    pub async fn promotions(&self, model: &ModelName) -> Result<Vec<Promotion>, StoreError> {
        let mut session = self.database.read("read a model's history").await?;
        expect_model(&mut session, model).await?;
        promotions(&mut session, model).await
    }
}

macro_rules! select_versions {
    ($rest:expr) => {
        concat!("SELECT model, number, digest, pipeline, run, step, gate, created FROM versions ", $rest)
    };
}
use select_versions;

pub(super) async fn has_model(session: &mut Session<'_>, model: &ModelName) -> Result<bool, StoreError> {
    let row = session.optional(sqlx::query("SELECT model FROM models WHERE model = $1").bind(model.as_str()));
    Ok(row.await?.is_some())
}

async fn expect_model(session: &mut Session<'_>, model: &ModelName) -> Result<(), StoreError> {
    match has_model(session, model).await? {
        true => Ok(()),
        false => Err(Refusal::NoSuchModel { model: model.clone() }.into()),
    }
}

async fn add_model(session: &mut Session<'_>, model: &ModelName, at: Timestamp) -> Result<(), StoreError> {
    session
        .execute(
            sqlx::query("INSERT INTO models (model, created) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(model.as_str())
                .bind(at.to_string()),
        )
        .await
        .map(drop)
}

async fn find_version(
    session: &mut Session<'_>,
    model: &ModelName,
    number: VersionNumber,
) -> Result<Option<Version>, StoreError> {
    let row = session
        .optional(
            sqlx::query(select_versions!("WHERE model = $1 AND number = $2"))
                .bind(model.as_str())
                .bind(i64::from(number.0)),
        )
        .await?;
    row.map(|row| read_version(&Fields::of(&row, session.place()))).transpose()
}

async fn expect_version(
    session: &mut Session<'_>,
    model: &ModelName,
    number: VersionNumber,
) -> Result<Version, StoreError> {
    if let Some(version) = find_version(session, model, number).await? {
        return Ok(version);
    }
    expect_model(session, model).await?;
    Err(Refusal::NoSuchVersion { model: model.clone(), version: number }.into())
}

async fn insert_version(session: &mut Session<'_>, version: &Version) -> Result<(), StoreError> {
    session
        .execute(
            sqlx::query(
                "INSERT INTO versions (model, number, digest, pipeline, run, step, gate, created) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(version.model.as_str())
            .bind(i64::from(version.number.0))
            .bind(version.digest.to_string())
            .bind(version.pipeline.as_str())
            .bind(version.run.as_str())
            .bind(version.step.as_str())
            .bind(version.gate.map(|gate| gate.to_string()))
            .bind(version.created.to_string()),
        )
        .await
        .map(drop)
}

fn read_version(fields: &Fields<'_>) -> Result<Version, StoreError> {
    Ok(Version {
        model: fields.parsed("model")?,
        number: VersionNumber(fields.small("number")?),
        digest: fields.parsed("digest")?,
        pipeline: fields.parsed("pipeline")?,
        run: fields.parsed("run")?,
        step: fields.parsed("step")?,
        gate: fields.optional_parsed("gate")?,
        created: fields.parsed("created")?,
    })
}

async fn promotions(session: &mut Session<'_>, model: &ModelName) -> Result<Vec<Promotion>, StoreError> {
    let rows = session
        .all(
            sqlx::query(
                "SELECT model, sequence, alias, from_version, to_version, at, by_run, by_gate, by_person, reason, \
                 pinned FROM promotions WHERE model = $1 ORDER BY sequence",
            )
            .bind(model.as_str()),
        )
        .await?;
    rows.iter().map(|row| read_promotion(&Fields::of(row, session.place()))).collect()
}

async fn history(
    session: &mut Session<'_>,
    model: &ModelName,
    alias: &AliasName,
) -> Result<History, StoreError> {
    let rows = promotions(session, model).await?.into_iter().filter(|row| row.alias == *alias);
    History::fold(model.clone(), alias.clone(), rows)
        .map_err(|error| StoreError::Corrupt { place: session.place().to_owned(), what: error.to_string() })
}

async fn aliases(
    session: &mut Session<'_>,
    model: &ModelName,
) -> Result<Vec<(AliasName, AliasState)>, StoreError> {
    let mut names: Vec<AliasName> =
        promotions(session, model).await?.into_iter().map(|row| row.alias).collect();
    names.sort_unstable();
    names.dedup();
    let mut aliases = Vec::with_capacity(names.len());
    for name in names {
        if let Some(state) = history(session, model, &name).await?.state() {
            aliases.push((name, state.clone()));
        }
    }
    Ok(aliases)
}

/// Appends a row. Of two that would follow the same row, the database itself refuses the second.
async fn insert_promotion(
    session: &mut Session<'_>,
    row: &Promotion,
    follows: u64,
) -> Result<(), StoreError> {
    let (run, gate, person, reason) = match &row.by {
        PromotedBy::Run { run, gate } => (Some(run.to_string()), Some(gate.to_string()), None, None),
        PromotedBy::Person { name, reason } => (None, None, Some(name.clone()), Some(reason.clone())),
    };
    session
        .execute(
            sqlx::query(
                "INSERT INTO promotions (model, sequence, alias, follows, from_version, to_version, at, by_run, \
                 by_gate, by_person, reason, pinned) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            )
            .bind(row.model.as_str())
            .bind(column(row.sequence))
            .bind(row.alias.as_str())
            .bind(column(follows))
            .bind(row.from.map(|version| i64::from(version.0)))
            .bind(i64::from(row.to.0))
            .bind(row.at.to_string())
            .bind(run)
            .bind(gate)
            .bind(person)
            .bind(reason)
            .bind(i64::from(row.pinned)),
        )
        .await
        .map(drop)
}

fn read_promotion(fields: &Fields<'_>) -> Result<Promotion, StoreError> {
    let by = match fields.optional_parsed("by_run")? {
        Some(run) => PromotedBy::Run { run, gate: fields.parsed("by_gate")? },
        None => PromotedBy::Person { name: fields.text("by_person")?, reason: fields.text("reason")? },
    };
    Ok(Promotion {
        sequence: fields.count("sequence")?,
        model: fields.parsed("model")?,
        alias: fields.parsed("alias")?,
        from: fields.optional_small("from_version")?.map(VersionNumber),
        to: VersionNumber(fields.small("to_version")?),
        at: fields.parsed("at")?,
        by,
        pinned: fields.flag("pinned")?,
    })
}

/// The counter of a model's promotions.
fn sequence_counter(model: &ModelName) -> String {
    format!("promotion/{model}")
}

/// The counter of a model's version numbers.
fn number_counter(model: &ModelName) -> String {
    format!("version/{model}")
}

/// An alias as it stands within a transaction, ready to be asked what may happen to it.
struct Standing {
    history: History,
    champion: Option<Version>,
    next: u64,
}

impl Standing {
    async fn of(session: &mut Session<'_>, model: &ModelName, alias: &AliasName) -> Result<Self, StoreError> {
        let history = history(session, model, alias).await?;
        let champion = match history.state() {
            Some(state) => Some(expect_version(session, model, state.version).await?),
            None => None,
        };
        let row = session
            .optional(sqlx::query("SELECT value FROM counters WHERE name = $1").bind(sequence_counter(model)))
            .await?;
        let last = row.map(|row| Fields::of(&row, session.place()).count("value")).transpose()?.unwrap_or(0);
        Ok(Self { history, champion, next: last + 1 })
    }

    fn place(&self, at: Timestamp) -> noctule_registry::Place<'_> {
        noctule_registry::Place {
            history: &self.history,
            champion: self.champion.as_ref(),
            next: self.next,
            at,
        }
    }

    /// Appends the row that a decision about this standing gave.
    async fn append(&self, session: &mut Session<'_>, row: &Promotion) -> Result<(), StoreError> {
        let follows = self.history.state().map_or(0, |state| state.sequence);
        insert_promotion(session, row, follows).await?;
        session.raise(&sequence_counter(&row.model), column(row.sequence)).await
    }
}

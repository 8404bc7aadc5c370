//! One model of an evaluation, aligned to the users and items of tonight.

use jiff::Timestamp;
use ndarray::Array2;
use noctule_artifacts::launch::ModelVersion;
use noctule_artifacts::{Digest, VersionNumber};
use noctule_gate::TableIdentity;
use noctule_recsys::rank::{FactorScores, Model as Ranked, Scorer, StaticScores};
use noctule_spec::reference::ModelReference;

use super::EvaluateError;
use super::universe::Scene;
use crate::attempt::Attempt;
use crate::error::StepError;
use crate::inputs::InputFile;
use crate::model::{FactorSizes, FactorTables, Form, Model, ModelError, Tables};

/// A model ready to be ranked.
pub(super) struct Contender {
    pub reference: ModelReference,
    /// `None` for the popularity baseline.
    pub digest: Option<Digest>,
    pub version: Option<VersionNumber>,
    /// `None` for the popularity baseline.
    pub trained_on: Option<Vec<TableIdentity>>,
    pub trained_until: Option<Timestamp>,
    name: String,
    /// By item of the scene: how often it occurred in the model's training.
    scores: Vec<f64>,
    known: Vec<bool>,
    factors: Option<Aligned>,
}

struct Aligned {
    /// The scored users that the model knows.
    users: Array2<f32>,
    items: Array2<f32>,
    /// By user of the scene.
    user_rows: Vec<Option<u32>>,
}

/// A model's files, before they are read.
pub(super) struct Found {
    reference: ModelReference,
    digest: Option<Digest>,
    version: Option<VersionNumber>,
    /// None for the popularity baseline.
    files: Vec<InputFile>,
}

impl Found {
    /// Brings a model's files onto this machine; `None` for an alias that points nowhere yet.
    ///
    /// # Errors
    /// A model that is missing or altered.
    pub async fn find(attempt: &Attempt, reference: &ModelReference) -> Result<Option<Self>, StepError> {
        let name = reference.to_string();
        let found = |digest, version, files| Self { reference: reference.clone(), digest, version, files };
        match reference {
            ModelReference::Popularity => Ok(Some(found(None, None, Vec::new()))),
            ModelReference::Trained(_) => {
                let files = attempt.files(&name).await?;
                Ok(Some(found(Some(attempt.input(&name)?.digest), None, files)))
            }
            ModelReference::Published { .. } => {
                let resolved = attempt.launch.models.get(&name);
                let resolved =
                    resolved.ok_or_else(|| EvaluateError::Unresolved { reference: name.clone() })?;
                let Some(version) = resolved else { return Ok(None) };
                let files = published_files(attempt, version).await?;
                Ok(Some(found(Some(version.digest), Some(version.version), files)))
            }
        }
    }

    /// The sizes of its factor tables; `None` for a model without factors.
    pub fn sizes(&self) -> Result<Option<FactorSizes>, ModelError> {
        FactorSizes::read(&self.reference.to_string(), &self.files)
    }
}

impl Contender {
    /// Reads a model.
    ///
    /// # Errors
    /// One that is malformed.
    pub fn read(found: Found, scene: &Scene) -> Result<Self, StepError> {
        let Found { reference, digest, version, files } = found;
        let Some(digest) = digest else { return Ok(Self::popularity(scene)) };
        let model = Model::read_users(&reference.to_string(), &files, Some(&scene.users))?;
        Ok(Self::align(&reference, model, digest, version, scene))
    }

    /// The baseline, which every candidate should beat: items by their rows in tonight's history.
    fn popularity(scene: &Scene) -> Self {
        Self {
            reference: ModelReference::Popularity,
            digest: None,
            version: None,
            trained_on: None,
            trained_until: None,
            name: ModelReference::Popularity.to_string(),
            scores: scene.counts.iter().map(|count| *count as f64).collect(),
            known: vec![true; scene.items.len()],
            factors: None,
        }
    }

    fn align(
        reference: &ModelReference,
        model: Model,
        digest: Digest,
        version: Option<VersionNumber>,
        scene: &Scene,
    ) -> Self {
        let Tables { items, counts, factors } = model.tables;
        let rows = items.index().find(&scene.items);
        let scores = rows.iter().map(|row| row.map_or(0.0, |row| counts[row as usize] as f64)).collect();
        let factors = factors.map(|FactorTables { users, user_factors, item_factors }| {
            let mut aligned = Array2::zeros((rows.len(), item_factors.ncols()));
            for (mut to, row) in aligned.rows_mut().into_iter().zip(&rows) {
                if let Some(row) = row {
                    to.assign(&item_factors.row(*row as usize));
                }
            }
            let user_rows = users.index().find(&scene.users);
            Aligned { users: user_factors, items: aligned, user_rows }
        });
        Self {
            reference: reference.clone(),
            digest: Some(digest),
            version,
            trained_on: Some(model.card.data.read),
            trained_until: model.card.data.until,
            name: reference.to_string(),
            scores,
            known: rows.iter().map(Option::is_some).collect(),
            factors,
        }
    }

    pub fn model(&self) -> Ranked<'_> {
        let counts = StaticScores { scores: &self.scores, known: &self.known };
        let scorer = match &self.factors {
            None => Scorer::Static(counts),
            Some(aligned) => Scorer::Factors(FactorScores {
                users: aligned.users.view(),
                items: aligned.items.view(),
                known: &self.known,
                user_rows: &aligned.user_rows,
                fallback: counts,
            }),
        };
        Ranked { name: &self.name, scorer }
    }

    pub fn form(&self) -> Form {
        if self.factors.is_some() { Form::Factors } else { Form::Counts }
    }

    /// Whether the model answers a user with more than its fallback. One that scores all users alike knows everybody.
    pub fn knows(&self, user: usize) -> bool {
        self.factors.as_ref().is_none_or(|aligned| aligned.user_rows[user].is_some())
    }

    pub fn knows_all(&self) -> bool {
        self.factors.as_ref().is_none_or(|aligned| aligned.user_rows.iter().all(Option::is_some))
    }

    /// `None` for a model that scores all users alike.
    pub fn known_users(&self) -> Option<u64> {
        let aligned = self.factors.as_ref()?;
        Some(aligned.user_rows.iter().flatten().count() as u64)
    }

    pub fn known_items(&self) -> u64 {
        self.known.iter().filter(|known| **known).count() as u64
    }
}

/// The files of a published version, each checked against its digest.
async fn published_files(attempt: &Attempt, wanted: &ModelVersion) -> Result<Vec<InputFile>, StepError> {
    let version = attempt.depot.version(&wanted.model, wanted.version).await?;
    if version.digest != wanted.digest {
        return Err(EvaluateError::OtherVersion {
            model: wanted.model.to_string(),
            version: wanted.version.0,
            found: version.digest.to_string(),
            expected: wanted.digest.to_string(),
        }
        .into());
    }
    let mut files = Vec::new();
    for entry in &version.files {
        let path = attempt.depot.fetch_version(&version, entry).await?;
        let folder = format!("{}/", entry.output);
        let name = entry.name.strip_prefix(&folder).unwrap_or(&entry.name).to_owned();
        files.push(InputFile { name, path });
    }
    Ok(files)
}

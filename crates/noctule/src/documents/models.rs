//! Published models: versions, aliases, history, and whether their files are whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::version::{PromotionRecord, VersionManifest};
use noctule_artifacts::{AliasName, Digest, ModelName, PipelineName, RunId, VersionNumber};
use noctule_controller::Controller;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::report::{Code, Trouble};

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ModelsDocument {
    pub models: Vec<ModelListed>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ModelListed {
    #[schema(value_type = String)]
    pub model: ModelName,
    /// How many versions are registered.
    pub versions: u64,
    #[schema(value_type = BTreeMap<String, AliasStateDocument>)]
    pub aliases: BTreeMap<String, AliasStateDocument>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AliasStateDocument {
    #[schema(value_type = u32)]
    pub version: VersionNumber,
    /// Runs do not move it until it is unpinned.
    pub pinned: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionsDocument {
    #[schema(value_type = String)]
    pub model: ModelName,
    /// By number.
    pub versions: Vec<VersionListed>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionListed {
    #[schema(value_type = u32)]
    pub version: VersionNumber,
    #[schema(value_type = String)]
    pub digest: Digest,
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    #[schema(value_type = String)]
    pub run: RunId,
    /// The digest of the gate's report; `null` for a version that was brought in by import.
    #[schema(value_type = Option<String>)]
    pub gate: Option<Digest>,
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// The aliases that point at it.
    #[schema(value_type = Vec<String>)]
    pub aliases: Vec<AliasName>,
}

/// One version.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionDocument {
    /// Its manifest, as it lies in the store.
    #[schema(value_type = Object)]
    pub version: VersionManifest,
    /// The model's card, as its trainer wrote it.
    #[schema(value_type = Option<Object>)]
    pub card: Option<Value>,
    /// How many versions the model has.
    pub versions: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct HistoryDocument {
    /// Every promotion of the model, in order.
    #[schema(value_type = Vec<Object>)]
    pub promotions: Vec<PromotionRecord>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VerifiedDocument {
    pub versions: Vec<VersionVerified>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionVerified {
    #[schema(value_type = String)]
    pub model: ModelName,
    #[schema(value_type = u32)]
    pub version: VersionNumber,
    pub good: bool,
    pub faults: Vec<String>,
}

pub async fn list(controller: &Controller) -> Result<ModelsDocument, Trouble> {
    let models = controller.store.models().await?.into_iter().map(|row| {
        let aliases = row.aliases.into_iter().map(|(alias, state)| {
            (alias.to_string(), AliasStateDocument { version: state.version, pinned: state.pinned })
        });
        ModelListed { model: row.model, versions: row.versions, aliases: aliases.collect() }
    });
    Ok(ModelsDocument { models: models.collect() })
}

pub async fn versions(controller: &Controller, model: &ModelName) -> Result<VersionsDocument, Trouble> {
    let versions = controller.store.versions(model).await?;
    let models = controller.store.models().await?;
    let aliases =
        models.into_iter().find(|row| row.model == *model).map(|row| row.aliases).unwrap_or_default();
    let listed = versions.into_iter().map(|version| VersionListed {
        aliases: aliases
            .iter()
            .filter(|(_, state)| state.version == version.number)
            .map(|(alias, _)| alias.clone())
            .collect(),
        version: version.number,
        digest: version.digest,
        pipeline: version.pipeline,
        run: version.run,
        gate: version.gate,
        created: version.created,
    });
    Ok(VersionsDocument { model: model.clone(), versions: listed.collect() })
}

/// One version, the last when none is named.
pub async fn version(
    controller: &Controller,
    model: &ModelName,
    version: Option<VersionNumber>,
) -> Result<VersionDocument, Trouble> {
    let versions = controller.store.versions(model).await?;
    let shown = match version {
        Some(version) => controller.store.version(model, version).await?,
        None => versions
            .last()
            .cloned()
            .ok_or_else(|| Trouble::coded(Code::NoSuchVersion, format!("{model} has no version yet")))?,
    };
    let manifest = controller.depot.version(model, shown.number).await?;
    let card = match manifest.files.iter().find(|file| file.name.ends_with("card.json")) {
        Some(entry) => {
            let path = controller.depot.fetch_version(&manifest, entry).await?;
            let bytes = tokio::fs::read(&path).await.ok();
            bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())
        }
        None => None,
    };
    Ok(VersionDocument { version: manifest, card, versions: versions.len() })
}

pub async fn history(controller: &Controller, model: &ModelName) -> Result<HistoryDocument, Trouble> {
    let rows = controller.store.promotions(model).await?;
    Ok(HistoryDocument { promotions: rows.iter().map(noctule_registry::Promotion::to_record).collect() })
}

/// Reads every file of a model's versions and compares it with its digest.
pub async fn verify(controller: &Controller, model: &ModelName) -> Result<VerifiedDocument, Trouble> {
    let mut verified = Vec::new();
    for version in controller.store.versions(model).await? {
        let faults = match controller.depot.version(model, version.number).await {
            Ok(manifest) if manifest.digest != version.digest => {
                vec![format!("its manifest names {}, and the registry {}", manifest.digest, version.digest)]
            }
            Ok(manifest) => {
                let faults = controller.depot.verify_version(&manifest).await?;
                faults.into_iter().map(|fault| fault.error.to_string()).collect()
            }
            Err(error) => vec![error.to_string()],
        };
        verified.push(VersionVerified {
            model: model.clone(),
            version: version.number,
            good: faults.is_empty(),
            faults,
        });
    }
    Ok(VerifiedDocument { versions: verified })
}

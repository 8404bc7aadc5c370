//! The manifest of a published model version, and what readers outside follow.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::ids::{AliasName, ModelName, PipelineName, RegistryId, RunId, StepName, VersionNumber};
use crate::manifest::FileEntry;

/// The format this release writes. Every format ever released is read for good.
pub const FORMAT: u32 = 1;

/// One immutable version. It holds what is needed to rebuild the registry's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionManifest {
    pub format: u32,
    pub registry: RegistryId,
    pub model: ModelName,
    pub version: VersionNumber,
    /// The digest of the model artifact that was judged and published.
    pub digest: Digest,
    /// The files, as the model artifact named them, now below this version's own prefix.
    pub files: Vec<FileEntry>,
    pub pipeline: PipelineName,
    pub run: RunId,
    pub step: StepName,
    /// The digest of the gate artifact that let it pass; `None` for a version brought in by `models import`.
    pub gate: Option<Digest>,
    pub created: Timestamp,
}

/// One row of the registry's append-only history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromotionRecord {
    pub format: u32,
    pub sequence: u64,
    pub model: ModelName,
    pub alias: AliasName,
    pub from: Option<VersionNumber>,
    pub to: VersionNumber,
    pub at: Timestamp,
    /// Who moved it: a run, or a person with a reason.
    pub by: PromotedBy,
    pub pinned: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromotedBy {
    Run { run: RunId, gate: Digest },
    Person { name: String, reason: String },
}

/// The content of `models/<name>/aliases/<alias>.json`. A lower sequence never replaces a higher one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AliasPointer {
    pub format: u32,
    pub sequence: u64,
    pub model: ModelName,
    pub alias: AliasName,
    pub version: VersionNumber,
    pub digest: Digest,
    /// The prefix of the version's files, relative to the store.
    pub prefix: String,
}

#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    #[error("it is not JSON of the expected shape: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("it has format {found}, and this program reads formats up to {FORMAT}: use a newer noctule")]
    TooNew { found: u32 },
}

macro_rules! versioned_json {
    ($type:ty) => {
        impl $type {
            pub fn from_json(bytes: &[u8]) -> Result<Self, VersionError> {
                #[derive(Deserialize)]
                struct Probe {
                    format: u32,
                }
                let probe: Probe = serde_json::from_slice(bytes)?;
                if probe.format > FORMAT {
                    return Err(VersionError::TooNew { found: probe.format });
                }
                Ok(serde_json::from_slice(bytes)?)
            }

            pub fn to_json(&self) -> Vec<u8> {
                let mut bytes = serde_json::to_vec_pretty(self).expect("it has only text keys");
                bytes.push(b'\n');
                bytes
            }
        }
    };
}

versioned_json!(VersionManifest);
versioned_json!(PromotionRecord);
versioned_json!(AliasPointer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_round_trips_and_a_newer_one_is_refused() {
        let mut pointer = AliasPointer {
            format: FORMAT,
            sequence: 3,
            model: "home-feed".parse().unwrap(),
            alias: "champion".parse().unwrap(),
            version: VersionNumber(2),
            digest: Digest::of(b"m"),
            prefix: "models/home-feed/versions/2/".into(),
        };
        assert_eq!(AliasPointer::from_json(&pointer.to_json()).unwrap(), pointer);
        pointer.format += 1;
        assert!(matches!(
            AliasPointer::from_json(&pointer.to_json()),
            Err(VersionError::TooNew { found: 2 })
        ));
    }
}

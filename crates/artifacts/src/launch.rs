//! The launch document: everything an attempt is told. It gets this, access to the store, and nothing else.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::address;
use crate::digest::Digest;
use crate::erased::ErasedUsers;
use crate::fingerprint::Fingerprint;
use crate::ids::{
    AliasName, AttemptNumber, ModelName, OutputName, PipelineName, RegistryId, RunId, StepName, VersionNumber,
};
use crate::layout;

/// The format this release writes. This one and the one before are read.
pub const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaunchDocument {
    pub format: u32,
    pub registry: RegistryId,
    pub pipeline: PipelineName,
    pub run: RunId,
    pub step: StepName,
    pub attempt: AttemptNumber,
    /// The step kind, such as `train`, and the version of what it computes.
    pub kind: String,
    pub kind_version: u32,
    /// The step's settings, rendered, with all defaults filled in.
    pub with: Value,
    pub interval: Interval,
    /// The zone in which a time without a zone is read.
    pub timezone: String,
    /// Artifacts of other steps, by the reference as the settings write it, such as `split.train`.
    pub inputs: BTreeMap<String, Input>,
    /// Published versions that the settings name, by the reference as written, such as `home-feed@champion`.
    /// An alias that points nowhere maps to `None`.
    pub models: BTreeMap<String, Option<ModelVersion>>,
    /// The objects of each external source as they were listed once, by the source's name in the settings.
    pub sources: BTreeMap<String, Listing>,
    /// Manifests of earlier artifacts of this step, newest first, whose parts may be taken over.
    pub earlier: Vec<String>,
    /// The same step's artifact in the last good run.
    pub last_good: Option<LastGood>,
    /// What an extract is judged by beside its fingerprint: the attempt keeps it in its record, so that a later run can
    /// tell whether it was judged by the same.
    #[serde(default)]
    pub expectation: Option<Digest>,
    /// Users whose rows an extract leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<ErasedUsers>,
    /// For `publish`: the version number reserved for the candidate.
    pub version: Option<ReservedVersion>,
    pub fingerprint: Fingerprint,
    pub resources: Resources,
    /// Environment for a foreign command: rendered texts, and names of secrets to be resolved at the last moment.
    pub env: BTreeMap<String, EnvValue>,
}

/// The half-open span of data time `[start, end)` that a run covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    pub start: Timestamp,
    pub end: Timestamp,
}

/// Another step's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub step: StepName,
    pub output: OutputName,
    /// Path of the manifest in the store.
    pub manifest: String,
    pub digest: Digest,
}

/// A published version, fixed before launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelVersion {
    pub model: ModelName,
    pub version: VersionNumber,
    /// The digest of the model artifact that was published.
    pub digest: Digest,
}

/// An external source as listed at one moment; exactly these objects are read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Listing {
    pub objects: Vec<SourceObject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceObject {
    /// The full URL of the object, with all that fetching needs: an HTTP address may be signed in its query. For people
    /// and records there are [`address::shown`] and [`SourceObject::identity`].
    pub url: String,
    pub size: u64,
    /// What changes when the object changes: an ETag, a version, or a digest of a generator's settings.
    pub tag: String,
    /// The partition it belongs to, such as `date=2026-11-01`; empty for an unpartitioned source.
    pub partition: String,
}

impl SourceObject {
    /// What changes when the object is another or holds something else.
    pub fn identity(&self) -> Value {
        serde_json::json!([address::identity(&self.url), self.size, self.tag])
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastGood {
    pub run: RunId,
    pub manifest: String,
    pub digest: Digest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservedVersion {
    pub model: ModelName,
    pub alias: AliasName,
    pub version: VersionNumber,
}

/// What the attempt may use; already the smaller of request and machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    pub threads: u32,
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvValue {
    Text(String),
    Secret(String),
}

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("the launch document is not JSON of the expected shape: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error(
        "the launch document has format {found}, and this program reads format {FORMAT}: run the step with the noctule that wrote it"
    )]
    OtherFormat { found: u32 },
    #[error(
        "the launch document has digest {found} where {expected} was announced: it was changed after it was written"
    )]
    Altered { found: Digest, expected: Digest },
}

impl LaunchDocument {
    /// Reads a document and checks it against the digest it was announced with.
    pub fn from_json(bytes: &[u8], expected: Digest) -> Result<Self, LaunchError> {
        let found = Digest::of(bytes);
        if found != expected {
            return Err(LaunchError::Altered { found, expected });
        }
        #[derive(Deserialize)]
        struct Probe {
            format: u32,
        }
        let probe: Probe = serde_json::from_slice(bytes)?;
        if probe.format != FORMAT {
            return Err(LaunchError::OtherFormat { found: probe.format });
        }
        Ok(serde_json::from_slice(bytes)?)
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a launch document has only text keys");
        bytes.push(b'\n');
        bytes
    }

    pub fn prefix(&self) -> String {
        layout::attempt_prefix(&self.run, &self.step, self.attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> LaunchDocument {
        LaunchDocument {
            format: FORMAT,
            registry: RegistryId::from_random(7),
            pipeline: "p".parse().unwrap(),
            run: RunId::from_random(1),
            step: "model".parse().unwrap(),
            attempt: AttemptNumber(2),
            kind: "train".into(),
            kind_version: 1,
            with: serde_json::json!({"factors": 64}),
            interval: Interval { start: Timestamp::UNIX_EPOCH, end: Timestamp::UNIX_EPOCH },
            timezone: "UTC".into(),
            inputs: BTreeMap::new(),
            models: BTreeMap::from([("home-feed@champion".into(), None)]),
            sources: BTreeMap::new(),
            earlier: vec![],
            last_good: None,
            expectation: None,
            erased: None,
            version: None,
            fingerprint: Fingerprint::of_kind("train", 1),
            resources: Resources { threads: 2, memory_bytes: 1 << 30 },
            env: BTreeMap::from([("TOKEN".into(), EnvValue::Secret("slack-token".into()))]),
        }
    }

    #[test]
    fn an_altered_document_is_refused() {
        let bytes = document().to_json();
        let digest = Digest::of(&bytes);
        assert_eq!(LaunchDocument::from_json(&bytes, digest).unwrap(), document());
        let altered = String::from_utf8(bytes).unwrap().replace("64", "65");
        assert!(matches!(
            LaunchDocument::from_json(altered.as_bytes(), digest),
            Err(LaunchError::Altered { .. })
        ));
    }
}

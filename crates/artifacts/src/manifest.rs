//! The manifest: the last file an attempt writes, and what makes its output an artifact.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::fingerprint::Fingerprint;
use crate::ids::{AttemptNumber, OutputName, PipelineName, RunId, StepName};

/// The format this release writes. Every format ever released is read for good.
pub const FORMAT: u32 = 1;

/// A manifest: the identity, which the artifact's digest covers, and the record of how it came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub identity: Identity,
    pub record: Record,
}

/// How a completed attempt ended. With all but [`Outcome::Ok`] the attempt did its work, and the step ends as stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Ok,
    /// The data are not to be trained on.
    DataStop,
    /// The gate's verdict is `fail`.
    GateRejected,
    /// The gate's verdict is `inconclusive`: rejected too, but for want of evidence.
    GateInconclusive,
}

/// What the artifact is. The same result has the same identity, whoever computed it and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The step kind that made it, such as `extract`.
    pub kind: String,
    pub outcome: Outcome,
    /// Files in the order of their names.
    pub files: Vec<FileEntry>,
    /// Outputs by name; one that is a table has its columns here.
    pub outputs: BTreeMap<OutputName, Output>,
    /// Small facts that belong to the result itself, such as a gate's verdict.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
}

/// One output of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    pub form: OutputForm,
    /// Columns of a table as `name: Arrow type`, in order; empty for what is no table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputForm {
    /// Parquet files of one schema.
    Table,
    /// A model in the documented layout.
    Model,
    /// JSON, Markdown and the like.
    Report,
    /// Whatever a foreign command wrote.
    Files,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// The Arrow type as `arrow` displays it, such as `Int64` or `Timestamp(µs, "UTC")`.
    #[serde(rename = "type")]
    pub data_type: String,
    pub nullable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    pub output: OutputName,
    /// The file's name below the attempt's prefix; `/` may separate folders.
    pub name: String,
    pub size: u64,
    pub sha256: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// How the artifact came about. Outside the digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub pipeline: PipelineName,
    pub run: RunId,
    pub step: StepName,
    pub attempt: AttemptNumber,
    pub started: Timestamp,
    pub finished: Timestamp,
    /// Digests of the artifacts read, by the name of the setting that names them.
    pub inputs: BTreeMap<String, Digest>,
    pub fingerprint: Fingerprint,
    /// The program's version and the CPU features it used: the same bits are promised for the same pair.
    pub program: String,
    pub cpu: String,
    pub metrics: BTreeMap<String, f64>,
    /// Sentences for people: what was dropped, clipped or assumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Parts that later attempts of the step may take over file by file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Files that lie in an earlier attempt's prefix: name to full path in the store.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<String, String>,
    /// Facts that a later run of the step may need, such as rows of the interval's own span.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
}

/// A part of an artifact that is fingerprinted and reused by itself, such as one day's partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What the part covers, such as `date=2026-11-01`.
    pub key: String,
    pub fingerprint: Digest,
    /// Names of the files that make it up.
    pub files: Vec<String>,
    /// Counts and other facts that the step adds up over its parts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
}

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest is not JSON of the expected shape: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error(
        "the manifest has format {found}, and this program reads formats up to {FORMAT}: use a newer noctule"
    )]
    TooNew { found: u32 },
    #[error("the manifest names the file `{name}`, which leaves its own folder")]
    StrayFile { name: String },
}

impl Manifest {
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Probe {
            format: u32,
        }
        let probe: Probe = serde_json::from_slice(bytes)?;
        if probe.format > FORMAT {
            return Err(ManifestError::TooNew { found: probe.format });
        }
        let manifest: Manifest = serde_json::from_slice(bytes)?;
        for file in &manifest.identity.files {
            if !is_inside(&file.name) {
                return Err(ManifestError::StrayFile { name: file.name.clone() });
            }
        }
        Ok(manifest)
    }

    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has only text keys");
        bytes.push(b'\n');
        bytes
    }

    /// The digest that the artifact is known by.
    pub fn digest(&self) -> Digest {
        self.identity.digest()
    }
}

impl Identity {
    pub fn digest(&self) -> Digest {
        let value = serde_json::to_value(self).expect("an identity has only text keys");
        Digest::of_json(&value)
    }

    /// The files of one output, in order.
    pub fn files_of<'a>(&'a self, output: &'a OutputName) -> impl Iterator<Item = &'a FileEntry> {
        self.files.iter().filter(move |file| &file.output == output)
    }
}

/// Whether a relative path stays below the folder it is relative to.
pub fn is_inside(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(['\\', '\0'])
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            identity: Identity {
                kind: "extract".into(),
                outcome: Outcome::Ok,
                files: vec![FileEntry {
                    output: OutputName::main(),
                    name: "main/date=2026-11-01.parquet".into(),
                    size: 3,
                    sha256: Digest::of(b"abc"),
                    rows: Some(1),
                }],
                outputs: BTreeMap::new(),
                facts: BTreeMap::new(),
            },
            record: Record {
                pipeline: "p".parse().unwrap(),
                run: RunId::from_random(1),
                step: "events".parse().unwrap(),
                attempt: AttemptNumber(1),
                started: Timestamp::UNIX_EPOCH,
                finished: Timestamp::UNIX_EPOCH,
                inputs: BTreeMap::new(),
                fingerprint: Fingerprint::of_kind("extract", 1),
                program: "0.1.0".into(),
                cpu: "x86-64".into(),
                metrics: BTreeMap::new(),
                notes: vec![],
                parts: vec![],
                elsewhere: BTreeMap::new(),
                facts: BTreeMap::new(),
            },
        }
    }

    #[test]
    fn the_digest_covers_the_identity_alone() {
        let first = manifest();
        let mut second = first.clone();
        second.record.attempt = AttemptNumber(2);
        second.record.metrics.insert("rows".into(), 1.0);
        assert_eq!(first.digest(), second.digest());
        second.identity.files[0].sha256 = Digest::of(b"abd");
        assert_ne!(first.digest(), second.digest());
    }

    #[test]
    fn json_round_trips() {
        let first = manifest();
        assert_eq!(Manifest::from_json(&first.to_json()).unwrap(), first);
    }

    #[test]
    fn a_newer_format_and_a_stray_path_are_refused() {
        let mut newer = manifest();
        newer.format = FORMAT + 1;
        assert!(matches!(Manifest::from_json(&newer.to_json()), Err(ManifestError::TooNew { .. })));
        for stray in ["../x", "/etc/passwd", "a//b", "a/./b", ""] {
            let mut evil = manifest();
            evil.identity.files[0].name = stray.into();
            assert!(
                matches!(Manifest::from_json(&evil.to_json()), Err(ManifestError::StrayFile { .. })),
                "{stray}"
            );
        }
    }
}

//! Versions: immutable models under a name and a number.

use jiff::Timestamp;
use noctule_artifacts::version::VersionManifest;
use noctule_artifacts::{Digest, ModelName, PipelineName, RunId, StepName, VersionNumber};

use crate::refusal::Refusal;

/// The registry's row of one version. It is a candidate until an alias points at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub model: ModelName,
    pub number: VersionNumber,
    /// The digest of the model artifact that was judged and published.
    pub digest: Digest,
    pub pipeline: PipelineName,
    pub run: RunId,
    pub step: StepName,
    /// The gate artifact that let it be published; `None` for an imported version.
    pub gate: Option<Digest>,
    pub created: Timestamp,
}

/// What registering a version amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    New,
    /// The same model stands under this number already; the row that is there stays as it is.
    Known,
}

/// What bringing in a version of another registry amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Import {
    /// A candidate: a version that no alias points at and no gate of ours has seen.
    Candidate(Version),
    /// The same model is here already, under this number.
    Known(VersionNumber),
}

impl Version {
    /// The row that a version's manifest in the store stands for.
    pub fn of_manifest(manifest: &VersionManifest) -> Self {
        Self {
            model: manifest.model.clone(),
            number: manifest.version,
            digest: manifest.digest,
            pipeline: manifest.pipeline.clone(),
            run: manifest.run.clone(),
            step: manifest.step.clone(),
            gate: manifest.gate,
            created: manifest.created,
        }
    }

    /// Whether this version may stand under its number, given what stands there now.
    pub fn register(&self, present: Option<&Version>) -> Result<Registration, Refusal> {
        match present {
            None => Ok(Registration::New),
            Some(present) if present.digest == self.digest => Ok(Registration::Known),
            Some(present) => Err(Refusal::Occupied {
                model: self.model.clone(),
                version: self.number,
                found: present.digest,
                offered: self.digest,
            }),
        }
    }
}

/// Brings a version of another registry into `model` under a number of ours. It keeps its origin and loses its gate:
/// another registry's verdict was about other data.
pub fn import(
    foreign: &VersionManifest,
    model: &ModelName,
    present: &[Version],
    number: VersionNumber,
    at: Timestamp,
) -> Import {
    if let Some(known) = present.iter().find(|version| version.digest == foreign.digest) {
        return Import::Known(known.number);
    }
    Import::Candidate(Version {
        model: model.clone(),
        number,
        gate: None,
        created: at,
        ..Version::of_manifest(foreign)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A version whose digest follows from its number.
    pub(crate) fn version(number: u32) -> Version {
        Version {
            model: "home-feed".parse().unwrap(),
            number: VersionNumber(number),
            digest: Digest::of(format!("model {number}").as_bytes()),
            pipeline: "nightly".parse().unwrap(),
            run: RunId::from_random(u128::from(number)),
            step: "model".parse().unwrap(),
            gate: Some(Digest::of(b"gate")),
            created: Timestamp::UNIX_EPOCH,
        }
    }

    pub(crate) fn manifest(number: u32) -> VersionManifest {
        let row = version(number);
        VersionManifest {
            format: noctule_artifacts::version::FORMAT,
            registry: noctule_artifacts::RegistryId::from_random(1),
            model: row.model,
            version: row.number,
            digest: row.digest,
            files: vec![],
            pipeline: row.pipeline,
            run: row.run,
            step: row.step,
            gate: row.gate,
            created: row.created,
        }
    }

    #[test]
    fn a_number_never_changes_its_model() {
        assert_eq!(version(1).register(None), Ok(Registration::New));
        assert_eq!(version(1).register(Some(&version(1))), Ok(Registration::Known));
        let other = Version { digest: Digest::of(b"other"), ..version(1) };
        assert!(matches!(other.register(Some(&version(1))), Err(Refusal::Occupied { .. })));
    }

    #[test]
    fn an_imported_version_is_a_candidate_without_a_gate() {
        let foreign = manifest(9);
        let model = "elsewhere".parse().unwrap();
        let Import::Candidate(row) = import(&foreign, &model, &[], VersionNumber(3), Timestamp::UNIX_EPOCH)
        else {
            panic!("nothing is known yet")
        };
        assert_eq!((row.model.as_str(), row.number, row.gate), ("elsewhere", VersionNumber(3), None));
        assert_eq!((row.digest, &row.run), (foreign.digest, &foreign.run));
        let again = import(&foreign, &model, &[row], VersionNumber(4), Timestamp::UNIX_EPOCH);
        assert_eq!(again, Import::Known(VersionNumber(3)));
    }
}

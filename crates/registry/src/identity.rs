//! Which registry a store belongs to, and whether a model's files are known to it.

use noctule_artifacts::version::VersionError;
use noctule_artifacts::{ModelName, RegistryId};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// The format this release writes. Every format ever released is read for good.
pub const FORMAT: u32 = 1;

/// The content of `registry.json` at the root of a store: written once, put-if-absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryMark {
    pub format: u32,
    pub registry: RegistryId,
}

/// What a store's mark means to a registry that wants to write there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The store bears this registry's mark.
    Ours,
    /// The store bears no mark: write one, put-if-absent, and read it back before anything else is written.
    Unclaimed,
}

impl RegistryMark {
    pub fn of(registry: RegistryId) -> Self {
        Self { format: FORMAT, registry }
    }

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
        let mut bytes = serde_json::to_vec_pretty(self).expect("a mark has only text keys");
        bytes.push(b'\n');
        bytes
    }
}

/// Whether the registry `ours` may write to a store that bears `found`.
pub fn claim(ours: &RegistryId, found: Option<&RegistryMark>) -> Result<Claim, Refusal> {
    match found {
        None => Ok(Claim::Unclaimed),
        Some(mark) if mark.registry == *ours => Ok(Claim::Ours),
        Some(mark) => Err(Refusal::OtherRegistry { ours: ours.clone(), found: mark.registry.clone() }),
    }
}

/// Refuses a model whose files lie in the store while the registry has no row of it: an empty registry must not open
/// the gate by making the next candidate look like the first.
pub fn check_model(model: &ModelName, in_registry: bool, in_store: bool) -> Result<(), Refusal> {
    if in_store && !in_registry {
        return Err(Refusal::Orphaned { model: model.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_registry_may_not_write() {
        let (ours, theirs) = (RegistryId::from_random(1), RegistryId::from_random(2));
        assert_eq!(claim(&ours, None), Ok(Claim::Unclaimed));
        assert_eq!(claim(&ours, Some(&RegistryMark::of(ours.clone()))), Ok(Claim::Ours));
        assert!(matches!(claim(&ours, Some(&RegistryMark::of(theirs))), Err(Refusal::OtherRegistry { .. })));
    }

    #[test]
    fn files_without_a_row_are_orphans() {
        let model = "home-feed".parse().unwrap();
        assert!(check_model(&model, false, false).is_ok());
        assert!(check_model(&model, true, true).is_ok());
        assert!(check_model(&model, true, false).is_ok());
        assert!(matches!(check_model(&model, false, true), Err(Refusal::Orphaned { .. })));
    }

    #[test]
    fn a_mark_round_trips_and_a_newer_one_is_refused() {
        let mut mark = RegistryMark::of(RegistryId::from_random(1));
        assert_eq!(RegistryMark::from_json(&mark.to_json()).unwrap(), mark);
        mark.format += 1;
        assert!(matches!(RegistryMark::from_json(&mark.to_json()), Err(VersionError::TooNew { .. })));
        assert!(RegistryMark::from_json(b"").is_err());
    }
}

//! A lost registry, rebuilt from what is kept in the store beside the versions.

use std::collections::BTreeMap;

use noctule_artifacts::version::{AliasPointer, PromotionRecord, VersionManifest};
use noctule_artifacts::{AliasName, ModelName, RegistryId, VersionNumber};

use crate::history::{History, Promotion};
use crate::version::Version;

/// What the store holds about one model.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub manifests: Vec<VersionManifest>,
    pub promotions: Vec<PromotionRecord>,
    pub pointers: Vec<AliasPointer>,
    /// The highest number of a version folder, with or without a manifest: no number is used twice.
    pub highest_folder: Option<VersionNumber>,
}

/// The rows to insert, and what people should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    pub model: ModelName,
    /// In the order of their numbers.
    pub versions: Vec<Version>,
    /// In the order of their sequence numbers.
    pub promotions: Vec<Promotion>,
    /// No version up to this number may be reserved again.
    pub highest_number: Option<VersionNumber>,
    /// No sequence number up to this one may be used again.
    pub highest_sequence: u64,
    pub warnings: Vec<Warning>,
}

/// Something that is missing, and without which the rows still make sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error(
        "promotions of {alias} before number {before} are missing from the store; the history has a hole there"
    )]
    Gap { alias: AliasName, before: u64 },
    #[error(
        "promotion {sequence} moved {alias} to version {version}, whose manifest is missing; it is kept as history"
    )]
    PastVersionMissing { alias: AliasName, sequence: u64, version: VersionNumber },
}

/// Something in the store that contradicts the rest. Nothing is rebuilt from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error(
        "{what} belongs to the model `{found}`, not to `{model}`: it was copied to the wrong place; move it back"
    )]
    OtherModel { what: String, model: ModelName, found: ModelName },
    #[error(
        "version {version} was written by registry {found}, not by {ours}: bring it in with `noctule models import`"
    )]
    OtherRegistry { version: VersionNumber, ours: RegistryId, found: RegistryId },
    #[error("two manifests claim version {version}: keep the one whose files verify")]
    TwoVersions { version: VersionNumber },
    #[error(
        "two promotion records claim number {sequence} and differ: keep the one that the history of the pointer supports"
    )]
    TwoPromotions { sequence: u64 },
    #[error(
        "{alias} points at version {version} (promotion {sequence}), whose manifest is missing: restore its files from \
         a backup, or remove that promotion record to fall back to the one before"
    )]
    ChampionMissing { alias: AliasName, sequence: u64, version: VersionNumber },
    #[error(
        "the pointer of {alias} carries promotion {pointer} and the last record kept is {}: restore the missing \
         records, or remove the pointer to fall back to the last record",
        .last.map_or_else(|| "none".to_owned(), |last| last.to_string())
    )]
    PointerAhead { alias: AliasName, pointer: u64, last: Option<u64> },
}

/// Rebuilds the rows of one model, or says everything that stands against it.
pub fn recover(registry: &RegistryId, model: &ModelName, found: Found) -> Result<Recovered, Vec<Damage>> {
    let mut damage = Vec::new();
    let versions = versions(registry, model, &found.manifests, &mut damage);
    let promotions = promotions(model, found.promotions, &mut damage);
    let histories = histories(model, promotions.values());
    let mut warnings = Vec::new();
    for history in histories.values() {
        check_history(history, &versions, &mut warnings, &mut damage);
    }
    for pointer in &found.pointers {
        check_pointer(model, pointer, histories.get(&pointer.alias), &mut damage);
    }
    if !damage.is_empty() {
        return Err(damage);
    }
    Ok(Recovered {
        model: model.clone(),
        highest_number: versions
            .keys()
            .copied()
            .chain(found.highest_folder)
            .chain(promotions.values().map(|row| row.to))
            .max(),
        highest_sequence: promotions.keys().next_back().copied().unwrap_or(0),
        versions: versions.into_values().collect(),
        promotions: promotions.into_values().collect(),
        warnings,
    })
}

fn versions(
    registry: &RegistryId,
    model: &ModelName,
    manifests: &[VersionManifest],
    damage: &mut Vec<Damage>,
) -> BTreeMap<VersionNumber, Version> {
    let mut versions = BTreeMap::new();
    for manifest in manifests {
        let version = manifest.version;
        if manifest.model != *model {
            let what = format!("the manifest of version {version}");
            damage.push(Damage::OtherModel { what, model: model.clone(), found: manifest.model.clone() });
        } else if manifest.registry != *registry {
            let found = manifest.registry.clone();
            damage.push(Damage::OtherRegistry { version, ours: registry.clone(), found });
        } else {
            let row = Version::of_manifest(manifest);
            if versions.insert(version, row.clone()).is_some_and(|present| present != row) {
                damage.push(Damage::TwoVersions { version });
            }
        }
    }
    versions
}

fn promotions(
    model: &ModelName,
    records: Vec<PromotionRecord>,
    damage: &mut Vec<Damage>,
) -> BTreeMap<u64, Promotion> {
    let mut promotions = BTreeMap::new();
    for record in records {
        let row = Promotion::from_record(record);
        let sequence = row.sequence;
        if row.model != *model {
            let what = format!("promotion {sequence}");
            damage.push(Damage::OtherModel { what, model: model.clone(), found: row.model });
        } else if promotions.insert(sequence, row.clone()).is_some_and(|present| present != row) {
            damage.push(Damage::TwoPromotions { sequence });
        }
    }
    promotions
}

fn histories<'a>(
    model: &ModelName,
    rows: impl Iterator<Item = &'a Promotion>,
) -> BTreeMap<AliasName, History> {
    let mut histories: BTreeMap<AliasName, History> = BTreeMap::new();
    for row in rows {
        histories
            .entry(row.alias.clone())
            .or_insert_with(|| History::new(model.clone(), row.alias.clone()))
            .push(row.clone())
            .expect("rows come in the order of their numbers, each to the history of its alias");
    }
    histories
}

fn check_history(
    history: &History,
    versions: &BTreeMap<VersionNumber, Version>,
    warnings: &mut Vec<Warning>,
    damage: &mut Vec<Damage>,
) {
    let alias = history.alias();
    warnings
        .extend(history.gaps().map(|(_, row)| Warning::Gap { alias: alias.clone(), before: row.sequence }));
    let last = history.state().map(|state| state.version);
    for row in history.rows().iter().filter(|row| !versions.contains_key(&row.to)) {
        let (alias, sequence, version) = (alias.clone(), row.sequence, row.to);
        if last == Some(row.to) {
            damage.push(Damage::ChampionMissing { alias, sequence, version });
        } else {
            warnings.push(Warning::PastVersionMissing { alias, sequence, version });
        }
    }
}

fn check_pointer(
    model: &ModelName,
    pointer: &AliasPointer,
    history: Option<&History>,
    damage: &mut Vec<Damage>,
) {
    let alias = pointer.alias.clone();
    if pointer.model != *model {
        let what = format!("the pointer of {alias}");
        damage.push(Damage::OtherModel { what, model: model.clone(), found: pointer.model.clone() });
        return;
    }
    let last = history.and_then(History::state).map(|state| state.sequence);
    if last.is_none_or(|last| last < pointer.sequence) {
        damage.push(Damage::PointerAhead { alias, pointer: pointer.sequence, last });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::row;
    use crate::pointer::pointer;
    use crate::version::tests::{manifest, version};

    fn ours() -> RegistryId {
        RegistryId::from_random(1)
    }

    fn model() -> ModelName {
        "home-feed".parse().unwrap()
    }

    fn whole() -> Found {
        let rows = [row(2, None, 1, false), row(5, Some(1), 3, false), row(6, Some(3), 1, true)];
        Found {
            manifests: vec![manifest(3), manifest(1), manifest(2)],
            promotions: rows.iter().rev().map(Promotion::to_record).collect(),
            pointers: vec![pointer(&rows[2], &version(1))],
            highest_folder: Some(VersionNumber(4)),
        }
    }

    #[test]
    fn a_whole_store_gives_the_rows_back() {
        let recovered = recover(&ours(), &model(), whole()).unwrap();
        assert_eq!(recovered.versions, [version(1), version(2), version(3)]);
        assert_eq!(
            recovered.promotions,
            [row(2, None, 1, false), row(5, Some(1), 3, false), row(6, Some(3), 1, true)]
        );
        assert_eq!((recovered.highest_number, recovered.highest_sequence), (Some(VersionNumber(4)), 6));
        assert_eq!(recovered.warnings, []);
    }

    #[test]
    fn an_empty_store_gives_nothing() {
        let recovered = recover(&ours(), &model(), Found::default()).unwrap();
        assert!(recovered.versions.is_empty() && recovered.promotions.is_empty());
        assert_eq!((recovered.highest_number, recovered.highest_sequence), (None, 0));
    }

    #[test]
    fn a_hole_in_the_past_is_a_warning() {
        let mut found = whole();
        found.promotions.remove(1);
        found.manifests.retain(|manifest| manifest.version != VersionNumber(3));
        let recovered = recover(&ours(), &model(), found).unwrap();
        assert_eq!(recovered.warnings, [Warning::Gap { alias: "champion".parse().unwrap(), before: 6 }]);
    }

    #[test]
    fn every_contradiction_is_named_at_once() {
        let mut found = whole();
        found.manifests.retain(|manifest| manifest.version != VersionNumber(1));
        found.manifests[0].registry = RegistryId::from_random(2);
        found.promotions[1].to = VersionNumber(2);
        found.promotions.push(row(5, Some(1), 3, false).to_record());
        found.pointers[0].sequence = 9;
        let damage = recover(&ours(), &model(), found).unwrap_err();
        let names: Vec<_> = damage
            .iter()
            .map(|damage| match damage {
                Damage::OtherModel { .. } => "model",
                Damage::OtherRegistry { .. } => "registry",
                Damage::TwoVersions { .. } => "versions",
                Damage::TwoPromotions { .. } => "promotions",
                Damage::ChampionMissing { .. } => "champion",
                Damage::PointerAhead { .. } => "pointer",
            })
            .collect();
        assert_eq!(names, ["registry", "promotions", "champion", "champion", "pointer"]);
    }
}

//! The fingerprint: what decides whether a step has to run again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;

/// The named ingredients of a step's result. Two attempts with equal fingerprints give equal artifacts.
///
/// The ingredients are kept, not only their digest, so that `noctule why` can say which of them changed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint {
    ingredients: BTreeMap<String, Value>,
}

impl Fingerprint {
    /// A fingerprint of a step kind at a version of its own.
    pub fn of_kind(kind: &str, version: u32) -> Self {
        Self::default().with("kind", Value::from(kind)).with("kind version", Value::from(version))
    }

    /// Adds an ingredient; a second one of the same name replaces the first.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.ingredients.insert(name.into(), value.into());
        self
    }

    pub fn digest(&self) -> Digest {
        Digest::of_json(&Value::Object(self.ingredients.clone().into_iter().collect()))
    }

    pub fn ingredients(&self) -> &BTreeMap<String, Value> {
        &self.ingredients
    }

    /// The names of the ingredients that differ from `other`, in order; an absent one differs from a present one.
    pub fn differences<'a>(&'a self, other: &'a Fingerprint) -> Vec<&'a str> {
        let mut names: Vec<&str> = self
            .ingredients
            .iter()
            .filter(|(name, value)| other.ingredients.get(*name) != Some(value))
            .map(|(name, _)| name.as_str())
            .chain(
                other
                    .ingredients
                    .keys()
                    .filter(|name| !self.ingredients.contains_key(*name))
                    .map(String::as_str),
            )
            .collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_ingredients_does_not_matter_and_each_counts() {
        let a = Fingerprint::of_kind("train", 1).with("seed", 1).with("factors", 64);
        let b = Fingerprint::of_kind("train", 1).with("factors", 64).with("seed", 1);
        assert_eq!(a.digest(), b.digest());
        let c = Fingerprint::of_kind("train", 1).with("factors", 65).with("lambda", 0.1);
        assert_ne!(a.digest(), c.digest());
        assert_eq!(a.differences(&c), ["factors", "lambda", "seed"]);
    }
}

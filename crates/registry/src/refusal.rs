//! What the registry refuses, each with what to do about it.

use noctule_artifacts::{AliasName, Digest, ModelName, RegistryId, VersionNumber};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the gate did not let the candidate pass ({outcome}), so no run may move an alias to it: if a person vouches \
         for it, use `noctule models promote` with a reason"
    )]
    GateNotPassed { outcome: String },

    #[error(
        "the gate judged the model {judged} and the candidate is {candidate}: only the model that was judged may be \
         promoted, so evaluate and gate this one"
    )]
    OtherModelJudged { judged: Digest, candidate: Digest },

    #[error(
        "{model} version {version} already holds the model {found} and cannot become {offered}: versions are \
         immutable, so publish under a new number"
    )]
    Occupied { model: ModelName, version: VersionNumber, found: Digest, offered: Digest },

    #[error("{model} has no version {version}: `noctule models show {model}` lists those it has")]
    NoSuchVersion { model: ModelName, version: VersionNumber },

    #[error("the registry has no model `{model}`: `noctule models list` shows those it has")]
    NoSuchModel { model: ModelName },

    #[error("{model}@{alias} points at no version yet: promote one first")]
    NoSuchAlias { model: ModelName, alias: AliasName },

    #[error(
        "{model}@{alias} was expected at {} and is at {}: somebody moved it meanwhile; look at \
         `noctule models history {model}` and decide again",
        spoken(.expected), spoken(.found)
    )]
    Moved {
        model: ModelName,
        alias: AliasName,
        expected: Option<VersionNumber>,
        found: Option<VersionNumber>,
    },

    #[error(
        "{model}@{alias} has no earlier version to roll back to: name one with `noctule models promote` and a reason"
    )]
    NothingEarlier { model: ModelName, alias: AliasName },

    #[error(
        "{model} version {version} was never {alias}, so there is no rolling back to it: to put it there for the \
         first time use `noctule models promote` with a reason"
    )]
    NeverHeld { model: ModelName, alias: AliasName, version: VersionNumber },

    #[error("{model}@{alias} is not pinned: nothing to unpin")]
    NotPinned { model: ModelName, alias: AliasName },

    #[error("a person who moves an alias needs a {what}: {rule}")]
    Person { what: &'static str, rule: &'static str },

    #[error(
        "the store belongs to registry {found} and this is registry {ours}: point the configuration at the store or \
         at the database that belong together; if the database was lost, `noctule models recover` adopts the store"
    )]
    OtherRegistry { ours: RegistryId, found: RegistryId },

    #[error(
        "the store holds versions of the model `{model}` and the registry knows none of them, so the registry may have \
         been lost: run `noctule models recover {model}` before anything is compared or published"
    )]
    Orphaned { model: ModelName },
}

fn spoken(version: &Option<VersionNumber>) -> String {
    version.map_or_else(|| "no version".to_owned(), |number| format!("version {number}"))
}

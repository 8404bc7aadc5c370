//! How settings name other steps' outputs and published models.

use std::fmt;
use std::str::FromStr;

use noctule_artifacts::{AliasName, ModelName, OutputName, StepName, VersionNumber};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The reserved word for the baseline: counts over the history.
pub const POPULARITY: &str = "popularity";

/// Text that names nothing: the rule it breaks, worded to follow the text in question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReferenceError(pub String);

/// Another step's output, written `split.train`, or `unique` for the output of that name's step called `main`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    step: StepName,
    /// `None` when only the step was written.
    output: Option<OutputName>,
}

impl Reference {
    pub fn step(&self) -> &StepName {
        &self.step
    }

    /// The output named, or `main`.
    pub fn output(&self) -> OutputName {
        self.output.clone().unwrap_or_else(OutputName::main)
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refused = || ReferenceError("is not a reference; write `step` or `step.output`".to_owned());
        let (step, output) = match text.split_once('.') {
            Some((step, output)) => (step, Some(output)),
            None => (text, None),
        };
        let step = step.parse().map_err(|_| refused())?;
        let output = output.map(str::parse).transpose().map_err(|_| refused())?;
        Ok(Self { step, output })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.output {
            Some(output) => f.pad(&format!("{}.{output}", self.step)),
            None => f.pad(self.step.as_str()),
        }
    }
}

/// A model: one that a step trained, a published version, or the popularity baseline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ModelReference {
    /// `popularity`
    Popularity,
    /// `home-feed@champion`, `home-feed@3`
    Published { model: ModelName, at: PublishedAt },
    /// `model`
    Trained(Reference),
}

/// Which published version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublishedAt {
    Alias(AliasName),
    Version(VersionNumber),
}

impl ModelReference {
    /// The step whose model it is, unless it is a published one or the baseline.
    pub fn trained(&self) -> Option<&Reference> {
        match self {
            Self::Trained(reference) => Some(reference),
            Self::Popularity | Self::Published { .. } => None,
        }
    }

    pub fn is_published(&self) -> bool {
        matches!(self, Self::Published { .. })
    }
}

impl FromStr for ModelReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text == POPULARITY {
            return Ok(Self::Popularity);
        }
        let Some((model, at)) = text.split_once('@') else {
            return text.parse().map(Self::Trained).map_err(|_| {
                ReferenceError(
                    "is not a model; write a step, `name@alias`, `name@3` or `popularity`".to_owned(),
                )
            });
        };
        let refused =
            || ReferenceError("is not a published model; write `name@alias` or `name@3`".to_owned());
        let model = model.parse().map_err(|_| refused())?;
        let at = if at.bytes().all(|b| b.is_ascii_digit()) {
            PublishedAt::Version(at.parse().map_err(|_| refused())?)
        } else {
            PublishedAt::Alias(at.parse().map_err(|_| refused())?)
        };
        Ok(Self::Published { model, at })
    }
}

impl fmt::Display for ModelReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Popularity => f.pad(POPULARITY),
            Self::Published { model, at: PublishedAt::Alias(alias) } => f.pad(&format!("{model}@{alias}")),
            Self::Published { model, at: PublishedAt::Version(number) } => {
                f.pad(&format!("{model}@{number}"))
            }
            Self::Trained(reference) => reference.fmt(f),
        }
    }
}

macro_rules! as_text {
    ($type:ty, $form:literal) => {
        impl TryFrom<String> for $type {
            type Error = ReferenceError;

            fn try_from(text: String) -> Result<Self, ReferenceError> {
                text.parse().map_err(|ReferenceError(why)| ReferenceError(format!("`{text}` {why}")))
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "x-noctule": $form})
            }
        }
    };
}

as_text!(Reference, "reference");
as_text!(ModelReference, "model");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_keep_what_was_written() {
        for (text, step, output) in [("unique", "unique", "main"), ("split.train", "split", "train")] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.step().as_str(), step);
            assert_eq!(reference.output().as_str(), output);
            assert_eq!(reference.to_string(), text);
        }
        for bad in ["", ".", "a.", ".b", "a.b.c", "A", "a b"] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn models_are_told_apart_by_their_text() {
        use ModelReference as M;
        assert_eq!("popularity".parse(), Ok(M::Popularity));
        assert!(matches!("m@champion".parse(), Ok(M::Published { at: PublishedAt::Alias(_), .. })));
        assert!(matches!("m@3".parse(), Ok(M::Published { at: PublishedAt::Version(VersionNumber(3)), .. })));
        assert!(matches!("model".parse(), Ok(M::Trained(_))));
        for bad in ["m@", "@champion", "m@0", "m@4294967296", "m@a@b", "M@x", ""] {
            assert!(bad.parse::<M>().is_err(), "{bad}");
        }
        let json = serde_json::to_string(&"m@champion".parse::<M>().unwrap()).unwrap();
        assert_eq!(json, "\"m@champion\"");
        assert_eq!(serde_json::from_str::<M>(&json).unwrap(), "m@champion".parse().unwrap());
    }
}

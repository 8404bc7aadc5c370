//! Identifiers, each a type of its own so that one cannot be taken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An identifier that was refused: what it was meant to be, the text, and the rule it breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {rule}")]
pub struct ParseIdError {
    pub what: &'static str,
    pub text: String,
    pub rule: &'static str,
}

const NAME_RULE: &str =
    "use 1 to 63 lower-case letters, digits, `-` or `_`, beginning with a letter or digit";

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let head = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    head && text.len() <= 63
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr, $rule:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if $check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(ParseIdError { what: $what, text: shortened(text), rule: $rule })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

/// An identifier of hostile length must not fill a terminal.
fn shortened(text: &str) -> String {
    if text.chars().count() <= 80 {
        return text.to_owned();
    }
    let head: String = text.chars().take(77).collect();
    format!("{head}...")
}

text_id!(
    /// The name of a pipeline, unique among the pipelines of one `.noctule` or server.
    PipelineName, "pipeline name", is_name, NAME_RULE
);
text_id!(
    /// The name of a step, unique in its pipeline.
    StepName, "step name", is_name, NAME_RULE
);
text_id!(
    /// One of the named outputs of a step, such as `train` of a split.
    OutputName, "output name", is_name, NAME_RULE
);
text_id!(
    /// The name under which versions of a model are published.
    ModelName, "model name", is_name, NAME_RULE
);
text_id!(
    /// A movable name for one version of a model, such as `champion`.
    AliasName, "alias", is_name, NAME_RULE
);
text_id!(
    /// A run. Random, never derived from anything, so that two stores can be merged and nothing can be guessed.
    RunId, "run id", is_run_id, "it is `r` and 12 characters of a-z and 2-7, as `noctule runs` prints it"
);
text_id!(
    /// A registry of models. The store prefix carries it, and no other registry may write there.
    RegistryId, "registry id", is_registry_id, "it is `reg` and 16 characters of a-z and 2-7"
);

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn is_base32(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| BASE32.contains(&b))
}

fn is_run_id(text: &str) -> bool {
    text.strip_prefix('r').is_some_and(|rest| is_base32(rest, 12))
}

fn is_registry_id(text: &str) -> bool {
    text.strip_prefix("reg").is_some_and(|rest| is_base32(rest, 16))
}

fn base32(random: u128, length: usize) -> String {
    (0..length).map(|i| BASE32[(random >> (5 * i)) as usize & 31] as char).collect()
}

impl RunId {
    /// Makes an id of 60 of the given random bits.
    pub fn from_random(random: u128) -> Self {
        Self(format!("r{}", base32(random, 12)))
    }
}

impl RegistryId {
    /// Makes an id of 80 of the given random bits.
    pub fn from_random(random: u128) -> Self {
        Self(format!("reg{}", base32(random, 16)))
    }
}

impl OutputName {
    /// The output of a kind that has only one.
    pub fn main() -> Self {
        Self("main".to_owned())
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                match text.parse::<u32>() {
                    Ok(number) if number > 0 => Ok(Self(number)),
                    _ => Err(ParseIdError {
                        what: $what,
                        text: shortened(text),
                        rule: "it is a whole number from 1 up",
                    }),
                }
            }
        }
    };
}

number_id!(
    /// The number of a try of one step in one run, from 1. It is the fence: facts of a lower number change nothing.
    AttemptNumber, "attempt number"
);
number_id!(
    /// The number of a version of a model, from 1.
    VersionNumber, "version number"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_plain() {
        for good in ["a", "nightly-recs", "0day", "k_core", &"x".repeat(63)] {
            assert_eq!(good.parse::<StepName>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a b", "a/b", "..", "é", &"x".repeat(64)] {
            assert!(bad.parse::<StepName>().is_err(), "{bad}");
        }
        let error = "Bad Name".parse::<PipelineName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`Bad Name` is not a pipeline name: use 1 to 63 lower-case letters, digits, `-` or `_`, beginning with a letter or digit"
        );
    }

    #[test]
    fn run_ids_round_trip() {
        let id = RunId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(id.as_str().len(), 13);
        assert_eq!(id.as_str().parse::<RunId>().unwrap(), id);
        assert!("r0".parse::<RunId>().is_err());
        assert!("../../etc".parse::<RunId>().is_err());
    }
}

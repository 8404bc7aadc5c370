//! The endpoints, by what they are about.

pub mod audit;
pub mod backfills;
pub mod models;
pub mod pipelines;
pub mod runs;
pub mod status;

use serde::{Deserialize, Deserializer};
use serde_json::Number;
use utoipa::ToSchema;

use crate::report::Trouble;

/// How many rows of a list an answer has at the most, and how many when nobody says.
pub const MOST_ROWS: u32 = 1000;
pub const ROWS: u32 = 100;

/// A number of rows as it was asked for.
pub fn rows(limit: Option<u32>) -> Result<u32, Trouble> {
    match limit.unwrap_or(ROWS) {
        limit @ 1..=MOST_ROWS => Ok(limit),
        other => Err(Trouble::usage(format!("`limit` is {other}, and has to be 1 to {MOST_ROWS}"))),
    }
}

/// The largest number that every reader of JSON keeps.
pub const MOST_NUMBER: u64 = (1 << 53) - 1;

/// A number within bounds, as it was asked for.
pub fn within(name: &str, number: Option<u64>, least: u64, most: u64) -> Result<Option<u64>, Trouble> {
    match number {
        Some(number) if !(least..=most).contains(&number) => {
            Err(Trouble::usage(format!("`{name}` is {number}, and has to be {least} to {most}")))
        }
        other => Ok(other),
    }
}

/// A text of bounded length, as it was asked for.
pub fn short(name: &str, text: Option<String>, most: usize) -> Result<Option<String>, Trouble> {
    match text {
        Some(text) if text.chars().count() > most => {
            Err(Trouble::usage(format!("`{name}` is longer than {most} characters")))
        }
        other => Ok(other),
    }
}

/// A whole number of a body. JSON does not tell 7 from 7.0.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let fraction =
        number.as_f64().filter(|value| value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(value));
    let found =
        number.as_u64().and_then(|number| u32::try_from(number).ok()).or(fraction.map(|value| value as u32));
    found.ok_or_else(|| {
        serde::de::Error::custom(format!("{number} is no whole number from 0 to {}", u32::MAX))
    })
}

/// The same where it may be left out.
pub fn whole_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "whole")] u32);
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|Whole(number)| number))
}

/// Why something is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// It stands where the thing itself is shown, and in the audit table.
    #[schema(max_length = 500, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    pub why: Option<String>,
}

/// The same where it has to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// It stands where the thing itself is shown, and in the audit table.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0\s][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
    )]
    pub why: String,
}

impl Reason {
    pub fn checked(self) -> Result<String, Trouble> {
        checked_why(&self.why)?;
        Ok(self.why.trim().to_owned())
    }
}

impl Why {
    pub fn checked(self) -> Result<Option<String>, Trouble> {
        match self.why {
            Some(why) if why.trim().is_empty() && why.chars().count() <= 500 && !why.chars().any(stray) => {
                Ok(None)
            }
            Some(why) => Reason { why }.checked().map(Some),
            None => Ok(None),
        }
    }
}

fn stray(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
}

fn checked_why(why: &str) -> Result<(), Trouble> {
    if why.trim().is_empty() || why.chars().count() > 500 || why.chars().any(stray) {
        return Err(Trouble::usage("`why` has to be 1 to 500 printable characters: say why"));
    }
    Ok(())
}

//! Shares of a whole, and signed changes relative to one.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::QuantityError;

/// A part of a whole in [0, 1], written `10%` or `0.1`; canonically the fraction.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Share(f64);

/// A change relative to an earlier figure, written `-30%` or `-0.3`; canonically the fraction. At least -1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Change(f64);

impl Share {
    /// A share of a whole; `None` outside [0, 1].
    pub fn new(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then_some(Self(fraction))
    }

    pub const fn fraction(self) -> f64 {
        self.0
    }
}

impl Change {
    /// A relative change; `None` below -1 and for what is no number.
    pub fn new(fraction: f64) -> Option<Self> {
        (fraction >= -1.0 && fraction.is_finite()).then_some(Self(fraction))
    }

    pub const fn fraction(self) -> f64 {
        self.0
    }
}

/// Reads `10%` or `0.1`. Percent are moved by two places in decimal, so that `7%` is the double nearest to 0.07.
fn fraction(text: &str) -> Result<f64, QuantityError> {
    let text = text.trim();
    let (digits, percent) = match text.strip_suffix('%') {
        Some(digits) => (digits.trim_end(), true),
        None => (text, false),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b"+-.".contains(&b));
    let scaled = if percent { format!("{digits}e-2") } else { digits.to_owned() };
    match scaled.parse::<f64>() {
        Ok(number) if plain && number.is_finite() => Ok(number),
        _ => Err(QuantityError("is not a share".to_owned())),
    }
}

impl FromStr for Share {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let number = fraction(text)?;
        Self::new(number).ok_or_else(|| {
            QuantityError(if number > 1.0 && !text.contains('%') {
                format!("is more than the whole; did you mean `{}%`?", text.trim())
            } else {
                "is outside 0% to 100%".to_owned()
            })
        })
    }
}

impl FromStr for Change {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let number = fraction(text).map_err(|_| QuantityError("is not a relative change".to_owned()))?;
        Self::new(number).ok_or_else(|| {
            QuantityError(if text.contains('%') {
                "is below -100%".to_owned()
            } else {
                format!("is below -1, which is -100%; did you mean `{}%`?", text.trim())
            })
        })
    }
}

/// Writes 0.07 as `7%`: the shortest decimal of the fraction, its point moved by two places.
fn percent(fraction: f64) -> String {
    let text = format!("{:.10}", fraction * 100.0);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}%")
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&percent(self.0))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&percent(self.0))
    }
}

macro_rules! leaf_schema {
    ($type:ty, $form:literal) => {
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

leaf_schema!(Share, "share");
leaf_schema!(Change, "change");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_and_fractions_are_the_same_share() {
        for (text, fraction, written) in [
            ("10%", 0.1, "10%"),
            ("0.1", 0.1, "10%"),
            ("7%", 0.07, "7%"),
            ("0.5 %", 0.005, "0.5%"),
            ("1", 1.0, "100%"),
        ] {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.fraction(), share.to_string().as_str()), (fraction, written), "{text}");
        }
        assert_eq!("-30%".parse::<Change>().unwrap().fraction(), -0.3);
        assert_eq!("-30%".parse::<Change>().unwrap().to_string(), "-30%");
    }

    #[test]
    fn what_is_outside_is_refused() {
        for (text, reason) in [
            ("110%", "outside"),
            ("-1%", "outside"),
            ("10", "did you mean `10%`"),
            ("ten", "is not a share"),
            ("nan", "is not a share"),
            ("inf%", "is not a share"),
            ("1e-1", "is not a share"),
            ("%", "is not a share"),
            ("", "is not a share"),
        ] {
            let error = text.parse::<Share>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
        assert!("-30".parse::<Change>().unwrap_err().to_string().contains("did you mean `-30%`"));
    }
}

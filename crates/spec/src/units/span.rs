//! A length of time, in whole seconds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{QuantityError, leading_number};

/// A length of time, written `30s`, `1h30m`, `28d` or `2w`; canonically a number of whole seconds.
///
/// A day is 24 hours: spans reach back from an instant, they do not count on a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(u64);

/// A hundred years of 365.25 days: longer is a slip of the pen, and keeps all later arithmetic from overflowing.
const LONGEST: u64 = 100 * 31_557_600;

const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Span {
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    pub const fn seconds(self) -> u64 {
        self.0
    }

    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let fail = |why: &str| QuantityError(why.to_owned());
        let text = text.trim();
        if text.is_empty() {
            return Err(fail("is empty"));
        }
        if text.starts_with('-') {
            return Err(fail("is negative, and time runs forward here"));
        }
        let mut rest = text;
        let mut total = 0u64;
        let mut smallest = u64::MAX;
        while !rest.is_empty() {
            let (number, tail) = leading_number(rest);
            if number.is_empty() {
                return Err(fail("is not a span of time"));
            }
            if number.contains('.') {
                return Err(fail("has a fraction; use a smaller unit, such as `90m` for an hour and a half"));
            }
            let unit_length = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_length);
            let unit = unit.trim();
            if unit.is_empty() {
                return Err(fail("has no unit; add one of `s`, `m`, `h`, `d`, `w`"));
            }
            let Some(&(_, seconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(QuantityError(format!(
                    "has the unit `{}`, which is none of `s`, `m`, `h`, `d`, `w`",
                    unit.chars().take(12).collect::<String>()
                )));
            };
            if seconds >= smallest {
                return Err(fail("has its units out of order; write larger ones first, each once"));
            }
            smallest = seconds;
            let number = number.parse::<u64>().ok().and_then(|n| n.checked_mul(seconds));
            total = number.and_then(|n| total.checked_add(n)).unwrap_or(u64::MAX);
            rest = tail;
        }
        if total > LONGEST {
            return Err(fail("is longer than 100 years"));
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0s");
        }
        let mut rest = self.0;
        let mut text = String::new();
        // `14d` says more than `2w` to most readers, so weeks are read but never written.
        for (unit, seconds) in &UNITS[1..] {
            let count = rest / seconds;
            rest %= seconds;
            if count > 0 {
                text.push_str(&format!("{count}{unit}"));
            }
        }
        f.pad(&text)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-noctule": "span"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        for (text, seconds, written) in [
            ("0s", 0, "0s"),
            ("0h", 0, "0s"),
            ("90m", 5_400, "1h30m"),
            ("1h30m", 5_400, "1h30m"),
            ("28d", 2_419_200, "28d"),
            ("2w", 1_209_600, "14d"),
            ("1d 12h", 129_600, "1d12h"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.seconds(), span.to_string().as_str()), (seconds, written), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "is empty"),
            ("28", "has no unit"),
            ("-5m", "is negative"),
            ("1.5h", "has a fraction"),
            ("5 days", "has the unit `days`"),
            ("30m1h", "out of order"),
            ("1h1h", "out of order"),
            ("d", "is not a span"),
            ("99999999999999999999d", "longer than 100 years"),
            ("36526d", "longer than 100 years"),
        ] {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

//! An amount of processor time.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{QuantityError, leading_number};

/// Processor cores, written `2`, `0.5` or `500m` as Kubernetes writes them; canonically thousandths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpu(u32);

/// More cores than any machine has.
const MOST: f64 = 4096.0 * 1000.0;

impl Cpu {
    pub const fn from_millis(millis: u32) -> Self {
        Self(millis)
    }

    /// Thousandths of a core.
    pub const fn millis(self) -> u32 {
        self.0
    }

    /// Threads that make use of it: whole cores, rounded up, at least one.
    pub const fn threads(self) -> u32 {
        let whole = self.0.div_ceil(1000);
        if whole == 0 { 1 } else { whole }
    }
}

impl FromStr for Cpu {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let fail = |why: &str| QuantityError(why.to_owned());
        let (number, unit) = leading_number(text.trim());
        let value = number.parse::<f64>().map_err(|_| fail("is not a number of cores"))?;
        let millis = match unit.trim() {
            "" => value * 1000.0,
            "m" => value,
            _ => return Err(fail("is not a number of cores")),
        };
        // `0.1` times 1000 is not exactly 100 in binary.
        let rounded = millis.round();
        if (millis - rounded).abs() > 1e-6 {
            return Err(fail("is finer than a thousandth of a core"));
        }
        if rounded < 1.0 {
            return Err(fail("is no processor at all"));
        }
        if rounded > MOST {
            return Err(fail("is more than 4096 cores"));
        }
        Ok(Self(rounded as u32))
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            f.pad(&(self.0 / 1000).to_string())
        } else {
            f.pad(&format!("{}m", self.0))
        }
    }
}

impl JsonSchema for Cpu {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cpu".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-noctule": "cpu"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_thousandths() {
        for (text, millis, threads, written) in [
            ("2", 2000, 2, "2"),
            ("0.1", 100, 1, "100m"),
            ("500m", 500, 1, "500m"),
            ("1.5", 1500, 2, "1500m"),
        ] {
            let cpu: Cpu = text.parse().unwrap();
            assert_eq!((cpu.millis(), cpu.threads(), cpu.to_string().as_str()), (millis, threads, written));
        }
        for (text, reason) in [
            ("0", "no processor"),
            ("-1", "not a number"),
            ("2 cores", "not a number"),
            ("0.0001", "finer"),
            ("1e3", "not a number"),
            ("5000", "more than"),
        ] {
            let error = text.parse::<Cpu>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

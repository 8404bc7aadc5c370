//! An amount of memory or storage.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{QuantityError, leading_number};

/// An amount of memory, written as Kubernetes writes it (`4Gi`, `512Mi`, `2G`); canonically bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Size(u64);

const UNITS: [(&str, u64); 10] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("K", 1_000),
    ("", 1),
];

/// A pebibyte, far beyond any machine.
const LARGEST: u64 = 1 << 50;

impl Size {
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        let (number, unit) = leading_number(text);
        let value = number.parse::<f64>().map_err(|_| QuantityError("is not a size".to_owned()))?;
        let unit = unit.trim();
        let Some(&(_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let unit: String = unit.chars().take(12).collect();
            return Err(QuantityError(match unit.to_ascii_lowercase().as_str() {
                "m" => "has the unit `m`, which means thousandths; write `Mi` for mebibytes".to_owned(),
                "mb" | "gb" | "kb" | "tb" | "mib" | "gib" | "kib" | "tib" => {
                    format!("has the unit `{unit}`; write it without the `B`, such as `4Gi`")
                }
                _ => format!(
                    "has the unit `{unit}`, which is none of `Ki`, `Mi`, `Gi`, `Ti`, `k`, `M`, `G`, `T`"
                ),
            }));
        };
        let bytes = value * factor as f64;
        if bytes > LARGEST as f64 {
            return Err(QuantityError("is more than 1024 Ti".to_owned()));
        }
        if bytes.fract() != 0.0 {
            return Err(QuantityError("is not a whole number of bytes".to_owned()));
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS[..4].iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        match exact {
            Some((unit, factor)) => f.pad(&format!("{}{unit}", self.0 / factor)),
            None => f.pad(&self.0.to_string()),
        }
    }
}

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-noctule": "size"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_kubernetes_reads_them() {
        for (text, bytes, written) in [
            ("4Gi", 4 << 30, "4Gi"),
            ("1.5Gi", 3 << 29, "1536Mi"),
            ("512 Mi", 512 << 20, "512Mi"),
            ("2G", 2_000_000_000, "1953125Ki"),
            ("1000", 1000, "1000"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, written), "{text}");
        }
    }

    #[test]
    fn near_misses_name_the_remedy() {
        for (text, reason) in [
            ("4GB", "without the `B`"),
            ("512m", "write `Mi`"),
            ("4X", "none of"),
            ("-4Gi", "not a size"),
            ("", "not a size"),
            ("1.2.3Gi", "not a size"),
            ("99999Ti", "more than"),
            ("0.3", "whole number of bytes"),
        ] {
            let error = text.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

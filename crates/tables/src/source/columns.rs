//! The columns that are to be made of a source's own.

use arrow::datatypes::DataType;

use crate::normal::time_type;

/// A column to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnWish {
    pub name: String,
    /// The source's column.
    pub from: String,
    /// The type to read it as; the source's own when absent.
    pub kind: Option<Kind>,
    /// What a whole number in a time counts since 1970.
    pub unit: Option<Unit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Integer,
    Float,
    Text,
    Boolean,
    Time,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl ColumnWish {
    /// The source's column as it is.
    pub fn same(name: &str) -> Self {
        Self { name: name.to_owned(), from: name.to_owned(), kind: None, unit: None }
    }

    /// The type it gets, from a source column in its normal form: `time` is a time and `value` a fraction unless
    /// something else is asked for.
    pub(crate) fn kind_from(&self, found: &DataType) -> Option<Kind> {
        match (self.kind, self.name.as_str()) {
            (Some(kind), _) => Some(kind),
            (None, "time") => Some(Kind::Time),
            (None, "value") if found == &DataType::Int64 => Some(Kind::Float),
            (None, _) if self.unit.is_some() => Some(Kind::Time),
            _ => None,
        }
    }

    /// Whether a row without a value in it cannot be used.
    pub(crate) fn required(&self) -> bool {
        matches!(self.name.as_str(), "user" | "item" | "time")
    }
}

impl Kind {
    pub fn data_type(self) -> DataType {
        match self {
            Kind::Integer => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Text => DataType::Utf8,
            Kind::Boolean => DataType::Boolean,
            Kind::Time => time_type(),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Integer => "whole numbers",
            Kind::Float => "numbers",
            Kind::Text => "text",
            Kind::Boolean => "true or false",
            Kind::Time => "times",
        }
    }

    /// As in "`x` is no whole number".
    pub(crate) fn negation(self) -> &'static str {
        match self {
            Kind::Integer => "is no whole number",
            Kind::Float => "is no finite number",
            Kind::Text => "is no text",
            Kind::Boolean => "is neither true nor false",
            Kind::Time => "is no time",
        }
    }
}

impl Unit {
    pub const ALL: [Unit; 4] = [Unit::Seconds, Unit::Milliseconds, Unit::Microseconds, Unit::Nanoseconds];

    /// As `unit:` writes it.
    pub fn word(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Milliseconds => "ms",
            Unit::Microseconds => "us",
            Unit::Nanoseconds => "ns",
        }
    }

    /// Microseconds since 1970; `None` past what 64 bits hold.
    pub fn micros(self, count: i64) -> Option<i64> {
        match self {
            Unit::Seconds => count.checked_mul(1_000_000),
            Unit::Milliseconds => count.checked_mul(1_000),
            Unit::Microseconds => Some(count),
            Unit::Nanoseconds => Some(count.div_euclid(1_000)),
        }
    }
}

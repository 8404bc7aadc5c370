//! Columns made of a source's own, value by value; what cannot be read is told, row by row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use jiff::tz::TimeZone;

use crate::error::Result;
use crate::source::columns::{ColumnWish, Kind, Unit};
use crate::source::error::SourceError;
use crate::source::time;

/// A value that could not be read.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    /// Its row in the batch.
    pub row: usize,
    pub column: String,
    pub reason: String,
    pub found: Option<String>,
}

/// What a conversion depends on beside the values.
pub(crate) struct Setting<'a> {
    pub object: &'a str,
    pub zone: &'a TimeZone,
    /// Whether these are the first rows of a partition, of which the plausibility of times is judged.
    pub first: bool,
}

/// Makes the column that a wish describes of a source column in its normal form. Values that cannot be read are null,
/// and told in `failures`; NaN and infinite numbers are among them.
pub(crate) fn convert(
    wish: &ColumnWish,
    array: &ArrayRef,
    setting: &Setting<'_>,
    failures: &mut Vec<Failure>,
) -> Result<ArrayRef> {
    let Some(kind) = wish.kind_from(array.data_type()) else {
        return Ok(finite(wish, array, failures));
    };
    let converted = match kind {
        Kind::Time => return times(wish, array, setting, failures),
        kind if array.data_type() == &kind.data_type() => return Ok(finite(wish, array, failures)),
        Kind::Text => cast_to(array, &DataType::Utf8),
        Kind::Float => match array.data_type() {
            DataType::Utf8 => Some(parse_floats(array.as_string())),
            DataType::Int64 | DataType::Boolean | DataType::Decimal128(_, _) => {
                cast_to(array, &DataType::Float64)
            }
            _ => None,
        },
        Kind::Integer => match array.data_type() {
            DataType::Utf8 => Some(parse_integers(array.as_string())),
            DataType::Float64 => Some(whole_numbers(array.as_primitive::<Float64Type>())),
            DataType::Boolean | DataType::Decimal128(_, _) => cast_to(array, &DataType::Int64),
            _ => None,
        },
        Kind::Boolean => match array.data_type() {
            DataType::Utf8 => Some(parse_booleans(array.as_string())),
            DataType::Int64 => Some(Arc::new(BooleanArray::from_iter(
                array.as_primitive::<Int64Type>().iter().map(|value| match value {
                    Some(0) => Some(false),
                    Some(1) => Some(true),
                    _ => None,
                }),
            )) as ArrayRef),
            _ => None,
        },
    };
    let Some(converted) = converted else {
        return Err(SourceError::Type {
            object: setting.object.to_owned(),
            column: wish.from.clone(),
            found: array.data_type().to_string(),
            wanted: kind.word(),
        }
        .into());
    };
    tell_new_nulls(wish, array, &converted, kind.negation(), failures);
    Ok(finite(wish, &converted, failures))
}

fn cast_to(array: &ArrayRef, wanted: &DataType) -> Option<ArrayRef> {
    cast(array, wanted).ok()
}

fn parse_integers(texts: &StringArray) -> ArrayRef {
    Arc::new(Int64Array::from_iter(texts.iter().map(|text| text?.trim().parse().ok())))
}

fn parse_floats(texts: &StringArray) -> ArrayRef {
    Arc::new(Float64Array::from_iter(texts.iter().map(|text| text?.trim().parse::<f64>().ok())))
}

fn whole_numbers(numbers: &Float64Array) -> ArrayRef {
    // Beyond 2^53 neighbouring whole numbers have one fraction: the id that was meant is lost.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64);
    Arc::new(Int64Array::from_iter(numbers.iter().map(|number| whole(number?))))
}

pub(crate) fn parse_booleans(texts: &StringArray) -> ArrayRef {
    Arc::new(BooleanArray::from_iter(texts.iter().map(|text| match text?.trim() {
        "true" | "True" | "TRUE" | "t" | "1" => Some(true),
        "false" | "False" | "FALSE" | "f" | "0" => Some(false),
        _ => None,
    })))
}

/// Tells of the rows that had a value before and have none now.
fn tell_new_nulls(
    wish: &ColumnWish,
    before: &ArrayRef,
    after: &ArrayRef,
    reason: &str,
    failures: &mut Vec<Failure>,
) {
    if after.null_count() == before.null_count() {
        return;
    }
    let texts = cast_to(before, &DataType::Utf8);
    for row in (0..before.len()).filter(|row| before.is_valid(*row) && after.is_null(*row)) {
        let found = texts.as_ref().map(|texts| texts.as_string::<i32>().value(row).to_owned());
        failures.push(Failure { row, column: wish.from.clone(), reason: reason.to_owned(), found });
    }
}

/// Tells of numbers that are none; they become null.
fn finite(wish: &ColumnWish, array: &ArrayRef, failures: &mut Vec<Failure>) -> ArrayRef {
    let Some(floats) = array.as_primitive_opt::<Float64Type>() else { return array.clone() };
    if floats.values().iter().all(|value| value.is_finite()) {
        return array.clone();
    }
    let clean: Float64Array = floats.iter().map(|value| value.filter(|value| value.is_finite())).collect();
    let clean: ArrayRef = Arc::new(clean);
    tell_new_nulls(wish, array, &clean, "is no finite number", failures);
    clean
}

fn times(
    wish: &ColumnWish,
    array: &ArrayRef,
    setting: &Setting<'_>,
    failures: &mut Vec<Failure>,
) -> Result<ArrayRef> {
    let micros: Vec<Option<i64>> = match array.data_type() {
        DataType::Timestamp(_, _) => return Ok(array.clone()),
        DataType::Int64 => {
            let counts = array.as_primitive::<Int64Type>();
            let unit = unit_of(wish, setting, || typical(counts.iter().flatten()))?;
            counts.iter().map(|count| unit.micros(count?)).collect()
        }
        DataType::Float64 => {
            let counts = array.as_primitive::<Float64Type>();
            let whole = |count: f64| count as i64;
            let unit = unit_of(wish, setting, || typical(counts.iter().flatten().map(whole)))?;
            counts.iter().map(|count| fraction_micros(unit, count?)).collect()
        }
        DataType::Date32 => {
            let days = array.as_primitive::<arrow::datatypes::Date32Type>();
            days.iter().map(|day| time::wall_micros(i64::from(day?) * 86_400_000_000, setting.zone)).collect()
        }
        DataType::Utf8 => {
            array.as_string::<i32>().iter().map(|text| text_micros(wish, text?, setting.zone)).collect()
        }
        found => {
            let (object, column) = (setting.object.to_owned(), wish.from.clone());
            let found = found.to_string();
            return Err(SourceError::Type { object, column, found, wanted: Kind::Time.word() }.into());
        }
    };
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(micros).with_timezone("UTC"));
    tell_new_nulls(wish, array, &times, "is no time", failures);
    Ok(times)
}

/// The unit of a wish, judged by a typical count.
fn unit_of(wish: &ColumnWish, setting: &Setting<'_>, typical: impl Fn() -> Option<i64>) -> Result<Unit> {
    let Some(unit) = wish.unit else {
        return Err(time::no_unit(&wish.name, &wish.from, typical()).into());
    };
    if let (true, Some(count)) = (setting.first, typical()) {
        time::check_unit(&wish.name, unit, count)?;
    }
    Ok(unit)
}

/// The middle one of the first thousand.
fn typical(counts: impl Iterator<Item = i64>) -> Option<i64> {
    let mut some: Vec<i64> = counts.take(1000).collect();
    some.sort_unstable();
    some.get(some.len() / 2).copied()
}

fn fraction_micros(unit: Unit, count: f64) -> Option<i64> {
    let per_unit = match unit {
        Unit::Seconds => 1e6,
        Unit::Milliseconds => 1e3,
        Unit::Microseconds => 1.0,
        Unit::Nanoseconds => 1e-3,
    };
    let micros = (count * per_unit).round();
    (micros.is_finite() && micros.abs() < 9.2e18).then_some(micros as i64)
}

fn text_micros(wish: &ColumnWish, text: &str, zone: &TimeZone) -> Option<i64> {
    match (wish.unit, text.trim().parse::<i64>()) {
        (Some(unit), Ok(count)) => unit.micros(count),
        _ => time::parse(text, zone),
    }
}

/// Times of a wall clock, normalised as if they were UTC, in the zone that they are of.
pub(crate) fn in_zone(array: &ArrayRef, zone: &TimeZone) -> ArrayRef {
    if zone == &TimeZone::UTC {
        return array.clone();
    }
    let walls = array.as_primitive::<TimestampMicrosecondType>();
    let times = walls.iter().map(|wall| time::wall_micros(wall?, zone)).collect::<Vec<_>>();
    Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
}

//! The normal form of column types: what artifacts hold, whatever a source wrote.
//!
//! Text is `Utf8`, whole numbers are `Int64`, fractions `Float64`, times `Timestamp(µs, "UTC")`. Dictionaries, views,
//! large and small widths are cast to these. Nested, binary and decimal columns stay as they are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{CastOptions, cast_with_options, max};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, UInt64Type};

use crate::error::{Error, Result};

/// The type of a time in an artifact.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The type that a column of type `found` has in an artifact.
pub fn normal_type(found: &DataType) -> DataType {
    use DataType as T;
    match found {
        T::Dictionary(_, value) => normal_type(value),
        T::RunEndEncoded(_, values) => normal_type(values.data_type()),
        T::Utf8View | T::LargeUtf8 => T::Utf8,
        T::Int8 | T::Int16 | T::Int32 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => T::Int64,
        T::Float16 | T::Float32 => T::Float64,
        T::Timestamp(_, _) => time_type(),
        T::BinaryView | T::LargeBinary => T::Binary,
        other => other.clone(),
    }
}

/// The schema with every column in its normal form, without metadata.
pub fn normal_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), normal_type(field.data_type()), field.is_nullable()))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Casts a column to its normal form.
///
/// # Errors
/// An unsigned number above 9,223,372,036,854,775,807, and a time that microseconds in 64 bits cannot hold.
pub fn normal_array(place: &str, column: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let wanted = normal_type(array.data_type());
    if array.data_type() == &wanted {
        return Ok(array.clone());
    }
    if let DataType::UInt64 = array.data_type() {
        check_unsigned(place, column, array.as_primitive::<UInt64Type>())?;
    }
    cast(place, column, array, &wanted)
}

fn check_unsigned(place: &str, column: &str, array: &UInt64Array) -> Result<()> {
    match max(array) {
        Some(largest) if largest > i64::MAX as u64 => Err(Error::Value {
            place: place.to_owned(),
            column: column.to_owned(),
            cause: format!("{largest} does not fit into a signed 64-bit number"),
            remedy: "take it as text (`type: text`)",
        }),
        _ => Ok(()),
    }
}

/// Casts without losing anything: what does not fit is an error, never a null.
pub(crate) fn cast(place: &str, column: &str, array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, wanted, &options).map_err(|error| Error::Value {
        place: place.to_owned(),
        column: column.to_owned(),
        cause: error.to_string(),
        remedy: "correct the data, or map the column to another type",
    })
}

/// Casts every column of a batch to its normal form.
pub fn normal_batch(place: &str, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(array, field)| normal_array(place, field.name(), array))
        .collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Int64Array, StringArray, UInt64Array};
    use arrow::datatypes::Int8Type;

    #[test]
    fn small_dictionaries_become_text() {
        // 128 values fill an Int8 key to the brim; null stays null.
        let keys = (0..128).map(|i| (i % 5 != 0).then_some((i % 128) as i8)).collect();
        let values = Arc::new(StringArray::from_iter_values((0..128).map(|i| format!("v{i}"))));
        let array: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::new(keys, values));
        let text = normal_array("t", "event", &array).unwrap();
        assert_eq!(text.data_type(), &DataType::Utf8);
        assert_eq!(text.as_string::<i32>().value(127), "v127");
        assert!(text.is_null(0));
    }

    #[test]
    fn unsigned_ids_fit_or_are_refused_by_name() {
        let fits: ArrayRef = Arc::new(UInt64Array::from(vec![0, i64::MAX as u64]));
        let cast = normal_array("t", "user", &fits).unwrap();
        assert_eq!(cast.as_ref(), &Int64Array::from(vec![0, i64::MAX]) as &dyn Array);
        let beyond: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        insta::assert_snapshot!(
            normal_array("events.parquet", "user", &beyond).unwrap_err(),
            @"the column `user` of `events.parquet` holds a value that cannot be used: 18446744073709551615 does not fit into a signed 64-bit number; take it as text (`type: text`)"
        );
    }
}

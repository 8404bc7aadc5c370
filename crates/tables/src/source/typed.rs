//! Batches of a source that knows its types: Parquet files and the synthetic product.

use std::fs::File;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::error::{Error, Result};
use crate::normal::normal_array;
use crate::scan::BATCH_ROWS;
use crate::source::columns::{ColumnWish, Kind};
use crate::source::convert::in_zone;
use crate::source::fetch::{Content, Fetched};
use crate::source::part::{PartRequest, View};

/// An object as batches of its own columns.
pub(crate) struct Typed {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    rows: u64,
}

impl Typed {
    /// Opens an object; of a Parquet file only the columns that `wanted` picks by name are decoded.
    pub fn open(fetched: &Fetched, wanted: impl FnOnce(&SchemaRef) -> Result<Vec<String>>) -> Result<Self> {
        match fetched.content() {
            Content::Demo { shop, table, day } => {
                let schema = table.schema();
                wanted(&schema)?;
                Ok(Self { batches: Box::new(shop.read(*table, *day).map(Ok)), rows: 0 })
            }
            Content::File(path) => {
                let place = fetched.object().url.clone();
                let unreadable = |cause: String| Error::Parquet { place: place.clone(), cause };
                let file = File::open(path)
                    .map_err(|error| crate::source::SourceError::from_io(&fetched.object().url, error))?;
                let builder =
                    ParquetRecordBatchReaderBuilder::try_new_with_options(file, ArrowReaderOptions::new())
                        .map_err(|error| unreadable(error.to_string()))?;
                let names = wanted(builder.schema())?;
                let mask = ProjectionMask::roots(
                    builder.parquet_schema(),
                    builder
                        .schema()
                        .fields()
                        .iter()
                        .enumerate()
                        .filter(|(_, field)| names.contains(field.name()))
                        .map(|(at, _)| at),
                );
                let reader = builder
                    .with_projection(mask)
                    .with_batch_size(BATCH_ROWS)
                    .build()
                    .map_err(|error| unreadable(error.to_string()))?;
                let batches = reader.map(move |batch| {
                    batch.map_err(|error| Error::Parquet { place: place.clone(), cause: error.to_string() })
                });
                Ok(Self { batches: Box::new(batches), rows: 0 })
            }
        }
    }

    /// The next batch, its columns in their normal forms.
    pub fn next(&mut self, request: &PartRequest<'_>, object: &str) -> Result<Option<View>> {
        let Some(batch) = self.batches.next() else { return Ok(None) };
        let batch = batch?;
        let first = self.rows + 1;
        self.rows += batch.num_rows() as u64;
        let columns: Vec<(String, ArrayRef)> = batch
            .schema_ref()
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, array)| {
                let column = normal(request, object, field.name(), array)?;
                Ok((field.name().clone(), column))
            })
            .collect::<Result<_>>()?;
        let places = (first..=self.rows).collect();
        View::new(columns, places, Vec::new()).map(Some)
    }
}

fn normal(request: &PartRequest<'_>, object: &str, name: &str, array: &ArrayRef) -> Result<ArrayRef> {
    let as_text = |wish: &ColumnWish| wish.from == name && wish.kind == Some(Kind::Text);
    if array.data_type() == &DataType::UInt64 && request.wishes.iter().any(as_text) {
        return Ok(cast(array, &DataType::Utf8)?);
    }
    let column = normal_array(object, name, array)?;
    // A wall clock without a zone is read in the pipeline's own.
    Ok(if is_wall_clock(array.data_type()) { in_zone(&column, &request.zone) } else { column })
}

fn is_wall_clock(found: &DataType) -> bool {
    match found {
        DataType::Timestamp(_, None) => true,
        DataType::Dictionary(_, value) => is_wall_clock(value),
        _ => false,
    }
}

/// The names of a schema's columns.
pub(crate) fn names(schema: &Schema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

//! Batches of a source that knows its types: Parquet files and the synthetic product.

use std::fs::File;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{cast, max};
use arrow::datatypes::{DataType, Schema, SchemaRef, UInt64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::error::{Error, Result};
use crate::normal::normal_array;
use crate::scan::BATCH_ROWS;
use crate::source::columns::Kind;
use crate::source::convert::in_zone;
use crate::source::fetch::{Content, Fetched};
use crate::source::part::{PartRequest, View};

/// An object as batches of its own columns.
pub(crate) struct Typed {
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send>,
    rows: u64,
    /// Columns of unsigned numbers, some of which are too large for a signed one: they are names, and read as text.
    huge: Vec<String>,
}

impl Typed {
    /// Opens an object; of a Parquet file only the columns that `wanted` picks by name are decoded.
    pub fn open(fetched: &Fetched, wanted: impl FnOnce(&SchemaRef) -> Result<Vec<String>>) -> Result<Self> {
        match fetched.content() {
            Content::Demo { shop, table, day } => {
                let schema = table.schema();
                wanted(&schema)?;
                Ok(Self { batches: Box::new(shop.read(*table, *day).map(Ok)), rows: 0, huge: Vec::new() })
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
                let huge = huge(&builder, &names);
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
                Ok(Self { batches: Box::new(batches), rows: 0, huge })
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
                let column = self.normal(request, object, field.name(), array)?;
                Ok((field.name().clone(), column))
            })
            .collect::<Result<_>>()?;
        let places = (first..=self.rows).collect();
        View::new(columns, places, Vec::new()).map(Some)
    }

    fn normal(
        &self,
        request: &PartRequest<'_>,
        object: &str,
        name: &str,
        array: &ArrayRef,
    ) -> Result<ArrayRef> {
        let mut told =
            request.wishes.iter().filter(|wish| wish.from == name).map(|wish| wish.kind).peekable();
        let untold = told.peek().is_none() || told.clone().all(|kind| kind.is_none());
        let as_text =
            told.any(|kind| kind == Some(Kind::Text)) || untold && self.huge.iter().any(|huge| huge == name);
        if array.data_type() == &DataType::UInt64 && as_text {
            return Ok(cast(array, &DataType::Utf8)?);
        }
        let column = normal_array(object, name, array)?;
        // A wall clock without a zone is read in the pipeline's own.
        Ok(if is_wall_clock(array.data_type()) { in_zone(&column, &request.zone) } else { column })
    }
}

/// The unsigned columns whose largest value, by what the file says of itself, does not fit into a signed number.
fn huge(builder: &ParquetRecordBatchReaderBuilder<File>, names: &[String]) -> Vec<String> {
    let schema = builder.schema();
    let largest = |name: &str| {
        let converter = StatisticsConverter::try_new(name, schema, builder.parquet_schema()).ok()?;
        let maxes = converter.row_group_maxes(builder.metadata().row_groups().iter()).ok()?;
        max(maxes.as_primitive_opt::<UInt64Type>()?)
    };
    let fields = schema.fields().iter().filter(|field| names.contains(field.name()));
    let unsigned = fields.filter(|field| field.data_type() == &DataType::UInt64).map(|field| field.name());
    unsigned.filter(|name| largest(name).is_some_and(|most| i64::try_from(most).is_err())).cloned().collect()
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

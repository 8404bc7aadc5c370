//! Parquet files that a test writes, and the tables that steps left.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::util::display::array_value_to_string;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::house::House;
use crate::shop::step;

/// A Parquet file of these columns, as bytes.
pub fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

pub fn column<A: arrow::array::Array + 'static>(array: A) -> ArrayRef {
    Arc::new(array)
}

/// The rows of an output of a step in a run's document: the columns in the order of their names, with `|` between.
pub fn rows(house: &House, document: &Value, name: &str, output: &str) -> Vec<String> {
    let manifest = step(document, name)["manifest"].as_str().expect("the step left an artifact");
    let folder = house.path().join(".noctule/store").join(manifest);
    let mut files = Vec::new();
    collect(&folder.parent().unwrap().join(output), &mut files);
    files.sort();
    files.iter().flat_map(|file| rows_of(file)).collect()
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => collect(&path, files),
            path => files.push(path),
        }
    }
}

/// The values of one column of a Parquet file.
pub fn values(file: &Path, name: &str) -> Vec<String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let mut values = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let column = batch.column_by_name(name).unwrap_or_else(|| panic!("{name} in {:?}", batch.schema()));
        values.extend((0..batch.num_rows()).map(|row| array_value_to_string(column, row).unwrap()));
    }
    values
}

/// The rows of a Parquet file.
fn rows_of(file: &Path) -> Vec<String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let mut columns: Vec<(String, &ArrayRef)> =
            batch.schema().fields().iter().map(|field| field.name().clone()).zip(batch.columns()).collect();
        columns.sort_by(|a, b| a.0.cmp(&b.0));
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|(_, array)| array_value_to_string(array, row).unwrap());
            rows.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    rows
}

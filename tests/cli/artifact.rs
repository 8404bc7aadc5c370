//! What a step committed, read from its files.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::house::House;
use crate::shop::step;

/// The folder of an artifact, and its manifest.
pub struct Artifact {
    folder: PathBuf,
    manifest: Value,
}

impl Artifact {
    /// The artifact that a step of a run ended with.
    pub fn of(house: &House, run: &Value, name: &str) -> Self {
        let manifest = step(run, name)["manifest"].as_str().expect("the step has an artifact");
        let path = house.path().join(".noctule/store").join(manifest);
        let bytes = std::fs::read(&path).expect("a manifest");
        Self {
            folder: path.parent().expect("a manifest lies in a folder").to_owned(),
            manifest: serde_json::from_slice(&bytes).expect("a manifest in JSON"),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files of one output, in the manifest's order.
    pub fn files(&self, output: &str) -> Vec<PathBuf> {
        let files = self.manifest["identity"]["files"].as_array().expect("files");
        let of_output = files.iter().filter(|file| file["output"] == output);
        of_output.map(|file| self.folder.join(file["name"].as_str().expect("a name"))).collect()
    }

    /// The one JSON file of an output that ends so.
    pub fn json(&self, output: &str, ending: &str) -> Value {
        let files = self.files(output);
        let path = files.iter().find(|path| path.to_string_lossy().ends_with(ending)).expect("such a file");
        serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
    }

    /// The rows of an output.
    pub fn rows(&self, output: &str) -> Vec<RecordBatch> {
        self.files(output).iter().flat_map(|path| rows(path)).collect()
    }
}

/// The rows of a Parquet file.
pub fn rows(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet");
    reader.map(|batch| batch.expect("a batch")).collect()
}

/// A column of whole numbers; `None` where there is none.
pub fn integers(batches: &[RecordBatch], column: &str) -> Vec<Option<i64>> {
    let of_batch = |batch: &RecordBatch| -> Vec<Option<i64>> {
        let column = batch.column_by_name(column).expect("such a column");
        column.as_primitive::<Int64Type>().iter().collect()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// A column of whole numbers that has one in each row.
pub fn ids(batches: &[RecordBatch], column: &str) -> Vec<i64> {
    integers(batches, column).into_iter().map(|id| id.expect("an id in each row")).collect()
}

/// A column of texts.
pub fn texts(batches: &[RecordBatch], column: &str) -> Vec<String> {
    let of_batch = |batch: &RecordBatch| -> Vec<String> {
        let column = batch.column_by_name(column).expect("such a column").as_string::<i32>();
        (0..column.len()).map(|row| column.value(row).to_owned()).collect()
    };
    batches.iter().flat_map(of_batch).collect()
}

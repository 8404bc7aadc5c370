//! Writing a model.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use ndarray::Array2;
use noctule_artifacts::OutputName;
use noctule_artifacts::manifest::OutputForm;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

use super::{
    CARD, Card, FINGERPRINT, ITEM_FACTORS, ITEMS, Ids, ModelError, TENSOR, Tables, USER_FACTORS, USERS,
};
use crate::attempt::Attempt;
use crate::error::StepError;

/// Writes a model as the output `output` of the attempt. The same model gives the same bytes.
pub fn write(
    attempt: &mut Attempt,
    output: &OutputName,
    card: &Card,
    tables: &Tables,
) -> Result<(), StepError> {
    let counts: Vec<i64> =
        tables.counts.iter().map(|count| i64::try_from(*count).unwrap_or(i64::MAX)).collect();
    let counts: ArrayRef = Arc::new(Int64Array::from(counts));
    let path = attempt.create(output, ITEMS)?;
    write_table(&path, &[("item", tables.items.to_array()), ("count", counts)])?;
    attempt.set_rows(output, ITEMS, tables.items.len() as u64);
    if let Some(factors) = &tables.factors {
        let path = attempt.create(output, USERS)?;
        write_table(&path, &[("user", factors.users.to_array())])?;
        attempt.set_rows(output, USERS, factors.users.len() as u64);
        write_factors(&attempt.create(output, USER_FACTORS)?, &factors.user_factors, &card.fingerprint)?;
        write_factors(&attempt.create(output, ITEM_FACTORS)?, &factors.item_factors, &card.fingerprint)?;
    }
    let path = attempt.create(output, CARD)?;
    std::fs::write(&path, card.to_json()).map_err(ModelError::writing(&path))?;
    attempt.declare(output, OutputForm::Model);
    Ok(())
}

fn write_table(path: &Path, columns: &[(&str, ArrayRef)]) -> Result<(), ModelError> {
    let failed = |cause: String| ModelError::Write { path: path.display().to_string(), cause };
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), false)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.iter().map(|(_, array)| array.clone()).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(|error| failed(error.to_string()))?;
    // Neither a version of the writer nor a time: the bytes follow from the rows.
    let properties = WriterProperties::builder()
        .set_created_by("noctule".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a level of zstd")))
        .build();
    let file = File::create(path).map_err(ModelError::writing(path))?;
    let mut writer =
        ArrowWriter::try_new(file, schema, Some(properties)).map_err(|error| failed(error.to_string()))?;
    writer.write(&batch).map_err(|error| failed(error.to_string()))?;
    writer.close().map_err(|error| failed(error.to_string()))?;
    Ok(())
}

fn write_factors(path: &Path, factors: &Array2<f32>, fingerprint: &str) -> Result<(), ModelError> {
    let failed = |cause: String| ModelError::Write { path: path.display().to_string(), cause };
    let bytes: Vec<u8> = factors.iter().flat_map(|factor| factor.to_le_bytes()).collect();
    let shape = vec![factors.nrows(), factors.ncols()];
    let view = TensorView::new(Dtype::F32, shape, &bytes).map_err(|error| failed(error.to_string()))?;
    let metadata = HashMap::from([(FINGERPRINT.to_owned(), fingerprint.to_owned())]);
    serialize_to_file([(TENSOR, view)], Some(metadata), path).map_err(|error| failed(error.to_string()))
}

impl Ids {
    /// The field of a table that holds these ids.
    pub(crate) fn field(&self, name: &str) -> Field {
        let data_type: DataType = self.arrow_type();
        Field::new(name, data_type, false)
    }
}

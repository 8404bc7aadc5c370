//! Rows that cannot be read, kept aside with reason and place.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::error::Result;

/// More of a row than this is not kept.
const LONGEST: usize = 1000;

/// A row that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The object that it stands in.
    pub object: String,
    /// Its line in a text file, its row in another, from 1.
    pub place: u64,
    /// Which column is to blame, if one is.
    pub column: Option<String>,
    pub reason: String,
    /// The value, or the line, that could not be read.
    pub found: Option<String>,
}

impl Reject {
    pub(crate) fn shorten(text: &str) -> String {
        match text.char_indices().nth(LONGEST) {
            Some((at, _)) => format!("{}…", &text[..at]),
            None => text.to_owned(),
        }
    }
}

/// The columns of an output of rejected rows.
pub fn rejects_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("object", DataType::Utf8, false),
        Field::new("place", DataType::Int64, false),
        Field::new("column", DataType::Utf8, true),
        Field::new("reason", DataType::Utf8, false),
        Field::new("found", DataType::Utf8, true),
    ]))
}

pub(crate) fn batch(rejects: &[Reject]) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rejects.iter().map(|reject| &reject.object))),
        Arc::new(Int64Array::from_iter_values(rejects.iter().map(|reject| reject.place as i64))),
        Arc::new(StringArray::from_iter(rejects.iter().map(|reject| reject.column.as_ref()))),
        Arc::new(StringArray::from_iter_values(rejects.iter().map(|reject| &reject.reason))),
        Arc::new(StringArray::from_iter(rejects.iter().map(|reject| reject.found.as_ref()))),
    ];
    Ok(RecordBatch::try_new(rejects_schema(), columns)?)
}

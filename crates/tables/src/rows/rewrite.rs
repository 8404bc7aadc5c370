//! Items taken for one another.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use hashbrown::HashMap;

use crate::error::{Error, Result};

/// Which item another one is taken for. An item that is not in it stays itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ItemMap {
    #[default]
    Identity,
    Integer(HashMap<i64, i64>),
    Text(HashMap<String, String>),
}

impl ItemMap {
    /// From two columns of one type, without nulls: the item, and what it is taken for.
    ///
    /// # Errors
    /// The columns differ in type, or hold neither whole numbers nor text.
    pub fn from_columns(items: &ArrayRef, canonical: &ArrayRef) -> Result<Self> {
        match (items.data_type(), canonical.data_type()) {
            (DataType::Int64, DataType::Int64) => {
                let (from, to) = (items.as_primitive::<Int64Type>(), canonical.as_primitive::<Int64Type>());
                Ok(Self::Integer(from.values().iter().copied().zip(to.values().iter().copied()).collect()))
            }
            (DataType::Utf8, DataType::Utf8) => {
                let (from, to) = (items.as_string::<i32>(), canonical.as_string::<i32>());
                Ok(Self::Text(
                    (0..from.len()).map(|i| (from.value(i).to_owned(), to.value(i).to_owned())).collect(),
                ))
            }
            (found, other) => Err(Error::ColumnType {
                place: "canonical".to_owned(),
                column: "item".to_owned(),
                found: format!("{found} beside {other}"),
                wanted: "two columns of whole numbers or of text".to_owned(),
                remedy: "give both tables the same type of item ids".to_owned(),
            }),
        }
    }

    /// The batch with its column `item` rewritten.
    ///
    /// # Errors
    /// The ids are of another type than the map's.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        if *self == Self::Identity {
            return Ok(batch.clone());
        }
        let at = batch.schema_ref().index_of("item")?;
        let mut columns = batch.columns().to_vec();
        columns[at] = self.rewrite(&columns[at])?;
        Ok(RecordBatch::try_new(batch.schema(), columns)?)
    }

    fn rewrite(&self, items: &ArrayRef) -> Result<ArrayRef> {
        match (self, items.data_type()) {
            (Self::Integer(map), DataType::Int64) => {
                let ids = items.as_primitive::<Int64Type>();
                Ok(
                    Arc::new(
                        ids.unary::<_, Int64Type>(|id| map.get(&id).copied().unwrap_or(id)) as Int64Array
                    ),
                )
            }
            (Self::Text(map), DataType::Utf8) => {
                let ids = items.as_string::<i32>();
                Ok(Arc::new(StringArray::from_iter(
                    ids.iter().map(|id| id.map(|id| map.get(id).map_or(id, String::as_str))),
                )))
            }
            (_, found) => Err(Error::ColumnType {
                place: "the interactions".to_owned(),
                column: "item".to_owned(),
                found: found.to_string(),
                wanted: "the type that the catalogue's items have".to_owned(),
                remedy: "map both with the same `type:` where they are extracted".to_owned(),
            }),
        }
    }
}

//! Attributes of the scored users.

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use noctule_spec::kinds::evaluate::Slices;
use noctule_tables::rows::{IdColumn, id_kind};

use super::EvaluateError;
use crate::attempt::Attempt;
use crate::error::StepError;
use crate::model::Ids;

/// One attribute: a value, or none, per scored user.
pub(super) struct SliceColumn {
    pub name: String,
    pub values: Vec<Option<String>>,
}

impl SliceColumn {
    /// Reads the asked columns of the users table, as text.
    ///
    /// # Errors
    /// A column that is missing, or a user with two rows that disagree.
    pub async fn read_all(
        attempt: &Attempt,
        slices: &Slices,
        users: &Ids,
    ) -> Result<Vec<SliceColumn>, StepError> {
        let table = attempt.table(&slices.users.to_string()).await?;
        let kind = id_kind(&table, "user")?;
        let mut columns = vec!["user"];
        columns.extend(slices.columns.iter().map(String::as_str));
        let mut found: Vec<SliceColumn> = (slices.columns.iter())
            .map(|name| SliceColumn { name: name.clone(), values: vec![None; users.len()] })
            .collect();
        let index = users.index();
        let mut met = vec![false; users.len()];
        for batch in table.scan(&columns, attempt.launch.resources.threads as usize)? {
            let batch = batch?;
            let mut ids = Ids::none(kind);
            ids.extend(IdColumn::of(table.name(), "user", batch.column(0))?);
            let texts = batch.columns()[1..].iter().map(|array| cast(array, &DataType::Utf8));
            let texts = texts.collect::<Result<Vec<_>, _>>().map_err(EvaluateError::from)?;
            for (row, place) in index.find(&ids).into_iter().enumerate() {
                let Some(place) = place.map(|place| place as usize) else { continue };
                for (column, text) in found.iter_mut().zip(&texts) {
                    let text = text.as_string::<i32>();
                    let value = text.is_valid(row).then(|| text.value(row).to_owned());
                    if met[place] && column.values[place] != value {
                        return Err(EvaluateError::AmbiguousSlice {
                            table: table.name().to_owned(),
                            user: users.text(place),
                            column: column.name.clone(),
                        }
                        .into());
                    }
                    column.values[place] = value;
                }
                met[place] = true;
            }
        }
        Ok(found)
    }

    /// The values that occur, in order.
    pub fn distinct(&self) -> Vec<String> {
        let mut values: Vec<String> = self.values.iter().flatten().cloned().collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

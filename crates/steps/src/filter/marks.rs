//! Rules on a row's own numbers, looked at while the table is read for the first time.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use noctule_spec::kinds::filter::{Bounds, Settings};
use noctule_tables::Table;
use noctule_tables::rows::Keep;

use super::FilterError;
use crate::error::StepError;

/// The rows that a bound on one column wants to drop.
pub(super) struct Mark {
    column: String,
    bounds: Bounds,
    /// Rows whose value is outside the bounds, or that have none.
    pub outside: Keep,
}

/// All bounds on columns of the interactions.
pub(super) struct Marks {
    pub ranges: Vec<Mark>,
    /// The harm score, when it is a column of the interactions and not of a catalogue.
    pub harm: Option<Mark>,
}

impl Marks {
    pub fn new(table: &Table, settings: &Settings, harm_in_rows: bool) -> Result<Self, StepError> {
        let mark = |column: &str, bounds: &Bounds| -> Result<Mark, StepError> {
            check_number(table, column)?;
            Ok(Mark { column: column.to_owned(), bounds: bounds.clone(), outside: Keep::none(table.rows()) })
        };
        let ranges =
            settings.ranges.iter().map(|(column, bounds)| mark(column, bounds)).collect::<Result<_, _>>()?;
        let harm = settings.harm.as_ref().filter(|_| harm_in_rows);
        let harm =
            harm.map(|harm| mark(&harm.column, &Bounds { min: None, max: Some(harm.max) })).transpose()?;
        Ok(Self { ranges, harm })
    }

    pub fn columns(&self) -> Vec<String> {
        self.ranges.iter().chain(&self.harm).map(|mark| mark.column.clone()).collect()
    }

    /// Takes note of a batch whose last columns are [`columns`](Self::columns), in their order.
    pub fn look_at(&mut self, first: u64, batch: &RecordBatch) {
        let own = self.ranges.len() + usize::from(self.harm.is_some());
        let columns = &batch.columns()[batch.num_columns() - own..];
        for (mark, column) in self.ranges.iter_mut().chain(&mut self.harm).zip(columns) {
            mark.look_at(first, column);
        }
    }
}

impl Mark {
    fn look_at(&mut self, first: u64, column: &ArrayRef) {
        let inside = |value: f64| {
            self.bounds.min.is_none_or(|min| value >= min) && self.bounds.max.is_none_or(|max| value <= max)
        };
        for row in 0..column.len() {
            let value = match column.data_type() {
                DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
                _ => column.as_primitive::<Float64Type>().value(row),
            };
            if column.is_null(row) || !inside(value) {
                self.outside.add_row(first + row as u64);
            }
        }
    }
}

pub(super) fn check_number(table: &Table, column: &str) -> Result<(), StepError> {
    match table.column_type(column)? {
        DataType::Int64 | DataType::Float64 => Ok(()),
        other => Err(FilterError::NotANumber {
            table: table.name().to_owned(),
            column: column.to_owned(),
            found: other.to_string(),
        }
        .into()),
    }
}

//! A table of interactions in memory, as trainers and rankings read it: indices for ids, ids in ascending order.

use arrow::array::{Array, AsArray, PrimitiveArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use jiff::Timestamp;
use noctule_tables::rows::{Dictionary, IdColumn, id_kind};
use noctule_tables::{Budget, Table, normal};

use crate::error::{Class, Classed, StepError};
use crate::model::Ids;

/// The rows of a table with the columns `user` and `item`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InteractionTable {
    pub users: Ids,
    pub items: Ids,
    /// For each row the position of its user in `users`, and of its item in `items`.
    pub user_of: Vec<u32>,
    pub item_of: Vec<u32>,
    pub weights: Option<Vec<f32>>,
    /// The earliest and the latest time, when the table has a column `time`.
    pub span: Option<(Timestamp, Timestamp)>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum InteractionError {
    #[error("`{table}` has no rows: there is nothing to {purpose}")]
    Empty { table: String, purpose: &'static str },
    #[error(
        "the weight column `{column}` of `{table}` holds {value} in row {row}; a weight is a finite number, 0 or greater"
    )]
    BadWeight { table: String, column: String, row: usize, value: String },
    #[error("the column `{column}` of `{table}` has type {found}, and a number is needed")]
    NotANumber { table: String, column: String, found: String },
    #[error("the time {microseconds} in `{table}` is beyond the years that can be written")]
    FarTime { table: String, microseconds: i64 },
}

impl Classed for InteractionError {
    fn class(&self) -> Class {
        Class::Data
    }
}

impl InteractionTable {
    /// Bytes of memory that so many rows take, beside their ids.
    pub fn bytes(rows: u64, weighted: bool) -> u64 {
        rows * if weighted { 12 } else { 8 }
    }

    /// Reads `user`, `item`, the `weight` column when asked for, and the span of `time` when there is one.
    ///
    /// # Errors
    /// No rows, a column that is missing or of the wrong type, a null id, a weight that is negative or not finite.
    pub fn read(
        table: &Table,
        weight: Option<&str>,
        purpose: &'static str,
        budget: &Budget,
    ) -> Result<Self, StepError> {
        if table.rows() == 0 {
            return Err(InteractionError::Empty { table: table.name().to_owned(), purpose }.into());
        }
        let mut users = Dictionary::new(id_kind(table, "user")?, "users", budget);
        let mut items = Dictionary::new(id_kind(table, "item")?, "items", budget);
        let mut columns = vec!["user", "item"];
        columns.extend(weight);
        let timed = table.has_column("time") && *table.column_type("time")? == normal::time_type();
        if timed {
            columns.push("time");
        }
        let (mut user_of, mut item_of) = (Vec::new(), Vec::new());
        let mut weights = weight.map(|_| Vec::new());
        let mut span = None;
        for batch in table.scan(&columns, budget.threads())? {
            let batch = batch?;
            users.encode(IdColumn::of(table.name(), "user", batch.column(0))?, &mut user_of)?;
            items.encode(IdColumn::of(table.name(), "item", batch.column(1))?, &mut item_of)?;
            if let (Some(weights), Some(column)) = (&mut weights, weight) {
                read_weights(table.name(), column, batch.column(2), weights)?;
            }
            if timed {
                widen(&mut span, &batch);
            }
        }
        let time = |microseconds| {
            Timestamp::from_microsecond(microseconds)
                .map_err(|_| InteractionError::FarTime { table: table.name().to_owned(), microseconds })
        };
        let span =
            span.map(|(first, last)| Ok::<_, InteractionError>((time(first)?, time(last)?))).transpose()?;
        let (users, user_ranks) = Ids::sorted(&users);
        let (items, item_ranks) = Ids::sorted(&items);
        for (codes, ranks) in [(&mut user_of, user_ranks), (&mut item_of, item_ranks)] {
            codes.iter_mut().for_each(|code| *code = ranks[*code as usize]);
        }
        Ok(Self { users, items, user_of, item_of, weights, span })
    }

    pub fn rows(&self) -> usize {
        self.user_of.len()
    }

    /// The latest time.
    pub fn until(&self) -> Option<Timestamp> {
        self.span.map(|(_, last)| last)
    }
}

fn widen(span: &mut Option<(i64, i64)>, batch: &RecordBatch) {
    let times = batch.column(batch.num_columns() - 1).as_primitive::<TimestampMicrosecondType>();
    if let (Some(first), Some(last)) = (arrow::compute::min(times), arrow::compute::max(times)) {
        *span = Some(span.map_or((first, last), |(a, b)| (a.min(first), b.max(last))));
    }
}

fn read_weights(
    table: &str,
    column: &str,
    array: &arrow::array::ArrayRef,
    weights: &mut Vec<f32>,
) -> Result<(), InteractionError> {
    let numbers: PrimitiveArray<Float64Type> = match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().clone(),
        DataType::Int64 => array.as_primitive::<Int64Type>().unary(|number| number as f64),
        other => {
            return Err(InteractionError::NotANumber {
                table: table.to_owned(),
                column: column.to_owned(),
                found: other.to_string(),
            });
        }
    };
    for row in 0..numbers.len() {
        let weight = numbers.value(row) as f32;
        if numbers.is_null(row) || !weight.is_finite() || weight < 0.0 {
            let value =
                if numbers.is_null(row) { "no value".to_owned() } else { numbers.value(row).to_string() };
            let (table, column) = (table.to_owned(), column.to_owned());
            return Err(InteractionError::BadWeight { table, column, row: weights.len(), value });
        }
        weights.push(weight);
    }
    Ok(())
}

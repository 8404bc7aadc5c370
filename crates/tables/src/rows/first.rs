//! When a pair of user and item was first seen.
//!
//! One row that stands for all of a pair's tells the latest time, and to tell what was known on an earlier day the
//! earliest is needed, too: the column [`FIRST_TIME`] beside `time`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;

use crate::budget::Budget;
use crate::error::Result;
use crate::rows::coded::{check_time_column, times};
use crate::rows::log::{Log, LogReader, Record};
use crate::table::Table;

/// The column with the time of the earliest row of a pair.
pub const FIRST_TIME: &str = "first_time";

/// Whether a table tells when its pairs were first seen.
///
/// # Errors
/// Its column of that name holds no times.
pub fn tells_first_time(table: &Table) -> Result<bool> {
    let told = table.has_column(FIRST_TIME);
    if told {
        check_time_column(table, FIRST_TIME)?;
    }
    Ok(told)
}

/// When the pair of each row of a batch was first seen, in microseconds; a row that does not tell counts as the first.
///
/// # Errors
/// A row has no `time`.
pub fn first_times(place: &str, batch: &RecordBatch) -> Result<Vec<i64>> {
    let own = times(place, batch)?;
    let Some(told) = batch.column_by_name(FIRST_TIME) else { return Ok(own.to_vec()) };
    let told = told.as_primitive::<TimestampMicrosecondType>();
    let first = |(row, own): (usize, &i64)| if told.is_null(row) { *own } else { told.value(row).min(*own) };
    Ok(own.iter().enumerate().map(first).collect())
}

/// Times as a column.
pub fn time_column(times: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
}

/// What a row says of its pair's first time beside its own: nothing where the table has no such column.
pub(super) trait Told: Record {
    fn new(first: i64) -> Self;
    fn first(self, own: i64) -> i64;
}

impl Told for () {
    fn new(_: i64) -> Self {}

    fn first(self, own: i64) -> i64 {
        own
    }
}

impl Told for i64 {
    fn new(first: i64) -> Self {
        first
    }

    fn first(self, _: i64) -> i64 {
        self
    }
}

/// A row and a number that belongs to it.
#[derive(Clone, Copy)]
pub(super) struct OfRow<T> {
    pub row: u64,
    pub value: T,
}

impl<T: Record> Record for OfRow<T> {
    const BYTES: usize = 8 + T::BYTES;

    fn put(self, out: &mut Vec<u8>) {
        self.row.put(out);
        self.value.put(out);
    }

    fn get(bytes: &[u8]) -> Self {
        Self { row: u64::get(bytes), value: T::get(&bytes[8..]) }
    }
}

/// The first times of the rows that stay, where they are earlier than the rows say themselves; in the order of rows.
pub(super) struct FirstTimes(Log<OfRow<i64>>);

impl FirstTimes {
    pub fn new(budget: &Budget) -> Self {
        Self(Log::new(budget))
    }

    pub fn extend(&mut self, rows: &[OfRow<i64>]) -> Result<()> {
        self.0.extend(rows)
    }

    pub fn reader(&self) -> FirstTimesReader<'_> {
        FirstTimesReader { log: LogReader::new(&self.0), next: None }
    }
}

/// Goes through the first times as the rows go by.
pub(super) struct FirstTimesReader<'a> {
    log: LogReader<'a, OfRow<i64>>,
    next: Option<OfRow<i64>>,
}

impl FirstTimesReader<'_> {
    /// When the pair of each row of a batch was first seen; `start` is the number of the batch's first row, and rows
    /// that go do not matter.
    pub fn of_batch(&mut self, place: &str, start: u64, batch: &RecordBatch) -> Result<ArrayRef> {
        let mut first = first_times(place, batch)?;
        let end = start + first.len() as u64;
        loop {
            if self.next.is_none() {
                self.next = self.log.take_one()?;
            }
            let Some(earlier) = self.next.take_if(|earlier| earlier.row < end) else { break };
            first[(earlier.row - start) as usize] = earlier.value;
        }
        Ok(time_column(first))
    }
}

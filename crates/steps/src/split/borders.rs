//! Pairs that were seen before a split by time and again after it.
//!
//! A row that stands for all of a pair's tells its latest time. Going by that alone, what a user watches again on the
//! test day would be missing from tonight's training rows, while last night's model has learnt it: an advantage that
//! says nothing about the model. So a pair lies where it was first seen, and each side tells what was known when it
//! ended.

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use noctule_spec::kinds::split::{By, Settings};
use noctule_spec::units::Cut as Amount;
use noctule_tables::Table;
use noctule_tables::rows::{Coded, Cut, Keep, first_times, tells_first_time, time_column, time_span};

use crate::error::StepError;

/// Where the sides of a split by time meet, in microseconds, and how many pairs were seen on both sides of a border.
#[derive(Debug, Default)]
pub(super) struct Borders {
    /// Whether the rows tell when their pairs were first seen.
    pub by_pair: bool,
    /// Where validation begins, and test, and where the interval ends, when the settings have it.
    pub validation: Option<i64>,
    pub test: Option<i64>,
    pub end: Option<i64>,
    /// Pairs that were seen before the test rows, and again among them; likewise for validation.
    pub repeated_in_test: u64,
    pub repeated_in_validation: u64,
}

impl Borders {
    /// No borders yet but the end of the interval, when the test rows are a span before it.
    pub fn new(table: &Table, settings: &Settings, end: jiff::Timestamp) -> Result<Self, StepError> {
        let end = matches!(settings.test, Amount::Span(_)).then(|| end.as_microsecond());
        let by_pair = settings.by == By::Time && tells_first_time(table)?;
        Ok(Self { by_pair, end, ..Self::default() })
    }

    /// Where the rows begin that a cut has taken.
    pub fn begin(cut: Cut, coded: &Coded, taken: &Keep) -> Result<Option<i64>, StepError> {
        Ok(match cut {
            Cut::TimeFrom(start) => Some(start),
            Cut::TimeShare(_) => time_span(coded, taken)?.map(|(first, _)| first),
            _ => None,
        })
    }

    /// The batch as the side `name` has it: a pair that was seen again after the side's end has the time at which it
    /// was first seen.
    pub fn as_of_end(
        &mut self,
        name: &str,
        table: &Table,
        keep: &Keep,
        start: u64,
        batch: &RecordBatch,
    ) -> Result<RecordBatch, StepError> {
        if !self.by_pair {
            return Ok(batch.clone());
        }
        let end = match name {
            "train" => self.validation.or(self.test),
            "validation" => self.test,
            _ => self.end,
        };
        let first = first_times(table.name(), batch)?;
        let at = batch.schema_ref().index_of("time").map_err(noctule_tables::Error::from)?;
        let mut times = batch.column(at).as_primitive::<TimestampMicrosecondType>().values().to_vec();
        for (i, time) in times.iter_mut().enumerate() {
            if keep.has(start + i as u64) && end.is_some_and(|end| *time >= end) {
                self.count(name, *time);
                *time = first[i];
            }
        }
        Ok(with_time(batch, at, time_column(times))?)
    }

    fn count(&mut self, name: &str, time: i64) {
        match name {
            "test" => {}
            _ if self.test.is_some_and(|test| time >= test) => self.repeated_in_test += 1,
            _ => self.repeated_in_validation += 1,
        }
    }
}

fn with_time(batch: &RecordBatch, at: usize, times: ArrayRef) -> Result<RecordBatch, noctule_tables::Error> {
    let mut columns = batch.columns().to_vec();
    columns[at] = times;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

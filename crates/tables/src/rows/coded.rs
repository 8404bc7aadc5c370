//! A table's users, items and times as codes.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::normal::time_type;
use crate::rows::first::{FIRST_TIME, first_times, tells_first_time};
use crate::rows::ids::{Dictionary, IdColumn, id_kind};
use crate::rows::keep::Keep;
use crate::rows::log::{Log, LogReader};
use crate::table::Table;

/// The interactions of a table, a few bytes each, in the order of its rows.
pub struct Coded {
    pub users: Dictionary,
    pub items: Dictionary,
    pub(crate) user_codes: Log<u32>,
    pub(crate) item_codes: Log<u32>,
    /// Microseconds since 1970; empty when the table was read without its times.
    pub(crate) times: Log<i64>,
    rows: u64,
}

/// Which time of a row is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    None,
    /// Its `time`.
    Own,
    /// When its pair of user and item was first seen: [`FIRST_TIME`] where the table tells it, else `time`.
    First,
}

/// How much of a table is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub rows: u64,
    pub users: u64,
    pub items: u64,
}

impl Coded {
    /// Reads `user`, `item` and, when asked for, a time. `visit` sees each batch with the number of its first row: the
    /// columns read, then the `extra` ones.
    ///
    /// # Errors
    /// A column is missing or of the wrong type; an id or a time is null.
    pub fn read(
        table: &Table,
        which: Times,
        extra: &[&str],
        budget: &Budget,
        mut visit: impl FnMut(u64, &RecordBatch) -> Result<()>,
    ) -> Result<Self> {
        let mut coded = Self {
            users: Dictionary::new(id_kind(table, "user")?, "users", budget),
            items: Dictionary::new(id_kind(table, "item")?, "items", budget),
            user_codes: Log::new(budget),
            item_codes: Log::new(budget),
            times: Log::new(budget),
            rows: 0,
        };
        let mut columns = vec!["user", "item"];
        if which != Times::None {
            check_time(table)?;
            columns.push("time");
        }
        if which == Times::First && tells_first_time(table)? {
            columns.push(FIRST_TIME);
        }
        columns.extend(extra);
        for batch in table.scan(&columns, budget.threads())? {
            let batch = batch?;
            visit(coded.rows, &batch)?;
            coded.add(table.name(), &batch, which)?;
        }
        Ok(coded)
    }

    fn add(&mut self, place: &str, batch: &RecordBatch, which: Times) -> Result<()> {
        let mut codes = Vec::with_capacity(batch.num_rows());
        self.users.encode(IdColumn::of(place, "user", batch.column(0))?, &mut codes)?;
        self.user_codes.extend(&codes)?;
        codes.clear();
        self.items.encode(IdColumn::of(place, "item", batch.column(1))?, &mut codes)?;
        self.item_codes.extend(&codes)?;
        match which {
            Times::None => {}
            Times::Own => self.times.extend(times(place, batch)?)?,
            Times::First => self.times.extend(&first_times(place, batch)?)?,
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts what stays.
    pub fn counts(&self, keep: &Keep) -> Result<Counts> {
        let (mut users, mut items) = (vec![false; self.users.len()], vec![false; self.items.len()]);
        self.for_each_pair(keep, |_, user, item| {
            users[user as usize] = true;
            items[item as usize] = true;
        })?;
        let count = |flags: &[bool]| flags.iter().filter(|flag| **flag).count() as u64;
        Ok(Counts { rows: keep.count(), users: count(&users), items: count(&items) })
    }

    /// Calls `visit` with row, user and item of each row that stays.
    pub(crate) fn for_each_pair(&self, keep: &Keep, mut visit: impl FnMut(u64, u32, u32)) -> Result<()> {
        self.user_codes.zip(&self.item_codes, |first, users, items| {
            for (i, (user, item)) in users.iter().zip(items).enumerate() {
                let row = first + i as u64;
                if keep.has(row) {
                    visit(row, *user, *item);
                }
            }
            Ok(())
        })
    }

    /// Calls `visit` with row and time of each row that stays.
    pub(crate) fn for_each_time(&self, keep: &Keep, mut visit: impl FnMut(u64, i64)) -> Result<()> {
        self.times.for_each(|first, times| {
            for (i, time) in times.iter().enumerate() {
                let row = first + i as u64;
                if keep.has(row) {
                    visit(row, *time);
                }
            }
            Ok(())
        })
    }

    /// Calls `visit` with row, user, item and time of each row that stays.
    pub(crate) fn for_each_event(
        &self,
        keep: &Keep,
        mut visit: impl FnMut(u64, u32, u32, i64),
    ) -> Result<()> {
        let mut times = LogReader::new(&self.times);
        let mut of_slice = Vec::new();
        self.user_codes.zip(&self.item_codes, |first, users, items| {
            of_slice.clear();
            times.take(users.len(), &mut of_slice)?;
            for (i, ((user, item), time)) in users.iter().zip(items).zip(&of_slice).enumerate() {
                let row = first + i as u64;
                if keep.has(row) {
                    visit(row, *user, *item, *time);
                }
            }
            Ok(())
        })
    }

    /// Drops the rows whose time is outside `[start, end)`, in microseconds.
    pub fn keep_span(&self, keep: &mut Keep, start: i64, end: i64) -> Result<()> {
        self.times.for_each(|first, times| {
            for (i, time) in times.iter().enumerate() {
                if !(start..end).contains(time) {
                    keep.drop_row(first + i as u64);
                }
            }
            Ok(())
        })
    }

    /// Drops the rows of users that are not wanted, by code.
    pub fn keep_users(&self, keep: &mut Keep, wanted: &[bool]) -> Result<()> {
        keep_codes(&self.user_codes, keep, wanted)
    }

    /// Drops the rows of items that are not wanted, by code.
    pub fn keep_items(&self, keep: &mut Keep, wanted: &[bool]) -> Result<()> {
        keep_codes(&self.item_codes, keep, wanted)
    }
}

fn keep_codes(codes: &Log<u32>, keep: &mut Keep, wanted: &[bool]) -> Result<()> {
    codes.for_each(|first, codes| {
        for (i, code) in codes.iter().enumerate() {
            if !wanted[*code as usize] {
                keep.drop_row(first + i as u64);
            }
        }
        Ok(())
    })
}

/// Refuses a table without a column `time` of times.
pub(crate) fn check_time(table: &Table) -> Result<()> {
    check_time_column(table, "time")
}

pub(crate) fn check_time_column(table: &Table, column: &str) -> Result<()> {
    let found = table.column_type(column)?;
    if found == &time_type() {
        return Ok(());
    }
    Err(Error::ColumnType {
        place: table.name().to_owned(),
        column: column.to_owned(),
        found: found.to_string(),
        wanted: "a time".to_owned(),
        remedy: "map it with `type: timestamp` and a `unit` where it is extracted".to_owned(),
    })
}

/// The column `time` of a batch, none of them null.
pub(crate) fn times<'a>(place: &str, batch: &'a RecordBatch) -> Result<&'a [i64]> {
    let array = batch.column_by_name("time").expect("the scan asked for it");
    if array.null_count() > 0 {
        return Err(Error::Value {
            place: place.to_owned(),
            column: "time".to_owned(),
            cause: format!("{} of {} rows have no time", array.null_count(), array.len()),
            remedy: "drop such rows before",
        });
    }
    Ok(array.as_primitive::<TimestampMicrosecondType>().values())
}

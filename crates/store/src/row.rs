//! Columns of a row as the types they stand for. What does not read is a damaged database, by column and value.

use std::str::FromStr;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::error::StoreError;

/// A row and the database it came from.
pub(crate) struct Fields<'a> {
    row: &'a AnyRow,
    place: &'a str,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(row: &'a AnyRow, place: &'a str) -> Self {
        Self { row, place }
    }

    pub(crate) fn corrupt(&self, column: &str, what: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt { place: self.place.to_owned(), what: format!("column `{column}`: {what}") }
    }

    fn get<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: sqlx::Type<sqlx::Any> + sqlx::Decode<'a, sqlx::Any>,
    {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.get(column)
    }

    pub(crate) fn optional_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    pub(crate) fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError> {
        self.get(column)
    }

    pub(crate) fn integer(&self, column: &str) -> Result<i64, StoreError> {
        self.get(column)
    }

    pub(crate) fn optional_integer(&self, column: &str) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    /// A number that is never negative.
    pub(crate) fn count(&self, column: &str) -> Result<u64, StoreError> {
        let number = self.integer(column)?;
        u64::try_from(number).map_err(|_| self.corrupt(column, format_args!("{number} is negative")))
    }

    pub(crate) fn small(&self, column: &str) -> Result<u32, StoreError> {
        let number = self.integer(column)?;
        u32::try_from(number).map_err(|_| self.corrupt(column, format_args!("{number} is out of range")))
    }

    pub(crate) fn optional_small(&self, column: &str) -> Result<Option<u32>, StoreError> {
        match self.optional_integer(column)? {
            None => Ok(None),
            Some(_) => self.small(column).map(Some),
        }
    }

    pub(crate) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        Ok(self.integer(column)? != 0)
    }

    /// A text that is the written form of something else: an id, a digest, an exact instant.
    pub(crate) fn parsed<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        self.text(column)?.parse().map_err(|error: T::Err| self.corrupt(column, error))
    }

    pub(crate) fn optional_parsed<T>(&self, column: &str) -> Result<Option<T>, StoreError>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.optional_text(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| self.corrupt(column, error))).transpose()
    }

    pub(crate) fn instant(&self, column: &str) -> Result<Timestamp, StoreError> {
        // Not `from_microsecond`, which refuses the last second of time.
        let micros = self.integer(column)?;
        let (second, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        let nanos = i32::try_from(rest * 1000).expect("it is less than a second");
        Timestamp::new(second, nanos).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn optional_instant(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        match self.optional_integer(column)? {
            None => Ok(None),
            Some(_) => self.instant(column).map(Some),
        }
    }
}

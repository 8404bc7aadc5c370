//! Rows of users who are not to be read any more.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;

use crate::error::Result;

/// The column whose values are users.
const USER: &str = "user";

/// Users whose rows are left out, each as its source writes it; a number is known by its digits.
#[derive(Debug, Clone, Default)]
pub struct Erased(BTreeSet<String>);

impl Erased {
    pub fn new(users: BTreeSet<String>) -> Self {
        Self(users)
    }

    pub fn has(&self, user: &str) -> bool {
        self.0.contains(user)
    }

    /// Takes the rows of these users out of what is kept, and says how many they were. A table without a column of
    /// users has none.
    pub(crate) fn drop_rows(&self, columns: &[(String, ArrayRef)], keep: &mut [bool]) -> Result<u64> {
        let Some((_, users)) = columns.iter().find(|(name, _)| name == USER) else { return Ok(0) };
        let users = texts(users)?;
        let users = users.as_string::<i32>();
        let mut dropped = 0;
        for (row, keep) in keep.iter_mut().enumerate().filter(|(_, keep)| **keep) {
            if !users.is_null(row) && self.has(users.value(row)) {
                *keep = false;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// How many rows of a table's column of users are theirs.
    pub fn count(&self, users: &ArrayRef) -> Result<u64> {
        let users = texts(users)?;
        let found = users.as_string::<i32>().iter().flatten().filter(|user| self.has(user)).count();
        Ok(found as u64)
    }
}

fn texts(users: &ArrayRef) -> Result<ArrayRef> {
    match users.data_type() {
        DataType::Utf8 => Ok(users.clone()),
        _ => Ok(cast(users, &DataType::Utf8)?),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn numbers_and_texts_are_known_by_what_they_say() {
        let erased = Erased::new(["7".to_owned(), "ann".to_owned()].into());
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(70), None, Some(7)]));
        let mut keep = [true, true, true, false];
        let columns = vec![("user".to_owned(), numbers.clone())];
        assert_eq!(erased.drop_rows(&columns, &mut keep).unwrap(), 1);
        assert_eq!(keep, [false, true, true, false]);
        assert_eq!(erased.count(&numbers).unwrap(), 2);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["ann", "Ann", "7"]));
        assert_eq!(erased.count(&texts).unwrap(), 2);
        let mut keep = [true; 3];
        assert_eq!(erased.drop_rows(&[("item".to_owned(), texts)], &mut keep).unwrap(), 0);
    }
}

//! Users and items that a table or a list names.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use noctule_spec::kinds::filter::{Block, BlockList};
use noctule_tables::Table;
use noctule_tables::rows::{Dictionary, IdColumn, IdKind, id_kind};

use super::FilterError;
use super::marks::check_number;
use crate::attempt::Attempt;
use crate::error::StepError;

/// Users and items that are not wanted.
pub(super) struct Blocked {
    pub users: Option<List>,
    pub items: Option<List>,
}

/// Ids of one column.
pub(super) struct List {
    column: &'static str,
    ids: Ids,
}

enum Ids {
    Table(Table),
    Listed(Vec<String>),
}

impl Blocked {
    pub async fn load(attempt: &Attempt, block: Option<&Block>) -> Result<Self, StepError> {
        let (users, items) = block.map_or((None, None), |block| (block.users.as_ref(), block.items.as_ref()));
        Ok(Self {
            users: List::load(attempt, "user", users).await?,
            items: List::load(attempt, "item", items).await?,
        })
    }
}

impl List {
    async fn load(
        attempt: &Attempt,
        column: &'static str,
        list: Option<&BlockList>,
    ) -> Result<Option<Self>, StepError> {
        let ids = match list {
            None => return Ok(None),
            Some(BlockList::Listed(ids)) => Ids::Listed(ids.clone()),
            Some(BlockList::Table(reference)) => Ids::Table(attempt.table(&reference.to_string()).await?),
        };
        Ok(Some(Self { column, ids }))
    }

    /// For each code whether its id is not on the list.
    pub fn others(&self, dictionary: &Dictionary) -> Result<Vec<bool>, StepError> {
        let mut others = vec![true; dictionary.len()];
        match &self.ids {
            Ids::Table(table) => {
                for_each_code(table, self.column, dictionary, |code, _| {
                    if let Some(code) = code {
                        others[code as usize] = false;
                    }
                })?;
            }
            Ids::Listed(ids) => {
                let ids = self.typed(ids, dictionary.kind())?;
                for code in dictionary.lookup(IdColumn::of("block", self.column, &ids)?).into_iter().flatten()
                {
                    others[code as usize] = false;
                }
            }
        }
        Ok(others)
    }

    /// The listed texts as ids of the column's own type.
    fn typed(&self, ids: &[String], kind: IdKind) -> Result<ArrayRef, FilterError> {
        if kind == IdKind::Text {
            return Ok(Arc::new(StringArray::from_iter_values(ids)));
        }
        let number = |id: &String| {
            id.parse::<i64>().map_err(|_| FilterError::ForeignId { id: id.clone(), column: self.column })
        };
        Ok(Arc::new(Int64Array::from(ids.iter().map(number).collect::<Result<Vec<_>, _>>()?)))
    }
}

/// Calls `visit` with the code of each id of a table, if it has one, and the row's value of `extra`.
fn for_each_code_with(
    table: &Table,
    column: &'static str,
    extra: &[&str],
    dictionary: &Dictionary,
    mut visit: impl FnMut(Option<u32>, Option<f64>),
) -> Result<(), StepError> {
    if id_kind(table, column)? != dictionary.kind() {
        return Err(FilterError::OtherIds { table: table.name().to_owned(), column }.into());
    }
    let columns: Vec<&str> = std::iter::once(column).chain(extra.iter().copied()).collect();
    for batch in table.scan(&columns, 1)? {
        let batch = batch?;
        let codes = dictionary.lookup(IdColumn::of(table.name(), column, batch.column(0))?);
        for (row, code) in codes.into_iter().enumerate() {
            visit(code, batch.columns().get(1).and_then(|column| number(column, row)));
        }
    }
    Ok(())
}

fn for_each_code(
    table: &Table,
    column: &'static str,
    dictionary: &Dictionary,
    visit: impl FnMut(Option<u32>, Option<f64>),
) -> Result<(), StepError> {
    for_each_code_with(table, column, &[], dictionary, visit)
}

fn number(column: &ArrayRef, row: usize) -> Option<f64> {
    let value = match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row) as f64,
        _ => column.as_primitive::<Float64Type>().value(row),
    };
    (column.is_valid(row) && !value.is_nan()).then_some(value)
}

/// For each code whether the catalogue has the item.
pub(super) fn known(catalogue: &Table, items: &Dictionary) -> Result<Vec<bool>, StepError> {
    let mut known = vec![false; items.len()];
    for_each_code(catalogue, "item", items, |code, _| {
        if let Some(code) = code {
            known[code as usize] = true;
        }
    })?;
    Ok(known)
}

/// Which items are harmless, by code, and how many have no score to tell by.
pub(super) struct Judged {
    pub harmless: Vec<bool>,
    pub without_score: u64,
}

/// An item is harmless when every score that the catalogue has for it is at most `max`, and it has one.
pub(super) fn harmful(
    catalogue: &Table,
    column: &str,
    max: f64,
    items: &Dictionary,
) -> Result<Judged, StepError> {
    check_number(catalogue, column)?;
    let mut scores: Vec<Option<f64>> = vec![None; items.len()];
    let mut seen = vec![false; items.len()];
    for_each_code_with(catalogue, "item", &[column], items, |code, score| {
        let Some(code) = code.map(|code| code as usize) else { return };
        seen[code] = true;
        scores[code] = match (scores[code], score) {
            (Some(known), Some(score)) => Some(known.max(score)),
            (known, score) => known.or(score),
        };
    })?;
    let harmless = scores.iter().map(|score| score.is_some_and(|score| score <= max)).collect();
    let without_score =
        seen.iter().zip(&scores).filter(|(seen, score)| **seen && score.is_none()).count() as u64;
    Ok(Judged { harmless, without_score })
}

//! One bit for each row of a table: whether it stays.

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;

use crate::budget::Budget;
use crate::error::Result;
use crate::table::Table;
use crate::write::TableWriter;

/// Which rows of a table stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    words: Vec<u64>,
    rows: u64,
}

impl Keep {
    pub fn all(rows: u64) -> Self {
        Self { words: vec![u64::MAX; rows.div_ceil(64) as usize], rows }
    }

    pub fn none(rows: u64) -> Self {
        Self { words: vec![0; rows.div_ceil(64) as usize], rows }
    }

    #[inline]
    pub fn has(&self, row: u64) -> bool {
        self.words[(row / 64) as usize] >> (row % 64) & 1 == 1
    }

    #[inline]
    pub fn drop_row(&mut self, row: u64) {
        self.words[(row / 64) as usize] &= !(1 << (row % 64));
    }

    #[inline]
    pub fn add_row(&mut self, row: u64) {
        self.words[(row / 64) as usize] |= 1 << (row % 64);
    }

    /// Drops the rows that stay in `other`.
    pub fn drop_all(&mut self, other: &Keep) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// How many rows stay.
    pub fn count(&self) -> u64 {
        let full = (self.rows / 64) as usize;
        let whole: u64 = self.words[..full].iter().map(|word| u64::from(word.count_ones())).sum();
        let rest = self.rows % 64;
        whole + if rest == 0 { 0 } else { u64::from((self.words[full] & ((1 << rest) - 1)).count_ones()) }
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The bits of `count` rows from `first` on, as Arrow has them.
    pub fn mask(&self, first: u64, count: usize) -> BooleanArray {
        BooleanArray::new(BooleanBuffer::collect_bool(count, |i| self.has(first + i as u64)), None)
    }
}

/// Streams all columns of a table and writes the rows that stay.
pub fn write_kept(
    table: &Table,
    keep: &Keep,
    budget: &Budget,
    writer: &mut TableWriter,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let mut first = 0;
    for batch in table.scan_all(budget.threads())? {
        let batch = batch?;
        writer.write_where(&batch, &keep.mask(first, batch.num_rows()))?;
        first += batch.num_rows() as u64;
        progress(first);
    }
    Ok(())
}

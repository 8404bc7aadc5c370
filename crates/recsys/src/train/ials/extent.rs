//! What a training holds in memory, told by its sizes alone.

use super::gram;
use super::row::Scratch;
use super::side::ROWS_PER_TASK;
use crate::kernel::padded;

/// The sizes of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    pub users: u64,
    pub items: u64,
    pub pairs: u64,
    pub weighted: bool,
    /// 0 when the pairs are only counted.
    pub factors: u64,
    pub threads: u64,
}

/// Bytes of memory that a training holds at its height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrainMemory {
    /// Both factor tables.
    pub tables: u64,
    /// The larger of them once more, turned for the equations of the other side, with rows of whole vectors.
    pub turned: u64,
    /// The pairs by user and by item, with each row's penalty.
    pub pairs: u64,
    /// Gram matrices, and the equations that the threads are at.
    pub matrices: u64,
}

impl TrainMemory {
    #[must_use]
    pub fn total(self) -> u64 {
        self.tables + self.turned + self.pairs + self.matrices
    }
}

impl Extent {
    #[must_use]
    pub fn memory(&self) -> TrainMemory {
        let rows = self.users + self.items;
        let width = padded(self.factors as usize) as u64;
        let squared = self.factors * self.factors;
        let entry = if self.weighted { 8 } else { 4 };
        let task = || Scratch::bytes(width as usize) as u64 + 2 * 4 * ROWS_PER_TASK as u64 * width;
        // The segments' sums; the Gram matrices of both sides; eigenvectors, and the basis there and back.
        let matrices = || {
            8 * squared * (gram::segments(self.factors as usize) as u64 + 2 + 2)
                + 2 * 4 * width * width
                + self.threads.max(1) * task()
        };
        TrainMemory {
            tables: 4 * self.factors * rows,
            turned: 4 * width * self.users.max(self.items),
            pairs: 2 * entry * self.pairs + (8 + 8) * rows,
            matrices: if self.factors == 0 { 0 } else { matrices() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let extent =
            Extent { users: 1000, items: 300, pairs: 20_000, weighted: false, factors: 20, threads: 2 };
        let memory = extent.memory();
        assert_eq!(memory.tables, 4 * 20 * 1300);
        assert_eq!(memory.turned, 4 * 32 * 1000);
        assert_eq!(memory.pairs, 2 * 4 * 20_000 + 16 * 1300);
        let weighted = Extent { weighted: true, ..extent }.memory();
        assert_eq!(weighted.pairs - memory.pairs, 2 * 4 * 20_000);
        assert!(memory.matrices > 8 * 400 * 20, "{memory:?}");
        let counted = Extent { factors: 0, ..extent }.memory();
        assert_eq!(counted.total(), memory.pairs);
        assert_eq!(memory.total(), memory.tables + memory.turned + memory.pairs + memory.matrices);
    }
}

//! Records parted by a hash, so that records of one key lie in one bucket that fits into memory.

use crate::budget::Budget;
use crate::error::Result;
use crate::rows::log::{Extent, Record, SpillFile};

/// Records of a bucket that is worked on at ease, within a core's second-level cache.
const EASY: u64 = 1 << 13;
const MOST: u64 = 1 << 12;
/// Memory that is used without asking, so that a drained budget still gives runs of a useful length.
const FLOOR: u64 = 4 << 20;

/// Records in buckets by hash; a bucket's records are in the order they were added.
pub(crate) struct Buckets<T> {
    budget: Budget,
    buckets: Vec<Vec<T>>,
    extents: Vec<Vec<Extent>>,
    file: Option<SpillFile>,
    shift: u32,
    held: u64,
    taken: u64,
}

impl<T: Record> Buckets<T> {
    /// Buckets for about `expected` records.
    pub fn new(budget: &Budget, expected: u64) -> Self {
        let count = (expected / EASY).next_power_of_two().clamp(1, MOST);
        Self {
            budget: budget.clone(),
            buckets: (0..count).map(|_| Vec::new()).collect(),
            extents: vec![Vec::new(); count as usize],
            file: None,
            shift: 64 - count.trailing_zeros(),
            held: 0,
            taken: 0,
        }
    }

    /// Adds a record to the bucket that the hash's uppermost bits name.
    #[inline]
    pub fn add(&mut self, hash: u64, record: T) {
        // One bucket means a shift by all 64 bits, which the processor would take for none.
        let bucket = hash.checked_shr(self.shift).unwrap_or(0) as usize;
        self.buckets[bucket].push(record);
        self.held += 1;
    }

    /// Has to be called every few thousand records: moves them to disk when memory runs out.
    pub fn settle(&mut self) -> Result<()> {
        // Vectors grow by doubling: what they hold may be twice what they need.
        let bytes = 2 * self.held * size_of::<T>() as u64;
        if bytes > self.taken + FLOOR {
            let more = (bytes - self.taken).max(16 << 20);
            if self.budget.try_take(more) {
                self.taken += more;
            } else {
                self.spill()?;
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(SpillFile::create(&self.budget)?);
        }
        let file = self.file.as_mut().expect("it was just made");
        for (bucket, extents) in self.buckets.iter_mut().zip(&mut self.extents) {
            if !bucket.is_empty() {
                extents.push(file.append(bucket)?);
                *bucket = Vec::new();
            }
        }
        self.held = 0;
        Ok(())
    }

    /// Gives each bucket's records in turn; they are gone afterwards.
    pub fn drain(mut self, mut visit: impl FnMut(&mut Vec<T>) -> Result<()>) -> Result<()> {
        let buckets = std::mem::take(&mut self.buckets);
        for (bucket, extents) in buckets.into_iter().zip(&self.extents) {
            let mut records = Vec::new();
            for extent in extents {
                let file = self.file.as_ref().expect("an extent has a file");
                file.read(*extent, &mut records)?;
            }
            if records.is_empty() {
                records = bucket;
            } else {
                records.extend(bucket);
            }
            visit(&mut records)?;
        }
        Ok(())
    }
}

impl<T> Drop for Buckets<T> {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

/// Spreads the bits of a number over 64 bits (the finaliser of MurmurHash3, by Austin Appleby).
#[inline]
pub(crate) fn spread(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_keeps_the_order_whether_spilled_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let collect = |limit| {
            let budget = Budget::new(limit, 1, folder.path());
            let mut buckets = Buckets::<u64>::new(&budget, 3_000_000);
            for i in 0..3_000_000u64 {
                buckets.add(spread(i / 7), i);
                if i % 1000 == 0 {
                    buckets.settle().unwrap();
                }
            }
            let mut all = Vec::new();
            buckets
                .drain(|records| {
                    assert!(records.is_sorted());
                    all.append(records);
                    Ok(())
                })
                .unwrap();
            (all, budget.spilled())
        };
        let (spilled, bytes) = collect(0);
        let (held, none) = collect(1 << 30);
        assert!(bytes > 0 && none == 0);
        assert_eq!(spilled, held);
        assert_eq!(held.len(), 3_000_000);
    }
}

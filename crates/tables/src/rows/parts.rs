//! Rows set apart for training, test and validation, and whether they are apart.

use crate::budget::Budget;
use crate::error::Result;
use crate::rows::buckets::{Buckets, spread};
use crate::rows::coded::Coded;
use crate::rows::keep::Keep;
use crate::rows::log::Record;

/// Disjoint sets of the rows of one table.
#[derive(Debug, Clone)]
pub struct Parts {
    pub train: Keep,
    pub test: Keep,
    pub validation: Option<Keep>,
}

/// Rows that were dropped because the training rows lack their user or item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartsReport {
    pub unknown_user: u64,
    pub unknown_item: u64,
}

/// A pair of user and item that stands on two sides, and how many such pairs there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    pub pairs: u64,
    pub user: String,
    pub item: String,
}

/// A pair and the sides it was seen on, as bits.
#[derive(Clone, Copy)]
struct Sided {
    pair: u64,
    side: u8,
}

impl Record for Sided {
    const BYTES: usize = 9;

    fn put(self, out: &mut Vec<u8>) {
        self.pair.put(out);
        self.side.put(out);
    }

    fn get(bytes: &[u8]) -> Self {
        Self { pair: u64::get(bytes), side: u8::get(&bytes[8..]) }
    }
}

impl Parts {
    /// Takes `test`, then `validation`, out of `pool`; the rest is for training.
    pub fn new(pool: &Keep, test: Keep, validation: Option<Keep>) -> Self {
        let mut train = pool.clone();
        train.drop_all(&test);
        if let Some(validation) = &validation {
            train.drop_all(validation);
        }
        Self { train, test, validation }
    }

    /// Drops rows of users without a training row, when `users` says so, then rows of items without one; gives the
    /// counts for test and for validation.
    pub fn drop_unknown(&mut self, coded: &Coded, users: bool) -> Result<(PartsReport, PartsReport)> {
        let mut known_users = vec![!users; coded.users.len()];
        let mut known_items = vec![false; coded.items.len()];
        coded.for_each_pair(&self.train, |_, user, item| {
            known_users[user as usize] = true;
            known_items[item as usize] = true;
        })?;
        let drop_from = |keep: &mut Keep| -> Result<PartsReport> {
            let before = keep.count();
            coded.keep_users(keep, &known_users)?;
            let known = keep.count();
            coded.keep_items(keep, &known_items)?;
            Ok(PartsReport { unknown_user: before - known, unknown_item: known - keep.count() })
        };
        let test = drop_from(&mut self.test)?;
        let validation = self.validation.as_mut().map(drop_from).transpose()?.unwrap_or_default();
        Ok((test, validation))
    }

    /// Looks for a pair of user and item on more than one side.
    pub fn overlap(&self, coded: &Coded, budget: &Budget) -> Result<Option<Overlap>> {
        let rows = self.train.count() + self.test.count();
        let mut buckets = Buckets::<Sided>::new(budget, rows);
        coded.user_codes.zip(&coded.item_codes, |first, users, items| {
            for (i, (user, item)) in users.iter().zip(items).enumerate() {
                let side = self.side(first + i as u64);
                if side != 0 {
                    let pair = u64::from(*user) << 32 | u64::from(*item);
                    buckets.add(spread(pair), Sided { pair, side });
                }
            }
            buckets.settle()
        })?;
        let (mut pairs, mut example) = (0, None);
        buckets.drain(|bucket| {
            bucket.sort_unstable_by_key(|sided| sided.pair);
            for same in bucket.chunk_by(|a, b| a.pair == b.pair) {
                if same.iter().any(|sided| sided.side != same[0].side) {
                    pairs += 1;
                    example = example.min(Some(same[0].pair)).or(Some(same[0].pair));
                }
            }
            Ok(())
        })?;
        Ok(example.map(|pair| Overlap {
            pairs,
            user: coded.users.text((pair >> 32) as u32),
            item: coded.items.text(pair as u32),
        }))
    }

    fn side(&self, row: u64) -> u8 {
        let validation = self.validation.as_ref().is_some_and(|keep| keep.has(row));
        u8::from(self.train.has(row)) | u8::from(self.test.has(row)) << 1 | u8::from(validation) << 2
    }
}

/// The earliest and the latest time, in microseconds, among the rows that stay.
pub fn time_span(coded: &Coded, keep: &Keep) -> Result<Option<(i64, i64)>> {
    let mut span: Option<(i64, i64)> = None;
    coded.for_each_time(keep, |_, time| {
        span = Some(span.map_or((time, time), |(least, most)| (least.min(time), most.max(time))));
    })?;
    Ok(span)
}

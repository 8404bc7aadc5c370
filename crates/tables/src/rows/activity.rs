//! Distinct pairs of user and item, and what counts them: activity, support, k-core.

use crate::budget::Budget;
use crate::error::Result;
use crate::rows::buckets::{Buckets, spread};
use crate::rows::coded::Coded;
use crate::rows::keep::Keep;
use crate::rows::log::Log;

/// The distinct pairs of user and item among some rows.
pub struct PairList {
    /// User code in the upper half, item code in the lower.
    pairs: Log<u64>,
    users: usize,
    items: usize,
}

/// What a k-core keeps, by code, and how many rounds it took.
pub struct Core {
    pub users: Vec<bool>,
    pub items: Vec<bool>,
    pub rounds: u32,
}

impl PairList {
    /// The distinct pairs among the rows that stay; with a span, in microseconds, only among those inside it.
    pub fn distinct(coded: &Coded, keep: &Keep, span: Option<(i64, i64)>, budget: &Budget) -> Result<Self> {
        let narrowed = match span {
            Some((start, end)) => {
                let mut narrowed = keep.clone();
                coded.keep_span(&mut narrowed, start, end)?;
                narrowed
            }
            None => keep.clone(),
        };
        let mut buckets = Buckets::<u64>::new(budget, narrowed.count());
        coded.user_codes.zip(&coded.item_codes, |first, users, items| {
            for (i, (user, item)) in users.iter().zip(items).enumerate() {
                if narrowed.has(first + i as u64) {
                    let pair = u64::from(*user) << 32 | u64::from(*item);
                    buckets.add(spread(pair), pair);
                }
            }
            buckets.settle()
        })?;
        let mut pairs = Log::new(budget);
        buckets.drain(|bucket| {
            bucket.sort_unstable();
            bucket.dedup();
            pairs.extend(bucket)
        })?;
        Ok(Self { pairs, users: coded.users.len(), items: coded.items.len() })
    }

    /// Distinct items of each user, by code.
    pub fn items_per_user(&self) -> Result<Vec<u64>> {
        let mut counts = vec![0; self.users];
        self.for_each(|user, _| counts[user] += 1)?;
        Ok(counts)
    }

    /// Distinct users of each item, by code.
    pub fn users_per_item(&self) -> Result<Vec<u64>> {
        let mut counts = vec![0; self.items];
        self.for_each(|_, item| counts[item] += 1)?;
        Ok(counts)
    }

    /// The largest set of users and items in which each user has at least `min_items` of the items and each item at
    /// least `min_users` of the users. It is unique: dropping what fails, over and over, ends there in any order
    /// (Batagelj and Zaversnik 2003, on generalized cores).
    pub fn core(&self, min_items: u64, min_users: u64) -> Result<Core> {
        let mut core = Core { users: vec![true; self.users], items: vec![true; self.items], rounds: 0 };
        loop {
            let (mut of_user, mut of_item) = (vec![0u64; self.users], vec![0u64; self.items]);
            self.for_each(|user, item| {
                if core.users[user] && core.items[item] {
                    of_user[user] += 1;
                    of_item[item] += 1;
                }
            })?;
            core.rounds += 1;
            let users = drop_thin(&mut core.users, &of_user, min_items);
            let items = drop_thin(&mut core.items, &of_item, min_users);
            if !users && !items {
                return Ok(core);
            }
        }
    }

    fn for_each(&self, mut visit: impl FnMut(usize, usize)) -> Result<()> {
        self.pairs.for_each(|_, pairs| {
            for pair in pairs {
                visit((pair >> 32) as usize, (pair & u64::from(u32::MAX)) as usize);
            }
            Ok(())
        })
    }
}

/// Drops what has fewer than `least`; whether anything was dropped.
fn drop_thin(kept: &mut [bool], counts: &[u64], least: u64) -> bool {
    let mut dropped = false;
    for (kept, count) in kept.iter_mut().zip(counts) {
        if *kept && *count < least {
            *kept = false;
            dropped = true;
        }
    }
    dropped
}

//! Users that act faster than people do.

use hashbrown::HashMap;

use crate::budget::Budget;
use crate::error::Result;
use crate::rows::buckets::{Buckets, spread};
use crate::rows::coded::Coded;
use crate::rows::keep::Keep;
use crate::rows::log::Record;

const MINUTE: i64 = 60_000_000;

/// A user and a minute of the clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct UserMinute {
    user: u32,
    minute: i64,
}

impl Record for UserMinute {
    const BYTES: usize = 12;

    fn put(self, out: &mut Vec<u8>) {
        self.user.put(out);
        self.minute.put(out);
    }

    fn get(bytes: &[u8]) -> Self {
        Self { user: u32::get(bytes), minute: i64::get(&bytes[4..]) }
    }
}

impl Coded {
    /// Which users, by code, never have more than `most` rows in one minute of the clock (UTC).
    pub fn users_of_human_rate(&self, keep: &Keep, most: u64, budget: &Budget) -> Result<Vec<bool>> {
        let mut buckets = Buckets::<UserMinute>::new(budget, keep.count());
        self.user_codes.zip(&self.times, |first, users, times| {
            for (i, (user, time)) in users.iter().zip(times).enumerate() {
                if keep.has(first + i as u64) {
                    let record = UserMinute { user: *user, minute: time.div_euclid(MINUTE) };
                    buckets.add(spread(u64::from(record.user) << 32 ^ record.minute as u64), record);
                }
            }
            buckets.settle()
        })?;
        let mut human = vec![true; self.users.len()];
        let mut counts = HashMap::new();
        buckets.drain(|bucket| {
            counts.clear();
            for record in bucket.iter() {
                let count = counts.entry(*record).or_insert(0u64);
                *count += 1;
                if *count > most {
                    human[record.user as usize] = false;
                }
            }
            Ok(())
        })?;
        Ok(human)
    }
}

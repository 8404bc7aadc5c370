//! Which rows are the last, or drawn at random, whatever order they stand in.

use std::cmp::Ordering;

use noctule_artifacts::Digest;

use crate::budget::Budget;
use crate::error::Result;
use crate::rows::buckets::spread;
use crate::rows::coded::Coded;
use crate::rows::ids::Dictionary;
use crate::rows::keep::Keep;

/// Which of some rows are cut off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cut {
    /// Rows with a time at or after this one, in microseconds since 1970.
    TimeFrom(i64),
    /// The last floor(share * rows) rows in the order of (time, user, item).
    TimeShare(f64),
    /// Rows drawn by the pair of user and item: as many as floor(share * rows) allows, all rows of a pair together.
    PairShare { share: f64, seed: u64 },
    /// Of each user with at least two rows the last in the order of (time, item).
    LastOfUser,
    /// All rows of floor(share * users) users.
    UserShare { share: f64, seed: u64 },
}

/// Finds the rows of `pool` that a cut takes. Ids are ordered as numbers, or byte by byte when they are text, and the
/// order of the rows in the table never matters, but between rows that are equal in time, user and item.
pub fn cut(coded: &Coded, pool: &Keep, cut: Cut, budget: &Budget) -> Result<Keep> {
    match cut {
        Cut::TimeFrom(start) => {
            let mut taken = pool.clone();
            coded.keep_span(&mut taken, start, i64::MAX)?;
            Ok(taken)
        }
        Cut::TimeShare(share) => last_by_time(coded, pool, floor_share(pool.count(), share), budget),
        Cut::PairShare { share, seed } => drawn_pairs(coded, pool, floor_share(pool.count(), share), seed),
        Cut::LastOfUser => last_of_users(coded, pool),
        Cut::UserShare { share, seed } => drawn_users(coded, pool, share, seed),
    }
}

/// floor(share * count), as a person would compute it: 29 % of 100 is 29, though 0.29 in binary is a little less.
fn floor_share(count: u64, share: f64) -> u64 {
    let product = count as f64 * share;
    let nearest = product.round();
    if (product - nearest).abs() <= 1e-9 * nearest.max(1.0) { nearest as u64 } else { product.floor() as u64 }
}

fn last_by_time(coded: &Coded, pool: &Keep, count: u64, budget: &Budget) -> Result<Keep> {
    let mut taken = Keep::none(pool.rows());
    if count == 0 {
        return Ok(taken);
    }
    // Order-preserving: the sign bit flipped, numbers order as unsigned ones; inverted, the latest come first.
    let key = |time: i64| !((time as u64) ^ (1 << 63));
    let (border, before) = smallest(count, |visit| coded.for_each_time(pool, |_, time| visit(key(time))))?;
    let mut tied = Vec::new();
    coded.for_each_time(pool, |row, time| match key(time).cmp(&border) {
        Ordering::Less => taken.add_row(row),
        Ordering::Equal => tied.push(row),
        Ordering::Greater => {}
    })?;
    budget.take(tied.len() as u64 * 24, "ordering the rows that share the time at which the split cuts")?;
    add_last_of_tied(coded, &tied, count - before, &mut taken)?;
    budget.give_back(tied.len() as u64 * 24);
    Ok(taken)
}

/// Adds the last `count` rows of one time, by user and item.
fn add_last_of_tied(coded: &Coded, tied: &[u64], count: u64, taken: &mut Keep) -> Result<()> {
    let (users, items) = (coded.users.ranks(), coded.items.ranks());
    let mut among = Keep::none(taken.rows());
    tied.iter().for_each(|row| among.add_row(*row));
    let mut ordered = Vec::with_capacity(tied.len());
    coded.for_each_pair(&among, |row, user, item| {
        ordered.push((users[user as usize], items[item as usize], row));
    })?;
    ordered.sort_unstable();
    ordered.iter().rev().take(count as usize).for_each(|(_, _, row)| taken.add_row(*row));
    Ok(())
}

fn last_of_users(coded: &Coded, pool: &Keep) -> Result<Keep> {
    let items = coded.items.ranks();
    let mut last: Vec<Option<(i64, u32, u64)>> = vec![None; coded.users.len()];
    let mut several = vec![false; coded.users.len()];
    coded.for_each_event(pool, |row, user, item, time| {
        let (this, user) = ((time, items[item as usize], row), user as usize);
        several[user] |= last[user].is_some();
        if last[user].is_none_or(|best| this > best) {
            last[user] = Some(this);
        }
    })?;
    let mut taken = Keep::none(pool.rows());
    for (best, several) in last.iter().zip(&several) {
        if let (Some((_, _, row)), true) = (best, several) {
            taken.add_row(*row);
        }
    }
    Ok(taken)
}

fn drawn_pairs(coded: &Coded, pool: &Keep, count: u64, seed: u64) -> Result<Keep> {
    let mut taken = Keep::none(pool.rows());
    if count == 0 {
        return Ok(taken);
    }
    let (users, items) = (draws(&coded.users, "user", seed), draws(&coded.items, "item", seed));
    let key = |user: u32, item: u32| spread(users[user as usize] ^ items[item as usize].rotate_left(32));
    let mut visit_all =
        |visit: &mut dyn FnMut(u64)| coded.for_each_pair(pool, |_, user, item| visit(key(user, item)));
    let (border, before) = smallest(count, &mut visit_all)?;
    let mut at_border = 0;
    visit_all(&mut |value| at_border += u64::from(value == border))?;
    let whole = before + at_border <= count;
    coded.for_each_pair(pool, |row, user, item| {
        let key = key(user, item);
        if key < border || whole && key == border {
            taken.add_row(row);
        }
    })?;
    Ok(taken)
}

fn drawn_users(coded: &Coded, pool: &Keep, share: f64, seed: u64) -> Result<Keep> {
    let mut present = vec![false; coded.users.len()];
    coded.for_each_pair(pool, |_, user, _| present[user as usize] = true)?;
    let (draws, ranks) = (draws(&coded.users, "user", seed), coded.users.ranks());
    let mut order: Vec<(u64, u32, usize)> = (0..present.len())
        .filter(|user| present[*user])
        .map(|user| (draws[user], ranks[user], user))
        .collect();
    order.sort_unstable();
    let count = floor_share(order.len() as u64, share) as usize;
    let mut wanted = vec![false; present.len()];
    order[..count].iter().for_each(|(_, _, user)| wanted[*user] = true);
    let mut taken = pool.clone();
    coded.keep_users(&mut taken, &wanted)?;
    Ok(taken)
}

/// A number for each id that depends on the seed and the id alone: the first eight bytes of a SHA-256.
fn draws(ids: &Dictionary, what: &str, seed: u64) -> Vec<u64> {
    (0..ids.len() as u32)
        .map(|code| {
            let digest = Digest::of(format!("noctule split {seed} {what} {}", ids.text(code)).as_bytes());
            u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes"))
        })
        .collect()
}

/// The `count`-th smallest of many numbers, and how many are smaller: four passes over them, 16 bits at a time.
fn smallest(count: u64, mut visit_all: impl FnMut(&mut dyn FnMut(u64)) -> Result<()>) -> Result<(u64, u64)> {
    let (mut prefix, mut mask, mut before) = (0u64, 0u64, 0u64);
    for shift in [48, 32, 16, 0] {
        let mut histogram = vec![0u64; 1 << 16];
        visit_all(&mut |value| {
            if value & mask == prefix {
                histogram[(value >> shift & 0xffff) as usize] += 1;
            }
        })?;
        let digit = histogram
            .iter()
            .position(|in_digit| {
                let found = before + in_digit >= count;
                before += if found { 0 } else { *in_digit };
                found
            })
            .expect("there are at least `count` numbers") as u64;
        prefix |= digit << shift;
        mask |= 0xffff << shift;
    }
    Ok((prefix, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_floored_as_people_do() {
        for (count, share, wanted) in [
            (100, 0.29, 29),
            (575_281, 0.1, 57_528),
            (55_375, 0.1, 5_537),
            (10, 0.1, 1),
            (9, 0.1, 0),
            (3, 1.0, 3),
        ] {
            assert_eq!(floor_share(count, share), wanted, "{share} of {count}");
        }
    }

    #[test]
    fn the_nth_smallest_is_found_among_ties_and_extremes() {
        let values = [5, u64::MAX, 0, 5, 1 << 40, 5, 7];
        let mut sorted = values;
        sorted.sort_unstable();
        for count in 1..=values.len() {
            let (value, before) = smallest(count as u64, |visit| {
                values.iter().for_each(|value| visit(*value));
                Ok(())
            })
            .unwrap();
            assert_eq!(value, sorted[count - 1]);
            assert_eq!(before, sorted.iter().filter(|other| **other < value).count() as u64);
        }
    }
}

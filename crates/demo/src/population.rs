//! Who and what exists on which day: a window that slides over serial numbers.
//!
//! New members come every day and the oldest leave, so that any date, past or future, sees a
//! population of the same size. A serial number is the id: it rises with the day of birth,
//! and is negative before 1970.

use jiff::civil::Date;

/// Days since 1970-01-01.
pub(crate) type Day = i64;

pub(crate) const MICROS_PER_DAY: i64 = 86_400_000_000;

pub(crate) fn day_number(date: Date) -> Day {
    date.duration_since(jiff::civil::date(1970, 1, 1)).as_hours() / 24
}

/// Days that a member stays listed after it was last active, so that whatever the log of the
/// past two months mentions is still in today's snapshot.
const ARCHIVED_DAYS: Day = 60;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Population {
    size: u32,
    /// Days from birth until a member leaves the snapshot.
    lifetime: u32,
}

impl Population {
    pub fn new(size: u32, lifetime: u32) -> Population {
        Population { size, lifetime }
    }

    /// Serials listed in the snapshot taken at the end of `day`: exactly `size` of them.
    pub fn listed(&self, day: Day) -> std::ops::Range<i64> {
        let end = self.born_before(day + 1);
        end - i64::from(self.size)..end
    }

    /// Serials active on `day`: born before it, and not among the archived.
    pub fn active(&self, day: Day) -> std::ops::Range<i64> {
        let end = self.born_before(day);
        let start = self.born_before(day + ARCHIVED_DAYS + 1) - i64::from(self.size);
        start.min(end - 1)..end
    }

    /// The day on which `serial` was born.
    pub fn birthday(&self, serial: i64) -> Day {
        let size = i128::from(self.size);
        let first_day_after =
            ((i128::from(serial) + 1) * i128::from(self.lifetime) + size - 1).div_euclid(size);
        first_day_after as i64 - 1
    }

    fn born_before(&self, day: Day) -> i64 {
        (i128::from(day) * i128::from(self.size)).div_euclid(i128::from(self.lifetime)) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_count_from_1970() {
        let number = |y, m, d| day_number(jiff::civil::date(y, m, d));
        assert_eq!(number(1970, 1, 1), 0);
        assert_eq!(number(1969, 12, 31), -1);
        assert_eq!(number(2000, 3, 1), 11_017);
        assert_eq!(number(2026, 11, 3), 20_760);
    }

    proptest! {
        #[test]
        fn members_are_born_on_their_birthday(
            size in 20u32..2_000_000, lifetime in 61u32..3_000, day in -4_000_000i64..4_000_000,
        ) {
            let population = Population::new(size, lifetime);
            for serial in [population.listed(day).start, population.listed(day).end - 1] {
                let born = population.birthday(serial);
                prop_assert!(population.born_before(born) <= serial);
                prop_assert!(serial < population.born_before(born + 1));
            }
        }

        #[test]
        fn the_active_stay_listed_for_two_months(
            size in 50u32..2_000_000, lifetime in 100u32..3_000, day in -4_000_000i64..4_000_000,
        ) {
            let population = Population::new(size, lifetime);
            let active = population.active(day);
            prop_assert!(!active.is_empty());
            for later in [day, day + 30, day + ARCHIVED_DAYS] {
                let listed = population.listed(later);
                prop_assert!(listed.start <= active.start && active.end <= listed.end);
                prop_assert_eq!(listed.end - listed.start, i64::from(size));
            }
        }
    }
}

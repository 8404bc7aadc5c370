//! Who goes first where slots are scarce.

use std::cmp::{Ordering, Reverse};

use jiff::{SignedDuration, Timestamp};
use noctule_spec::Schedule;

/// What decides whose turn it is: the least of all claims goes first.
///
/// The higher priority goes first; of equal ones the nearer deadline, where none is the farthest; of equal ones the
/// one that has waited longer. Claims that are equal in all three are told apart by whoever keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub priority: i32,
    pub deadline: Option<Timestamp>,
    /// Since when it waits.
    pub since: Timestamp,
}

impl Claim {
    fn key(&self) -> (Reverse<i32>, bool, Option<Timestamp>, Timestamp) {
        (Reverse(self.priority), self.deadline.is_none(), self.deadline, self.since)
    }
}

impl Ord for Claim {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Claim {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// When a run of this occurrence is late; `None` when its schedule sets no deadline.
pub fn deadline(schedule: &Schedule, occurrence: Timestamp) -> Option<Timestamp> {
    let seconds = i64::try_from(schedule.deadline?.seconds()).unwrap_or(i64::MAX);
    Some(occurrence.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(priority: i32, deadline: Option<i64>, since: i64) -> Claim {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        Claim { priority, deadline: deadline.map(at), since: at(since) }
    }

    #[test]
    fn priority_then_deadline_then_age() {
        let falling = [
            claim(5, None, 900),
            claim(0, Some(50), 900),
            claim(0, Some(60), 100),
            claim(0, Some(60), 200),
            claim(0, None, 100),
            claim(0, None, 101),
            claim(-100, Some(0), 0),
        ];
        for (i, one) in falling.iter().enumerate() {
            for (j, other) in falling.iter().enumerate() {
                assert_eq!(one.cmp(other), i.cmp(&j), "{one:?} and {other:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn nobody_waits_for_ever_behind_equals(
            priority in -100i32..=100,
            deadline in prop::option::of(0i64..1_000),
            waits in 0i64..1_000,
            comes in 0i64..1_000,
        ) {
            let (old, new) = (claim(priority, deadline, waits), claim(priority, deadline, waits + comes + 1));
            prop_assert!(old < new);
        }
    }
}

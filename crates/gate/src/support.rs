//! How much data a confidence needs: below it, bounds do not hold what they promise.
//!
//! The floors come from the simulation behind `docs/gate-coverage.md`: from here up one-sided bounds cover the truth
//! within one percentage point of the confidence asked for, on all but its heaviest tail.

use crate::ratio::Ratio;

/// Users below which no confidence is given.
pub const USERS: usize = 400;

/// Users on whom the two models differ, below which no confidence is given.
pub const DIFFERING: usize = 50;

/// Users with a value above zero, below which their mean, and a ratio to it, is given no confidence.
pub const NONZERO: usize = 50;

/// What is missing, as a sentence without its full stop; `None` when nothing is.
///
/// Models that agree on every user need no users on whom they differ: that they agree is what was found.
pub fn missing(ratio: &Ratio, relative: bool) -> Option<String> {
    if ratio.users < USERS {
        return Some(format!("{} users are too few: bounds hold from {USERS} users up", ratio.users));
    }
    if !relative {
        return (ratio.candidate_nonzero < NONZERO).then(|| {
            format!(
                "only {} of {} users have a value above zero: bounds of a mean hold from {NONZERO} up",
                ratio.candidate_nonzero, ratio.users
            )
        });
    }
    if ratio.differing > 0 && ratio.differing < DIFFERING {
        return Some(format!(
            "the models differ on only {} of {} users: bounds hold from {DIFFERING} up",
            ratio.differing, ratio.users
        ));
    }
    if ratio.other_nonzero < NONZERO {
        return Some(format!(
            "the other model has a value above zero for only {} of {} users: a ratio to it holds from {NONZERO} up",
            ratio.other_nonzero, ratio.users
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(users: usize, differing: usize, nonzero: usize) -> Ratio {
        let y: Vec<f64> = (0..users).map(|i| if i < nonzero { 0.5 } else { 0.0 }).collect();
        let mut x = y.clone();
        for value in x.iter_mut().take(differing) {
            *value += 0.1;
        }
        Ratio::of(&x, &y).unwrap()
    }

    #[test]
    fn each_floor_is_named() {
        assert_eq!(missing(&ratio(400, 50, 50), true), None);
        assert!(missing(&ratio(399, 399, 399), true).unwrap().starts_with("399 users are too few"));
        assert!(missing(&ratio(400, 49, 400), true).unwrap().contains("differ on only 49 of 400"));
        assert!(missing(&ratio(400, 400, 49), true).unwrap().contains("for only 49 of 400"));
        assert_eq!(missing(&ratio(400, 0, 400), true), None);
        let mean = |hits: usize| Ratio::of_mean(&(0..400).map(|i| f64::from(i < hits)).collect::<Vec<_>>());
        assert!(missing(&mean(49).unwrap(), false).unwrap().contains("only 49 of 400 users have a value"));
        assert_eq!(missing(&mean(50).unwrap(), false), None);
    }
}

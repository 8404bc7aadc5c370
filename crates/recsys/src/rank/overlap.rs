//! How alike two lists are.

use crate::metrics::Cutoff;

/// The share of items that two lists have in common among their first `k`, by the longer of the
/// two: 1 for the same items in any order, NaN when both are empty.
///
/// RecTools calls it `Intersection`; a low overlap with the champion's lists is churn that users
/// will see. Lists hold each item once.
#[must_use]
pub fn overlap(left: &[u32], right: &[u32], k: Cutoff) -> f64 {
    let top = |list: &[u32]| {
        let mut top = list[..list.len().min(k.get() as usize)].to_vec();
        top.sort_unstable();
        top
    };
    let (left, right) = (top(left), top(right));
    let common = left.iter().filter(|item| right.binary_search(item).is_ok()).count();
    common as f64 / left.len().max(right.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let two = Cutoff::new(2).expect("not 0");
        assert_eq!(overlap(&[1, 2, 3], &[2, 1, 4], two), 1.0);
        assert_eq!(overlap(&[1, 2, 3], &[3, 1, 2], two), 0.5);
        assert_eq!(overlap(&[1, 2], &[1], two), 0.5);
        assert_eq!(overlap(&[1, 2], &[], two), 0.0);
        assert!(overlap(&[], &[], two).is_nan());
    }
}

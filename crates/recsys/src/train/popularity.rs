//! Popularity: the baseline that a model must beat, and the answer to a user whom it doesn't know.

use crate::interactions::Interactions;

/// How many interactions each item has, a pair given twice counting twice. Weights play no part.
#[must_use]
pub fn popularity(interactions: &Interactions) -> Vec<u64> {
    let mut counts = vec![0; interactions.n_items()];
    for user in 0..interactions.n_users() {
        for &item in interactions.items_of(user) {
            counts[item as usize] += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_counts_once_whatever_its_weight() {
        let pairs = Interactions::from_pairs(&[0, 0, 1, 1], &[2, 0, 2, 2], Some(&[9.0, 0.0, 1.0, 1.0]), 2, 4)
            .expect("valid");
        assert_eq!(popularity(&pairs), [1, 0, 3, 0]);
    }

    #[test]
    fn no_pairs_give_zeros() {
        assert_eq!(popularity(&Interactions::empty(3, 2)), [0, 0]);
    }
}

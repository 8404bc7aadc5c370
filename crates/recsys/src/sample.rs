//! Samples that do not depend on order, machine or version: a salted hash of the id decides.
//!
//! The hash of an id is the first eight bytes, read big-endian, of
//! `SHA-256(len(salt) as u64, little-endian || salt || id)`. It is stable for ever: a user in
//! tonight's sample is in tomorrow's, and any language with SHA-256 finds the same users.
//!
//! Ids are bytes. Write a text id as its UTF-8 and an integer id as its decimal text, so that an id
//! keeps its place when a source changes the type of the column.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// A hash of ids under one salt. Different salts give unrelated samples.
#[derive(Debug, Clone)]
pub struct SaltedHash {
    salted: Sha256,
}

impl SaltedHash {
    #[must_use]
    pub fn new(salt: &str) -> Self {
        let mut salted = Sha256::new();
        salted.update((salt.len() as u64).to_le_bytes());
        salted.update(salt.as_bytes());
        Self { salted }
    }

    #[must_use]
    pub fn of(&self, id: &[u8]) -> u64 {
        let mut hasher = self.salted.clone();
        hasher.update(id);
        let digest = hasher.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }

    /// The positions, ascending, of the `n` ids with the smallest hashes: a uniform sample without
    /// replacement that grows by adding when `n` grows. All of them when there are no more than `n`.
    ///
    /// Ids should differ; of ids with one hash the lesser in byte order is taken first.
    #[must_use]
    pub fn smallest<I: AsRef<[u8]>>(&self, ids: &[I], n: usize) -> Vec<usize> {
        let mut order: Vec<(u64, &[u8], usize)> = ids
            .iter()
            .enumerate()
            .map(|(position, id)| (self.of(id.as_ref()), id.as_ref(), position))
            .collect();
        if n < order.len() {
            order.select_nth_unstable(n);
            order.truncate(n);
        }
        let mut chosen: Vec<usize> = order.into_iter().map(|(_, _, position)| position).collect();
        chosen.sort_unstable();
        chosen
    }
}

/// A share of all ids, from 0 (none) to 1 (all).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

/// A share outside of `[0, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{0} is not a share; a share lies between 0 and 1")]
pub struct ShareError(f64);

impl Share {
    /// # Errors
    /// When `share` is NaN, below 0 or above 1.
    pub fn new(share: f64) -> Result<Self, ShareError> {
        if (0.0..=1.0).contains(&share) { Ok(Self(share)) } else { Err(ShareError(share)) }
    }

    /// Whether a hash falls into the share: `hash / 2^64 < share`. What is in a share is in every
    /// larger one too.
    #[must_use]
    pub fn takes(self, hash: u64) -> bool {
        const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
        // A product of 2^64 or more, which only a share of 1 reaches, does not fit: it takes all.
        let bound = self.0 * TWO_TO_64;
        bound >= TWO_TO_64 || hash < bound as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(n: usize) -> Vec<String> {
        (0..n).map(|id| id.to_string()).collect()
    }

    /// Computed with Python's hashlib; if these move, every sample ever taken moves.
    #[test]
    fn hashes_are_stable_for_ever() {
        let hash = SaltedHash::new("evaluate");
        assert_eq!(hash.of(b""), 0xc3f8edcb16fbe10c);
        assert_eq!(hash.of(b"42"), 0x8c1c68fce6801862);
        assert_eq!(SaltedHash::new("").of("Žofie".as_bytes()), 0xa9d789972b1012ab);
    }

    #[test]
    fn salt_and_id_do_not_run_into_each_other() {
        assert_ne!(SaltedHash::new("a").of(b"bc"), SaltedHash::new("ab").of(b"c"));
    }

    #[test]
    fn a_larger_sample_contains_the_smaller() {
        let hash = SaltedHash::new("users");
        let ids = ids(1000);
        let small = hash.smallest(&ids, 100);
        let large = hash.smallest(&ids, 300);
        assert_eq!((small.len(), large.len()), (100, 300));
        assert!(small.is_sorted() && small.iter().all(|position| large.contains(position)));
        assert_eq!(hash.smallest(&ids, 0), [0usize; 0]);
        assert_eq!(hash.smallest(&ids, 5000).len(), 1000);
    }

    #[test]
    fn a_share_takes_about_its_share() {
        let (hash, share) = (SaltedHash::new("split"), Share::new(0.25).expect("valid"));
        let taken = ids(20_000).iter().filter(|id| share.takes(hash.of(id.as_bytes()))).count();
        // Five standard deviations of the binomial.
        assert!((4_694..=5_306).contains(&taken), "{taken}");
    }

    #[test]
    fn the_ends_of_the_scale() {
        let (none, all) = (Share::new(0.0).expect("valid"), Share::new(1.0).expect("valid"));
        assert!(!none.takes(0) && !none.takes(u64::MAX));
        assert!(all.takes(0) && all.takes(u64::MAX));
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(Share::new(bad).is_err());
        }
    }

    proptest! {
        #[test]
        fn the_order_of_ids_does_not_matter(
            ids in prop::collection::hash_set(any::<u32>(), 0..50)
                .prop_map(|ids| ids.into_iter().map(|id| id.to_string()).collect::<Vec<_>>())
                .prop_flat_map(|ids| (Just(ids.clone()), Just(ids).prop_shuffle())),
            n in 0usize..60,
        ) {
            let hash = SaltedHash::new("salt");
            let pick = |ids: &[String]| {
                let mut chosen: Vec<String> =
                    hash.smallest(ids, n).into_iter().map(|at| ids[at].clone()).collect();
                chosen.sort();
                chosen
            };
            prop_assert_eq!(pick(&ids.0), pick(&ids.1));
        }
    }
}

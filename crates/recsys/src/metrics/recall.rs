//! Recall.

use super::Cutoff;

/// The share of the user's truth items that stand among the first `k`: `hits / |truth|`.
///
/// A user with more than `k` truth items cannot reach 1; the VAE papers' and irspack's variant,
/// which can, is [`recall_capped`](super::recall_capped).
///
/// NaN for a user without truth.
#[must_use]
pub fn recall(ranks: &[Option<u32>], k: Cutoff) -> f64 {
    // 0 / 0 is NaN.
    k.hits(ranks) as f64 / ranks.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let two = Cutoff::new(2).expect("not 0");
        assert_eq!(recall(&[Some(2), Some(3), Some(1), None], two), 0.5);
        assert_eq!(recall(&[Some(3)], two), 0.0);
        assert_eq!(recall(&[None], two), 0.0);
        assert!(recall(&[], two).is_nan());
    }
}

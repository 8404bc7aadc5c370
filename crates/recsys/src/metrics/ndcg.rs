//! Normalised discounted cumulative gain.

use super::Cutoff;

/// The discounted gain of the truth items among the first `k`, by the largest that is possible:
/// `sum over hits of 1/log2(rank + 1)` divided by `sum for r in 1..=min(k, |truth|) of
/// 1/log2(r + 1)`.
///
/// Gains are binary and the ideal is what `min(k, |truth|)` items can reach, as in trec_eval and in
/// Rendle et al. 2021. RecTools' default divides by the ideal of `k` items and is lower for users
/// with fewer; Elliot's `nDCG` has gains of `2^rating - 1`.
///
/// NaN for a user without truth.
#[must_use]
pub fn ndcg(ranks: &[Option<u32>], k: Cutoff) -> f64 {
    let gain = |rank: u32| 1.0 / (f64::from(rank) + 1.0).log2();
    let reached: f64 = ranks.iter().flatten().filter(|rank| **rank <= k.get()).map(|rank| gain(*rank)).sum();
    let attainable = u32::try_from(ranks.len()).map_or(k.get(), |truth| truth.min(k.get()));
    let ideal: f64 = (1..=attainable).map(gain).sum();
    // An empty sum of floats is -0.
    if ranks.is_empty() { f64::NAN } else { (reached + 0.0) / ideal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let at = |ranks: &[Option<u32>], k| ndcg(ranks, Cutoff::new(k).expect("not 0"));
        // 1/log2(2) = 1, 1/log2(3) = 0.63093, 1/log2(4) = 0.5.
        let two = [Some(1), Some(3)];
        assert!((at(&two, 3) - 1.5 / 1.630_929_753_571_457_4).abs() < 1e-15);
        assert_eq!(at(&two, 1), 1.0);
        assert_eq!(at(&[Some(3), None], 1), 0.0);
        assert!((at(&[Some(3)], 20) - 0.5).abs() < 1e-15);
        assert!((at(&[Some(2), Some(1)], 20) - 1.0).abs() < 1e-15);
        assert!(at(&[None], 20).is_sign_positive());
        assert!(at(&[], 20).is_nan());
    }
}

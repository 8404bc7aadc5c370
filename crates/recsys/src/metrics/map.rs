//! Mean average precision.

use super::Cutoff;

/// The average precision of one user, whose mean is MAP: over the hits among the first `k`, in
/// order, `sum of (hits up to this rank / rank)`, divided by `|truth|`.
///
/// By `|truth|` as in trec_eval, ranx and RecTools; implicit divides by `min(k, |truth|)`, Evidently
/// by the number of hits.
///
/// NaN for a user without truth.
#[must_use]
pub fn map(ranks: &[Option<u32>], k: Cutoff) -> f64 {
    let mut hits: Vec<u32> = ranks.iter().flatten().copied().filter(|rank| *rank <= k.get()).collect();
    hits.sort_unstable();
    let precisions: f64 = (1..).zip(&hits).map(|(found, rank)| f64::from(found) / f64::from(*rank)).sum();
    // An empty sum of floats is -0, and 0 / 0 is NaN.
    (precisions + 0.0) / ranks.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let at = |ranks: &[Option<u32>], k| map(ranks, Cutoff::new(k).expect("not 0"));
        // Hits at 1, 2 and 4: (1/1 + 2/2 + 3/4) / 4.
        let four = [Some(4), Some(1), None, Some(2)];
        assert!((at(&four, 10) - 2.75 / 4.0).abs() < 1e-15);
        assert!((at(&four, 3) - 2.0 / 4.0).abs() < 1e-15);
        assert_eq!(at(&[Some(2)], 1), 0.0);
        assert!(at(&[None], 3).is_sign_positive());
        assert!(at(&[], 3).is_nan());
    }
}

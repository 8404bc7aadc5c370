//! Mean reciprocal rank.

use super::Cutoff;

/// The reciprocal rank of one user, whose mean is MRR: `1 / rank` of the user's best-ranked truth
/// item, or 0 when none is among the first `k` (without `k`: when the model knows none of them).
///
/// As in trec_eval and ranx. NaN for a user without truth.
#[must_use]
pub fn mrr(ranks: &[Option<u32>], k: Option<Cutoff>) -> f64 {
    if ranks.is_empty() {
        return f64::NAN;
    }
    let deepest = k.map_or(u32::MAX, Cutoff::get);
    match ranks.iter().flatten().min() {
        Some(best) if *best <= deepest => 1.0 / f64::from(*best),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let three = Cutoff::new(3);
        assert_eq!(mrr(&[Some(8), Some(2), None], three), 0.5);
        assert_eq!(mrr(&[Some(8)], three), 0.0);
        assert_eq!(mrr(&[Some(8)], None), 0.125);
        assert_eq!(mrr(&[None], None), 0.0);
        assert!(mrr(&[], None).is_nan());
    }
}

//! Precision.

use super::Cutoff;

/// The share of the first `k` places that hold truth items: `hits / k`, as in trec_eval, also when
/// there are fewer than `k` candidates.
///
/// implicit's `precision` divides by `min(k, |truth|)` instead, which is a recall.
///
/// NaN for a user without truth.
#[must_use]
pub fn precision(ranks: &[Option<u32>], k: Cutoff) -> f64 {
    if ranks.is_empty() {
        return f64::NAN;
    }
    k.hits(ranks) as f64 / f64::from(k.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let five = Cutoff::new(5).expect("not 0");
        assert_eq!(precision(&[Some(2), Some(5), Some(6), None], five), 0.4);
        assert_eq!(precision(&[Some(1)], five), 0.2);
        assert_eq!(precision(&[None], five), 0.0);
        assert!(precision(&[], five).is_nan());
    }
}

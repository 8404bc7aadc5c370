//! Hit rate.

use super::Cutoff;

/// 1 when any truth item is among the first `k`, else 0; the mean is the hit rate.
///
/// NaN for a user without truth.
#[must_use]
pub fn hit(ranks: &[Option<u32>], k: Cutoff) -> f64 {
    if ranks.is_empty() {
        f64::NAN
    } else if k.hits(ranks) > 0 {
        1.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let ten = Cutoff::new(10).expect("not 0");
        assert_eq!(hit(&[Some(10), Some(3)], ten), 1.0);
        assert_eq!(hit(&[Some(11), None], ten), 0.0);
        assert!(hit(&[], ten).is_nan());
    }
}

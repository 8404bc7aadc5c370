//! Recall by what the list can hold.

use super::Cutoff;

/// `hits / min(k, |truth|)` among the first `k`: 1 when the list holds all that it can.
///
/// The recall of Liang et al. 2018 (Mult-VAE) and Rendle et al. 2021; irspack's
/// `recall_with_cutoff`. implicit sums both parts over users before dividing and calls it
/// `precision`; this is the mean of the users' own values.
///
/// NaN for a user without truth.
#[must_use]
pub fn recall_capped(ranks: &[Option<u32>], k: Cutoff) -> f64 {
    // 0 / 0 is NaN.
    k.hits(ranks) as f64 / ranks.len().min(k.get() as usize) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_by_hand() {
        let two = Cutoff::new(2).expect("not 0");
        assert_eq!(recall_capped(&[Some(2), Some(3), Some(1), None], two), 1.0);
        assert_eq!(recall_capped(&[Some(2), Some(7), None], two), 0.5);
        assert_eq!(recall_capped(&[Some(2)], two), 1.0);
        assert!(recall_capped(&[], two).is_nan());
    }
}

//! What the data can tell apart: margins, users needed, and how often an equal candidate passes.

use crate::normal;

/// The power that reports speak of.
pub const POWER: f64 = 0.8;

/// The smallest margin that is resolved with [`POWER`] at a one-sided confidence: `(z_c + z_0.8) · SE`.
pub fn resolvable(standard_error: f64, confidence: f64) -> Option<f64> {
    let margin = (normal::quantile(confidence) + normal::quantile(POWER)) * standard_error;
    margin.is_finite().then_some(margin)
}

/// Users that would resolve `margin`: `n (resolvable / margin)²`, since the error falls with the root of n.
///
/// `None` for a margin of nothing, which no number of users resolves, and for an unknown error.
pub fn users_needed(users: usize, standard_error: f64, confidence: f64, margin: f64) -> Option<u64> {
    let resolvable = resolvable(standard_error, confidence)?;
    let needed = (users as f64 * (resolvable / margin).powi(2)).ceil();
    // Past 2^53 a float no longer counts users.
    (margin > 0.0 && needed < 9e15).then(|| (needed as u64).max(1))
}

/// How often a candidate of equal quality passes a rule that allows `drop`: `Φ(drop / SE − z_c)`.
pub fn pass_if_equal(standard_error: f64, confidence: f64, drop: f64) -> Option<f64> {
    if standard_error == 0.0 {
        return Some(1.0);
    }
    let share = normal::distribution(drop / standard_error - normal::quantile(confidence));
    standard_error.is_finite().then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_design_figures_are_met() {
        // A 1 % margin at 95 %: an error of 0.4 % passes equal quality with 0.80, 0.6 % with 0.51, 1 % with 0.26.
        for (error, share) in [(0.002, 1.0), (0.004, 0.80), (0.006, 0.51), (0.01, 0.26)] {
            assert!((pass_if_equal(error, 0.95, 0.01).unwrap() - share).abs() < 0.005, "{error}");
        }
        assert_eq!(pass_if_equal(0.0, 0.95, 0.0), Some(1.0));
        assert_eq!(pass_if_equal(f64::INFINITY, 0.95, 0.01), None);
    }

    #[test]
    fn users_needed_is_the_resolvable_margin_turned_round() {
        let margin = resolvable(0.004, 0.95).unwrap();
        assert!((margin - 0.009_946).abs() < 1e-6);
        assert_eq!(users_needed(1000, 0.004, 0.95, margin), Some(1000));
        assert_eq!(users_needed(1000, 0.004, 0.95, margin / 2.0), Some(4000));
        assert_eq!(users_needed(1000, 0.004, 0.95, 0.0), None);
        assert_eq!(users_needed(1, f64::INFINITY, 0.95, 0.1), None);
    }
}

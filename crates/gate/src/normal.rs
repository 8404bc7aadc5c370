//! The standard normal distribution: density, distribution function, quantile.

use std::f64::consts::PI;

/// The density, `exp(-x²/2) / sqrt(2π)`.
pub fn density(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
}

/// The distribution function, to an absolute error below 1e-15.
///
/// The series `1/2 + φ(x) (x + x³/3 + x⁵/(3·5) + …)` of Marsaglia, "Evaluating the Normal Distribution", Journal of
/// Statistical Software 11(4), 2004. All terms have one sign, so nothing cancels.
pub fn distribution(x: f64) -> f64 {
    if x.is_nan() {
        return f64::NAN;
    }
    // Past here the tail is below 1e-18, and the series would need ever more terms.
    if x.abs() > 9.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    loop {
        odd += 2.0;
        term *= x * x / odd;
        let next = sum + term;
        if next == sum {
            return 0.5 + sum * density(x);
        }
        sum = next;
    }
}

/// The quantile: the `x` at which [`distribution`] reaches `p`; infinite at 0 and 1, NaN outside of `[0, 1]`.
///
/// Newton's method from 0. Right of 0 the distribution is concave, so every step stays left of the root and the
/// steps cannot run away; left of 0 the mirror image is solved.
pub fn quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p < 0.5 {
        return -quantile(1.0 - p);
    }
    if p == 1.0 {
        return f64::INFINITY;
    }
    let mut x = 0.0;
    for _ in 0..100 {
        let step = (p - distribution(x)) / density(x);
        x += step;
        if step.abs() <= 1e-15 * (1.0 + x) {
            break;
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabulated_values_are_met() {
        // Abramowitz and Stegun, table 26.1 (distribution) and 26.5 (quantiles).
        for (x, p) in [(0.0, 0.5), (1.0, 0.841_344_746_068_543), (2.0, 0.977_249_868_051_821)] {
            assert!((distribution(x) - p).abs() < 1e-15, "{x}");
            assert!((distribution(-x) - (1.0 - p)).abs() < 1e-15, "-{x}");
        }
        for (p, x) in [
            (0.5, 0.0),
            (0.8, 0.841_621_233_572_914),
            (0.95, 1.644_853_626_951_472),
            (0.99, 2.326_347_874_040_841),
        ] {
            assert!((quantile(p) - x).abs() < 1e-12, "{p}: {}", quantile(p));
            assert!((quantile(1.0 - p) + x).abs() < 1e-12, "1 - {p}");
        }
    }

    #[test]
    fn the_ends_are_named() {
        assert_eq!(quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(quantile(1.0), f64::INFINITY);
        assert!(quantile(1.5).is_nan() && quantile(f64::NAN).is_nan());
        assert_eq!(distribution(f64::INFINITY), 1.0);
        assert_eq!(distribution(f64::NEG_INFINITY), 0.0);
    }

    #[test]
    fn quantile_and_distribution_are_inverse() {
        for i in 1..1000 {
            let p = f64::from(i) / 1000.0;
            assert!((distribution(quantile(p)) - p).abs() < 1e-14, "{p}");
        }
    }
}

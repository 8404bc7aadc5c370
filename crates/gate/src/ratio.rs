//! The statistic of a rule: a ratio of two means over the same users, and its standard error.

/// Values of two models for the same users, in the same order.
///
/// The estimate is `mean(candidate) / mean(other)`. A rule about one model alone uses an `other` of ones, and the
/// estimate is the mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratio {
    pub users: usize,
    pub candidate_mean: f64,
    pub other_mean: f64,
    /// `candidate_mean / other_mean`.
    pub estimate: f64,
    /// Standard error of `estimate` by the delta method; see [`Ratio::of`].
    pub standard_error: f64,
    /// Sample skewness of the residuals; 0 when they do not vary.
    pub skewness: f64,
    /// Users on whom the two models differ.
    pub differing: usize,
    /// Users for whom the candidate's value is not zero.
    pub candidate_nonzero: usize,
    /// Users for whom the other model's value is not zero.
    pub other_nonzero: usize,
    pub(crate) residuals: Vec<Residual>,
}

/// One user's part in the ratio: how far the candidate is off `estimate × other`, and `other`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Residual {
    pub(crate) e: f64,
    pub(crate) y: f64,
}

/// Why two columns have no ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRatio {
    /// There is no user.
    Empty,
    /// A value is NaN or infinite.
    NotFinite,
    /// The other model's mean is zero, or below.
    OtherIsZero,
}

impl Ratio {
    /// The ratio of the means of two columns.
    ///
    /// With residuals `e = x − R·y` around the estimated ratio R, the standard error is
    /// `sqrt(Σ e² / (n − 1) / n) / mean(y)`: the delta method, which is the usual variance of a ratio estimator
    /// (Cochran, Sampling Techniques, third edition, formula 6.12). Infinite for one user, about whom nothing is known.
    ///
    /// # Panics
    /// When the columns differ in length: they must be of the same users.
    pub fn of(candidate: &[f64], other: &[f64]) -> Result<Self, NoRatio> {
        assert_eq!(candidate.len(), other.len(), "paired columns are of the same users");
        if candidate.is_empty() {
            return Err(NoRatio::Empty);
        }
        let candidate_mean = mean(candidate);
        let other_mean = mean(other);
        if !(candidate_mean.is_finite() && other_mean.is_finite()) {
            return Err(NoRatio::NotFinite);
        }
        if other_mean <= 0.0 {
            return Err(NoRatio::OtherIsZero);
        }
        let estimate = candidate_mean / other_mean;
        let residuals: Vec<Residual> =
            candidate.iter().zip(other).map(|(x, &y)| Residual { e: x - estimate * y, y }).collect();
        let differing = candidate.iter().zip(other).filter(|(x, y)| x != y).count();
        Ok(Self {
            users: candidate.len(),
            candidate_mean,
            other_mean,
            estimate,
            // Equal columns have residuals of rounding noise; what does not differ has no error.
            standard_error: if differing == 0 { 0.0 } else { standard_error(&residuals, other_mean) },
            skewness: if differing == 0 { 0.0 } else { skewness(&residuals) },
            differing,
            candidate_nonzero: nonzero(candidate),
            other_nonzero: nonzero(other),
            residuals,
        })
    }

    /// The mean of one column, as a ratio to ones.
    pub fn of_mean(values: &[f64]) -> Result<Self, NoRatio> {
        Self::of(values, &vec![1.0; values.len()])
    }
}

fn nonzero(values: &[f64]) -> usize {
    values.iter().filter(|value| **value != 0.0).count()
}

/// The mean with a compensated sum (Neumaier 1974), so that a million small values lose no digits.
pub fn mean(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for &value in values {
        let next = sum + value;
        lost += if sum.abs() >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    // An infinite sum has a compensation of NaN; the infinity is the truth.
    let total = if sum.is_finite() { sum + lost } else { sum };
    total / values.len() as f64
}

fn standard_error(residuals: &[Residual], other_mean: f64) -> f64 {
    let n = residuals.len() as f64;
    if residuals.len() < 2 {
        return f64::INFINITY;
    }
    let squares: f64 = residuals.iter().map(|r| r.e * r.e).sum();
    (squares / (n - 1.0) / n).sqrt() / other_mean
}

/// `m3 / m2^1.5` with central moments around the residuals' mean, which is zero by construction.
fn skewness(residuals: &[Residual]) -> f64 {
    let n = residuals.len() as f64;
    let second = residuals.iter().map(|r| r.e * r.e).sum::<f64>() / n;
    let third = residuals.iter().map(|r| r.e * r.e * r.e).sum::<f64>() / n;
    if second > 0.0 { third / second.powf(1.5) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_worked_by_hand() {
        // x = 1, 2, 6; y = 1, 2, 3: R = 3/2, e = -1/2, -1, 3/2, Σe² = 3.5, se = sqrt(3.5/2/3)/2.
        let ratio = Ratio::of(&[1.0, 2.0, 6.0], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(ratio.estimate, 1.5);
        assert_eq!(ratio.standard_error, (3.5_f64 / 6.0).sqrt() / 2.0);
        assert_eq!((ratio.users, ratio.differing, ratio.other_nonzero), (3, 1, 3));
        // m3 = (-1/8 - 1 + 27/8)/3 = 3/4, m2 = 3.5/3.
        assert!((ratio.skewness - 0.75 / (3.5_f64 / 3.0).powf(1.5)).abs() < 1e-15);
    }

    #[test]
    fn a_mean_has_the_textbook_standard_error() {
        let ratio = Ratio::of_mean(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(ratio.estimate, 2.5);
        assert!((ratio.standard_error - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn what_has_no_ratio_says_why() {
        assert_eq!(Ratio::of(&[], &[]), Err(NoRatio::Empty));
        assert_eq!(Ratio::of(&[1.0, 2.0], &[0.0, 0.0]), Err(NoRatio::OtherIsZero));
        assert_eq!(Ratio::of(&[0.0, 0.0], &[0.0, 0.0]), Err(NoRatio::OtherIsZero));
        assert_eq!(Ratio::of(&[1.0, f64::NAN], &[1.0, 1.0]), Err(NoRatio::NotFinite));
        assert_eq!(Ratio::of(&[1.0, 1.0], &[f64::INFINITY, 1.0]), Err(NoRatio::NotFinite));
        assert_eq!(Ratio::of(&[f64::INFINITY, f64::NEG_INFINITY], &[1.0, 1.0]), Err(NoRatio::NotFinite));
    }

    #[test]
    fn one_user_and_equal_columns() {
        assert_eq!(Ratio::of(&[0.5], &[0.25]).unwrap().standard_error, f64::INFINITY);
        let values = [0.1, 0.7, 0.2, 0.0];
        let equal = Ratio::of(&values, &values).unwrap();
        assert_eq!((equal.estimate, equal.standard_error, equal.differing), (1.0, 0.0, 0));
    }

    #[test]
    fn the_mean_keeps_small_values_beside_large_ones() {
        assert_eq!(mean(&[1e16, 1.0, -1e16, 1.0]), 0.5);
    }
}

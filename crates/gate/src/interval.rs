//! One-sided confidence bounds of a ratio: the studentised bootstrap, or the normal approximation.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::normal;
use crate::ratio::{Ratio, Residual};

/// Up to here the bootstrap always serves.
pub const NORMAL_ABOVE: usize = 1_000;

/// The normal bounds serve while their coverage is expected to be off by less than this.
pub const COVERAGE_TOLERANCE: f64 = 0.0025;

/// How the bounds were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Percentile-t bootstrap over users.
    Bootstrap { replicates: u32 },
    /// Delta method with normal quantiles.
    Normal,
    /// The models do not differ on any user, or in the same proportion on all: nothing varies.
    Equal,
}

/// Two one-sided bounds of the ratio, each at the full confidence `c`: the truth lies above `lower` with confidence
/// `c`, and below `upper` with confidence `c`. Together they are an interval at `2c − 1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bounds {
    pub lower: f64,
    pub upper: f64,
    pub method: Method,
}

/// Bounds at the one-sided `confidence`, which lies in `[0.5, 1)`; the same bits for the same ratio and seed.
pub fn bounds(ratio: &Ratio, confidence: f64, seed: u64) -> Bounds {
    match method(ratio, confidence) {
        Method::Equal => Bounds { lower: ratio.estimate, upper: ratio.estimate, method: Method::Equal },
        Method::Normal => normal_bounds(ratio, confidence),
        Method::Bootstrap { replicates } => bootstrap_bounds(ratio, confidence, replicates, seed),
    }
}

/// How a ratio is bounded: by the normal approximation above [`NORMAL_ABOVE`] users, where its expected error is within
/// [`COVERAGE_TOLERANCE`], else by the bootstrap.
pub fn method(ratio: &Ratio, confidence: f64) -> Method {
    if ratio.differing == 0 || ratio.standard_error == 0.0 {
        return Method::Equal;
    }
    if ratio.users > NORMAL_ABOVE && normal_coverage_error(ratio, confidence) <= COVERAGE_TOLERANCE {
        return Method::Normal;
    }
    Method::Bootstrap { replicates: replicates(ratio.users) }
}

/// Replicates for a number of users: 9,999, and 1,999 above 10,000 users, where the draws would take seconds.
///
/// One less than a round number, so that the usual confidences fall on an order statistic.
pub fn replicates(users: usize) -> u32 {
    if users <= 10_000 { 9_999 } else { 1_999 }
}

/// By how much the coverage of a one-sided normal bound is expected to miss `confidence`, as a share.
///
/// The first term of the Edgeworth expansion of the studentised mean: `|γ| (2z² + 1) φ(z) / (6 √n)` (Hall, The
/// Bootstrap and Edgeworth Expansion, 1992, section 2.6).
pub fn normal_coverage_error(ratio: &Ratio, confidence: f64) -> f64 {
    let z = normal::quantile(confidence);
    let n = ratio.users as f64;
    ratio.skewness.abs() * (2.0 * z * z + 1.0) * normal::density(z) / (6.0 * n.sqrt())
}

/// `estimate ± z · standard error`.
pub fn normal_bounds(ratio: &Ratio, confidence: f64) -> Bounds {
    let reach = normal::quantile(confidence) * ratio.standard_error;
    Bounds { lower: ratio.estimate - reach, upper: ratio.estimate + reach, method: Method::Normal }
}

/// Percentile-t bounds (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 12.5), over users.
///
/// Each replicate draws as many users as there are, with replacement, and gives
/// `t* = (R* − R) / se*` with the standard error of the drawn users themselves. With the quantiles of t* the bounds
/// are `R − q(c)·se` and `R − q(1−c)·se`: right to second order, where differences are skewed and users few. A
/// replicate without a t* (all other values zero, or no variance) counts against both bounds.
pub fn bootstrap_bounds(ratio: &Ratio, confidence: f64, replicates: u32, seed: u64) -> Bounds {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draws = vec![0_u8; 4 * ratio.users];
    let mut low = Vec::with_capacity(replicates as usize);
    let mut undefined = 0;
    for replicate in 0..replicates {
        rng.set_stream(u64::from(replicate));
        rng.set_word_pos(0);
        rng.fill_bytes(&mut draws);
        match studentised(&ratio.residuals, &draws) {
            Some(t) => low.push(t),
            None => undefined += 1,
        }
    }
    low.sort_unstable_by(f64::total_cmp);
    let mut high = vec![f64::NEG_INFINITY; undefined];
    high.extend_from_slice(&low);
    low.resize(replicates as usize, f64::INFINITY);
    let rank = (f64::from(replicates) + 1.0) * (1.0 - confidence);
    // A rank just below a whole number is that number, less the rounding of `1 − c`.
    let rank = (rank + 1e-6).floor() as usize;
    let reach = |t: f64| ratio.estimate - t * ratio.standard_error;
    let (lower, upper) = match rank {
        0 => (f64::NEG_INFINITY, f64::INFINITY),
        rank => (reach(low[low.len() - rank]), reach(high[rank - 1])),
    };
    Bounds { lower, upper, method: Method::Bootstrap { replicates } }
}

/// `(R* − R) / se*` of the users drawn, from their sums alone; `None` when it has no value.
fn studentised(residuals: &[Residual], draws: &[u8]) -> Option<f64> {
    let n = residuals.len();
    let (mut e, mut y, mut ee, mut ey, mut yy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for word in draws.chunks_exact(4) {
        let random = u32::from_le_bytes(word.try_into().expect("chunks of four bytes"));
        // Multiply-shift to [0, n): its bias is below n / 2^32.
        let user = residuals[((u64::from(random) * n as u64) >> 32) as usize];
        e += user.e;
        y += user.y;
        ee += user.e * user.e;
        ey += user.e * user.y;
        yy += user.y * user.y;
    }
    if y <= 0.0 {
        return None;
    }
    let shift = e / y;
    let squares = ee - 2.0 * shift * ey + shift * shift * yy;
    let count = n as f64;
    let standard_error = (squares / (count - 1.0) * count).sqrt() / y;
    let t = shift / standard_error;
    t.is_finite().then_some(t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(n: usize) -> (Vec<f64>, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        (0..n).map(|_| (uniform(), uniform() + 0.2)).unzip()
    }

    #[test]
    fn the_same_seed_gives_the_same_bits() {
        let (x, y) = columns(300);
        let ratio = Ratio::of(&x, &y).unwrap();
        let first = bounds(&ratio, 0.95, 7);
        assert_eq!(first, bounds(&ratio, 0.95, 7));
        assert_ne!(first, bounds(&ratio, 0.95, 8));
        assert_eq!(first.method, Method::Bootstrap { replicates: 9_999 });
    }

    #[test]
    fn bootstrap_and_normal_agree_where_both_hold() {
        let (x, y) = columns(2_000);
        let ratio = Ratio::of(&x, &y).unwrap();
        let normal = bounds(&ratio, 0.95, 7);
        assert_eq!(normal.method, Method::Normal);
        let bootstrap = bootstrap_bounds(&ratio, 0.95, 9_999, 7);
        assert!((normal.lower - bootstrap.lower).abs() < 0.1 * ratio.standard_error);
        assert!((normal.upper - bootstrap.upper).abs() < 0.1 * ratio.standard_error);
    }

    #[test]
    fn skewed_differences_keep_the_bootstrap_above_a_thousand_users() {
        let n = 2_000;
        let y = vec![0.5; n];
        let x: Vec<f64> = (0..n).map(|i| if i % 50 == 0 { 1.0 } else { 0.5 }).collect();
        let ratio = Ratio::of(&x, &y).unwrap();
        assert!(matches!(bounds(&ratio, 0.95, 1).method, Method::Bootstrap { .. }));
    }

    #[test]
    fn a_confidence_beyond_the_replicates_bounds_nothing() {
        let (x, y) = columns(50);
        let ratio = Ratio::of(&x, &y).unwrap();
        let bounds = bootstrap_bounds(&ratio, 0.9999, 99, 1);
        assert_eq!((bounds.lower, bounds.upper), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn replicates_without_a_t_widen_both_sides() {
        // One user in 40 has a value, so about a third of the replicates draw none.
        let mut y = vec![0.0; 40];
        y[3] = 1.0;
        let mut x = y.clone();
        x[3] = 0.5;
        x[7] = 0.2;
        let ratio = Ratio::of(&x, &y).unwrap();
        let bounds = bootstrap_bounds(&ratio, 0.95, 999, 1);
        assert_eq!((bounds.lower, bounds.upper), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn a_single_user_bounds_nothing() {
        let ratio = Ratio::of(&[0.5], &[0.25]).unwrap();
        let bounds = bounds(&ratio, 0.95, 1);
        assert!(!bounds.lower.is_finite() && !bounds.upper.is_finite());
    }
}

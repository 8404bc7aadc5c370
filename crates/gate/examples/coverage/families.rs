//! Distributions of two models' values of a user, with a known ratio of means.

use std::ops::Range;

use noctule_gate::interval::{self, Method};
use noctule_gate::ratio::Ratio;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Normal,
    ZeroInflated,
    Exponential,
    Lognormal,
}

/// The other model's mean, but for the zero-inflated family.
const MEAN: f64 = 0.2;
const MEAN_DIFFERENCE: f64 = -0.002;

impl Family {
    pub const ALL: [Family; 4] = [Self::Normal, Self::ZeroInflated, Self::Exponential, Self::Lognormal];

    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::ZeroInflated => "zero-inflated",
            Self::Exponential => "skewed (exponential)",
            Self::Lognormal => "heavy-tailed (lognormal)",
        }
    }

    pub fn true_ratio(self) -> f64 {
        match self {
            Self::ZeroInflated => 1.0,
            Self::Normal | Self::Exponential | Self::Lognormal => 1.0 + MEAN_DIFFERENCE / MEAN,
        }
    }

    /// One user's values: candidate, other.
    fn user(self, draws: &mut Draws) -> (f64, f64) {
        if self == Self::ZeroInflated {
            return zero_inflated(draws);
        }
        let other = MEAN + 0.06 * draws.normal();
        let noise = match self {
            Self::Normal => draws.normal(),
            Self::Exponential => -(1.0 - draws.uniform()).ln() - 1.0,
            Self::Lognormal | Self::ZeroInflated => 0.5_f64.exp() - draws.normal().exp(),
        };
        (other + MEAN_DIFFERENCE + 0.03 * noise, other)
    }
}

fn zero_inflated(draws: &mut Draws) -> (f64, f64) {
    let hit = draws.uniform() < 0.3;
    let other = if hit { draws.uniform() } else { 0.0 };
    let changed = draws.uniform() < if hit { 0.07 / 0.3 } else { 0.07 / 0.7 };
    let candidate = match (hit, changed) {
        (_, false) => other,
        (true, true) => 0.0,
        (false, true) => draws.uniform(),
    };
    (candidate, other)
}

struct Draws(ChaCha8Rng);

impl Draws {
    /// Within [0, 1), 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller 1958.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// How often the truth lay where the bounds said, of how many simulations.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub simulations: u32,
    pub above_lower: u32,
    pub below_upper: u32,
    /// The same for normal bounds, whatever the gate would choose.
    pub normal_above_lower: u32,
    pub normal_below_upper: u32,
    /// Simulations in which the gate chose normal bounds.
    pub normal_chosen: u32,
}

/// Bounds the ratio of `users` drawn users as the gate does, but with `replicates`, once per seed of `seeds`.
pub fn simulate(family: Family, users: usize, confidence: f64, replicates: u32, seeds: Range<u32>) -> Tally {
    let mut tally = Tally::default();
    let truth = family.true_ratio();
    for seed in seeds {
        let mut draws = Draws(ChaCha8Rng::seed_from_u64(u64::from(seed)));
        draws.0.set_stream(users as u64 * 8 + family as u64);
        let (candidate, other): (Vec<f64>, Vec<f64>) = (0..users).map(|_| family.user(&mut draws)).unzip();
        let ratio = Ratio::of(&candidate, &other).expect("the families have a ratio");
        let normal = interval::normal_bounds(&ratio, confidence);
        let chosen = match interval::method(&ratio, confidence) {
            Method::Bootstrap { .. } => {
                interval::bootstrap_bounds(&ratio, confidence, replicates, u64::from(seed))
            }
            Method::Normal | Method::Equal => normal,
        };
        tally.simulations += 1;
        tally.above_lower += u32::from(chosen.lower <= truth);
        tally.below_upper += u32::from(truth <= chosen.upper);
        tally.normal_above_lower += u32::from(normal.lower <= truth);
        tally.normal_below_upper += u32::from(truth <= normal.upper);
        tally.normal_chosen += u32::from(chosen.method == Method::Normal);
    }
    tally
}

/// How often a rule that allows `drop` passes candidates of a true loss, one count per loss.
///
/// A draw serves every loss: the candidate's values are scaled so that its mean is exactly `1 - loss` times the
/// other's. Bounds are found as the gate finds them, but with `replicates`.
pub fn passes<const N: usize>(
    family: Family,
    users: usize,
    drop: f64,
    confidence: f64,
    replicates: u32,
    losses: [f64; N],
    seeds: Range<u32>,
) -> [u32; N] {
    let mut passed = [0; N];
    for seed in seeds {
        let mut draws = Draws(ChaCha8Rng::seed_from_u64(u64::from(seed)));
        draws.0.set_stream(1_000_000 + users as u64 * 8 + family as u64);
        let (candidate, other): (Vec<f64>, Vec<f64>) = (0..users).map(|_| family.user(&mut draws)).unzip();
        for (passed, loss) in passed.iter_mut().zip(losses) {
            let scale = (1.0 - loss) / family.true_ratio();
            let scaled: Vec<f64> = candidate.iter().map(|value| scale * value).collect();
            let ratio = Ratio::of(&scaled, &other).expect("the families have a ratio");
            let lower = match interval::method(&ratio, confidence) {
                Method::Bootstrap { .. } => {
                    interval::bootstrap_bounds(&ratio, confidence, replicates, u64::from(seed)).lower
                }
                Method::Normal | Method::Equal => interval::normal_bounds(&ratio, confidence).lower,
            };
            *passed += u32::from(lower - 1.0 >= -drop);
        }
    }
    passed
}

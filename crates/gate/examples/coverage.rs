//! Prints how often the gate's bounds cover the truth: `docs/gate-coverage.md`.
//!
//! `cargo run -p noctule-gate --example coverage [simulations]`. Draws users of known distributions, bounds the ratio
//! as the gate does, and counts how often the true ratio lies above the lower bound, and below the upper one.

use std::thread;

use noctule_gate::interval::{self, Bounds, Method};
use noctule_gate::ratio::Ratio;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How two models' values of a user are distributed. Every family has differences of mean -0.002.
#[derive(Clone, Copy)]
enum Family {
    /// Values and differences normal, correlation about 0.9.
    Normal,
    /// Seven in ten users have no hit under either model; of all, 15 % differ, by as much as a metric can.
    ZeroInflated,
    /// Differences exponential (skewness 2), to the side of the gains.
    Exponential,
    /// Differences lognormal (skewness 6.2), to the side of the losses.
    Lognormal,
}

const MEAN_DIFFERENCE: f64 = -0.002;

struct Draws(ChaCha8Rng);

impl Draws {
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller 1958.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// One user's values: candidate, other.
    fn user(&mut self, family: Family) -> (f64, f64) {
        match family {
            Family::Normal => {
                let y = 0.2 + 0.06 * self.normal();
                (y + MEAN_DIFFERENCE + 0.03 * self.normal(), y)
            }
            Family::ZeroInflated => {
                let hit = self.uniform() < 0.3;
                let y = if hit { self.uniform() } else { 0.0 };
                // A hit of the other is lost, in half of the differing users; a miss becomes a hit, in the rest.
                if !hit {
                    let gained = self.uniform() < 0.07 / 0.7;
                    return (if gained { self.uniform() } else { 0.0 }, y);
                }
                let lost = self.uniform() < 0.07 / 0.3;
                (if lost { 0.0 } else { y }, y)
            }
            Family::Exponential => {
                let y = 0.2 + 0.06 * self.normal();
                let skewed = -(1.0 - self.uniform()).ln() - 1.0;
                (y + MEAN_DIFFERENCE + 0.03 * skewed, y)
            }
            Family::Lognormal => {
                let y = 0.2 + 0.06 * self.normal();
                let skewed = self.normal().exp() - 0.5_f64.exp();
                (y + MEAN_DIFFERENCE - 0.03 * skewed, y)
            }
        }
    }
}

impl Family {
    fn truth(self) -> f64 {
        match self {
            Self::ZeroInflated => 1.0,
            _ => 1.0 + MEAN_DIFFERENCE / 0.2,
        }
    }
}

#[derive(Default, Clone, Copy)]
struct Tally {
    lower: u32,
    upper: u32,
    normal_lower: u32,
    normal_upper: u32,
    normal_chosen: u32,
}

fn simulate(family: Family, users: usize, simulations: std::ops::Range<u32>, confidence: f64) -> Tally {
    let mut tally = Tally::default();
    let replicates = if users <= 1000 { 999 } else { 499 };
    for simulation in simulations {
        let mut draws = Draws(ChaCha8Rng::seed_from_u64(u64::from(simulation)));
        draws.0.set_stream(family as u64 * 1_000_003 + users as u64);
        let (x, y): (Vec<f64>, Vec<f64>) = (0..users).map(|_| draws.user(family)).unzip();
        let ratio = Ratio::of(&x, &y).expect("the families have a ratio");
        let normal = interval::normal_bounds(&ratio, confidence);
        let chosen: Bounds = if users > interval::NORMAL_ABOVE
            && interval::normal_coverage_error(&ratio, confidence) <= interval::COVERAGE_TOLERANCE
        {
            normal
        } else {
            interval::bootstrap_bounds(&ratio, confidence, replicates, u64::from(simulation))
        };
        let truth = family.truth();
        tally.lower += u32::from(chosen.lower <= truth);
        tally.upper += u32::from(chosen.upper >= truth);
        tally.normal_lower += u32::from(normal.lower <= truth);
        tally.normal_upper += u32::from(normal.upper >= truth);
        tally.normal_chosen += u32::from(chosen.method == Method::Normal);
    }
    tally
}

fn main() {
    let simulations: u32 = std::env::args().nth(1).map_or(10_000, |n| n.parse().expect("a count"));
    let max: usize = std::env::args().nth(2).map_or(10_000, |n| n.parse().expect("a count"));
    for confidence in [0.95, 0.99] {
        for (name, family) in [
            ("normal", Family::Normal),
            ("zero-inflated", Family::ZeroInflated),
            ("exponential", Family::Exponential),
            ("lognormal", Family::Lognormal),
        ] {
            for users in [30, 50, 100, 200, 500, 1_000, 2_000, 10_000] {
                if users > max {
                    continue;
                }
                let half = simulations / 2;
                let (a, b) = thread::scope(|scope| {
                    let a = scope.spawn(move || simulate(family, users, 0..half, confidence));
                    let b = scope.spawn(move || simulate(family, users, half..simulations, confidence));
                    (a.join().unwrap(), b.join().unwrap())
                });
                let share = |x: u32, y: u32| 100.0 * f64::from(x + y) / f64::from(simulations);
                println!(
                    "| {confidence} {name} | {users} | {:.2} % | {:.2} % | {:.2} % | {:.2} % | {:.0} % |",
                    share(a.lower, b.lower),
                    share(a.upper, b.upper),
                    share(a.normal_lower, b.normal_lower),
                    share(a.normal_upper, b.normal_upper),
                    share(a.normal_chosen, b.normal_chosen)
                );
            }
        }
    }
}

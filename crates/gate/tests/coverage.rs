//! Short runs of the simulations behind `docs/gate-coverage.md` and `docs/gate-losses.md`.

#[path = "../examples/coverage/families.rs"]
mod families;

use families::{Family, passes, simulate};
use noctule_gate::support;

/// At the floor of support both bounds hold within a point of 95 % (a point and a half on the heavy tail), and three
/// standard errors of this short run.
#[test]
fn bounds_hold_at_the_floor_of_support() {
    const SIMULATIONS: u32 = 800;
    let noise = 3.0 * (0.95_f64 * 0.05 / f64::from(SIMULATIONS)).sqrt();
    for family in Family::ALL {
        let allowed = noise + if family == Family::Lognormal { 0.015 } else { 0.01 };
        let tally = simulate(family, support::USERS, 0.95, 199, 0..SIMULATIONS);
        for covered in [tally.above_lower, tally.below_upper] {
            let share = f64::from(covered) / f64::from(SIMULATIONS);
            assert!((share - 0.95).abs() <= allowed, "{}: {share}", family.name());
        }
    }
}

/// Why the bootstrap serves where users are few: on skewed differences the normal bounds are off by points.
#[test]
fn normal_bounds_do_not_hold_on_skewed_differences() {
    const SIMULATIONS: u32 = 1_500;
    let tally = simulate(Family::Lognormal, 200, 0.95, 19, 0..SIMULATIONS);
    assert!(f64::from(tally.normal_above_lower) / f64::from(SIMULATIONS) < 0.925);
    assert_eq!(tally.normal_chosen, 0);
}

/// Under `max_drop: 1%, confidence: 95%`, with the test users of a night of the demo at its default size, on
/// differences that are noisier than the demo's.
#[test]
fn a_loss_of_a_twentieth_never_passes_and_one_of_the_margin_as_rarely_as_promised() {
    const DRAWS: u32 = 10_000;
    let losses = [0.05, 0.01, 0.0];
    let [of_five, of_one, of_none] = passes(Family::ZeroInflated, 9_100, 0.01, 0.95, 499, losses, 0..DRAWS);
    assert_eq!(of_five, 0, "of {DRAWS}");
    let share = |passed: u32| f64::from(passed) / f64::from(DRAWS);
    let noise = 3.0 * (0.05_f64 * 0.95 / f64::from(DRAWS)).sqrt();
    assert!(share(of_one) <= 0.05 + noise, "{}", share(of_one));
    assert!(share(of_none) > 2.0 * share(of_one), "{}", share(of_none));
}

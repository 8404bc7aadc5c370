//! The statistics against numpy and scipy, which compute them again in `tests/peers/gate/statistics.py`.

use noctule_gate::interval::{bootstrap_bounds, normal_bounds};
use noctule_gate::ratio::Ratio;
use noctule_gate::{normal, power};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

#[path = "../../../tests/support/note.rs"]
mod note;
#[path = "../../../tests/support/peer.rs"]
mod peer;
#[path = "../../../tests/support/python.rs"]
mod python;
#[path = "../../../tests/support/skip.rs"]
mod skip;

use peer::ask;

/// Columns of three shapes: dense and correlated, zero-inflated, skewed.
fn cases() -> Vec<(Vec<f64>, Vec<f64>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut uniform = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let dense = (0..500)
        .map(|_| {
            let y = 0.1 + uniform();
            (y + 0.3 * (uniform() - 0.5), y)
        })
        .unzip();
    let sparse = (0..800)
        .map(|_| {
            let y = if uniform() < 0.3 { uniform() } else { 0.0 };
            (if uniform() < 0.2 { uniform() } else { y }, y)
        })
        .unzip();
    let skewed = (0..400)
        .map(|_| {
            let y = 0.2 + 0.1 * uniform();
            (y - 0.03 * (uniform() + 1e-3).ln(), y)
        })
        .unzip();
    vec![dense, sparse, skewed]
}

#[track_caller]
fn near(ours: f64, theirs: &Value, within: f64, what: &str) {
    let theirs = theirs.as_f64().expect("the peer gives a number");
    assert!((ours - theirs).abs() <= within, "{what}: {ours} here, {theirs} there");
}

#[test]
fn scipy_computes_the_same() {
    let points = [-8.0, -3.0, -1.0, -0.1, 0.0, 0.3, 2.0, 5.5];
    let shares = [1e-6, 0.01, 0.3, 0.5, 0.8, 0.95, 0.999, 0.999_999];
    let cases = cases();
    let asked: Vec<Value> = cases.iter().map(|(x, y)| json!({"candidate": x, "other": y})).collect();
    let question = json!({"cases": asked, "points": points, "shares": shares});
    let Some(answer) = ask("scipy_computes_the_same", "gate/statistics.py", &["numpy", "scipy"], &question)
    else {
        return;
    };
    for (i, x) in points.into_iter().enumerate() {
        near(normal::distribution(x), &answer["distribution"][i], 1e-14, "distribution");
    }
    for (i, p) in shares.into_iter().enumerate() {
        near(normal::quantile(p), &answer["quantile"][i], 1e-9, "quantile");
    }
    for (i, (x, y)) in cases.iter().enumerate() {
        let theirs = &answer["cases"][i];
        let ratio = Ratio::of(x, y).unwrap();
        let error = ratio.standard_error;
        near(ratio.estimate, &theirs["estimate"], 1e-12, "estimate");
        near(error, &theirs["standard_error"], 1e-12, "standard error");
        near(ratio.skewness, &theirs["skewness"], 1e-9, "skewness");
        let normal = normal_bounds(&ratio, 0.95);
        near(normal.lower, &theirs["normal"][0], 1e-12, "normal lower");
        near(normal.upper, &theirs["normal"][1], 1e-12, "normal upper");
        // Quantiles of two bootstraps of 10,000 and 20,000 replicates differ by their own noise, about 0.03 errors.
        let bootstrap = bootstrap_bounds(&ratio, 0.95, 9_999, 1);
        near(bootstrap.lower, &theirs["bootstrap"][0], 0.12 * error, "bootstrap lower");
        near(bootstrap.upper, &theirs["bootstrap"][1], 0.12 * error, "bootstrap upper");
        near(power::resolvable(error, 0.95).unwrap(), &theirs["resolvable"], 1e-12, "resolvable");
        let needed = power::users_needed(x.len(), error, 0.95, 0.01).unwrap() as f64;
        near(needed, &theirs["users_needed"], 1.0, "users needed");
        near(
            power::pass_if_equal(error, 0.95, 0.01).unwrap(),
            &theirs["pass_if_equal"],
            1e-12,
            "pass if equal",
        );
    }
}

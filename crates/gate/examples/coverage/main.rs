//! Prints `docs/gate-coverage.md`, how often the gate's bounds cover the truth, or `docs/gate-losses.md`, how often it
//! passes a candidate of a planted loss.
//!
//! `cargo run -p noctule-gate --example coverage [SIMULATIONS] > docs/gate-coverage.md`
//! `cargo run -p noctule-gate --example coverage losses > docs/gate-losses.md`

mod families;

use std::thread;

use families::{Family, Tally, passes, simulate};
use noctule_gate::{interval, support};

const CONFIDENCE: f64 = 0.95;
const USERS: [usize; 8] = [50, 100, 200, 300, 400, 500, 1_000, 10_000];

fn replicates(users: usize) -> u32 {
    if users <= 1_000 { 999 } else { 499 }
}

fn shape(family: Family) -> &'static str {
    match family {
        Family::Normal => "values and differences normal, correlation 0.9",
        Family::ZeroInflated => {
            "70 % of the users have no hit; on 14 % the models differ, half gain a hit and half lose theirs"
        }
        Family::Exponential => "differences exponential, skewness +2",
        Family::Lognormal => "differences lognormal to the side of the losses, skewness -6.2",
    }
}

/// What both saw together.
fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        simulations: a.simulations + b.simulations,
        above_lower: a.above_lower + b.above_lower,
        below_upper: a.below_upper + b.below_upper,
        normal_above_lower: a.normal_above_lower + b.normal_above_lower,
        normal_below_upper: a.normal_below_upper + b.normal_below_upper,
        normal_chosen: a.normal_chosen + b.normal_chosen,
    }
}

/// All seeds, on two threads. The result is the same as on one.
fn tally(family: Family, users: usize, simulations: u32) -> Tally {
    let half = simulations / 2;
    let replicates = replicates(users);
    thread::scope(|scope| {
        let first = scope.spawn(move || simulate(family, users, CONFIDENCE, replicates, 0..half));
        let second = simulate(family, users, CONFIDENCE, replicates, half..simulations);
        sum(first.join().expect("a simulation does not panic"), second)
    })
}

fn row(family: Family, users: usize, tally: Tally) -> String {
    let share = |count: u32| format!("{:.1} %", 100.0 * f64::from(count) / f64::from(tally.simulations));
    format!(
        "| {} | {users} | {} | {} | {} | {} | {} |",
        family.name(),
        share(tally.above_lower),
        share(tally.below_upper),
        share(tally.normal_above_lower),
        share(tally.normal_below_upper),
        share(tally.normal_chosen),
    )
}

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("losses") => losses(),
        Some(number) => coverage(number.parse().expect("a number of simulations, or `losses`")),
        None => coverage(10_000),
    }
}

const LOSSES: [f64; 6] = [0.0, 0.005, 0.01, 0.02, 0.03, 0.05];
const DRAWS: u32 = 10_000;

fn losses() {
    println!(
        "# How often a worse candidate passes\n\n\
         The share of {DRAWS} candidates that pass `max_drop: 1%, confidence: 95%`, by what they truly lose against \
         the other model. At a loss of just the margin it should be 5 %, within the point that the floors of \
         [gate-coverage.md](gate-coverage.md) leave; to the left of it stands the gate's power, to the right what \
         slips through. Differences are *zero-inflated* as there, scaled so that the ratio of the means is exactly \
         what stands above the column; their standard error at 9,100 users, the test users of a night of \
         `demo://shop` at its default size, is 1.5 %, where the demo's own nights have 0.3 %.\n\n\
         Made by `cargo run -p noctule-gate --example coverage losses > docs/gate-losses.md`; the same on every \
         machine.\n"
    );
    let heads: Vec<String> = LOSSES.iter().map(|loss| format!("{:.1} %", 100.0 * loss)).collect();
    println!("| users | {} |\n|---:|{}", heads.join(" | "), "---:|".repeat(LOSSES.len()));
    for users in [400, 1_000, 2_700, 9_100, 30_000] {
        let passed =
            passes(Family::ZeroInflated, users, 0.01, CONFIDENCE, replicates(users), LOSSES, 0..DRAWS);
        let shares = passed.map(|passed| format!("{:.2} %", 100.0 * f64::from(passed) / f64::from(DRAWS)));
        println!("| {users} | {} |", shares.join(" | "));
    }
}

fn coverage(simulations: u32) {
    let error = 100.0 * (CONFIDENCE * (1.0 - CONFIDENCE) / f64::from(simulations)).sqrt();
    println!(
        "# How often the gate's bounds hold\n\n\
         A rule with `confidence: 95%` uses one-sided bounds of the ratio candidate/other - 1. This page counts how \
         often the truth lies above the lower bound, and below the upper one, in {simulations} simulations per row, \
         in which the truth is known. Each share should be 95 %; the simulation's own standard error is \
         {error:.1} points.\n\n\
         Made by `cargo run -p noctule-gate --example coverage > docs/gate-coverage.md`; the same on every machine. \
         The gate itself draws {} replicates, and {} above 10,000 users; here there are 999, and 499 at 10,000 users, \
         which does not move the shares.\n",
        interval::replicates(10_000),
        interval::replicates(10_001),
    );
    println!("Differences between two models, per user:\n");
    for family in Family::ALL {
        println!("- **{}**: {}.", family.name(), shape(family));
    }
    println!(
        "\n`lower` and `upper` are the bounds that the gate uses; `normal lower` and `normal upper` are the plain \
         delta-method bounds, for comparison; `normal used` is how often the gate chose these: above {} users, when \
         their expected error is at most {} points.\n",
        interval::NORMAL_ABOVE,
        interval::COVERAGE_TOLERANCE * 100.0
    );
    println!("| differences | users | lower | upper | normal lower | normal upper | normal used |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for family in Family::ALL {
        for users in USERS {
            println!("{}", row(family, users, tally(family, users, simulations)));
        }
    }
    println!(
        "\nThe floors follow from this table: from **{} users** up both bounds hold within one point of 95 % on the \
         first three families, and below that a rule with `confidence` lacks support and is `inconclusive`. On the \
         heavy-tailed one, whose skewness a metric between 0 and 1 hardly reaches while most users differ, the bound \
         on the side of the long tail is 1.4 points short there, and within one point from about 1,000 users. Where \
         few users differ, their number counts rather than the number of users: at least **{} users on whom the \
         models differ** are asked for, and as many with a value above zero.",
        support::USERS,
        support::DIFFERING
    );
}

//! Implicit ALS against the textbook: dense matrices, double precision, Gaussian elimination.

use std::ops::ControlFlow;

use noctule_recsys::interactions::Interactions;
use noctule_recsys::train::ials::{Checkpoint, EpochReport, Factors, Ials, IalsError, IalsSettings};
use proptest::prelude::*;

use super::{Draw, interactions, with_threads};

type Table = Vec<Vec<f64>>;

fn trainer(factors: usize, epochs: u32) -> Ials {
    Ials::new(settings(factors, epochs)).expect("valid settings")
}

fn settings(factors: usize, epochs: u32) -> IalsSettings {
    IalsSettings { factors, epochs, ..IalsSettings::default() }
}

/// Trains, and gives the state after every epoch.
fn epochs(ials: &Ials, pairs: &Interactions, start: Option<Checkpoint>) -> Vec<(EpochReport, Factors)> {
    let mut all = Vec::new();
    ials.fit(pairs, start, &mut |report, factors| {
        all.push((*report, factors.clone()));
        ControlFlow::Continue(())
    })
    .expect("trains");
    all
}

/// A mixture of users with no, few and many pairs; some pairs twice.
fn mixed(n_users: usize, n_items: usize, seed: u64, weighted: bool) -> Interactions {
    let mut draw = Draw(seed);
    let (mut users, mut items, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    for user in 0..n_users {
        let share = [0, 3, 10, n_items / 2, 2 * n_items][user % 5];
        for _ in 0..share {
            users.push(user as u32);
            items.push(draw.below(n_items).min(draw.below(n_items)) as u32);
            weights.push([0.0, 0.5, 1.0, 4.0][draw.below(4)]);
        }
    }
    let weights = weighted.then_some(&weights[..]);
    Interactions::from_pairs(&users, &items, weights, n_users, n_items).expect("valid")
}

fn wide(table: &ndarray::Array2<f32>) -> Table {
    table.rows().into_iter().map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(l, r)| l * r).sum()
}

fn lambda(s: &IalsSettings, n_pairs: usize, n_others: usize) -> f64 {
    s.regularisation * (n_pairs as f64 + s.unobserved_weight * n_others as f64).powf(s.nu)
}

/// The rows of one side, given the other: `(a0 V'V + sum c v v' + lambda I) w = sum c v`.
fn solve_side(s: &IalsSettings, pairs: &Interactions, other: &Table) -> Table {
    let d = s.factors;
    (0..pairs.n_users())
        .map(|row| {
            let items = pairs.items_of(row);
            let mut matrix = vec![vec![0.0; d + 1]; d];
            for i in 0..d {
                for j in 0..d {
                    matrix[i][j] = other.iter().map(|v| s.unobserved_weight * v[i] * v[j]).sum();
                }
                matrix[i][i] += lambda(s, items.len(), pairs.n_items());
            }
            for (at, item) in items.iter().enumerate() {
                let v = &other[*item as usize];
                let c = pairs.weights_of(row).map_or(1.0, |weights| f64::from(weights[at]));
                for i in 0..d {
                    for j in 0..d {
                        matrix[i][j] += c * v[i] * v[j];
                    }
                    matrix[i][d] += c * v[i];
                }
            }
            eliminate(matrix)
        })
        .collect()
}

/// Gauss and Jordan, without pivoting: the matrices are positive definite.
fn eliminate(mut matrix: Table) -> Vec<f64> {
    let d = matrix.len();
    for pivot in 0..d {
        let by = matrix[pivot][pivot];
        matrix[pivot].iter_mut().for_each(|x| *x /= by);
        let row = matrix[pivot].clone();
        for other in (0..d).filter(|other| *other != pivot) {
            let factor = matrix[other][pivot];
            matrix[other].iter_mut().zip(&row).for_each(|(x, r)| *x -= factor * r);
        }
    }
    matrix.into_iter().map(|row| row[d]).collect()
}

/// The three parts of the objective, term by term.
fn objective(s: &IalsSettings, pairs: &Interactions, users: &Table, items: &Table) -> [f64; 3] {
    let (mut observed, mut unobserved, mut regularisation) = (0.0, 0.0, 0.0);
    for (user, w) in users.iter().enumerate() {
        for (at, item) in pairs.items_of(user).iter().enumerate() {
            let c = pairs.weights_of(user).map_or(1.0, |weights| f64::from(weights[at]));
            observed += c * (dot(w, &items[*item as usize]) - 1.0).powi(2);
        }
        unobserved += items.iter().map(|h| s.unobserved_weight * dot(w, h).powi(2)).sum::<f64>();
        regularisation += lambda(s, pairs.items_of(user).len(), items.len()) * dot(w, w);
    }
    let by_item = pairs.transpose();
    for (item, h) in items.iter().enumerate() {
        regularisation += lambda(s, by_item.items_of(item).len(), users.len()) * dot(h, h);
    }
    [observed, unobserved, regularisation]
}

fn assert_close(found: &ndarray::Array2<f32>, expected: &Table, tolerance: f64) {
    for (found, expected) in wide(found).iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < tolerance, "{found} is not {expected}");
    }
}

/// Every epoch from the same start: one of ours in single, one of the reference in double precision.
fn compare(s: &IalsSettings, pairs: &Interactions) {
    compare_within(s, pairs, 2e-5);
}

/// With the relative error that the parts of the loss may have.
fn compare_within(s: &IalsSettings, pairs: &Interactions, tolerance: f64) {
    let ials = Ials::new(s.clone()).expect("valid");
    let all = epochs(&ials, pairs, None);
    let by_item = pairs.transpose();
    for ((_, before), (report, after)) in all.iter().zip(&all[1..]) {
        let users = solve_side(s, pairs, &wide(&before.items));
        let items = solve_side(s, &by_item, &users);
        assert_close(&after.users, &users, 1e-4);
        assert_close(&after.items, &items, 1e-4);
        let parts = objective(s, pairs, &users, &items);
        for (found, expected) in
            [report.observed, report.unobserved, report.regularisation].into_iter().zip(parts)
        {
            assert!((found - expected).abs() <= tolerance * (1.0 + expected), "{found} is not {expected}");
        }
        assert_eq!(report.loss, report.observed + report.unobserved + report.regularisation);
    }
}

#[test]
fn factors_and_loss_are_those_of_the_textbook() {
    let pairs = mixed(60, 50, 1, false);
    for factors in [1, 2, 7, 15, 16, 17, 33, 48, 70] {
        compare(&settings(factors, 4), &pairs);
    }
}

#[test]
fn weights_multiply_the_observed_term_alone() {
    let pairs = mixed(40, 30, 2, true);
    for factors in [3, 16, 40] {
        compare(&settings(factors, 3), &pairs);
    }
}

#[test]
fn other_parameters_too() {
    let pairs = mixed(50, 20, 3, false);
    for (nu, regularisation, unobserved_weight) in
        [(0.0, 2.0, 0.3), (0.5, 0.1, 1.0), (1.0, 0.03, 0.005), (1.0, 1e-4, 1.0)]
    {
        compare(&IalsSettings { nu, regularisation, unobserved_weight, ..settings(12, 4) }, &pairs);
    }
}

#[test]
fn long_histories_are_summed_in_parts() {
    // More pairs than are gathered at once, on both sides.
    let pairs = mixed(10, 700, 4, true);
    compare(&settings(20, 2), &pairs);
}

/// Equal terms, whose rounding errors all point one way.
#[test]
fn a_hundred_thousand_equal_terms_are_summed_well() {
    let rows: Vec<(u32, u32)> = [100_000, 40_000, 1_024]
        .into_iter()
        .zip(0..)
        .flat_map(|(pairs, item)| (0..pairs).map(move |user| (user, item)))
        .collect();
    compare_within(&settings(2, 2), &interactions(&rows, 100_000, 3), 1e-4);
}

#[test]
fn the_loss_never_rises() {
    let pairs = mixed(80, 60, 5, false);
    let losses: Vec<f64> = epochs(&trainer(24, 20), &pairs, None).iter().map(|e| e.0.loss).collect();
    assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-7)), "{losses:?}");
    assert!(losses[19] < losses[0]);
}

/// Users of even index took the even items but one, and so on: that one, and no other, must look like
/// a taken one.
#[test]
fn a_checkerboard_is_completed() {
    let (n_users, n_items) = (20u32, 12u32);
    let missing = |user: u32| (2 * user + user % 2) % n_items;
    let rows: Vec<(u32, u32)> = (0..n_users)
        .flat_map(|user| (0..n_items).map(move |item| (user, item)))
        .filter(|(user, item)| user % 2 == item % 2 && *item != missing(*user))
        .collect();
    let pairs = interactions(&rows, n_users as usize, n_items as usize);
    let trained = trainer(2, 60).fit(&pairs, None, &mut |_, _| ControlFlow::Continue(())).expect("trains");
    for user in 0..n_users {
        let w = trained.factors.users.row(user as usize);
        let score = |item: u32| w.dot(&trained.factors.items.row(item as usize));
        for item in (0..n_items).filter(|item| !pairs.items_of(user as usize).contains(item)) {
            let expected = if item == missing(user) { 0.3..1.0 } else { -0.05..0.05 };
            assert!(expected.contains(&score(item)), "user {user} item {item}: {}", score(item));
        }
    }
}

fn bits(factors: &Factors) -> Vec<u32> {
    factors.users.iter().chain(&factors.items).map(|x| x.to_bits()).collect()
}

#[test]
fn threads_leave_no_trace() {
    let pairs = mixed(300, 200, 6, true);
    let train = |threads| {
        with_threads(threads, || {
            let last = epochs(&trainer(20, 3), &pairs, None).pop().expect("an epoch");
            (last.0, bits(&last.1))
        })
    };
    let one = train(1);
    for threads in [2, 3, 7] {
        assert!(train(threads) == one, "{threads} threads");
    }
}

#[test]
fn a_resumed_training_has_the_same_bits() {
    let pairs = mixed(70, 50, 7, false);
    let whole = epochs(&trainer(18, 6), &pairs, None);
    let mut seen = 0;
    let stopped = trainer(18, 6)
        .fit(&pairs, None, &mut |report, _| {
            seen = report.epoch;
            if report.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("trains");
    assert_eq!((stopped.epoch, seen), (2, 2));
    let rest = epochs(&trainer(18, 6), &pairs, Some(stopped));
    assert_eq!(rest.len(), 4);
    for ((report, factors), (expected, whole)) in rest.iter().zip(&whole[2..]) {
        assert_eq!(report, expected);
        assert_eq!(bits(factors), bits(whole));
    }
}

#[test]
fn seeds_differ() {
    let pairs = mixed(30, 20, 8, false);
    let train = |seed| {
        let ials = Ials::new(IalsSettings { seed, ..settings(8, 1) }).expect("valid");
        bits(&epochs(&ials, &pairs, None)[0].1)
    };
    assert_eq!(train(1), train(1));
    assert_ne!(train(1), train(2));
}

#[test]
fn a_new_user_gets_what_the_training_would_give() {
    let pairs = mixed(40, 90, 9, true);
    let ials = trainer(21, 3);
    let all = epochs(&ials, &pairs, None);
    let fold_in = ials.fold_in(&all[1].1.items).expect("item factors");
    for user in 0..40 {
        let found = fold_in.user(pairs.items_of(user), pairs.weights_of(user)).expect("valid history");
        assert_eq!(found, all[2].1.users.row(user), "user {user}");
    }
    let error = fold_in.user(&[90], None).unwrap_err();
    assert!(matches!(error, IalsError::BadHistory(_)));
    assert!(ials.fold_in(&ndarray::Array2::zeros((90, 20))).is_err());
}

#[test]
fn the_smallest_cases_train() {
    for (n_users, n_items) in [(1, 1), (1, 30), (30, 1), (3, 3)] {
        for factors in [1, 5, 16, 40] {
            let pairs = mixed(n_users + 1, n_items, 10, false);
            compare(&settings(factors, 3), &pairs);
        }
    }
    for (n_users, n_items) in [(0, 0), (0, 3), (3, 0), (4, 4)] {
        let nothing = Interactions::empty(n_users, n_items);
        let all = epochs(&trainer(3, 2), &nothing, None);
        assert_eq!(all[1].0.loss, 0.0);
        assert!(all[1].1.users.iter().chain(&all[1].1.items).all(|x| *x == 0.0));
    }
}

#[test]
fn overflow_is_an_error_with_epoch_and_remedy() {
    let pairs = Interactions::from_pairs(&[0, 0, 1], &[0, 1, 1], Some(&[f32::MAX; 3]), 2, 2).expect("valid");
    let tiny = IalsSettings { regularisation: 1e-300, unobserved_weight: 1e-300, ..settings(4, 3) };
    let ials = Ials::new(tiny).expect("valid");
    let error = ials.fit(&pairs, None, &mut |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, IalsError::NotFinite { epoch: 1, side: "user" }), "{error}");
    assert!(error.to_string().contains("Raise `regularisation`"), "{error}");
}

#[test]
fn a_start_that_does_not_fit_is_refused() {
    let pairs = mixed(10, 8, 11, false);
    let ials = trainer(4, 3);
    let start = |epoch, users, items, fill: f32| {
        let table = |rows| ndarray::Array2::from_elem((rows, 4), fill);
        let factors = Factors { users: table(users), items: table(items) };
        ials.fit(&pairs, Some(Checkpoint { epoch, factors }), &mut |_, _| ControlFlow::Continue(()))
    };
    assert!(matches!(start(1, 9, 8, 0.1), Err(IalsError::WrongShape { .. })));
    assert!(matches!(start(1, 10, 9, 0.1), Err(IalsError::WrongShape { .. })));
    assert!(matches!(start(4, 10, 8, 0.1), Err(IalsError::BeyondTheEnd { epoch: 4, epochs: 3 })));
    assert!(matches!(start(1, 10, 8, f32::NAN), Err(IalsError::StartNotFinite)));
    assert_eq!(start(3, 10, 8, 0.1).expect("nothing left to do").epoch, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_small_matrix_is_solved_as_in_the_textbook(
        rows in prop::collection::vec((0u32..12, 0u32..25), 0..120),
        factors in 1usize..36,
    ) {
        compare(&settings(factors, 3), &interactions(&rows, 12, 25));
    }
}

//! Metrics and implicit ALS against Python: `tests/peers/recsys`.

use std::ops::ControlFlow;

use ndarray::Array2;
use noctule_recsys::interactions::Interactions;
use noctule_recsys::metrics::Metric;
use noctule_recsys::rank::{FactorScores, Model, Scorer, StaticScores, Tally, Universe, rank};
use noctule_recsys::train::ials::{Ials, IalsSettings};
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

struct Random(ChaCha8Rng);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0.next_u32() % n
    }
}

/// One user of a question to `reference_metrics.py`.
struct Case {
    scores: Vec<f32>,
    seen: Vec<u32>,
    truth: Vec<u32>,
}

const CUTOFFS: [u32; 4] = [1, 3, 10, 40];

/// Users over `n_items` items, of whom many have equal scores, no truth, or all of it.
fn cases(n_items: u32, n_users: usize, random: &mut Random) -> Vec<Case> {
    (0..n_users)
        .map(|user| {
            let levels = [1, 3, 1 << 20][user % 3];
            let share = [0, 1, 3, 20][user % 4];
            let mut case = Case {
                scores: (0..n_items).map(|_| random.below(levels) as f32 / 16.0).collect(),
                seen: Vec::new(),
                truth: Vec::new(),
            };
            for item in 0..n_items {
                match random.below(20) {
                    draw if draw < share => case.truth.push(item),
                    draw if draw > 16 => case.seen.push(item),
                    _ => {}
                }
            }
            case
        })
        .collect()
}

fn pairs(of: impl Fn(&Case) -> &[u32], cases: &[Case], n_items: usize) -> Interactions {
    let rows = || (0..).zip(cases).flat_map(|(user, case)| of(case).iter().map(move |item| (user, *item)));
    let users: Vec<u32> = rows().map(|row| row.0).collect();
    let items: Vec<u32> = rows().map(|row| row.1).collect();
    Interactions::from_pairs(&users, &items, None, cases.len(), n_items).expect("valid")
}

/// Our values, `[metric][user]`. Each user has a factor of their own, which makes any scores possible.
fn ours(cases: &[Case], n_items: usize, known: &[bool], metrics: &[Metric]) -> Vec<Vec<f64>> {
    let (history, truth) = (pairs(|c| &c.seen, cases, n_items), pairs(|c| &c.truth, cases, n_items));
    let candidates = vec![true; n_items];
    let universe = Universe::new(&history, &truth, &candidates).expect("valid");
    let users = Array2::eye(cases.len());
    let items = Array2::from_shape_fn((n_items, cases.len()), |(item, user)| cases[user].scores[item]);
    let user_rows: Vec<Option<u32>> = (0..cases.len() as u32).map(Some).collect();
    let zeros = vec![0.0; n_items];
    let scorer = Scorer::Factors(FactorScores {
        users: users.view(),
        items: items.view(),
        known,
        user_rows: &user_rows,
        fallback: StaticScores { scores: &zeros, known },
    });
    let mut tally = Tally::new(&universe, 1, metrics);
    rank(&universe, &[Model { name: "random", scorer }], 0, &mut |chunk| {
        tally.add(chunk);
        ControlFlow::Continue(())
    })
    .expect("ranks");
    let figures = tally.finish(&universe).remove(0);
    figures.into_iter().map(|figure| figure.per_user.expect("a metric per user")).collect()
}

fn metrics() -> Vec<Metric> {
    let names = ["ndcg", "recall", "recall_capped", "precision", "map", "mrr", "hit"];
    let at = names.iter().flat_map(|name| CUTOFFS.iter().map(move |k| format!("{name}@{k}")));
    at.chain(["mrr".to_owned(), "auc".to_owned()]).map(|word| word.parse().expect("valid")).collect()
}

/// How many values ranx gave too.
fn compare(found: &[Vec<f64>], metrics: &[Metric], answer: &Value) -> usize {
    let mut by_ranx = 0;
    for (metric, values) in metrics.iter().zip(found) {
        for (user, value) in values.iter().enumerate() {
            match answer[user]["own"][metric.to_string()].as_f64() {
                None => assert!(value.is_nan(), "{metric} user {user}: {value}, there none"),
                Some(there) => {
                    assert!((value - there).abs() < 1e-9, "{metric} user {user}: {value}, {there}")
                }
            }
            if let Some(there) = answer[user]["ranx"][metric.to_string()].as_f64() {
                by_ranx += 1;
                assert!((value - there).abs() < 1e-9, "{metric} user {user}: {value}, ranx {there}");
            }
        }
    }
    by_ranx
}

#[test]
fn metrics_agree_with_numpy_and_ranx() {
    let mut random = Random(ChaCha8Rng::seed_from_u64(5));
    let metrics = metrics();
    let (mut found, mut asked) = (vec![Vec::new(); metrics.len()], Vec::new());
    for (n_items, n_users) in [(1, 12), (2, 12), (30, 60), (120, 60)] {
        let cases = cases(n_items, n_users, &mut random);
        // Some items are unknown to the model, but not when there is only one.
        let known: Vec<bool> = (0..n_items).map(|item| n_items == 1 || item % 9 != 4).collect();
        let values = ours(&cases, n_items as usize, &known, &metrics);
        found.iter_mut().zip(values).for_each(|(all, values)| all.extend(values));
        for case in cases {
            let score = |(score, known): (&f32, &bool)| known.then_some(*score);
            let scores: Vec<Option<f32>> = case.scores.iter().zip(&known).map(score).collect();
            let candidates = vec![true; known.len()];
            let (seen, truth) = (case.seen, case.truth);
            asked.push(json!({"scores": scores, "candidates": candidates, "seen": seen, "truth": truth}));
        }
    }
    let question = json!({"cases": asked, "cutoffs": CUTOFFS});
    let test = "metrics_agree_with_numpy_and_ranx";
    let Some(answer) = ask(test, "recsys/reference_metrics.py", &["numpy", "ranx"], &question) else {
        return;
    };
    let by_ranx = compare(&found, &metrics, &answer);
    assert!(by_ranx > 1000, "ranx gave {by_ranx} values");
}

#[test]
fn ials_agrees_with_numpy() {
    let mut random = Random(ChaCha8Rng::seed_from_u64(6));
    let (n_users, n_items) = (80u32, 50u32);
    let mut rows: Vec<(u32, u32)> = Vec::new();
    for user in 0..n_users {
        for _ in 0..user {
            rows.push((user, random.below(n_items).min(random.below(n_items))));
        }
    }
    let users: Vec<u32> = rows.iter().map(|row| row.0).collect();
    let items: Vec<u32> = rows.iter().map(|row| row.1).collect();
    let drawn: Vec<f32> = rows.iter().map(|_| random.below(5) as f32 / 2.0).collect();
    for (factors, nu, weights) in [(20, 1.0, None), (33, 0.5, Some(&drawn[..]))] {
        let pairs = Interactions::from_pairs(&users, &items, weights, n_users as usize, n_items as usize)
            .expect("valid");
        let settings = IalsSettings { factors, nu, epochs: 4, regularisation: 0.01, ..Default::default() };
        let ials = Ials::new(settings).expect("valid");
        let mut epochs = Vec::new();
        ials.fit(&pairs, None, &mut |report, factors| {
            epochs.push((*report, factors.clone()));
            ControlFlow::Continue(())
        })
        .expect("trains");
        let question = json!({
            "n_users": n_users, "n_items": n_items, "users": users, "items": items, "weights": weights,
            "factors": factors, "epochs": 3, "regularisation": 0.01, "nu": nu, "unobserved_weight": 0.1,
            "start": rows_of(&epochs[0].1.items),
        });
        let Some(answer) = ask("ials_agrees_with_numpy", "recsys/ials_reference.py", &["numpy"], &question)
        else {
            return;
        };
        let last = &epochs[3].1;
        for (table, there) in [(&last.users, &answer["users"]), (&last.items, &answer["items"])] {
            for ((row, column), value) in table.indexed_iter() {
                let there = there[row][column].as_f64().expect("a number");
                assert!((f64::from(*value) - there).abs() < 1e-4, "{value}, there {there}");
            }
        }
        for (epoch, (report, _)) in epochs[1..].iter().enumerate() {
            let parts = [report.observed, report.unobserved, report.regularisation];
            for (part, value) in parts.into_iter().enumerate() {
                let there = answer["losses"][epoch][part].as_f64().expect("a number");
                assert!((value - there).abs() < 1e-4 * there, "part {part}: {value}, there {there}");
            }
        }
    }
}

fn rows_of(table: &Array2<f32>) -> Vec<Vec<f32>> {
    table.rows().into_iter().map(|row| row.to_vec()).collect()
}

//! The ranking against a sort of all scores.

use std::ops::ControlFlow;

use ndarray::Array2;
use noctule_recsys::interactions::Interactions;
use noctule_recsys::metrics::Metric;
use noctule_recsys::rank::{FactorScores, Model, RankError, Scorer, StaticScores, Tally, Universe, rank};
use proptest::prelude::*;

use super::{Draw, interactions, with_threads};

/// One user's ranking, owned.
#[derive(Debug, Clone, PartialEq)]
struct Ranked {
    list: Vec<u32>,
    truth: Vec<u32>,
    ranks: Vec<Option<u32>>,
    mean_ranks: Vec<f64>,
    candidates: usize,
}

/// `[model][user]`
fn ranked(universe: &Universe<'_>, models: &[Model<'_>], depth: u32) -> Result<Vec<Vec<Ranked>>, RankError> {
    let mut all = vec![Vec::new(); models.len()];
    rank(universe, models, depth, &mut |chunk| {
        for user in chunk.users() {
            for (model, all) in all.iter_mut().enumerate() {
                let ranking = chunk.ranking(model, user);
                all.push(Ranked {
                    list: ranking.list.to_vec(),
                    truth: ranking.truth.to_vec(),
                    ranks: ranking.ranks.ranks.to_vec(),
                    mean_ranks: ranking.ranks.mean_ranks.to_vec(),
                    candidates: ranking.ranks.candidates,
                });
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// Ranks one user by sorting, with `score` giving `None` for items that the model doesn't know.
fn by_sorting(
    history: &[u32],
    truth: &[u32],
    candidates: &[bool],
    depth: usize,
    score: impl Fn(u32) -> Option<f64>,
) -> Ranked {
    let unseen: Vec<u32> = (0..candidates.len() as u32)
        .filter(|item| candidates[*item as usize] && !history.contains(item))
        .collect();
    let mut known: Vec<u32> = unseen.iter().copied().filter(|item| score(*item).is_some()).collect();
    known.sort_by(|left, right| {
        score(*right).partial_cmp(&score(*left)).expect("finite").then(left.cmp(right))
    });
    let mut truth = truth.to_vec();
    truth.dedup();
    let rank = |item: u32| known.iter().position(|other| *other == item).map(|place| place as u32 + 1);
    let mean_rank = |item: u32| {
        // `None` is below all numbers, and all `None` are equal.
        let above = unseen.iter().filter(|other| score(**other) > score(item)).count();
        let equal = unseen.iter().filter(|other| score(**other) == score(item)).count();
        above as f64 + (equal as f64 + 1.0) / 2.0
    };
    Ranked {
        list: known.iter().copied().take(depth).collect(),
        ranks: truth.iter().map(|item| rank(*item)).collect(),
        mean_ranks: truth.iter().map(|item| mean_rank(*item)).collect(),
        candidates: unseen.len(),
        truth,
    }
}

/// A universe with models to rank it; factors are few small numbers, so scores are exact and often
/// equal.
#[derive(Debug, Clone)]
struct Case {
    history: Interactions,
    truth: Interactions,
    candidates: Vec<bool>,
    users: Array2<f32>,
    items: Array2<f32>,
    known: Vec<bool>,
    user_rows: Vec<Option<u32>>,
    counts: Vec<f64>,
    counted: Vec<bool>,
}

impl Case {
    fn new(n_users: usize, n_items: usize, n_factors: usize, seed: u64) -> Self {
        let mut draw = Draw(seed);
        let candidates: Vec<bool> = (0..n_items).map(|_| draw.below(8) > 0).collect();
        let (mut seen, mut wanted) = (Vec::new(), Vec::new());
        for user in 0..n_users as u32 {
            for item in 0..n_items as u32 {
                match draw.below(6) {
                    0 => seen.extend([(user, item), (user, item)]),
                    1 if candidates[item as usize] && user % 4 > 0 => wanted.push((user, item)),
                    _ => {}
                }
            }
        }
        let rows = n_users.max(1);
        let mut small = |rows, columns| {
            Array2::from_shape_simple_fn((rows, columns), || (2.0 * draw.signed()).round() / 2.0)
        };
        let (users, items) = (small(rows, n_factors), small(n_items, n_factors));
        Self {
            history: interactions(&seen, n_users, n_items),
            truth: interactions(&wanted, n_users, n_items),
            candidates,
            users,
            items,
            known: (0..n_items).map(|_| draw.below(5) > 0).collect(),
            user_rows: (0..n_users)
                .map(|_| Some(draw.below(rows) as u32).filter(|row| row % 3 > 0))
                .collect(),
            counts: (0..n_items).map(|_| draw.below(7) as f64).collect(),
            counted: (0..n_items).map(|_| draw.below(5) > 0).collect(),
        }
    }

    fn universe(&self) -> Universe<'_> {
        Universe::new(&self.history, &self.truth, &self.candidates).expect("valid")
    }

    fn popularity(&self) -> StaticScores<'_> {
        StaticScores { scores: &self.counts, known: &self.counted }
    }

    fn models(&self) -> [Model<'_>; 2] {
        let factors = FactorScores {
            users: self.users.view(),
            items: self.items.view(),
            known: &self.known,
            user_rows: &self.user_rows,
            fallback: self.popularity(),
        };
        [
            Model { name: "candidate", scorer: Scorer::Factors(factors) },
            Model { name: "popularity", scorer: Scorer::Static(self.popularity()) },
        ]
    }

    fn expected(&self, model: usize, user: usize, depth: usize) -> Ranked {
        let count = |item: u32| self.counted[item as usize].then_some(self.counts[item as usize]);
        let inner = |row: u32, item: u32| {
            let (user, item) = (self.users.row(row as usize), self.items.row(item as usize));
            user.iter().zip(item).map(|(u, i)| f64::from(u * i)).sum::<f64>()
        };
        let score = |item: u32| match self.user_rows[user] {
            Some(row) if model == 0 => self.known[item as usize].then(|| inner(row, item)),
            _ => count(item),
        };
        by_sorting(self.history.items_of(user), self.truth.items_of(user), &self.candidates, depth, score)
    }

    fn check(&self, depth: u32) {
        let found = ranked(&self.universe(), &self.models(), depth).expect("ranks");
        for (model, found) in found.iter().enumerate() {
            assert_eq!(found.len(), self.history.n_users());
            for (user, found) in found.iter().enumerate() {
                assert_eq!(*found, self.expected(model, user, depth as usize), "model {model} user {user}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_ranking_is_that_of_a_sort(
        n_users in 0usize..140,
        n_items in 0usize..70,
        n_factors in 0usize..20,
        depth in 0u32..80,
        seed in any::<u64>(),
    ) {
        Case::new(n_users, n_items, n_factors, seed).check(depth);
    }
}

#[test]
fn many_blocks_of_items() {
    Case::new(9, 2500, 3, 1).check(30);
    Case::new(70, 800, 17, 2).check(1000);
}

/// Real numbers, where the sum of products rounds: a truth item must still find itself.
#[test]
fn rounded_scores_rank_as_they_are() {
    let mut draw = Draw(3);
    let (n_users, n_items, d) = (33, 1700, 61);
    let mut case = Case::new(n_users, n_items, d, 4);
    case.users.mapv_inplace(|_| draw.signed());
    case.items.mapv_inplace(|_| draw.signed());
    let found = ranked(&case.universe(), &case.models()[..1], 1700).expect("ranks");
    for ranking in &found[0] {
        for (item, rank) in ranking.truth.iter().zip(&ranking.ranks) {
            if let Some(rank) = rank {
                assert_eq!(ranking.list[*rank as usize - 1], *item);
            }
        }
    }
}

#[test]
fn threads_leave_no_trace() {
    let case = Case::new(1500, 60, 9, 5);
    let all =
        |threads| with_threads(threads, || ranked(&case.universe(), &case.models(), 10).expect("ranks"));
    let one = all(1);
    for threads in [2, 3, 7] {
        assert_eq!(all(threads), one, "{threads} threads");
    }
}

#[test]
fn a_break_ends_the_ranking() {
    let case = Case::new(500, 10, 2, 6);
    let mut chunks = 0;
    rank(&case.universe(), &case.models(), 5, &mut |_| {
        chunks += 1;
        ControlFlow::Break(())
    })
    .expect("ranks");
    assert_eq!(chunks, 1);
}

#[test]
fn scores_that_are_not_finite_are_refused_by_name() {
    let mut case = Case::new(8, 12, 3, 7);
    case.user_rows = (0..8).map(Some).collect();
    case.known.fill(true);
    case.candidates.fill(true);
    let refused = |case: &Case| ranked(&case.universe(), &case.models(), 5).unwrap_err();

    let mut damaged = case.clone();
    damaged.items[(7, 1)] = f32::NAN;
    assert_eq!(refused(&damaged), RankError::ItemNotFinite { model: "candidate".into(), item: 7 });
    damaged.known[7] = false;
    assert!(ranked(&damaged.universe(), &damaged.models(), 5).is_ok(), "an unknown item is not read");

    let mut damaged = case.clone();
    damaged.users[(5, 0)] = f32::INFINITY;
    assert_eq!(refused(&damaged), RankError::UserNotFinite { model: "candidate".into(), user: 5 });

    // Finite factors whose product overflows.
    let mut large = case.clone();
    large.users.row_mut(6).fill(1e30);
    large.items.row_mut(2).fill(1e30);
    let error = refused(&large);
    assert_eq!(error, RankError::UserNotFinite { model: "candidate".into(), user: 6 });
    assert!(error.to_string().contains("model candidate: the scores of user 6"));

    // Norms whose product overflows, though no score does.
    let mut orthogonal = case.clone();
    orthogonal.users.fill(0.0);
    orthogonal.items.fill(0.0);
    orthogonal.users.column_mut(0).fill(1e30);
    orthogonal.items.column_mut(1).fill(1e30);
    orthogonal.check(5);

    let mut damaged = case.clone();
    damaged.counts[3] = f64::NAN;
    damaged.counted[3] = true;
    assert_eq!(refused(&damaged), RankError::ItemNotFinite { model: "candidate".into(), item: 3 });
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let case = Case::new(8, 12, 3, 8);
    let narrow = Array2::zeros((8, 2));
    let mut models = case.models();
    let Scorer::Factors(factors) = &mut models[0].scorer else { unreachable!("built so") };
    factors.users = narrow.view();
    assert!(matches!(ranked(&case.universe(), &models, 5), Err(RankError::UnequalFactors { .. })));

    let mut models = case.models();
    let Scorer::Factors(factors) = &mut models[0].scorer else { unreachable!("built so") };
    let rows = vec![Some(9); 8];
    factors.user_rows = &rows;
    assert!(matches!(ranked(&case.universe(), &models, 5), Err(RankError::NoSuchRow { row: 9, .. })));

    let mut models = case.models();
    let Scorer::Static(scores) = &mut models[1].scorer else { unreachable!("built so") };
    scores.known = &case.counted[1..];
    assert!(matches!(ranked(&case.universe(), &models, 5), Err(RankError::WrongLength { .. })));
}

/// Two users, four items, everything countable on fingers.
#[test]
fn figures_of_a_small_evaluation() {
    let history = interactions(&[(0, 0), (1, 3)], 2, 4);
    let truth = interactions(&[(0, 1)], 2, 4);
    let universe = Universe::new(&history, &truth, &[true; 4]).expect("valid");
    let scores = StaticScores { scores: &[9.0, 1.0, 5.0, 1.0], known: &[true; 4] };
    let models = [Model { name: "popularity", scorer: Scorer::Static(scores) }];
    let metrics: Vec<Metric> =
        ["hit@1", "mrr", "auc", "coverage@1"].iter().map(|word| word.parse().expect("valid")).collect();
    let mut tally = Tally::new(&universe, 1, &metrics);
    rank(&universe, &models, Tally::list_length(&metrics), &mut |chunk| {
        tally.add(chunk);
        ControlFlow::Continue(())
    })
    .expect("ranks");
    let figures = tally.finish(&universe).remove(0);
    let values: Vec<f64> = figures.iter().map(|figure| figure.value).collect();
    // User 0 sees 2, then 1 and 3 equal; user 1 sees 0 and has no truth.
    assert_eq!(values, [0.0, 0.5, 0.25, 0.5]);
    assert_eq!(figures.iter().map(|figure| figure.support).collect::<Vec<_>>(), [1, 1, 1, 2]);
    let per_user = figures[1].per_user.as_ref().expect("a value per user");
    assert!(per_user[0] == 0.5 && per_user[1].is_nan());
    assert_eq!(figures[3].per_user, None);
}

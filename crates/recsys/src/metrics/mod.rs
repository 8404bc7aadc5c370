//! Metrics: how high a model ranks what a user really took.
//!
//! Each metric stands in its own file with its definition and source. All are computed from
//! [`TruthRanks`], the ranks of a user's truth items among **all** of the user's unseen candidates;
//! nothing is sampled. A metric has a value per user, and its figure for a model is the plain mean
//! over the users who have one. Coverage alone belongs to the whole set of lists.

mod auc;
mod coverage;
mod hit;
mod map;
mod mrr;
mod ndcg;
mod precision;
mod recall;
mod recall_capped;
mod word;

pub use auc::auc;
pub use coverage::Coverage;
pub use hit::hit;
pub use map::map;
pub use mrr::mrr;
pub use ndcg::ndcg;
pub use precision::precision;
pub use recall::recall;
pub use recall_capped::recall_capped;
pub use word::MetricError;

use std::num::NonZeroU32;

/// Where one user's truth stands in a model's ranking of the user's unseen candidates.
///
/// The ranking is by falling score, equal scores by rising item index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TruthRanks<'a> {
    /// The rank of each truth item, from 1, each rank at most once; `None` for an item that the
    /// model does not know, which is a miss at every cut-off.
    pub ranks: &'a [Option<u32>],
    /// The rank of each truth item with equal scores sharing the mean of their ranks. Items that
    /// the model does not know share one place below all that it knows.
    pub mean_ranks: &'a [f64],
    /// How many unseen candidates the user has, truth items included.
    pub candidates: usize,
}

/// How many places at the top of the list count: `k` in `ndcg@k`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cutoff(NonZeroU32);

impl Cutoff {
    /// `None` for 0.
    #[must_use]
    pub fn new(k: u32) -> Option<Self> {
        NonZeroU32::new(k).map(Self)
    }

    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn holds(self, rank: Option<u32>) -> bool {
        rank.is_some_and(|rank| rank <= self.get())
    }

    fn hits(self, ranks: &[Option<u32>]) -> usize {
        ranks.iter().filter(|rank| self.holds(**rank)).count()
    }
}

/// A metric, as `ndcg@20` names it. [`Display`](std::fmt::Display) writes what
/// [`FromStr`](std::str::FromStr) reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    PerUser(PerUser),
    /// See [`Coverage`].
    Coverage(Cutoff),
}

/// A metric with a value for each user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PerUser {
    /// See [`ndcg`].
    Ndcg(Cutoff),
    /// See [`recall`].
    Recall(Cutoff),
    /// See [`recall_capped`].
    RecallCapped(Cutoff),
    /// See [`precision`].
    Precision(Cutoff),
    /// See [`map`].
    Map(Cutoff),
    /// See [`mrr`]; without a cut-off over the full ranking.
    Mrr(Option<Cutoff>),
    /// See [`hit`].
    Hit(Cutoff),
    /// See [`auc`].
    Auc,
}

impl PerUser {
    /// The value of one user; NaN where the metric's definition gives none, which for all of them
    /// includes a user without truth.
    #[must_use]
    pub fn of(self, truth: &TruthRanks<'_>) -> f64 {
        match self {
            Self::Ndcg(k) => ndcg(truth.ranks, k),
            Self::Recall(k) => recall(truth.ranks, k),
            Self::RecallCapped(k) => recall_capped(truth.ranks, k),
            Self::Precision(k) => precision(truth.ranks, k),
            Self::Map(k) => map(truth.ranks, k),
            Self::Mrr(k) => mrr(truth.ranks, k),
            Self::Hit(k) => hit(truth.ranks, k),
            Self::Auc => auc(truth.mean_ranks, truth.candidates),
        }
    }
}

impl Metric {
    /// Whether models can be compared user by user on it.
    #[must_use]
    pub fn has_value_per_user(self) -> bool {
        matches!(self, Self::PerUser(_))
    }

    /// How long the lists must be to compute it: coverage reads the lists, all others the ranks.
    #[must_use]
    pub fn list_length(self) -> u32 {
        match self {
            Self::PerUser(_) => 0,
            Self::Coverage(k) => k.get(),
        }
    }

    /// Whether a model with a larger figure is the better one.
    #[must_use]
    pub fn larger_is_better(self) -> bool {
        match self {
            Self::PerUser(
                PerUser::Ndcg(_)
                | PerUser::Recall(_)
                | PerUser::RecallCapped(_)
                | PerUser::Precision(_)
                | PerUser::Map(_)
                | PerUser::Mrr(_)
                | PerUser::Hit(_)
                | PerUser::Auc,
            )
            | Self::Coverage(_) => true,
        }
    }
}

/// The mean over the users who have a value, and how many they are. The mean of none is NaN.
#[must_use]
pub fn mean(values: &[f64]) -> (f64, usize) {
    let mut sum = 0.0;
    let mut count = 0;
    for value in values.iter().filter(|value| !value.is_nan()) {
        sum += value;
        count += 1;
    }
    (sum / count as f64, count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Distinct ranks among `candidates`, some of them of unknown items.
    fn truths() -> impl Strategy<Value = (Vec<Option<u32>>, usize)> {
        (1usize..60, 0usize..60).prop_flat_map(|(known, unknown)| {
            let ranks: Vec<u32> = (1..=known as u32).collect();
            let misses = prop::collection::vec(Just(None::<u32>), 0..=unknown.min(3));
            (prop::sample::subsequence(ranks, 0..=known), misses).prop_map(move |(hits, misses)| {
                let ranks = hits.into_iter().map(Some).chain(misses).collect();
                (ranks, known + unknown)
            })
        })
    }

    fn all(k: u32) -> Vec<PerUser> {
        let k = Cutoff::new(k).expect("not 0");
        vec![
            PerUser::Ndcg(k),
            PerUser::Recall(k),
            PerUser::RecallCapped(k),
            PerUser::Precision(k),
            PerUser::Map(k),
            PerUser::Mrr(Some(k)),
            PerUser::Mrr(None),
            PerUser::Hit(k),
            PerUser::Auc,
        ]
    }

    /// Mean ranks when no scores are equal.
    fn mean_ranks(ranks: &[Option<u32>], candidates: usize) -> Vec<f64> {
        ranks.iter().map(|rank| rank.map_or(candidates as f64, f64::from)).collect()
    }

    proptest! {
        #[test]
        fn values_lie_between_0_and_1((ranks, candidates) in truths(), k in 1u32..70) {
            let mean_ranks = mean_ranks(&ranks, candidates);
            let truth = TruthRanks { ranks: &ranks, mean_ranks: &mean_ranks, candidates };
            for metric in all(k) {
                let value = metric.of(&truth);
                if ranks.is_empty() {
                    prop_assert!(value.is_nan(), "{metric:?}");
                } else if metric != PerUser::Auc {
                    prop_assert!((0.0..=1.0 + 1e-12).contains(&value), "{metric:?} {value}");
                }
            }
        }

        #[test]
        fn the_order_of_truth_items_does_not_matter(
            (ranks, shuffled) in truths()
                .prop_flat_map(|(ranks, _)| (Just(ranks.clone()), Just(ranks).prop_shuffle())),
            k in 1u32..70,
        ) {
            for metric in all(k).into_iter().filter(|metric| *metric != PerUser::Auc) {
                let of = |ranks: &[Option<u32>]| {
                    metric.of(&TruthRanks { ranks, mean_ranks: &[], candidates: 0 })
                };
                let (left, right) = (of(&ranks), of(&shuffled));
                prop_assert!((left - right).abs() < 1e-12 || left.is_nan() && right.is_nan());
            }
        }

        #[test]
        fn a_better_rank_never_lowers_a_value(
            ranks in prop::collection::btree_set(2u32..60, 1..20),
            k in 1u32..70,
        ) {
            let before: Vec<Option<u32>> = ranks.iter().copied().map(Some).collect();
            let mut after = before.clone();
            after[0] = after[0].map(|rank| rank - 1);
            for metric in all(k) {
                let of = |ranks: &[Option<u32>]| {
                    let mean_ranks = mean_ranks(ranks, 60);
                    metric.of(&TruthRanks { ranks, mean_ranks: &mean_ranks, candidates: 60 })
                };
                prop_assert!(of(&after) >= of(&before) - 1e-12, "{metric:?}");
            }
        }
    }

    #[test]
    fn the_mean_leaves_out_users_without_a_value() {
        assert_eq!(mean(&[1.0, f64::NAN, 0.0]), (0.5, 2));
        let (none, count) = mean(&[f64::NAN]);
        assert!(none.is_nan() && count == 0);
    }

    #[test]
    fn metrics_tell_what_they_need() {
        let metric = |word: &str| word.parse::<Metric>().expect("valid");
        assert!(metric("ndcg@20").has_value_per_user());
        assert!(!metric("coverage@20").has_value_per_user());
        assert_eq!(metric("coverage@20").list_length(), 20);
        assert_eq!(metric("ndcg@20").list_length(), 0);
        assert!(metric("auc").larger_is_better());
    }
}

//! Early stopping: ranks validation users after every epoch, and keeps the best epoch.

use std::ops::ControlFlow;

use ndarray::Array2;
use noctule_recsys::interactions::{Interactions, InteractionsError};
use noctule_recsys::metrics::Metric;
use noctule_recsys::rank::{
    FactorScores, Model, RankError, Scorer, StaticScores, Tally, Universe, UniverseError, rank,
};
use noctule_recsys::sample::SaltedHash;
use noctule_recsys::train::ials::Factors;
use noctule_spec::kinds::train::EarlyStop;

use crate::emit::Emit;
use crate::error::{Class, Classed, StepError};
use crate::interactions::InteractionTable;

/// More validation users than these say little more, and each epoch pays for them.
const USERS: usize = 10_000;

/// Watches a training by one metric on validation rows.
pub(crate) struct Watch {
    metric: Metric,
    word: String,
    patience: u32,
    history: Interactions,
    truth: Interactions,
    /// For each watched user the row in the factor table.
    rows: Vec<Option<u32>>,
    everything: Vec<bool>,
    zeros: Vec<f64>,
    best: Option<Best>,
    without_improvement: u32,
}

/// The epoch with the best value of the metric.
pub(crate) struct Best {
    pub epoch: u32,
    pub metric: String,
    pub value: f64,
    pub factors: Factors,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum WatchError {
    #[error(
        "no validation row is of a user and an item that are trained on: early stopping has nothing to watch"
    )]
    NothingToWatch,
    #[error("early stopping by {metric}: the metric is no number in epoch {epoch}")]
    NoValue { metric: String, epoch: u32 },
    #[error("early stopping cannot rank the validation users: {0}")]
    Universe(#[from] UniverseError),
    #[error("early stopping cannot rank the validation users: {0}")]
    Rank(#[from] RankError),
    #[error("early stopping cannot read the validation rows: {0}")]
    Interactions(#[from] InteractionsError),
    #[error("`{0}` cannot be watched: {1}")]
    Metric(String, noctule_recsys::metrics::MetricError),
}

impl Classed for WatchError {
    fn class(&self) -> Class {
        match self {
            Self::Metric(..) => Class::Configuration,
            _ => Class::Data,
        }
    }
}

impl Watch {
    /// Prepares to rank the validation users among the trained items. Validation rows of users or items that are not
    /// trained on are left out, and counted.
    pub fn new(
        settings: &EarlyStop,
        train: &InteractionTable,
        validation: &InteractionTable,
        emit: &Emit,
    ) -> Result<Self, StepError> {
        let word = settings.metric.to_string();
        let metric = word.parse().map_err(|error| WatchError::Metric(word.clone(), error))?;
        let user_at = train.users.index().find(&validation.users);
        let item_at = train.items.index().find(&validation.items);
        let pairs: Vec<(u32, u32)> = (validation.user_of.iter().zip(&validation.item_of))
            .filter_map(|(user, item)| Some((user_at[*user as usize]?, item_at[*item as usize]?)))
            .collect();
        emit.count("validation_dropped_unknown", (validation.rows() - pairs.len()) as u64);
        let mut watched: Vec<u32> = pairs.iter().map(|(user, _)| *user).collect();
        watched.sort_unstable();
        watched.dedup();
        if watched.is_empty() {
            return Err(WatchError::NothingToWatch.into());
        }
        if watched.len() > USERS {
            emit.note(&format!("early stopping watches {USERS} of {} validation users", watched.len()));
            let ids: Vec<String> = watched.iter().map(|user| train.users.text(*user as usize)).collect();
            watched = SaltedHash::new("early-stop")
                .smallest(&ids, USERS)
                .into_iter()
                .map(|at| watched[at])
                .collect();
        }
        emit.count("validation_users", watched.len() as u64);
        let mut place = vec![None; train.users.len()];
        for (at, user) in (0_u32..).zip(&watched) {
            place[*user as usize] = Some(at);
        }
        let seen = train.user_of.iter().copied().zip(train.item_of.iter().copied());
        let items = train.items.len();
        Ok(Self {
            metric,
            word,
            patience: settings.patience,
            history: of_users(seen, &place, watched.len(), items)?,
            truth: of_users(pairs.into_iter(), &place, watched.len(), items)?,
            rows: watched.into_iter().map(Some).collect(),
            everything: vec![true; items],
            zeros: vec![0.0; items],
            best: None,
            without_improvement: 0,
        })
    }

    /// Ranks by the factors of an epoch. Breaks when the metric has not improved for as long as patience lasts.
    pub fn look(&mut self, epoch: u32, factors: &Factors, emit: &Emit) -> Result<ControlFlow<()>, StepError> {
        let value = self.value(factors)?;
        if !value.is_finite() {
            return Err(WatchError::NoValue { metric: self.word.clone(), epoch }.into());
        }
        emit.series(&format!("validation/{}", self.word), u64::from(epoch), value);
        if self.best.as_ref().is_none_or(|best| value > best.value) {
            self.best = Some(Best { epoch, metric: self.word.clone(), value, factors: factors.clone() });
            self.without_improvement = 0;
            return Ok(ControlFlow::Continue(()));
        }
        self.without_improvement += 1;
        if self.without_improvement < self.patience {
            return Ok(ControlFlow::Continue(()));
        }
        emit.note(&format!(
            "stopped after epoch {epoch}: {} has not improved for {} epochs",
            self.word, self.without_improvement
        ));
        Ok(ControlFlow::Break(()))
    }

    pub fn into_best(self) -> Option<Best> {
        self.best
    }

    fn value(&self, factors: &Factors) -> Result<f64, WatchError> {
        let universe = Universe::new(&self.history, &self.truth, &self.everything)?;
        let fallback = StaticScores { scores: &self.zeros, known: &self.everything };
        let (users, items): (&Array2<f32>, &Array2<f32>) = (&factors.users, &factors.items);
        let scores = FactorScores {
            users: users.view(),
            items: items.view(),
            known: &self.everything,
            user_rows: &self.rows,
            fallback,
        };
        let model = Model { name: "the epoch", scorer: Scorer::Factors(scores) };
        let mut tally = Tally::new(&universe, 1, &[self.metric]);
        rank(&universe, &[model], Tally::list_length(&[self.metric]), &mut |chunk| {
            tally.add(chunk);
            ControlFlow::Continue(())
        })?;
        Ok(tally.finish(&universe)[0][0].value)
    }
}

/// The pairs of those users that have a place, by place.
fn of_users(
    pairs: impl Iterator<Item = (u32, u32)>,
    place: &[Option<u32>],
    users: usize,
    items: usize,
) -> Result<Interactions, WatchError> {
    let (user_of, item_of): (Vec<u32>, Vec<u32>) =
        pairs.filter_map(|(user, item)| Some((place[user as usize]?, item))).unzip();
    Ok(Interactions::from_pairs(&user_of, &item_of, None, users, items)?)
}

//! Metrics of every model, gathered while the rankings stream by.

use super::chunk::RankedChunk;
use super::universe::Universe;
use crate::metrics::{Coverage, Cutoff, Metric, PerUser, mean};

/// Collects metrics from the chunks of [`rank`](super::rank()), in the order they come.
#[derive(Debug)]
pub struct Tally {
    models: Vec<Vec<Running>>,
}

#[derive(Debug)]
enum Running {
    PerUser { metric: PerUser, values: Vec<f64> },
    Coverage { k: Cutoff, coverage: Coverage },
}

/// One model's figure in one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub metric: Metric,
    /// The mean over the users who have a value; NaN when there are none.
    pub value: f64,
    /// How many users have a value; for coverage, all of them.
    pub support: usize,
    /// One value for each user of the universe, NaN for none; `None` for coverage.
    pub per_user: Option<Vec<f64>>,
}

impl Tally {
    #[must_use]
    pub fn new(universe: &Universe<'_>, n_models: usize, metrics: &[Metric]) -> Self {
        let running = |metric: &Metric| match *metric {
            Metric::PerUser(metric) => {
                Running::PerUser { metric, values: Vec::with_capacity(universe.n_users()) }
            }
            Metric::Coverage(k) => Running::Coverage {
                k,
                coverage: Coverage::new(k, universe.n_items(), universe.n_candidates()),
            },
        };
        let models = (0..n_models).map(|_| metrics.iter().map(running).collect()).collect();
        Self { models }
    }

    /// How long the lists must be for `metrics`, at least.
    #[must_use]
    pub fn list_length(metrics: &[Metric]) -> u32 {
        metrics.iter().map(|metric| metric.list_length()).max().unwrap_or(0)
    }

    pub fn add(&mut self, chunk: &RankedChunk) {
        for (model, running) in self.models.iter_mut().enumerate() {
            for user in chunk.users() {
                let ranking = chunk.ranking(model, user);
                for metric in running.iter_mut() {
                    match metric {
                        Running::PerUser { metric, values } => {
                            values.push(metric.of(&ranking.ranks));
                        }
                        Running::Coverage { coverage, .. } => coverage.add(ranking.list),
                    }
                }
            }
        }
    }

    /// The figures of each model, in the order of models and metrics.
    #[must_use]
    pub fn finish(self, universe: &Universe<'_>) -> Vec<Vec<Figure>> {
        let figure = |running: Running| match running {
            Running::PerUser { metric, values } => {
                let (value, support) = mean(&values);
                Figure { metric: Metric::PerUser(metric), value, support, per_user: Some(values) }
            }
            Running::Coverage { k, coverage } => Figure {
                metric: Metric::Coverage(k),
                value: coverage.value(),
                support: universe.n_users(),
                per_user: None,
            },
        };
        self.models.into_iter().map(|model| model.into_iter().map(figure).collect()).collect()
    }
}

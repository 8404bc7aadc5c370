//! What gives the scores.

use ndarray::ArrayView2;
use thiserror::Error;

use super::Universe;

/// A model under evaluation.
#[derive(Debug, Clone)]
pub struct Model<'a> {
    /// Names the model in errors.
    pub name: &'a str,
    pub scorer: Scorer<'a>,
}

/// How a model scores an item for a user.
#[derive(Debug, Clone)]
pub enum Scorer<'a> {
    /// The inner product of a user's and an item's factors.
    Factors(FactorScores<'a>),
    /// The same score for every user.
    Static(StaticScores<'a>),
}

/// One score per item of the universe.
#[derive(Debug, Clone, Copy)]
pub struct StaticScores<'a> {
    pub scores: &'a [f64],
    /// Which items the model knows. The score of one that it doesn't know is not read.
    pub known: &'a [bool],
}

/// Factors aligned to the universe.
#[derive(Debug, Clone)]
pub struct FactorScores<'a> {
    /// The model's own user rows, in any order; one row per user that it knows.
    pub users: ArrayView2<'a, f32>,
    /// One row per item of the universe. The row of an item that it doesn't know is not read.
    pub items: ArrayView2<'a, f32>,
    /// Which items the model knows.
    pub known: &'a [bool],
    /// For each user of the universe the row in `users`; `None` for one the model doesn't know.
    pub user_rows: &'a [Option<u32>],
    /// What a user whom the model doesn't know is shown.
    pub fallback: StaticScores<'a>,
}

/// Why a model cannot rank the universe. Users and items are indices of the universe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RankError {
    #[error("model {model}: {what} has {found} entries; the universe has {expected}")]
    WrongLength { model: String, what: &'static str, found: usize, expected: usize },
    #[error(
        "model {model}: user factors have {users} columns and item factors {items}; \
         both tables must come from one training"
    )]
    UnequalFactors { model: String, users: usize, items: usize },
    #[error("model {model}: user {user} points at row {row}, but there are {rows} user rows")]
    NoSuchRow { model: String, user: usize, row: u32, rows: usize },
    #[error(
        "model {model}: the score of item {item} is not a finite number; \
         the model is damaged or its training diverged, train it again"
    )]
    ItemNotFinite { model: String, item: usize },
    #[error(
        "model {model}: the scores of user {user} are not finite numbers; \
         the model is damaged or its training diverged, train it again"
    )]
    UserNotFinite { model: String, user: usize },
}

impl Model<'_> {
    /// Checks everything that can be checked before scores are computed.
    pub(super) fn check(&self, universe: &Universe<'_>) -> Result<(), RankError> {
        match &self.scorer {
            Scorer::Static(scores) => self.check_static(scores, universe),
            Scorer::Factors(scores) => self.check_factors(scores, universe),
        }
    }

    fn check_static(&self, scores: &StaticScores<'_>, universe: &Universe<'_>) -> Result<(), RankError> {
        self.check_length("its table of scores", scores.scores.len(), universe.n_items())?;
        self.check_length("its table of known items", scores.known.len(), universe.n_items())?;
        let finite = |item: usize| !scores.known[item] || scores.scores[item].is_finite();
        self.check_items(universe, finite)
    }

    fn check_factors(&self, scores: &FactorScores<'_>, universe: &Universe<'_>) -> Result<(), RankError> {
        self.check_length("its table of item factors", scores.items.nrows(), universe.n_items())?;
        self.check_length("its table of known items", scores.known.len(), universe.n_items())?;
        self.check_length("its table of user rows", scores.user_rows.len(), universe.n_users())?;
        if scores.users.ncols() != scores.items.ncols() {
            return Err(RankError::UnequalFactors {
                model: self.name.to_owned(),
                users: scores.users.ncols(),
                items: scores.items.ncols(),
            });
        }
        for (user, row) in scores.user_rows.iter().enumerate() {
            let Some(row) = *row else { continue };
            if row as usize >= scores.users.nrows() {
                let (model, rows) = (self.name.to_owned(), scores.users.nrows());
                return Err(RankError::NoSuchRow { model, user, row, rows });
            }
            if !scores.users.row(row as usize).iter().all(|factor| factor.is_finite()) {
                return Err(RankError::UserNotFinite { model: self.name.to_owned(), user });
            }
        }
        let finite = |item: usize| {
            !scores.known[item] || scores.items.row(item).iter().all(|factor| factor.is_finite())
        };
        self.check_items(universe, finite)?;
        self.check_static(&scores.fallback, universe)
    }

    fn check_length(&self, what: &'static str, found: usize, expected: usize) -> Result<(), RankError> {
        if found == expected {
            return Ok(());
        }
        Err(RankError::WrongLength { model: self.name.to_owned(), what, found, expected })
    }

    fn check_items(&self, universe: &Universe<'_>, finite: impl Fn(usize) -> bool) -> Result<(), RankError> {
        match (0..universe.n_items()).find(|item| universe.candidates[*item] && !finite(*item)) {
            None => Ok(()),
            Some(item) => Err(RankError::ItemNotFinite { model: self.name.to_owned(), item }),
        }
    }
}

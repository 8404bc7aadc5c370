//! Implicit alternating least squares.
//!
//! The objective of Rendle, Krichene, Zhang and Koren 2021, "Revisiting the Performance of iALS on
//! Item Recommendation Benchmarks" (arXiv 2110.14037). With `S` the observed pairs, all labelled 1,
//! `w_u` and `h_i` the factors of users and items:
//!
//! ```text
//! L = sum over (u,i) in S of c_ui (w_u.h_i - 1)^2  +  a0 * sum over all u, i of (w_u.h_i)^2
//!     + lambda * ( sum over u of (|I_u| + a0 |I|)^nu |w_u|^2 + sum over i of (|U_i| + a0 |U|)^nu |h_i|^2 )
//! ```
//!
//! - The unobserved term runs over all pairs, observed ones included.
//! - `c_ui` is 1 unless the interactions carry weights; it multiplies the observed term only. `|I_u|`
//!   and `|U_i|` count pairs, whatever their weight. A pair given twice counts twice.
//! - `|U|` and `|I|` are the sizes of the index ranges, so they should hold trained users and items
//!   alone.
//! - The start is N(0, stddev / sqrt(d)); one epoch solves all users exactly, then all items.
//!
//! Read next: [`Ials::fit`], then `row.rs`, which solves one user or item.

mod extent;
mod fixed;
mod fold_in;
mod gram;
mod init;
mod row;
mod settings;
mod side;

use std::ops::ControlFlow;

use ndarray::Array2;
use thiserror::Error;

use crate::interactions::{Interactions, InteractionsError};

use fixed::Fixed;
use gram::Gram;
use side::Side;

pub use extent::{Extent, TrainMemory};
pub use fold_in::FoldIn;
pub use settings::{IalsSettings, SettingsError};

/// The trainer, with checked parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Ials {
    settings: IalsSettings,
}

/// Both factor tables, one row per user and per item.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    pub users: Array2<f32>,
    pub items: Array2<f32>,
}

/// Where a training stands: going on from here gives the same bits as never having stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Epochs that are done; 0 before the first.
    pub epoch: u32,
    pub factors: Factors,
}

/// What an epoch reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochReport {
    /// Counted from 1.
    pub epoch: u32,
    /// The objective, the sum of the three parts.
    pub loss: f64,
    pub observed: f64,
    pub unobserved: f64,
    pub regularisation: f64,
}

/// Why a training cannot start or go on.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum IalsError {
    #[error(
        "{what} have {found} rows and columns, not {expected}; go on only with the factors of this \
             training, over the same users and items and with the same number of factors"
    )]
    WrongShape { what: &'static str, found: String, expected: String },
    #[error("the checkpoint is at epoch {epoch}, beyond the {epochs} epochs asked for; ask for more epochs")]
    BeyondTheEnd { epoch: u32, epochs: u32 },
    #[error("the factors to start from hold numbers that are not finite; start afresh")]
    StartNotFinite,
    #[error(
        "epoch {epoch}: the {side} factors are no longer finite numbers; the equations are singular or \
         overflow in single precision. Raise `regularisation`, or lower the weights"
    )]
    NotFinite { epoch: u32, side: &'static str },
    #[error("the history of a new user cannot be used")]
    BadHistory(#[from] InteractionsError),
    #[error(
        "the factors of a new user are not finite numbers; the item factors are damaged, or \
             `regularisation` is too small"
    )]
    FoldInNotFinite,
}

impl Ials {
    /// # Errors
    /// A parameter outside of its range.
    pub fn new(settings: IalsSettings) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self { settings })
    }

    #[must_use]
    pub fn settings(&self) -> &IalsSettings {
        &self.settings
    }

    /// Trains on `interactions`, from `start` on when there is one, to the end of the last epoch.
    ///
    /// `on_epoch` is called after every epoch and ends the training there by `Break`. The work runs
    /// on the current rayon pool; the result has the same bits whatever its number of threads, and
    /// whether or not the training was interrupted at an epoch and gone on with.
    ///
    /// # Errors
    /// A start that does not fit, and equations whose solutions are not finite.
    pub fn fit(
        &self,
        interactions: &Interactions,
        start: Option<Checkpoint>,
        on_epoch: &mut dyn FnMut(&EpochReport, &Factors) -> ControlFlow<()>,
    ) -> Result<Checkpoint, IalsError> {
        let mut at = match start {
            Some(start) => self.checked_start(start, interactions)?,
            None => self.initial(interactions),
        };
        let by_item = interactions.transpose();
        let user_regularisation = self.regularisation_of(interactions);
        let item_regularisation = self.regularisation_of(&by_item);
        let mut item_gram = Gram::of(at.factors.items.view());
        while at.epoch < self.settings.epochs {
            let epoch = at.epoch + 1;
            let Factors { users, items } = &mut at.factors;
            self.solve_side(interactions, &user_regularisation, items, &item_gram, users)
                .ok_or(IalsError::NotFinite { epoch, side: "user" })?;
            let user_gram = Gram::of(users.view());
            let observed = self
                .solve_side(&by_item, &item_regularisation, users, &user_gram, items)
                .ok_or(IalsError::NotFinite { epoch, side: "item" })?;
            item_gram = Gram::of(items.view());
            at.epoch = epoch;
            let unobserved = self.settings.unobserved_weight * user_gram.trace_of_product(&item_gram);
            let regularisation =
                weighted_squares(users, &user_regularisation) + weighted_squares(items, &item_regularisation);
            let loss = observed + unobserved + regularisation;
            let report = EpochReport { epoch, loss, observed, unobserved, regularisation };
            if on_epoch(&report, &at.factors).is_break() {
                break;
            }
        }
        Ok(at)
    }

    /// Solves all rows of `table`, whose pairs are `pairs`, with the `other` side fixed.
    fn solve_side(
        &self,
        pairs: &Interactions,
        regularisation: &[f64],
        other: &Array2<f32>,
        gram: &Gram,
        table: &mut Array2<f32>,
    ) -> Option<f64> {
        let fixed = Fixed::new(other.view(), gram)?;
        let unobserved_weight = self.settings.unobserved_weight;
        Side { fixed: &fixed, pairs, unobserved_weight, regularisation }.solve(table)
    }

    fn initial(&self, interactions: &Interactions) -> Checkpoint {
        let n = self.settings.factors;
        let stddev = self.settings.init_stddev / (n as f64).sqrt();
        let items = init::normal(interactions.n_items(), n, stddev, self.settings.seed, b"ials/itm");
        // Users are solved first, from the items alone, so theirs need no draw.
        let users = Array2::zeros((interactions.n_users(), n));
        Checkpoint { epoch: 0, factors: Factors { users, items } }
    }

    fn checked_start(&self, start: Checkpoint, interactions: &Interactions) -> Result<Checkpoint, IalsError> {
        let Factors { users, items } = &start.factors;
        for (what, table, rows) in [
            ("the user factors to start from", users, interactions.n_users()),
            ("the item factors to start from", items, interactions.n_items()),
        ] {
            let expected = (rows, self.settings.factors);
            if table.dim() != expected {
                let (found, expected) = (shape(table.dim()), shape(expected));
                return Err(IalsError::WrongShape { what, found, expected });
            }
            if !table.iter().all(|factor| factor.is_finite()) {
                return Err(IalsError::StartNotFinite);
            }
        }
        if start.epoch > self.settings.epochs {
            let (epoch, epochs) = (start.epoch, self.settings.epochs);
            return Err(IalsError::BeyondTheEnd { epoch, epochs });
        }
        let standard = |table: Array2<f32>| table.as_standard_layout().into_owned();
        let factors = Factors { users: standard(start.factors.users), items: standard(start.factors.items) };
        Ok(Checkpoint { epoch: start.epoch, factors })
    }

    /// `lambda` of each row of `pairs`.
    fn regularisation_of(&self, pairs: &Interactions) -> Vec<f64> {
        (0..pairs.n_users())
            .map(|row| self.regularisation_for(pairs.items_of(row).len(), pairs.n_items()))
            .collect()
    }

    /// `lambda * (pairs + a0 * others)^nu`
    fn regularisation_for(&self, n_pairs: usize, n_others: usize) -> f64 {
        let frequency = n_pairs as f64 + self.settings.unobserved_weight * n_others as f64;
        self.settings.regularisation * frequency.powf(self.settings.nu)
    }
}

fn shape((rows, columns): (usize, usize)) -> String {
    format!("{rows} x {columns}")
}

/// The sum of each row's squared length times its weight.
fn weighted_squares(table: &Array2<f32>, weights: &[f64]) -> f64 {
    let square = |row: ndarray::ArrayView1<'_, f32>| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    table.rows().into_iter().zip(weights).map(|(row, weight)| weight * square(row)).sum()
}

//! Users who came after the training.

use ndarray::{Array1, Array2};

use super::fixed::Fixed;
use super::gram::Gram;
use super::side::Side;
use super::{Ials, IalsError, shape};
use crate::interactions::Interactions;

/// Item factors made ready to give factors to new users.
pub struct FoldIn<'a> {
    trainer: &'a Ials,
    items: Fixed,
}

impl Ials {
    /// Makes `items`, one row per item, ready for [`FoldIn::user`].
    ///
    /// # Errors
    /// A table with another number of factors, or with numbers that are not finite.
    pub fn fold_in(&self, items: &Array2<f32>) -> Result<FoldIn<'_>, IalsError> {
        let expected = (items.nrows(), self.settings.factors);
        if items.dim() != expected {
            let (found, expected) = (shape(items.dim()), shape(expected));
            return Err(IalsError::WrongShape { what: "the item factors", found, expected });
        }
        let items = items.as_standard_layout();
        let items = Fixed::new(items.view(), &Gram::of(items.view())).ok_or(IalsError::FoldInNotFinite)?;
        Ok(FoldIn { trainer: self, items })
    }
}

impl FoldIn<'_> {
    /// The factors of a user with this history: one exact solve, the same as in a training's half
    /// epoch. An item given twice counts twice; weights are as in [`Interactions`].
    ///
    /// # Errors
    /// An item out of range, a bad weight, or factors that are not finite.
    pub fn user(&self, history: &[u32], weights: Option<&[f32]>) -> Result<Array1<f32>, IalsError> {
        let user = vec![0; history.len()];
        let pairs = Interactions::from_pairs(&user, history, weights, 1, self.items.n_rows)?;
        let side = Side {
            fixed: &self.items,
            pairs: &pairs,
            unobserved_weight: self.trainer.settings.unobserved_weight,
            regularisation: &self.trainer.regularisation_of(&pairs),
        };
        let mut table = Array2::zeros((1, self.trainer.settings.factors));
        side.solve(&mut table).ok_or(IalsError::FoldInNotFinite)?;
        Ok(table.row(0).to_owned())
    }
}

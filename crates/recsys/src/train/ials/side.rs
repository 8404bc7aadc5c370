//! One half of an epoch: every row of one side, solved exactly with the other side fixed.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use super::fixed::Fixed;
use super::row::{Pairs, Scratch, solve_row};
use crate::interactions::Interactions;
use crate::kernel::lanes::{Lanes, with_widest_lanes};
use crate::kernel::lines::Lines;

/// Rows that one task solves.
pub(super) const ROWS_PER_TASK: usize = 64;

/// What the equations of every row of a side share.
pub(super) struct Side<'a> {
    pub(super) fixed: &'a Fixed,
    /// The pairs by the side that is solved.
    pub(super) pairs: &'a Interactions,
    pub(super) unobserved_weight: f64,
    /// `lambda` of each row.
    pub(super) regularisation: &'a [f64],
}

impl Side<'_> {
    /// Writes the solutions into `table` and gives the observed part of the loss, the sum of
    /// `c (w.v - 1)^2`; `None` when a solution is not finite.
    pub(super) fn solve(&self, table: &mut Array2<f32>) -> Option<f64> {
        let n = self.fixed.n_factors;
        let rows = table.as_slice_mut().expect("factor tables are in standard layout");
        let losses: Vec<Option<f64>> = rows
            .par_chunks_mut(ROWS_PER_TASK * n)
            .enumerate()
            .map_init(
                || Task::new(self.fixed.width),
                |task, (number, out)| {
                    let first = number * ROWS_PER_TASK;
                    let loss = solve_rows(self, first..first + out.len() / n, task, out);
                    out.iter().all(|factor| factor.is_finite()).then_some(loss)
                },
            )
            .collect();
        losses.into_iter().sum()
    }

    fn row(&self, row: usize) -> Pairs<'_> {
        Pairs { items: self.pairs.items_of(row), weights: self.pairs.weights_of(row) }
    }

    /// `D^(-1/2)` of a row.
    fn set_scale(&self, row: usize, scale: &mut [f32]) {
        for (scale, eigenvalue) in scale.iter_mut().zip(&self.fixed.eigenvalues) {
            let diagonal = self.unobserved_weight * eigenvalue + self.regularisation[row];
            *scale = (1.0 / diagonal.sqrt()) as f32;
        }
    }
}

/// Memory that is used again from task to task.
struct Task {
    scratch: Scratch,
    /// Solutions in the basis of the fixed side, then outside of it; rows of its width.
    solved: Lines,
    turned: Lines,
}

impl Task {
    fn new(width: usize) -> Self {
        Self {
            scratch: Scratch::new(width),
            solved: Lines::zeroed(ROWS_PER_TASK * width),
            turned: Lines::zeroed(ROWS_PER_TASK * width),
        }
    }
}

with_widest_lanes! {
    /// Solves `rows` (at most [`ROWS_PER_TASK`]) into `out`, and gives the observed loss.
    fn solve_rows(side: &Side<'_>, rows: Range<usize>, task: &mut Task, out: &mut [f32]) -> f64 =
        solve_rows_with
}

#[inline(always)]
unsafe fn solve_rows_with<L: Lanes>(
    side: &Side<'_>,
    rows: Range<usize>,
    task: &mut Task,
    out: &mut [f32],
) -> f64 {
    let (n, width) = (side.fixed.n_factors, side.fixed.width);
    let count = rows.len();
    let mut loss = 0.0;
    for (row, solved) in rows.clone().zip(task.solved.chunks_exact_mut(width)) {
        side.set_scale(row, &mut task.scratch.scale);
        let next = if row + 1 < rows.end { side.pairs.items_of(row + 1) } else { &[] };
        // SAFETY: the caller's.
        loss += unsafe { solve_row::<L>(side.fixed, side.row(row), next, &mut task.scratch, solved) };
    }
    side.fixed.turn_back(&task.solved[..count * width], &mut task.turned);
    for (to, from) in out.chunks_exact_mut(n).zip(task.turned.chunks_exact(width)) {
        to.copy_from_slice(&from[..n]);
    }
    loss
}

//! One half of an epoch: every row of one side, solved exactly with the other side fixed.
//!
//! With the fixed side in the basis of its Gram matrix ([`Fixed`]), `D = a0 E + lambda` diagonal,
//! and `U` the rows `sqrt(c) v' D^(-1/2)` of a row's pairs, the solution is `w' = D^(-1/2) x` with
//!
//! - `(I + U^T U) x = U^T sqrt(c)`, one unknown per factor, or
//! - `x = U^T z`, `(I + U U^T) z = sqrt(c)`, one unknown per pair,
//!
//! equal since `(I + U^T U)^-1 U^T = U^T (I + U U^T)^-1`. The smaller system is solved, so that the
//! many users and items with few pairs cost little. Both matrices have no eigenvalue below 1, which
//! is what makes single precision safe.

use std::ops::Range;

use ndarray::Array2;
use rayon::prelude::*;

use super::fixed::Fixed;
use crate::interactions::Interactions;
use crate::kernel::cholesky::solve;
use crate::kernel::lanes::{Lanes, with_widest_lanes};
use crate::kernel::lines::Lines;
use crate::kernel::product::add_own_product;
use crate::kernel::{LANES, padded};

/// Rows that one task solves.
const ROWS_PER_TASK: usize = 64;
/// Numbers to a gathered block, which stays in the first-level cache.
const GATHERED: usize = 8 * 1024;

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
                || Scratch::new(self.fixed.width),
                |scratch, (task, out)| {
                    let first = task * ROWS_PER_TASK;
                    let rows = first..first + out.len() / n;
                    let loss = solve_rows(self, rows, scratch, out);
                    out.iter().all(|factor| factor.is_finite()).then_some(loss)
                },
            )
            .collect();
        losses.into_iter().sum()
    }
}

/// Memory that is used again from row to row.
pub(super) struct Scratch {
    gathered: Lines,
    matrix: Lines,
    side: Lines,
    inverse: Lines,
    scale: Lines,
    solved: Lines,
    turned: Lines,
}

impl Scratch {
    pub(super) fn new(width: usize) -> Self {
        Self {
            gathered: Lines::zeroed(rows_at_once(width) * width),
            matrix: Lines::zeroed(width * width),
            side: Lines::zeroed(width),
            inverse: Lines::zeroed(width),
            scale: Lines::zeroed(width),
            solved: Lines::zeroed(ROWS_PER_TASK * width),
            turned: Lines::zeroed(ROWS_PER_TASK * width),
        }
    }
}

/// How many pairs are gathered before their products are summed; no fewer than the smaller system
/// may have.
fn rows_at_once(width: usize) -> usize {
    (GATHERED / width).next_multiple_of(LANES).max(width)
}

with_widest_lanes! {
    /// Solves `rows` (at most [`ROWS_PER_TASK`]) into `out`, and gives the observed loss.
    pub(super) fn solve_rows(
        side: &Side<'_>,
        rows: Range<usize>,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) -> f64 = solve_rows_with
}

#[inline(always)]
unsafe fn solve_rows_with<L: Lanes>(
    side: &Side<'_>,
    rows: Range<usize>,
    scratch: &mut Scratch,
    out: &mut [f32],
) -> f64 {
    let (n, width) = (side.fixed.n_factors, side.fixed.width);
    let mut loss = 0.0;
    for (place, row) in rows.clone().enumerate() {
        let pairs = Pairs { items: side.pairs.items_of(row), weights: side.pairs.weights_of(row) };
        set_scale(&mut scratch.scale, side, side.regularisation[row]);
        // SAFETY: the caller's.
        loss += unsafe { solve_row::<L>(side.fixed, pairs, place, scratch) };
    }
    let count = rows.len();
    side.fixed.turn_back(&scratch.solved[..count * width], &mut scratch.turned);
    for (to, from) in out.chunks_exact_mut(n).zip(scratch.turned.chunks_exact(width)) {
        to.copy_from_slice(&from[..n]);
    }
    loss
}

/// `D^(-1/2)`.
fn set_scale(scale: &mut [f32], side: &Side<'_>, regularisation: f64) {
    for (scale, eigenvalue) in scale.iter_mut().zip(&side.fixed.eigenvalues) {
        *scale = (1.0 / (side.unobserved_weight * eigenvalue + regularisation).sqrt()) as f32;
    }
}

/// The pairs of one row.
#[derive(Clone, Copy)]
struct Pairs<'a> {
    items: &'a [u32],
    weights: Option<&'a [f32]>,
}

impl Pairs<'_> {
    #[inline(always)]
    fn root_weight(self, pair: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[pair].sqrt())
    }
}

/// Solves one row into `scratch.solved`, in the basis.
#[inline(always)]
unsafe fn solve_row<L: Lanes>(fixed: &Fixed, pairs: Pairs<'_>, place: usize, scratch: &mut Scratch) -> f64 {
    let count = pairs.items.len();
    let width = fixed.width;
    if count == 0 {
        scratch.solved[place * width..][..width].fill(0.0);
        return 0.0;
    }
    // SAFETY: the caller's.
    unsafe {
        if padded(count) < width {
            solve_by_pairs::<L>(fixed, pairs, place, scratch)
        } else {
            solve_by_factors::<L>(fixed, pairs, place, scratch)
        }
    }
}

/// One unknown per factor.
#[inline(always)]
unsafe fn solve_by_factors<L: Lanes>(
    fixed: &Fixed,
    pairs: Pairs<'_>,
    place: usize,
    scratch: &mut Scratch,
) -> f64 {
    let (width, count) = (fixed.width, pairs.items.len());
    let blocks = width / LANES;
    let at_once = rows_at_once(width);
    scratch.matrix[..width * width].fill(0.0);
    scratch.side.fill(0.0);
    // SAFETY: the caller's; the gathered block holds at_once rows.
    unsafe {
        for start in (0..count).step_by(at_once) {
            let rows = start..count.min(start + at_once);
            gather::<L>(fixed, pairs, rows.clone(), &scratch.scale, &mut scratch.gathered);
            add_weighted_rows::<L>(pairs, rows.clone(), &scratch.gathered, &mut scratch.side);
            let (gathered, matrix) = (scratch.gathered.as_ptr(), scratch.matrix.as_mut_ptr());
            add_own_product::<L>(gathered, matrix, blocks, rows.len());
        }
        add_identity(&mut scratch.matrix, width);
        solve::<L>(blocks, &mut scratch.matrix, &mut scratch.side, &mut scratch.inverse);
        let mut loss = 0.0;
        for start in (0..count).step_by(at_once) {
            let rows = start..count.min(start + at_once);
            if count > at_once {
                gather::<L>(fixed, pairs, rows.clone(), &scratch.scale, &mut scratch.gathered);
            }
            loss += squared_errors::<L>(pairs, rows, &scratch.gathered, &scratch.side, width);
        }
        let solved = &mut scratch.solved[place * width..][..width];
        for (to, (x, scale)) in solved.iter_mut().zip(scratch.side.iter().zip(scratch.scale.iter())) {
            *to = x * scale;
        }
        loss
    }
}

/// One unknown per pair.
#[inline(always)]
unsafe fn solve_by_pairs<L: Lanes>(
    fixed: &Fixed,
    pairs: Pairs<'_>,
    place: usize,
    scratch: &mut Scratch,
) -> f64 {
    let (width, count) = (fixed.width, pairs.items.len());
    let unknowns = padded(count);
    let blocks = unknowns / LANES;
    scratch.matrix[..unknowns * unknowns].fill(0.0);
    for pair in 0..count {
        scratch.side[pair] = pairs.root_weight(pair);
    }
    scratch.side[count..unknowns].fill(0.0);
    // SAFETY: the caller's; the gathered block holds width columns of at most width numbers.
    unsafe {
        gather_transposed::<L>(fixed, pairs, &scratch.scale, &mut scratch.gathered);
        let (gathered, matrix) = (scratch.gathered.as_ptr(), scratch.matrix.as_mut_ptr());
        add_own_product::<L>(gathered, matrix, blocks, fixed.n_factors);
        add_identity(&mut scratch.matrix, unknowns);
        solve::<L>(blocks, &mut scratch.matrix, &mut scratch.side, &mut scratch.inverse);
        let solved = &mut scratch.solved[place * width..][..width];
        for (factor, to) in solved.iter_mut().enumerate().take(fixed.n_factors) {
            let row = &scratch.gathered[factor * unknowns..][..unknowns];
            *to = scratch.scale[factor] * dot::<L>(row, &scratch.side[..unknowns]);
        }
    }
    // sqrt(c) (1 - w.v) is z.
    scratch.side[..count].iter().map(|z| f64::from(*z).powi(2)).sum()
}

fn add_identity(matrix: &mut [f32], width: usize) {
    for column in 0..width {
        matrix[column * width + column] += 1.0;
    }
}

/// Rows `sqrt(c) v' D^(-1/2)` of the pairs, one after the other.
#[inline(always)]
unsafe fn gather<L: Lanes>(
    fixed: &Fixed,
    pairs: Pairs<'_>,
    rows: Range<usize>,
    scale: &[f32],
    to: &mut [f32],
) {
    let width = fixed.width;
    for (pair, to) in rows.zip(to.chunks_exact_mut(width)) {
        let from = &fixed.rotated[pairs.items[pair] as usize * width..][..width];
        // SAFETY: three slices of width numbers.
        unsafe {
            let weight = L::splat(pairs.root_weight(pair));
            for at in (0..width).step_by(LANES) {
                let scale = L::mul(L::load(scale.as_ptr().add(at)), weight);
                L::store(to.as_mut_ptr().add(at), L::mul(L::load(from.as_ptr().add(at)), scale));
            }
        }
    }
}

/// The same with one row per factor, padded by zeros to whole vectors.
#[inline(always)]
unsafe fn gather_transposed<L: Lanes>(fixed: &Fixed, pairs: Pairs<'_>, scale: &[f32], to: &mut [f32]) {
    let (width, count) = (fixed.width, pairs.items.len());
    let unknowns = padded(count);
    for start in (0..unknowns).step_by(LANES) {
        for at in (0..width).step_by(LANES) {
            // SAFETY: whole vectors of the table, the scale and the block.
            unsafe {
                let scale = L::load(scale.as_ptr().add(at));
                let mut square = [L::splat(0.0); LANES];
                for (lane, row) in square.iter_mut().enumerate().take(count - start) {
                    let pair = start + lane;
                    let from = fixed.rotated.as_ptr().add(pairs.items[pair] as usize * width + at);
                    let weight = L::splat(pairs.root_weight(pair));
                    *row = L::mul(L::load(from), L::mul(scale, weight));
                }
                L::transpose(&mut square);
                for (factor, column) in square.iter().enumerate() {
                    L::store(to.as_mut_ptr().add((at + factor) * unknowns + start), *column);
                }
            }
        }
    }
}

/// `side += sum of sqrt(c) times row`.
#[inline(always)]
unsafe fn add_weighted_rows<L: Lanes>(
    pairs: Pairs<'_>,
    rows: Range<usize>,
    gathered: &[f32],
    side: &mut [f32],
) {
    let width = side.len();
    for at in (0..width).step_by(LANES) {
        // SAFETY: whole vectors of rows and side.
        unsafe {
            let mut sum = L::load(side.as_ptr().add(at));
            for (row, pair) in rows.clone().enumerate() {
                let weight = L::splat(pairs.root_weight(pair));
                sum = L::mul_add(L::load(gathered.as_ptr().add(row * width + at)), weight, sum);
            }
            L::store(side.as_mut_ptr().add(at), sum);
        }
    }
}

/// The sum of `c (1 - w.v)^2`.
#[inline(always)]
unsafe fn squared_errors<L: Lanes>(
    pairs: Pairs<'_>,
    rows: Range<usize>,
    gathered: &[f32],
    solution: &[f32],
    width: usize,
) -> f64 {
    let mut sum = 0.0;
    for (row, pair) in gathered.chunks_exact(width).zip(rows) {
        // SAFETY: two slices of width numbers.
        let predicted = unsafe { dot::<L>(row, &solution[..width]) };
        sum += f64::from(pairs.root_weight(pair) - predicted).powi(2);
    }
    sum
}

/// The inner product of two slices of whole vectors.
#[inline(always)]
unsafe fn dot<L: Lanes>(left: &[f32], right: &[f32]) -> f32 {
    // SAFETY: whole vectors of both.
    unsafe {
        let mut sum = L::splat(0.0);
        for at in (0..left.len()).step_by(LANES) {
            sum = L::mul_add(L::load(left.as_ptr().add(at)), L::load(right.as_ptr().add(at)), sum);
        }
        L::sum(sum)
    }
}

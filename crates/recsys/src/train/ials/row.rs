//! The equations of one row: a user's factors from the items', or an item's from the users'.
//!
//! With the fixed side in the basis of its Gram matrix ([`Fixed`]), `D = a0 E + lambda` diagonal,
//! and `U` the rows `sqrt(c) v' D^(-1/2)` of the row's pairs, the solution is `w' = D^(-1/2) x` with
//!
//! - `(I + U^T U) x = U^T sqrt(c)`, one unknown per factor, or
//! - `x = U^T z`, `(I + U U^T) z = sqrt(c)`, one unknown per pair,
//!
//! equal since `(I + U^T U)^-1 U^T = U^T (I + U U^T)^-1`. The smaller system is solved, so that the
//! many users and items with few pairs cost little. Both matrices have no eigenvalue below 1, which
//! is what makes single precision safe.

use std::ops::Range;

use super::fixed::Fixed;
use crate::kernel::cholesky::solve;
use crate::kernel::lanes::Lanes;
use crate::kernel::lines::Lines;
use crate::kernel::product::{ADD, Ahead, SET, own_product, sixteen_dots};
use crate::kernel::{LANES, padded};

/// Numbers to a gathered block, which stays in the first-level cache.
const GATHERED: usize = 8 * 1024;
/// Pairs whose products are summed in single precision before they are added to a total in double
/// precision, so that the sums of a row with millions of pairs lose nothing.
const PAIRS_PER_SUM: usize = 1024;

/// The pairs of one row.
#[derive(Clone, Copy)]
pub(super) struct Pairs<'a> {
    pub(super) items: &'a [u32],
    pub(super) weights: Option<&'a [f32]>,
}

impl Pairs<'_> {
    fn len(self) -> usize {
        self.items.len()
    }

    #[inline(always)]
    fn root_weight(self, pair: usize) -> f32 {
        self.weights.map_or(1.0, |weights| weights[pair].sqrt())
    }
}

/// Memory that is used again from row to row.
pub(super) struct Scratch {
    /// `D^(-1/2)` of the row, set by the caller.
    pub(super) scale: Lines,
    gathered: Lines,
    matrix: Lines,
    side: Lines,
    inverse: Lines,
    /// Sums of a long row so far.
    matrix_total: Vec<f64>,
    side_total: Vec<f64>,
}

impl Scratch {
    pub(super) fn new(width: usize) -> Self {
        Self {
            scale: Lines::zeroed(width),
            gathered: Lines::zeroed(rows_at_once(width) * width),
            matrix: Lines::zeroed(width * width),
            side: Lines::zeroed(width),
            inverse: Lines::zeroed(width),
            matrix_total: vec![0.0; width * width],
            side_total: vec![0.0; width],
        }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(width: usize) -> usize {
        4 * (3 * width + rows_at_once(width) * width + width * width) + 8 * (width * width + width)
    }
}

/// How many pairs are gathered before their products are summed; no fewer than a system with one
/// unknown per pair may have.
fn rows_at_once(width: usize) -> usize {
    (GATHERED / width).next_multiple_of(LANES).max(width)
}

/// Solves one row, in the basis, into `solved`; gives its part of the observed loss. `next` are the
/// items of the row that comes next.
///
/// # Safety
/// That of [`Lanes`].
#[inline(always)]
pub(super) unsafe fn solve_row<L: Lanes>(
    fixed: &Fixed,
    pairs: Pairs<'_>,
    next: &[u32],
    scratch: &mut Scratch,
    solved: &mut [f32],
) -> f64 {
    if pairs.len() == 0 {
        solved.fill(0.0);
        return 0.0;
    }
    let next = &next[..next.len().min(rows_at_once(fixed.width))];
    // SAFETY: the caller's.
    unsafe {
        if padded(pairs.len()) < fixed.width {
            solve_by_pairs::<L>(fixed, pairs, next, scratch, solved)
        } else {
            solve_by_factors::<L>(fixed, pairs, next, scratch, solved)
        }
    }
}

/// One unknown per factor.
#[inline(always)]
unsafe fn solve_by_factors<L: Lanes>(
    fixed: &Fixed,
    pairs: Pairs<'_>,
    next: &[u32],
    scratch: &mut Scratch,
    solved: &mut [f32],
) -> f64 {
    let width = fixed.width;
    // SAFETY: the caller's.
    unsafe {
        sum_products::<L>(fixed, pairs, next, scratch);
        add_identity(&mut scratch.matrix, width);
        let Scratch { matrix, side, inverse, scale, .. } = scratch;
        solve::<L>(width / LANES, matrix, side, inverse);
        for (to, (x, scale)) in solved.iter_mut().zip(side.iter().zip(scale.iter())) {
            *to = x * scale;
        }
        squared_errors::<L>(fixed, pairs, solved)
    }
}

/// `U^T U` into the matrix and `U^T sqrt(c)` into the side.
#[inline(always)]
unsafe fn sum_products<L: Lanes>(fixed: &Fixed, pairs: Pairs<'_>, next: &[u32], scratch: &mut Scratch) {
    // SAFETY: the caller's.
    unsafe {
        if pairs.len() <= PAIRS_PER_SUM {
            return sum_span::<L>(fixed, pairs, 0..pairs.len(), next, scratch);
        }
        scratch.matrix_total.fill(0.0);
        scratch.side_total.fill(0.0);
        for start in (0..pairs.len()).step_by(PAIRS_PER_SUM) {
            let span = start..pairs.len().min(start + PAIRS_PER_SUM);
            sum_span::<L>(fixed, pairs, span, next, scratch);
            add_into(&mut scratch.matrix_total, &scratch.matrix);
            add_into(&mut scratch.side_total, &scratch.side);
        }
    }
    for (to, total) in
        [(&mut scratch.matrix, &scratch.matrix_total), (&mut scratch.side, &scratch.side_total)]
    {
        to.iter_mut().zip(total).for_each(|(to, total)| *to = *total as f32);
    }
}

fn add_into(total: &mut [f64], part: &[f32]) {
    total.iter_mut().zip(part).for_each(|(total, part)| *total += f64::from(*part));
}

/// The same for a span of the pairs, in single precision.
#[inline(always)]
unsafe fn sum_span<L: Lanes>(
    fixed: &Fixed,
    pairs: Pairs<'_>,
    span: Range<usize>,
    next: &[u32],
    scratch: &mut Scratch,
) {
    let width = fixed.width;
    let at_once = rows_at_once(width);
    let Scratch { gathered, matrix, side, scale, .. } = scratch;
    for start in span.clone().step_by(at_once) {
        let rows = start..span.end.min(start + at_once);
        let rest = &pairs.items[rows.end..];
        let soon = if rest.is_empty() { next } else { &rest[..rest.len().min(at_once)] };
        let mut ahead = Ahead::of(&fixed.rotated, width, soon);
        // SAFETY: the caller's; the gathered block holds at_once rows.
        unsafe {
            gather::<L>(fixed, pairs, rows.clone(), scale, gathered);
            let (from, to) = (gathered.as_ptr(), matrix.as_mut_ptr());
            if start == span.start {
                own_product::<L, SET>(from, to, width / LANES, rows.len(), &mut ahead);
                weighted_sum::<L, SET>(pairs, rows, gathered, side);
            } else {
                own_product::<L, ADD>(from, to, width / LANES, rows.len(), &mut ahead);
                weighted_sum::<L, ADD>(pairs, rows, gathered, side);
            }
        }
    }
}

/// One unknown per pair.
#[inline(always)]
unsafe fn solve_by_pairs<L: Lanes>(
    fixed: &Fixed,
    pairs: Pairs<'_>,
    next: &[u32],
    scratch: &mut Scratch,
    solved: &mut [f32],
) -> f64 {
    let (width, count) = (fixed.width, pairs.len());
    let unknowns = padded(count);
    let Scratch { gathered, matrix, side, inverse, scale, .. } = scratch;
    for (pair, side) in side.iter_mut().take(count).enumerate() {
        *side = pairs.root_weight(pair);
    }
    side[count..unknowns].fill(0.0);
    let mut ahead = Ahead::of(&fixed.rotated, width, next);
    // SAFETY: the caller's; the gathered block holds width rows of at most width numbers.
    unsafe {
        gather_turned::<L>(fixed, pairs, scale, gathered);
        let (from, to) = (gathered.as_ptr(), matrix.as_mut_ptr());
        own_product::<L, SET>(from, to, unknowns / LANES, fixed.n_factors, &mut ahead);
        add_identity(matrix, unknowns);
        solve::<L>(unknowns / LANES, matrix, side, inverse);
        for at in (0..width).step_by(LANES) {
            let rows = std::array::from_fn(|row| from.wrapping_add((at + row) * unknowns));
            let x = sixteen_dots::<L>(rows, side.as_ptr(), unknowns / LANES);
            L::store(solved.as_mut_ptr().add(at), L::mul(x, L::load(scale.as_ptr().add(at))));
        }
    }
    // z is sqrt(c) (1 - w.v).
    side[..count].iter().map(|z| f64::from(*z).powi(2)).sum()
}

fn add_identity(matrix: &mut [f32], width: usize) {
    for diagonal in matrix[..width * width].iter_mut().step_by(width + 1) {
        *diagonal += 1.0;
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

/// The same with one row per factor and one column per pair, padded by zeros to whole vectors.
#[inline(always)]
unsafe fn gather_turned<L: Lanes>(fixed: &Fixed, pairs: Pairs<'_>, scale: &[f32], to: &mut [f32]) {
    let (width, count) = (fixed.width, pairs.len());
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

/// `side = sum of sqrt(c) times row` of the gathered rows, or that added to it.
#[inline(always)]
unsafe fn weighted_sum<L: Lanes, const MODE: u8>(
    pairs: Pairs<'_>,
    rows: Range<usize>,
    gathered: &[f32],
    side: &mut [f32],
) {
    let width = side.len();
    for at in (0..width).step_by(LANES) {
        // SAFETY: whole vectors of rows and side.
        unsafe {
            let mut sum = L::splat(0.0);
            for (row, pair) in rows.clone().enumerate() {
                let weight = L::splat(pairs.root_weight(pair));
                sum = L::mul_add(L::load(gathered.as_ptr().add(row * width + at)), weight, sum);
            }
            if MODE == ADD {
                sum = L::add(sum, L::load(side.as_ptr().add(at)));
            }
            L::store(side.as_mut_ptr().add(at), sum);
        }
    }
}

/// The sum of `c (1 - w.v)^2`.
#[inline(always)]
unsafe fn squared_errors<L: Lanes>(fixed: &Fixed, pairs: Pairs<'_>, solved: &[f32]) -> f64 {
    const SOON: usize = 2 * LANES;
    let width = fixed.width;
    let row = |pair: usize| {
        let item = pairs.items[pair.min(pairs.len() - 1)];
        fixed.rotated.as_ptr().wrapping_add(item as usize * width)
    };
    let mut sum = 0.0;
    for start in (0..pairs.len()).step_by(LANES) {
        let mut predicted = [0f32; LANES];
        // SAFETY: rows and solution are whole vectors, of the same width.
        unsafe {
            if start + SOON < pairs.len() {
                for pair in start + SOON..start + SOON + LANES {
                    for at in (0..width).step_by(LANES) {
                        L::prefetch(row(pair).wrapping_add(at));
                    }
                }
            }
            let rows = std::array::from_fn(|lane| row(start + lane));
            let dots = sixteen_dots::<L>(rows, solved.as_ptr(), width / LANES);
            L::store(predicted.as_mut_ptr(), dots);
        }
        for (pair, predicted) in (start..pairs.len()).zip(predicted) {
            let weight = pairs.weights.map_or(1.0, |weights| weights[pair]);
            sum += f64::from(weight) * (1.0 - f64::from(predicted)).powi(2);
        }
    }
    sum
}

//! The side that stands still while the other is solved.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par};
use ndarray::ArrayView2;
use rayon::prelude::*;

use super::gram::Gram;
use crate::kernel::lanes::{Lanes, with_widest_lanes};
use crate::kernel::lines::Lines;
use crate::kernel::product::{Ahead, Place, SET, product};
use crate::kernel::{LANES, padded};

/// A factor table `V`, turned into the basis in which its Gram matrix is diagonal.
///
/// With `V^T V = Q E Q^T`, the equations of a row `w` of the other side,
/// `(a0 V^T V + sum of c v v^T + lambda I) w = sum of c v`, become in `w' = Q^T w` and `v' = Q^T v`
/// the same with the diagonal `a0 E + lambda` in place of the full matrix. That is what lets a row be
/// solved in as many unknowns as it has pairs.
pub(super) struct Fixed {
    pub(super) n_factors: usize,
    /// `n_factors`, padded to whole vectors.
    pub(super) width: usize,
    pub(super) n_rows: usize,
    /// `V Q`, rows of `width`.
    pub(super) rotated: Lines,
    /// The diagonal of `E`.
    pub(super) eigenvalues: Vec<f64>,
    /// `Q^T`, rows of `width`.
    back: Lines,
}

const ROWS_PER_CHUNK: usize = 64;

impl Fixed {
    /// `None` when the Gram matrix holds numbers that are not finite.
    pub(super) fn new(table: ArrayView2<'_, f32>, gram: &Gram) -> Option<Self> {
        let (n, width) = (gram.n, padded(gram.n));
        let (eigenvalues, vectors) = eigen(gram)?;
        let mut there = Lines::zeroed(n * width);
        let mut back = Lines::zeroed(n * width);
        for row in 0..n {
            for column in 0..n {
                let entry = vectors[(row, column)] as f32;
                there[row * width + column] = entry;
                back[column * width + row] = entry;
            }
        }
        let rows = table.to_slice().expect("factor tables are in standard layout");
        let mut rotated = Lines::zeroed(table.nrows() * width);
        rotated
            .par_chunks_mut(ROWS_PER_CHUNK * width)
            .zip(rows.par_chunks(ROWS_PER_CHUNK * n))
            .for_each(|(to, from)| turn(from, n, n, &there, to));
        Some(Self { n_factors: n, width, n_rows: table.nrows(), rotated, eigenvalues, back })
    }

    /// Turns rows of `width` in the basis back into rows of `width` outside of it.
    pub(super) fn turn_back(&self, rows: &[f32], into: &mut [f32]) {
        turn(rows, self.width, self.n_factors, &self.back, into);
    }
}

/// Eigenvalues, none below 0, and eigenvectors as columns.
fn eigen(gram: &Gram) -> Option<(Vec<f64>, Mat<f64>)> {
    let n = gram.n;
    if !gram.values.iter().all(|value| value.is_finite()) {
        return None;
    }
    let matrix = MatRef::from_row_major_slice(&gram.values, n, n);
    let mut values = Diag::<f64>::zeros(n);
    let mut vectors = Mat::<f64>::zeros(n, n);
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    self_adjoint_evd(
        matrix,
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .ok()?;
    let values = values.column_vector().iter().map(|value| value.max(0.0)).collect();
    Some((values, vectors))
}

with_widest_lanes! {
    /// `to = from * basis`: `from` has rows of `step`, of which `n` numbers count; `basis` has `n`
    /// rows and `to` rows of the padded width.
    fn turn(from: &[f32], step: usize, n: usize, basis: &[f32], to: &mut [f32]) = turn_with
}

#[inline(always)]
unsafe fn turn_with<L: Lanes>(from: &[f32], step: usize, n: usize, basis: &[f32], to: &mut [f32]) {
    let (rows, width) = (from.len() / step, padded(n));
    assert!(n <= step && basis.len() >= n * width && to.len() >= rows * width);
    let place = Place {
        a: basis.as_ptr(),
        a_step_k: width,
        b: from.as_ptr(),
        b_step_k: 1,
        b_step_j: step,
        c: to.as_mut_ptr(),
        c_step_j: width,
    };
    // SAFETY: the lengths were checked; the instructions are the caller's.
    unsafe { product::<L, SET>(place, width / LANES, rows, n, &mut Ahead::nothing()) }
}

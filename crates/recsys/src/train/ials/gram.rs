//! Gram matrices: `V^T V` of a factor table.

use ndarray::ArrayView2;
use rayon::prelude::*;

use crate::kernel::lanes::{Lanes, with_widest_lanes};
use crate::kernel::lines::Lines;
use crate::kernel::product::{Ahead, SET, own_product};
use crate::kernel::{LANES, padded};

/// A symmetric matrix, `n * n` numbers, both triangles filled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gram {
    pub(super) n: usize,
    pub(super) values: Vec<f64>,
}

/// Rows that are summed in single precision before they are added in double precision.
const ROWS_PER_BLOCK: usize = 256;
/// Numbers that the segments' sums may take together, and the most segments.
const SUMS_AT_ONCE: usize = 1 << 25;
const MAX_SEGMENTS: usize = 16;

impl Gram {
    /// Of a table with rows in standard layout.
    pub(super) fn of(table: ArrayView2<'_, f32>) -> Self {
        let n = table.ncols();
        let rows = table.to_slice().expect("factor tables are in standard layout");
        let segments = segments(n);
        let blocks = table.nrows().div_ceil(ROWS_PER_BLOCK);
        let rows_per_segment = blocks.div_ceil(segments).max(1) * ROWS_PER_BLOCK;
        let sums: Vec<Vec<f64>> =
            rows.par_chunks(rows_per_segment * n).map(|segment| sum_of_blocks(segment, n)).collect();
        let mut values = vec![0.0; n * n];
        for sum in sums {
            values.iter_mut().zip(sum).for_each(|(value, part)| *value += part);
        }
        for row in 0..n {
            for column in row + 1..n {
                values[column * n + row] = values[row * n + column];
            }
        }
        Self { n, values }
    }

    /// The sum over all pairs of rows of both tables of their squared inner product: the trace of
    /// the product of their Gram matrices.
    pub(super) fn trace_of_product(&self, other: &Self) -> f64 {
        self.values.iter().zip(&other.values).map(|(left, right)| left * right).sum()
    }
}

/// The most segments that a table of `n` factors is summed in. They depend on the shape alone, and are added in order.
pub(super) fn segments(n: usize) -> usize {
    (SUMS_AT_ONCE / (n * n).max(1)).clamp(1, MAX_SEGMENTS)
}

fn sum_of_blocks(rows: &[f32], n: usize) -> Vec<f64> {
    let width = padded(n);
    let mut block = Lines::zeroed(ROWS_PER_BLOCK * width);
    let mut product = Lines::zeroed(width * width);
    let mut sum = vec![0.0; n * n];
    for rows in rows.chunks(ROWS_PER_BLOCK * n) {
        for (to, from) in block.chunks_exact_mut(width).zip(rows.chunks_exact(n)) {
            to[..n].copy_from_slice(from);
        }
        widest_own_product(&block, &mut product, width / LANES, rows.len() / n);
        for (to, from) in sum
            .chunks_exact_mut(n)
            .zip(product.chunks_exact(width))
            .enumerate()
            .map(|(row, (to, from))| (&mut to[row..], &from[row..n]))
        {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += f64::from(*from));
        }
    }
    sum
}

with_widest_lanes! {
    fn widest_own_product(block: &[f32], product: &mut [f32], blocks: usize, rows: usize) = own_product_with
}

#[inline(always)]
unsafe fn own_product_with<L: Lanes>(block: &[f32], product: &mut [f32], blocks: usize, rows: usize) {
    let width = blocks * LANES;
    assert!(block.len() >= rows * width && product.len() >= width * width);
    // SAFETY: the lengths were checked; the instructions are the caller's.
    unsafe {
        let (from, to) = (block.as_ptr(), product.as_mut_ptr());
        own_product::<L, SET>(from, to, blocks, rows, &mut Ahead::nothing());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::ials::init::normal;

    #[test]
    fn is_the_sum_of_products() {
        for (rows, n) in [(0, 3), (1, 1), (700, 17), (5000, 32)] {
            let table = normal(rows, n, 1.0, 3, b"gram....");
            let gram = Gram::of(table.view());
            for i in 0..n {
                for j in 0..n {
                    let column = |c: usize| table.column(c).to_owned().mapv(f64::from);
                    let expected = column(i).dot(&column(j));
                    let found = gram.values[i * n + j];
                    assert!((found - expected).abs() < 1e-5 * (rows as f64 + 1.0), "{found} {expected}");
                }
            }
        }
    }
}

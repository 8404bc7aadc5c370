//! Cholesky factorisation and solution of small symmetric systems.

#![allow(
    clippy::absurd_extreme_comparisons,
    reason = "loops over lanes are unrolled: `K > J` is constant in each copy"
)]

use super::LANES;
use super::lanes::{Lanes, each_lane};
use super::product::{Ahead, Place, SUBTRACT, product, sixteen_dots};

/// Solves a symmetric positive definite system of `blocks * 16` equations in place.
///
/// With `width = blocks * 16`: `matrix` has `width * width` numbers, stored by columns, of which the
/// blocks of 16 x 16 on and below the diagonal are read; it is overwritten. `side` has `width` numbers, the right side, which becomes the solution. `inverse` is scratch of `width`.
///
/// A matrix that is not positive definite leaves NaN or infinity in the solution.
///
/// # Safety
/// That of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn solve<L: Lanes>(
    blocks: usize,
    matrix: &mut [f32],
    side: &mut [f32],
    inverse: &mut [f32],
) {
    let width = blocks * LANES;
    assert!(matrix.len() >= width * width && side.len() >= width && inverse.len() >= width);
    let system = System {
        blocks,
        width,
        matrix: matrix.as_mut_ptr(),
        side: side.as_mut_ptr(),
        inverse: inverse.as_mut_ptr(),
    };
    // SAFETY: the caller's, and all indices stay below the lengths just checked.
    unsafe {
        for block in 0..blocks {
            system.take_off_left::<L>(block);
            system.factor_diagonal::<L>(block);
            for below in block + 1..blocks {
                system.divide_by_diagonal::<L>(block, below);
            }
            system.forward::<L>(block);
        }
        for block in (0..blocks).rev() {
            system.backward::<L>(block);
        }
    }
}

#[derive(Clone, Copy)]
struct System {
    blocks: usize,
    width: usize,
    matrix: *mut f32,
    side: *mut f32,
    /// One over each diagonal entry of `L`.
    inverse: *mut f32,
}

/// Zeros, then ones: read from `16 - j` on it is j zeros, then ones.
static STEP: [f32; 2 * LANES] = {
    let mut step = [0.0; 2 * LANES];
    let mut lane = LANES;
    while lane < 2 * LANES {
        step[lane] = 1.0;
        lane += 1;
    }
    step
};

impl System {
    /// The address of row `16 * block` of `column`.
    #[inline(always)]
    unsafe fn at(self, column: usize, block: usize) -> *mut f32 {
        // SAFETY: within the matrix.
        unsafe { self.matrix.add(column * self.width + block * LANES) }
    }

    /// Subtracts what the columns to the left of `block` contribute to it.
    #[inline(always)]
    unsafe fn take_off_left<L: Lanes>(self, block: usize) {
        // SAFETY: the columns that are read stand before those that are written.
        unsafe {
            let place = Place {
                a: self.at(0, block),
                a_step_k: self.width,
                b: self.at(0, block),
                b_step_k: self.width,
                b_step_j: 1,
                c: self.at(block * LANES, block),
                c_step_j: self.width,
            };
            product::<L, SUBTRACT>(place, self.blocks - block, LANES, block * LANES, &mut Ahead::nothing());
        }
    }

    /// Factors the 16 x 16 block on the diagonal, column by column, held in registers. What is stored
    /// of it is zero on and above the diagonal.
    #[inline(always)]
    unsafe fn factor_diagonal<L: Lanes>(self, block: usize) {
        // SAFETY: 16 columns of one vector each; the step has 32 numbers.
        unsafe {
            let first = self.at(block * LANES, block);
            let inverses = self.inverse.add(block * LANES);
            let mut columns = self.load_block::<L>(first);
            each_lane!(J, {
                let mut pivot = [0f32; LANES];
                L::store(pivot.as_mut_ptr(), L::splat_lane::<J>(columns[J]));
                let inverse = 1.0 / pivot[0].sqrt();
                *inverses.add(J) = inverse;
                let below = L::load(STEP.as_ptr().add(LANES - J - 1));
                let column = L::mul(L::mul(columns[J], below), L::splat(inverse));
                L::store(first.add(J * self.width), column);
                each_lane!(K, {
                    if K > J {
                        columns[K] = L::mul_sub_from(column, L::splat_lane::<K>(column), columns[K]);
                    }
                });
            });
        }
    }

    /// Turns the rows of `below` in the columns of `block` into rows of `L`.
    #[inline(always)]
    unsafe fn divide_by_diagonal<L: Lanes>(self, block: usize, below: usize) {
        // SAFETY: 16 columns of one vector each.
        unsafe {
            let diagonal = self.at(block * LANES, block);
            let first = self.at(block * LANES, below);
            let inverse = self.inverse.add(block * LANES);
            let columns = &mut self.load_block::<L>(first);
            each_lane!(J, {
                let column = L::mul(columns[J], L::splat(*inverse.add(J)));
                L::store(first.add(J * self.width), column);
                each_lane!(K, {
                    if K > J {
                        let factor = L::splat(*diagonal.add(J * self.width + K));
                        columns[K] = L::mul_sub_from(column, factor, columns[K]);
                    }
                });
            });
        }
    }

    #[inline(always)]
    unsafe fn load_block<L: Lanes>(self, first: *const f32) -> [L::V; LANES] {
        // SAFETY: 16 columns of one vector each.
        unsafe {
            let mut columns = [L::splat(0.0); LANES];
            for (j, column) in columns.iter_mut().enumerate() {
                *column = L::load(first.add(j * self.width));
            }
            columns
        }
    }

    /// Solves `L y = side` for the rows of `block` and takes them off the rows below.
    #[inline(always)]
    unsafe fn forward<L: Lanes>(self, block: usize) {
        // SAFETY: whole vectors within width.
        unsafe {
            let own = self.side.add(block * LANES);
            let inverse = self.inverse.add(block * LANES);
            let mut rest = L::load(own);
            each_lane!(J, {
                // Zero on and above the diagonal, so number J stays as it is from here on.
                let column = L::load(self.at(block * LANES + J, block));
                let column = L::mul(column, L::splat(*inverse.add(J)));
                rest = L::mul_sub_from(column, L::splat_lane::<J>(rest), rest);
            });
            let solved = L::mul(rest, L::load(inverse));
            L::store(own, solved);
            for below in block + 1..self.blocks {
                let at = self.side.add(below * LANES);
                let mut rest = L::load(at);
                each_lane!(J, {
                    let column = L::load(self.at(block * LANES + J, below));
                    rest = L::mul_sub_from(column, L::splat_lane::<J>(solved), rest);
                });
                L::store(at, rest);
            }
        }
    }

    /// Solves `L^T x = y` for the rows of `block`, those below being solved.
    #[inline(always)]
    unsafe fn backward<L: Lanes>(self, block: usize) {
        // SAFETY: whole vectors within width.
        unsafe {
            let own = self.side.add(block * LANES);
            let inverse = self.inverse.add(block * LANES);
            let mut rest = L::load(own);
            let below = self.blocks - block - 1;
            if below > 0 {
                let first = self.at(block * LANES, block + 1).cast_const();
                let columns = std::array::from_fn(|j| first.wrapping_add(j * self.width));
                let dots = sixteen_dots::<L>(columns, own.add(LANES), below);
                rest = L::mul_sub_from(dots, L::splat(1.0), rest);
            }
            let mut rows = self.load_block::<L>(self.at(block * LANES, block));
            L::transpose(&mut rows);
            each_lane!(STEPS, {
                const J: usize = LANES - 1 - STEPS;
                let row = L::mul(rows[J], L::splat(*inverse.add(J)));
                rest = L::mul_sub_from(row, L::splat_lane::<J>(rest), rest);
            });
            L::store(own, L::mul(rest, L::load(inverse)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::lanes::{Portable, with_widest_lanes};
    use crate::kernel::lines::Lines;
    use proptest::prelude::*;

    with_widest_lanes! {
        fn solve_widest(blocks: usize, matrix: &mut [f32], side: &mut [f32], inverse: &mut [f32]) = solve
    }

    /// `I + R R^T` from pseudo-random numbers, by columns, and a solution.
    fn system(width: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5
        };
        let root: Vec<f64> = (0..width * width).map(|_| next()).collect();
        let entry = |i: usize, j: usize| {
            let dot: f64 = (0..width).map(|k| root[i * width + k] * root[j * width + k]).sum();
            dot + if i == j { 1.0 } else { 0.0 }
        };
        let matrix = (0..width * width).map(|at| entry(at % width, at / width)).collect();
        (matrix, (0..width).map(|_| next()).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn solves_what_it_should(blocks in 1usize..9, seed in any::<u64>(), portable in any::<bool>()) {
            let width = blocks * LANES;
            let (matrix, solution) = system(width, seed);
            let mut lower = Lines::zeroed(width * width);
            let mut side = Lines::zeroed(width);
            let mut inverse = Lines::zeroed(width);
            for j in 0..width {
                for i in 0..width {
                    // Blocks above the diagonal must not be read.
                    let read = i / LANES >= j / LANES;
                    lower[j * width + i] = if read { matrix[j * width + i] as f32 } else { f32::NAN };
                    side[i] += (matrix[j * width + i] * solution[j]) as f32;
                }
            }
            if portable {
                // SAFETY: plain Rust runs anywhere.
                unsafe { solve::<Portable>(blocks, &mut lower, &mut side, &mut inverse) };
            } else {
                solve_widest(blocks, &mut lower, &mut side, &mut inverse);
            }
            for (found, expected) in side.iter().zip(&solution) {
                prop_assert!((f64::from(*found) - expected).abs() < 2e-4, "{found} {expected}");
            }
        }
    }
}

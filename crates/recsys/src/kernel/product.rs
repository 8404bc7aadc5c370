//! Products of small matrices.

use super::LANES;
use super::lanes::Lanes;

/// What a product does to the numbers that stand in its place.
pub(crate) const SET: u8 = 0;
pub(crate) const ADD: u8 = 1;
pub(crate) const SUBTRACT: u8 = 2;

/// Where the factors and the result of a product lie: `c[j][i] = sum over k of a[k][i] * b[k][j]`.
///
/// `i` runs along memory in `a` and `c`. The steps are distances in numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) a: *const f32,
    pub(crate) a_step_k: usize,
    pub(crate) b: *const f32,
    pub(crate) b_step_k: usize,
    pub(crate) b_step_j: usize,
    pub(crate) c: *mut f32,
    pub(crate) c_step_j: usize,
}

impl Place {
    #[inline(always)]
    unsafe fn shifted(self, i: usize, j: usize) -> Self {
        // SAFETY: the caller's; all lies within the matrices.
        unsafe {
            Self {
                a: self.a.add(i),
                b: self.b.add(j * self.b_step_j),
                c: self.c.add(i + j * self.c_step_j),
                ..self
            }
        }
    }
}

/// The product of `blocks` times 16 rows `i`, `columns` columns `j`, over `depth` terms `k`.
///
/// # Safety
/// That of [`Lanes`], with all numbers that `place` reaches.
#[inline(always)]
pub(crate) unsafe fn product<L: Lanes, const MODE: u8>(
    place: Place,
    blocks: usize,
    columns: usize,
    depth: usize,
) {
    let mut block = 0;
    while block < blocks {
        // SAFETY: the caller's.
        unsafe {
            let at = place.shifted(block * LANES, 0);
            block += match blocks - block {
                _ if !L::MANY_REGISTERS => stripe::<L, 1, 4, MODE>(at, columns, depth),
                1 => stripe::<L, 1, 8, MODE>(at, columns, depth),
                // Four are cut into two and two, not into three and a slow one.
                2 | 4 => stripe::<L, 2, 8, MODE>(at, columns, depth),
                _ => stripe::<L, 3, 8, MODE>(at, columns, depth),
            };
        }
    }
}

/// All columns of `R` blocks of rows; returns `R`.
#[inline(always)]
unsafe fn stripe<L: Lanes, const R: usize, const N: usize, const MODE: u8>(
    place: Place,
    columns: usize,
    depth: usize,
) -> usize {
    let mut j = 0;
    // SAFETY: the caller's.
    unsafe {
        while j + N <= columns {
            tile::<L, R, N, MODE>(place.shifted(0, j), depth);
            j += N;
        }
        while j + 2 <= columns {
            tile::<L, R, 2, MODE>(place.shifted(0, j), depth);
            j += 2;
        }
        while j < columns {
            tile::<L, R, 1, MODE>(place.shifted(0, j), depth);
            j += 1;
        }
    }
    R
}

/// `R` blocks of rows by `N` columns, held in registers.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const N: usize, const MODE: u8>(place: Place, depth: usize) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[L::splat(0.0); R]; N];
        if MODE != SET {
            for (j, column) in sums.iter_mut().enumerate() {
                for (r, sum) in column.iter_mut().enumerate() {
                    *sum = L::load(place.c.add(j * place.c_step_j + r * LANES));
                }
            }
        }
        let (mut a, mut b) = (place.a, place.b);
        for _ in 0..depth {
            let mut rows = [L::splat(0.0); R];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = L::load(a.add(r * LANES));
            }
            for (j, column) in sums.iter_mut().enumerate() {
                let factor = L::splat(*b.add(j * place.b_step_j));
                for (row, sum) in rows.iter().zip(column.iter_mut()) {
                    *sum = if MODE == SUBTRACT {
                        L::mul_sub_from(*row, factor, *sum)
                    } else {
                        L::mul_add(*row, factor, *sum)
                    };
                }
            }
            a = a.wrapping_add(place.a_step_k);
            b = b.wrapping_add(place.b_step_k);
        }
        for (j, column) in sums.iter().enumerate() {
            for (r, sum) in column.iter().enumerate() {
                L::store(place.c.add(j * place.c_step_j + r * LANES), *sum);
            }
        }
    }
}

/// Adds to the lower triangle of `c`, by columns of 16 and whole blocks: `c[j][i] += sum over k of
/// a[k][i] * a[k][j]`. `c` has `blocks * 16` rows and columns, `a` as many columns and `depth` rows.
///
/// # Safety
/// That of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn add_own_product<L: Lanes>(a: *const f32, c: *mut f32, blocks: usize, depth: usize) {
    let width = blocks * LANES;
    for block in 0..blocks {
        let start = block * LANES;
        // SAFETY: the caller's.
        unsafe {
            let place = Place {
                a: a.add(start),
                a_step_k: width,
                b: a.add(start),
                b_step_k: width,
                b_step_j: 1,
                c: c.add(start * width + start),
                c_step_j: width,
            };
            product::<L, ADD>(place, blocks - block, LANES, depth);
        }
    }
}

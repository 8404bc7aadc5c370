//! Products of small matrices.

use super::LANES;
use super::lanes::{Lanes, each_lane};

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

/// Rows of a table that will be read soon: they are asked for while a product is computed, a pair of
/// cache lines with every term, so that the memory works while the arithmetic does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ahead<'a> {
    table: *const f32,
    width: usize,
    rows: &'a [u32],
    /// Where in `rows`, and at which number of each row, to go on.
    row: usize,
    column: usize,
}

const AT_ONCE: usize = 2 * LANES;

impl<'a> Ahead<'a> {
    pub(crate) fn nothing() -> Self {
        Self { table: std::ptr::null(), width: 0, rows: &[], row: 0, column: 0 }
    }

    /// `table` has rows of `width` numbers.
    pub(crate) fn of(table: &[f32], width: usize, rows: &'a [u32]) -> Self {
        Self { table: table.as_ptr(), width, rows, row: 0, column: 0 }
    }

    /// The next rows, at most `count`, all at one column.
    #[inline(always)]
    fn next(&mut self, count: usize) -> (&'a [u32], usize) {
        if self.column >= self.width {
            return (&[], 0);
        }
        let end = self.rows.len().min(self.row + count);
        let next = (&self.rows[self.row..end], self.column);
        self.row = end;
        if end == self.rows.len() {
            self.row = 0;
            self.column += AT_ONCE;
        }
        next
    }

    #[inline(always)]
    unsafe fn fetch<L: Lanes>(&self, row: u32, column: usize) {
        let at = self.table.wrapping_add(row as usize * self.width + column);
        // SAFETY: the instructions are the caller's, and an address to prefetch need not be valid.
        unsafe {
            L::prefetch(at);
            L::prefetch(at.wrapping_add(LANES));
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
    ahead: &mut Ahead<'_>,
) {
    let mut block = 0;
    while block < blocks {
        // SAFETY: the caller's.
        unsafe {
            let at = place.shifted(block * LANES, 0);
            block += match blocks - block {
                _ if !L::MANY_REGISTERS => stripe::<L, 1, 4, MODE>(at, columns, depth, ahead),
                1 => stripe::<L, 1, 8, MODE>(at, columns, depth, ahead),
                // Four are cut into two and two, not into three and a slow one.
                2 | 4 => stripe::<L, 2, 8, MODE>(at, columns, depth, ahead),
                _ => stripe::<L, 3, 8, MODE>(at, columns, depth, ahead),
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
    ahead: &mut Ahead<'_>,
) -> usize {
    let mut j = 0;
    // SAFETY: the caller's.
    unsafe {
        while j + N <= columns {
            tile::<L, R, N, MODE>(place.shifted(0, j), depth, ahead);
            j += N;
        }
        while j + 2 <= columns {
            tile::<L, R, 2, MODE>(place.shifted(0, j), depth, ahead);
            j += 2;
        }
        while j < columns {
            tile::<L, R, 1, MODE>(place.shifted(0, j), depth, ahead);
            j += 1;
        }
    }
    R
}

/// `R` blocks of rows by `N` columns, held in registers.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const N: usize, const MODE: u8>(
    place: Place,
    depth: usize,
    ahead: &mut Ahead<'_>,
) {
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
        let (soon, column) = ahead.next(depth);
        for (k, row) in soon.iter().enumerate() {
            ahead.fetch::<L>(*row, column);
            term::<L, R, N, MODE>(place, k, &mut sums);
        }
        for k in soon.len()..depth {
            term::<L, R, N, MODE>(place, k, &mut sums);
        }
        for (j, column) in sums.iter().enumerate() {
            for (r, sum) in column.iter().enumerate() {
                L::store(place.c.add(j * place.c_step_j + r * LANES), *sum);
            }
        }
    }
}

/// Adds term `k` to a tile, or subtracts it.
#[inline(always)]
unsafe fn term<L: Lanes, const R: usize, const N: usize, const MODE: u8>(
    place: Place,
    k: usize,
    sums: &mut [[L::V; R]; N],
) {
    // SAFETY: the caller's.
    unsafe {
        let (a, b) = (place.a.add(k * place.a_step_k), place.b.add(k * place.b_step_k));
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
    }
}

/// Sets the lower triangle of `c`, by columns of 16 and whole blocks, or adds to it: `c[j][i] = sum
/// over k of a[k][i] * a[k][j]`. `c` has `blocks * 16` rows and columns, `a` as many columns and
/// `depth` rows.
///
/// # Safety
/// That of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn own_product<L: Lanes, const MODE: u8>(
    a: *const f32,
    c: *mut f32,
    blocks: usize,
    depth: usize,
    ahead: &mut Ahead<'_>,
) {
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
            product::<L, MODE>(place, blocks - block, LANES, depth, ahead);
        }
    }
}

/// The inner products of 16 rows with one vector, all of `blocks * 16` numbers.
///
/// # Safety
/// That of [`Lanes`].
#[inline(always)]
pub(crate) unsafe fn sixteen_dots<L: Lanes>(
    rows: [*const f32; LANES],
    vector: *const f32,
    blocks: usize,
) -> L::V {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [L::splat(0.0); LANES];
        for block in 0..blocks {
            let vector = L::load(vector.add(block * LANES));
            each_lane!(ROW, {
                sums[ROW] = L::mul_add(L::load(rows[ROW].add(block * LANES)), vector, sums[ROW]);
            });
        }
        L::transpose(&mut sums);
        let mut half = LANES / 2;
        while half > 0 {
            for at in 0..half {
                sums[at] = L::add(sums[at], sums[at + half]);
            }
            half /= 2;
        }
        sums[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::lanes::Portable;
    use proptest::prelude::*;

    /// What each width of lanes gives for one product.
    struct Given<'a> {
        a: &'a [f32],
        b: &'a [f32],
        c: &'a [f32],
        blocks: usize,
        columns: usize,
        depth: usize,
    }

    impl Given<'_> {
        #[inline(always)]
        unsafe fn set_add_subtract<L: Lanes>(&self) -> [Vec<f32>; 3] {
            let place = |c: &mut [f32]| Place {
                a: self.a.as_ptr(),
                a_step_k: self.blocks * LANES,
                b: self.b.as_ptr(),
                b_step_k: 1,
                b_step_j: self.depth,
                c: c.as_mut_ptr(),
                c_step_j: self.blocks * LANES,
            };
            let rows: Vec<u32> = (0..self.depth as u32 / 2).collect();
            let mut results = [self.c.to_vec(), self.c.to_vec(), self.c.to_vec()];
            let mut ahead = Ahead::of(self.a, self.blocks * LANES, &rows);
            // SAFETY: the caller's; all have the sizes that the places say.
            unsafe {
                let (blocks, columns, depth) = (self.blocks, self.columns, self.depth);
                product::<L, SET>(place(&mut results[0]), blocks, columns, depth, &mut ahead);
                product::<L, ADD>(place(&mut results[1]), blocks, columns, depth, &mut Ahead::nothing());
                product::<L, SUBTRACT>(place(&mut results[2]), blocks, columns, depth, &mut ahead);
            }
            results
        }

        fn by_hand(&self) -> [Vec<f32>; 3] {
            let width = self.blocks * LANES;
            let entry = |i: usize, j: usize| -> f32 {
                (0..self.depth).map(|k| self.a[k * width + i] * self.b[j * self.depth + k]).sum()
            };
            let product: Vec<f32> =
                (0..width * self.columns).map(|at| entry(at % width, at / width)).collect();
            let with = |f: fn(f32, f32) -> f32| self.c.iter().zip(&product).map(|(c, p)| f(*c, *p)).collect();
            [product.clone(), with(|c, p| c + p), with(|c, p| c - p)]
        }
    }

    #[cfg(target_arch = "x86_64")]
    mod x86 {
        use super::*;
        use crate::kernel::lanes::{Avx2, Avx512};

        #[target_feature(enable = "avx512f,avx2,fma")]
        pub(super) fn avx512(given: &Given<'_>) -> [Vec<f32>; 3] {
            // SAFETY: this function enables what Avx512 needs.
            unsafe { given.set_add_subtract::<Avx512>() }
        }

        #[target_feature(enable = "avx2,fma")]
        pub(super) fn avx2(given: &Given<'_>) -> [Vec<f32>; 3] {
            // SAFETY: this function enables what Avx2 needs.
            unsafe { given.set_add_subtract::<Avx2>() }
        }
    }

    proptest! {
        /// Small whole numbers, so that every order of sums gives the same.
        #[test]
        fn every_width_gives_what_the_definition_gives(
            (blocks, columns, depth) in (1usize..8, 0usize..20, 0usize..12),
            seed in any::<u32>(),
        ) {
            let number = |at: usize| {
                let mixed = seed.wrapping_add(at as u32).wrapping_mul(2_654_435_761);
                f32::from((mixed >> 29) as i8 - 4)
            };
            let a: Vec<f32> = (0..blocks * LANES * depth.max(1)).map(number).collect();
            let b: Vec<f32> = (0..columns * depth).map(|at| number(at + 7)).collect();
            let c: Vec<f32> = (0..blocks * LANES * columns).map(|at| number(at + 13)).collect();
            let given = Given { a: &a, b: &b, c: &c, blocks, columns, depth };
            let expected = given.by_hand();
            // SAFETY: plain Rust runs anywhere.
            prop_assert_eq!(&unsafe { given.set_add_subtract::<Portable>() }, &expected);
            #[cfg(target_arch = "x86_64")]
            {
                let fma = std::arch::is_x86_feature_detected!("fma");
                if fma && std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: just seen.
                    prop_assert_eq!(&unsafe { x86::avx2(&given) }, &expected);
                }
                if fma && std::arch::is_x86_feature_detected!("avx512f") {
                    // SAFETY: just seen.
                    prop_assert_eq!(&unsafe { x86::avx512(&given) }, &expected);
                }
            }
        }
    }
}

//! Sixteen numbers at a time.

use super::LANES;

/// Arithmetic on 16 numbers, by one set of instructions.
///
/// # Safety
/// All functions may be called only where the processor has the instructions, inside a function
/// that enables them; pointers must be valid for the numbers that are read or written.
pub(crate) trait Lanes: Copy {
    type V: Copy;
    /// Counts of how often something was true.
    type Counts: Copy;

    /// Whether there are registers for a tile of 3 x 8 vectors.
    const MANY_REGISTERS: bool;

    unsafe fn no_counts() -> Self::Counts;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(from: *const f32) -> Self::V;
    unsafe fn store(to: *mut f32, v: Self::V);
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `c - a * b`
    unsafe fn mul_sub_from(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a * b + c` of single numbers, rounded as [`mul_add`](Self::mul_add) rounds.
    unsafe fn scalar_mul_add(a: f32, b: f32, c: f32) -> f32;
    /// All numbers equal to number `LANE` of `v`.
    unsafe fn splat_lane<const LANE: usize>(v: Self::V) -> Self::V;
    /// Asks for the cache line at an address, which need not be valid, to be near soon.
    unsafe fn prefetch(at: *const f32);
    /// A bit per number, the first number in the lowest: where `a > b`.
    unsafe fn above(a: Self::V, b: Self::V) -> u16;
    /// `counts` raised by one where `a > b`.
    unsafe fn count_above(a: Self::V, b: Self::V, counts: Self::Counts) -> Self::Counts;
    /// `counts` raised by one where `a >= b`.
    unsafe fn count_at_least(a: Self::V, b: Self::V, counts: Self::Counts) -> Self::Counts;
    /// The sum of the counts.
    unsafe fn total(counts: Self::Counts) -> u32;

    /// Turns rows into columns.
    #[inline(always)]
    unsafe fn transpose(square: &mut [Self::V; LANES]) {
        let mut rows = [[0.0; LANES]; LANES];
        // SAFETY: every row has room for one vector.
        unsafe {
            for (row, v) in rows.iter_mut().zip(square.iter()) {
                Self::store(row.as_mut_ptr(), *v);
            }
            for (lane, v) in square.iter_mut().enumerate() {
                let column: [f32; LANES] = std::array::from_fn(|row| rows[row][lane]);
                *v = Self::load(column.as_ptr());
            }
        }
    }
}

/// Plain Rust, for any processor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Portable {
    #[inline(always)]
    fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
        std::array::from_fn(|lane| f(a[lane], b[lane]))
    }

    #[inline(always)]
    fn mask(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> bool) -> u16 {
        (0..LANES).fold(0, |mask, lane| mask | u16::from(f(a[lane], b[lane])) << lane)
    }
}

impl Lanes for Portable {
    type V = [f32; LANES];
    type Counts = u32;

    const MANY_REGISTERS: bool = false;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::V {
        // SAFETY: the caller's.
        unsafe { from.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: Self::V) {
        // SAFETY: the caller's.
        unsafe { to.cast::<Self::V>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
        Self::zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
        Self::zip(a, b, |a, b| a * b)
    }

    // Two roundings: a fused multiplication in software would be a hundred times slower.
    #[inline(always)]
    unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        Self::zip(Self::zip(a, b, |a, b| a * b), c, |ab, c| ab + c)
    }

    #[inline(always)]
    unsafe fn mul_sub_from(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        Self::zip(Self::zip(a, b, |a, b| a * b), c, |ab, c| c - ab)
    }

    #[inline(always)]
    unsafe fn scalar_mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }

    #[inline(always)]
    unsafe fn splat_lane<const LANE: usize>(v: Self::V) -> Self::V {
        [v[LANE]; LANES]
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const f32) {}

    #[inline(always)]
    unsafe fn above(a: Self::V, b: Self::V) -> u16 {
        Self::mask(a, b, |a, b| a > b)
    }

    #[inline(always)]
    unsafe fn no_counts() -> u32 {
        0
    }

    #[inline(always)]
    unsafe fn count_above(a: Self::V, b: Self::V, counts: u32) -> u32 {
        counts + Self::mask(a, b, |a, b| a > b).count_ones()
    }

    #[inline(always)]
    unsafe fn count_at_least(a: Self::V, b: Self::V, counts: u32) -> u32 {
        counts + Self::mask(a, b, |a, b| a >= b).count_ones()
    }

    #[inline(always)]
    unsafe fn total(counts: u32) -> u32 {
        counts
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{LANES, Lanes};

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx512;

    // SAFETY of every body: the trait's contract.
    impl Lanes for Avx512 {
        type V = __m512;
        type Counts = __m512i;

        const MANY_REGISTERS: bool = true;

        #[inline(always)]
        unsafe fn splat(x: f32) -> __m512 {
            unsafe { _mm512_set1_ps(x) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> __m512 {
            unsafe { _mm512_loadu_ps(from) }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, v: __m512) {
            unsafe { _mm512_storeu_ps(to, v) }
        }

        #[inline(always)]
        unsafe fn add(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_add_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn mul(a: __m512, b: __m512) -> __m512 {
            unsafe { _mm512_mul_ps(a, b) }
        }

        #[inline(always)]
        unsafe fn mul_add(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        unsafe fn mul_sub_from(a: __m512, b: __m512, c: __m512) -> __m512 {
            unsafe { _mm512_fnmadd_ps(a, b, c) }
        }

        #[inline(always)]
        unsafe fn scalar_mul_add(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }

        #[inline(always)]
        unsafe fn splat_lane<const LANE: usize>(v: __m512) -> __m512 {
            unsafe { _mm512_permutexvar_ps(_mm512_set1_epi32(LANE as i32), v) }
        }

        #[inline(always)]
        unsafe fn prefetch(at: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
        }

        #[inline(always)]
        unsafe fn above(a: __m512, b: __m512) -> u16 {
            unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) }
        }

        #[inline(always)]
        unsafe fn no_counts() -> __m512i {
            unsafe { _mm512_setzero_si512() }
        }

        #[inline(always)]
        unsafe fn count_above(a: __m512, b: __m512, counts: __m512i) -> __m512i {
            unsafe {
                let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b);
                _mm512_mask_add_epi32(counts, above, counts, _mm512_set1_epi32(1))
            }
        }

        #[inline(always)]
        unsafe fn count_at_least(a: __m512, b: __m512, counts: __m512i) -> __m512i {
            unsafe {
                let at_least = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(a, b);
                _mm512_mask_add_epi32(counts, at_least, counts, _mm512_set1_epi32(1))
            }
        }

        #[inline(always)]
        unsafe fn total(counts: __m512i) -> u32 {
            unsafe { _mm512_reduce_add_epi32(counts) as u32 }
        }

        /// Pairs of rows, of pairs, of fours and of eights change places.
        #[inline(always)]
        unsafe fn transpose(square: &mut [__m512; LANES]) {
            unsafe {
                let mut pairs = *square;
                for at in 0..8 {
                    let (low, high) = (square[2 * at], square[2 * at + 1]);
                    pairs[2 * at] = _mm512_unpacklo_ps(low, high);
                    pairs[2 * at + 1] = _mm512_unpackhi_ps(low, high);
                }
                // Row r of a group of four now holds column r of each quarter.
                let mut fours = pairs;
                for group in (0..LANES).step_by(4) {
                    let double = |at: usize| _mm512_castps_pd(pairs[group + at]);
                    fours[group] = _mm512_castpd_ps(_mm512_unpacklo_pd(double(0), double(2)));
                    fours[group + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(double(0), double(2)));
                    fours[group + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(double(1), double(3)));
                    fours[group + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(double(1), double(3)));
                }
                for at in 0..4 {
                    let [a, b, c, d] = [fours[at], fours[at + 4], fours[at + 8], fours[at + 12]];
                    let even_low = _mm512_shuffle_f32x4::<0x88>(a, b);
                    let odd_low = _mm512_shuffle_f32x4::<0xdd>(a, b);
                    let even_high = _mm512_shuffle_f32x4::<0x88>(c, d);
                    let odd_high = _mm512_shuffle_f32x4::<0xdd>(c, d);
                    square[at] = _mm512_shuffle_f32x4::<0x88>(even_low, even_high);
                    square[at + 8] = _mm512_shuffle_f32x4::<0xdd>(even_low, even_high);
                    square[at + 4] = _mm512_shuffle_f32x4::<0x88>(odd_low, odd_high);
                    square[at + 12] = _mm512_shuffle_f32x4::<0xdd>(odd_low, odd_high);
                }
            }
        }
    }

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx2;

    #[inline(always)]
    unsafe fn masks(low: __m256, high: __m256) -> u16 {
        unsafe { (_mm256_movemask_ps(low) | _mm256_movemask_ps(high) << 8) as u16 }
    }

    // SAFETY of every body: the trait's contract.
    impl Lanes for Avx2 {
        type V = [__m256; 2];
        type Counts = [__m256i; 2];

        const MANY_REGISTERS: bool = false;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { [_mm256_set1_ps(x); 2] }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self::V {
            unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
        }

        #[inline(always)]
        unsafe fn store(to: *mut f32, v: Self::V) {
            unsafe {
                _mm256_storeu_ps(to, v[0]);
                _mm256_storeu_ps(to.add(8), v[1]);
            }
        }

        #[inline(always)]
        unsafe fn add(a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }

        #[inline(always)]
        unsafe fn mul(a: Self::V, b: Self::V) -> Self::V {
            unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        }

        #[inline(always)]
        unsafe fn mul_add(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
        }

        #[inline(always)]
        unsafe fn mul_sub_from(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { [_mm256_fnmadd_ps(a[0], b[0], c[0]), _mm256_fnmadd_ps(a[1], b[1], c[1])] }
        }

        #[inline(always)]
        unsafe fn scalar_mul_add(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }

        #[inline(always)]
        unsafe fn splat_lane<const LANE: usize>(v: Self::V) -> Self::V {
            unsafe {
                let lane = _mm256_set1_epi32((LANE % 8) as i32);
                [_mm256_permutevar8x32_ps(v[LANE / 8], lane); 2]
            }
        }

        #[inline(always)]
        unsafe fn prefetch(at: *const f32) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
        }

        #[inline(always)]
        unsafe fn above(a: Self::V, b: Self::V) -> u16 {
            unsafe { masks(_mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0]), _mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1])) }
        }

        #[inline(always)]
        unsafe fn no_counts() -> Self::Counts {
            unsafe { [_mm256_setzero_si256(); 2] }
        }

        // What is true is -1 in every lane.
        #[inline(always)]
        unsafe fn count_above(a: Self::V, b: Self::V, counts: Self::Counts) -> Self::Counts {
            unsafe {
                let low = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0]));
                let high = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1]));
                [_mm256_sub_epi32(counts[0], low), _mm256_sub_epi32(counts[1], high)]
            }
        }

        #[inline(always)]
        unsafe fn count_at_least(a: Self::V, b: Self::V, counts: Self::Counts) -> Self::Counts {
            unsafe {
                let low = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GE_OQ>(a[0], b[0]));
                let high = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GE_OQ>(a[1], b[1]));
                [_mm256_sub_epi32(counts[0], low), _mm256_sub_epi32(counts[1], high)]
            }
        }

        #[inline(always)]
        unsafe fn total(counts: Self::Counts) -> u32 {
            let mut lanes = [0u32; 8];
            unsafe {
                let both = _mm256_add_epi32(counts[0], counts[1]);
                _mm256_storeu_si256(lanes.as_mut_ptr().cast(), both);
            }
            lanes.iter().sum()
        }
    }
}

/// Repeats a block for each lane, with the lane as a constant, so that arrays of vectors stay in
/// registers.
macro_rules! each_lane {
    ($lane:ident, $body:block) => {
        $crate::kernel::lanes::each_lane!(@ $lane, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    };
    (@ $lane:ident, $body:block, $($number:literal)*) => {
        $({ const $lane: usize = $number; $body })*
    };
}
pub(crate) use each_lane;

/// Declares a function that runs `$generic::<L>` with the widest lanes that the processor has.
macro_rules! with_widest_lanes {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)? = $generic:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "a kernel takes its pointers and strides one by one")]
        $vis fn $name($($arg: $type),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx2,fma")]
                fn avx512($($arg: $type),*) $(-> $ret)? {
                    // SAFETY: this function enables what Avx512 needs.
                    unsafe { $generic::<$crate::kernel::lanes::Avx512>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) $(-> $ret)? {
                    // SAFETY: this function enables what Avx2 needs.
                    unsafe { $generic::<$crate::kernel::lanes::Avx2>($($arg),*) }
                }
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("fma")
                {
                    // SAFETY: just seen.
                    return unsafe { avx512($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
                {
                    // SAFETY: just seen.
                    return unsafe { avx2($($arg),*) };
                }
            }
            // SAFETY: plain Rust runs anywhere.
            unsafe { $generic::<$crate::kernel::lanes::Portable>($($arg),*) }
        }
    };
}
pub(crate) use with_widest_lanes;

#[cfg(test)]
mod tests {
    use super::*;

    with_widest_lanes! {
        fn transposed(square: &mut [[f32; LANES]; LANES]) = transposed_with
    }

    #[inline(always)]
    unsafe fn transposed_with<L: Lanes>(square: &mut [[f32; LANES]; LANES]) {
        // SAFETY: the caller's; every row is one vector.
        unsafe {
            let mut rows = [L::splat(0.0); LANES];
            for (v, row) in rows.iter_mut().zip(square.iter()) {
                *v = L::load(row.as_ptr());
            }
            L::transpose(&mut rows);
            for (v, row) in rows.iter().zip(square.iter_mut()) {
                L::store(row.as_mut_ptr(), *v);
            }
        }
    }

    #[test]
    fn rows_turn_into_columns() {
        let entry = |row: usize, column: usize| (100 * row + column) as f32;
        let start = std::array::from_fn(|row| std::array::from_fn(|column| entry(row, column)));
        let (mut widest, mut portable) = (start, start);
        transposed(&mut widest);
        // SAFETY: plain Rust runs anywhere.
        unsafe { transposed_with::<Portable>(&mut portable) };
        for row in 0..LANES {
            for column in 0..LANES {
                assert_eq!(widest[row][column], entry(column, row));
                assert_eq!(portable[row][column], entry(column, row));
            }
        }
    }
}

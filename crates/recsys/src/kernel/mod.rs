//! Small dense linear algebra in single precision, written once for three widths of vectors.
//!
//! [`lanes`] is the arithmetic: 16 numbers at a time as AVX-512, as AVX2, or as plain Rust. [`product`]
//! builds all products from one tile that stays in registers, and [`cholesky`] factors with the same
//! tile. The width is chosen at run time by what the processor has; results are equal bit by bit on
//! processors of one width.
//!
//! Each sum runs over its terms in order in one accumulator, so an entry of a product has the same
//! bits wherever in a tile it is computed.

pub(crate) mod cholesky;
pub(crate) mod lanes;
pub(crate) mod lines;
pub(crate) mod product;

/// Numbers to a vector, the unit to which tables are padded.
pub(crate) const LANES: usize = 16;

/// `n` rounded up to whole vectors.
pub(crate) fn padded(n: usize) -> usize {
    n.next_multiple_of(LANES)
}

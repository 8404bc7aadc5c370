//! Quantities as a pipeline writes them: spans of time, shares, sizes, processor time.
//!
//! Each is a type of its own with one text form (`28d`, `10%`, `4Gi`, `500m`) and one canonical form, the plain
//! number that goes into a launch document.

mod cpu;
mod cut;
mod share;
mod size;
mod span;

pub use cpu::Cpu;
pub use cut::Cut;
pub use share::{Change, Share};
pub use size::Size;
pub use span::Span;

/// A quantity that could not be read: the rule it breaks, worded to follow the text in question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QuantityError(pub String);

/// Splits `1.5h` into the number and what follows it. Signs, exponents and names of numbers are not part of a number.
pub(crate) fn leading_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

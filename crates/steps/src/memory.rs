//! Whether a step's work fits into `resources.memory`, told before it begins.
//!
//! What is counted is what has to be held at once whatever one does; a step that is refused could not end, and one that
//! is let through may still turn out to need somewhat more.

use crate::error::{Class, Classed};

/// Memory that some work needs, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    /// The work with its sizes, as the beginning of a sentence.
    doing: String,
    parts: Vec<(&'static str, u64)>,
    /// What would need less, as the end of a sentence.
    instead: &'static str,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{doing} needs about {} ({parts}), and `resources.memory` gives it {}: raise it to {}Mi, or {instead}",
    mebibytes(*needed),
    mebibytes(*given),
    needed.next_multiple_of(STEP) >> 20
)]
pub(crate) struct NotEnough {
    doing: String,
    needed: u64,
    parts: String,
    given: u64,
    instead: &'static str,
}

impl Classed for NotEnough {
    fn class(&self) -> Class {
        Class::Configuration
    }
}

/// What the program takes for itself, with the buffers of files that it reads and writes.
const PROGRAM: u64 = 48 << 20;
/// Sizes are rounded up to this in advice.
const STEP: u64 = 256 << 20;

impl Need {
    pub fn new(doing: String, instead: &'static str) -> Self {
        Self { doing, parts: vec![("the program itself", PROGRAM)], instead }
    }

    pub fn and(mut self, what: &'static str, bytes: u64) -> Self {
        self.parts.push((what, bytes));
        self
    }

    fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Refuses work that needs more than what is given.
    pub fn check(self, given: u64) -> Result<(), NotEnough> {
        let needed = self.total();
        if needed <= given {
            return Ok(());
        }
        let mut parts = self.parts;
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let shown = parts.iter().map(|(what, bytes)| format!("{what} {}", mebibytes(*bytes)));
        Err(NotEnough {
            doing: self.doing,
            needed,
            parts: shown.collect::<Vec<_>>().join(", "),
            given,
            instead: self.instead,
        })
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", grouped(bytes.div_ceil(1 << 20)))
}

/// A number as people read it: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_its_parts_and_the_remedy() {
        let need = || Need::new("reading 1,000 rows".to_owned(), "read fewer").and("rows", 1 << 20);
        assert!(need().check(49 << 20).is_ok());
        let error = need().and("tables", 3 << 30).check(1 << 30).unwrap_err();
        assert_eq!(error.class().exit_code(), 78);
        insta::assert_snapshot!(error, @"reading 1,000 rows needs about 3,121 MiB (tables 3,072 MiB, the program itself 48 MiB, rows 1 MiB), and `resources.memory` gives it 1,024 MiB: raise it to 3328Mi, or read fewer");
        assert_eq!(grouped(0) + &grouped(999) + &grouped(1_000_000), "09991,000,000");
    }
}

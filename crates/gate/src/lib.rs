//! The gate: rules and paired scores in, a verdict and a report out.
//!
//! A gate answers `pass`, `fail` or `inconclusive`. It compares a candidate with other models on the same users, by the
//! ratio of means candidate/other − 1 and one-sided bounds of it, and it says `pass` only when every rule holds. What it
//! does not know (a missing metric, a NaN, an empty test set, too few users, a model that may have seen the test rows)
//! is never a pass, and neither is a gate that evaluated no rule.
//!
//! It knows no files, no clock and no models: numbers in, numbers out, and the same bits for the same seed.
//!
//! Read first: [`evidence`], what is judged; then [`judge`]. The statistics are in [`ratio`] and [`interval`], how
//! much data they need in [`support`], and what is reported in [`report`] and [`markdown`].

pub mod evidence;
mod figures;
pub mod interval;
pub mod judge;
pub mod markdown;
pub mod normal;
pub mod power;
pub mod ratio;
pub mod report;
pub mod support;
mod words;

pub use evidence::{Compared, Evidence, Scored, Slices, SplitFacts, TableIdentity, Training};
pub use judge::judge;
pub use markdown::markdown;
pub use report::{Figures, Report, RuleOutcome, RuleReport, Uncertainty, Verdict};

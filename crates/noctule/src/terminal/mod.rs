//! What a person at the terminal sees. Everything here goes to standard error, but for pages that were asked for.

pub mod amounts;
pub mod progress;
pub mod style;
pub mod table;

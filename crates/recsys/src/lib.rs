//! Numbers for recommenders: trainers, rankings, metrics, samples. Arrays in, arrays out.
//!
//! Users and items are indices here; ids, files, tables and clocks are not known. Randomness comes
//! from a seed that the caller gives. Work runs on the caller's rayon pool, and every result has
//! the same bits whatever the number of its threads.
//!
//! Read first: [`interactions`], what everything starts from. Then [`train`] and [`rank`], and
//! [`metrics`] for the definitions.

pub mod interactions;
mod kernel;
pub mod metrics;
pub mod rank;
pub mod sample;
pub mod similar;
pub mod train;

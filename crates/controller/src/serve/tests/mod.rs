//! The server over a real store and depot, with a launcher that only pretends, and a clock that the test sets.

mod backfills;
mod files;
mod keeping;
mod leaders;
mod nights;
mod requests;
mod slots;
mod waiting;
mod world;

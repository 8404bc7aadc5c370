//! The data steps, from a file of text to rows of text.

#[path = "../../../../tests/support/data.rs"]
mod real;
mod dedup;
mod extract;
mod filter;
mod house;
mod movielens;
mod repeats;
mod same_bytes;
#[path = "../../../../tests/support/skip.rs"]
mod skip;
mod split;

//! The data steps, from a file of text to rows of text.

mod dedup;
mod extract;
mod filter;
mod house;
mod movielens;
#[path = "../../../../tests/support/note.rs"]
mod note;
#[path = "../../../../tests/support/data.rs"]
mod real;
mod repeats;
mod same_bytes;
mod split;

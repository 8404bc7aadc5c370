//! Trainers: interactions in, a model's numbers out.

pub mod ials;
mod popularity;

pub use popularity::popularity;

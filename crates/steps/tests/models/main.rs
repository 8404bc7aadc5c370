//! The steps around models, each as an attempt runs it, over a store in a temporary folder.

mod chain;
mod lab;
#[path = "../../../../tests/support/note.rs"]
mod note;
#[path = "../../../../tests/support/python.rs"]
mod python;
mod ranking;
mod shell;
#[path = "../../../../tests/support/skip.rs"]
mod skip;

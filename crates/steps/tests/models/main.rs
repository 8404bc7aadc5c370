//! The steps around models, each as an attempt runs it, over a store in a temporary folder.

mod chain;
mod lab;
mod ranking;
mod shell;

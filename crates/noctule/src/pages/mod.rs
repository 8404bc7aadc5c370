//! Documents as pages for people. They are made from the document alone.

pub mod run;

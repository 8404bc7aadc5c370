//! Pipelines from outside: what is refused and in which words, what a valid one becomes, what is made of declarations.

mod generated;
mod hostile;
mod loaded;
mod pairs;
mod schedule;

//! The store from outside, on both of its databases.

#[macro_use]
mod world;

mod artifacts;
mod audit;
mod backfills;
mod child;
mod crash;
mod events;
mod golden;
mod lease;
mod log;
mod occurrences;
mod opening;
mod outbox;
mod pipelines;
mod postgres;
mod registry;
mod runs;
mod schedules;
mod slots;
mod slots_under_kills;
mod tokens;

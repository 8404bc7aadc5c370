//! The store from outside, on both of its databases.

#[macro_use]
mod world;

mod artifacts;
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
mod postgres;
mod registry;
mod runs;
mod schedules;

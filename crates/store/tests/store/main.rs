//! The store from outside, on both of its databases.

#[macro_use]
mod world;

mod artifacts;
mod audit;
mod away;
mod backfills;
mod backup;
mod child;
mod crash;
mod events;
mod golden;
mod lease;
mod log;
mod many;
mod migration;
mod occurrences;
mod opening;
mod outbox;
mod pipelines;
mod postgres;
mod rebuild;
mod registry;
mod retention;
mod runs;
mod schedules;
mod slots;
mod slots_under_kills;
mod tokens;

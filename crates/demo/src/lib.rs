//! The synthetic product `demo://shop`: a feed of short videos with a catalogue and users.
//!
//! Everything is a pure function of ([`Settings`], table, day): the same bytes for ever, on
//! any machine and any number of threads, each day without regard to the others. Nothing is
//! read, written or remembered.
//!
//! The world has taste clusters; users lean to three each, items belong to one. Popularity is
//! long-tailed, activity log-normal, and both popularity and tastes drift over months. Clicks
//! follow clickbait more than taste, watch shares follow taste, and watch time depends on an
//! item's length. Users and items come and go, so that every date has a full shop. Faults are
//! planted in the log and the catalogue, and a list names each ([`Fault`]).
//!
//! Read first: [`Shop`], then `feed.rs` for how people behave.

mod broken;
mod catalogue;
mod columns;
mod draw;
mod events;
mod fault;
mod feed;
mod item;
mod population;
mod schema;
mod settings;
mod shop;
mod snapshot;
mod tally;
mod text;
mod user;
mod visit;
mod words;
mod world;

pub use broken::TextFaults;
pub use events::Events;
pub use fault::{BrokenLine, Fault, HardNegative, Malformed, to_ndjson};
pub use schema::{Table, events_schema, items_schema, users_schema};
pub use settings::{Address, Settings, SettingsError, VERSION};
pub use shop::{Batches, Shop};
pub use snapshot::{Items, Users};

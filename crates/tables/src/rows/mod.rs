//! Operators over interactions that stay within memory, whatever the number of rows.
//!
//! All have one shape: a first pass reads the few columns that decide, packs them into fixed-width records (on disk
//! when the [`Budget`](crate::Budget) is used up), and marks for each row whether it stays ([`Keep`]); a second pass
//! streams all columns and writes the rows that stay, in the order they stood in. So the order of an output is that
//! of its input, and nothing about it depends on threads. Memory grows with the number of distinct users and items,
//! and by one bit a row.

mod activity;
mod buckets;
mod coded;
mod first;
mod ids;
mod keep;
mod log;
mod order;
mod pairs;
mod parts;
mod rate;
mod repeated;
mod rewrite;

pub use activity::{Core, PairList};
pub use coded::{Coded, Counts, Times};
pub use first::{FIRST_TIME, first_times, tells_first_time, time_column};
pub use ids::{Dictionary, IdColumn, IdKind, id_kind};
pub use keep::{Keep, write_kept};
pub use order::{Cut, cut};
pub use pairs::{PairRule, Resolved, resolve_pairs};
pub use parts::{Overlap, Parts, PartsReport, time_span};
pub use repeated::drop_repeated;
pub use rewrite::ItemMap;

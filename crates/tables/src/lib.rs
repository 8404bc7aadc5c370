//! An artifact or an external source as a table.
//!
//! A [`Table`] is a list of Parquet files of one schema, read in a fixed order by [`Table::scan`] and written by
//! [`TableWriter`], whose bytes depend on the rows alone: never on the number of threads or the sizes of the batches
//! that came in. [`source`] lists and reads what lies outside: Parquet, CSV and NDJSON on disk, in object stores,
//! behind HTTP, or made by `noctule-demo`. [`rows`] holds the operators of the data steps, each a few sequential
//! passes over compact columns that go to disk when the memory [`Budget`] is used up.
//!
//! This crate knows no step settings and no pipeline: `noctule-steps` translates.

mod budget;
mod error;
pub mod normal;
pub mod rows;
mod scan;
mod session;
pub mod source;
mod table;
mod write;

pub use budget::Budget;
pub use error::{Class, Error, Result};
pub use scan::Scan;
pub use session::session;
pub use table::Table;
pub use write::{FILE_ROWS, ROW_GROUP_ROWS, TableWriter, Written};

//! YAML text to a checked pipeline.
//!
//! Text goes in, a [`Pipeline`] or a list of diagnostics comes out: no files, no clock, no environment. Read
//! [`pipeline`] first for what comes out, then `load` for how.

pub mod alerts;
pub mod config;
pub mod cron_line;
pub mod diagnostic;
mod draft;
mod explain;
mod file;
mod form;
mod graph;
mod judged;
pub mod kinds;
pub mod limits;
mod load;
pub mod metric;
mod params;
pub mod pipeline;
pub mod reference;
pub mod resources;
pub mod retry;
pub mod schedule;
mod schema;
mod secrets;
pub mod serve;
pub mod source;
mod sql;
mod template;
pub mod timeouts;
mod tree;
pub mod units;
mod words;

pub use alerts::{Alerts, SecretName, Slack};
pub use config::Config;
pub use cron_line::CronLine;
pub use diagnostic::{Code, Diagnostic, Diagnostics, Label, Severity, Style};
pub use explain::{UnknownKind, config_page, explain, pipeline_page, reference_page};
pub use limits::Limits;
pub use load::{Context, Loaded, load};
pub use metric::{Measure, Metric};
pub use pipeline::{AwaitedError, InputReference, Pipeline, Step, StepKind};
pub use reference::{ModelReference, PublishedAt, Reference};
pub use resources::Resources;
pub use retry::{Backoff, Retry};
pub use schedule::{
    DataSpan, DataWait, IntervalUnit, Misfire, Overlap, PromotionOf, Schedule, Timetable, Trigger,
};
pub use schema::{schema, schema_file};
pub use serve::{Access, Retention, Serve};
pub use source::SourceText;
pub use timeouts::Timeouts;
pub use units::{Change, Cpu, Cut, Share, Size, Span};

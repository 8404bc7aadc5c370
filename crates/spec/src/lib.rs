//! YAML text to a checked pipeline.
//!
//! Text goes in, a [`Pipeline`] or a list of diagnostics comes out: no files, no clock, no environment. Read
//! [`pipeline`] first for what comes out, then `load` for how.

pub mod alerts;
pub mod cron_line;
pub mod kinds;
pub mod metric;
pub mod pipeline;
pub mod reference;
pub mod resources;
pub mod retry;
pub mod schedule;
pub mod timeouts;
pub mod units;

pub use alerts::{Alerts, SecretName, Slack};
pub use cron_line::CronLine;
pub use metric::{Measure, Metric};
pub use pipeline::{InputReference, Pipeline, Step, StepKind};
pub use reference::{ModelReference, PublishedAt, Reference};
pub use resources::Resources;
pub use retry::{Backoff, Retry};
pub use schedule::{DataSpan, IntervalUnit, Misfire, Overlap, Schedule};
pub use timeouts::Timeouts;
pub use units::{Change, Cpu, Cut, Share, Size, Span};

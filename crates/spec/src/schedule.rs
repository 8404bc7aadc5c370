//! `schedule` and `data`: when a pipeline is due, and what span of data time a run covers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cron_line::CronLine;
use crate::units::Span;

/// When a pipeline is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Five fields as in crontab(5): minute, hour, day of the month, month, day of the week.
    pub cron: CronLine,
    /// The zone whose civil time the fields mean.
    #[serde(default = "utc")]
    #[schemars(extend("x-noctule" = "timezone"))]
    pub timezone: String,
    /// What becomes of occurrences missed while nothing was running.
    #[serde(default)]
    pub misfire: Misfire,
    /// What happens when an occurrence is due while the last run is still going.
    #[serde(default)]
    pub overlap: Overlap,
    /// How long after its occurrence a run that has not ended is reported as late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub deadline: Option<Span>,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What becomes of occurrences missed while nothing was running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Misfire {
    /// The latest one runs, the others are skipped.
    #[default]
    RunLatest,
    /// All run, oldest first.
    RunAll,
    /// None runs.
    Skip,
}

/// What happens when an occurrence is due while the last run is still going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// The new one is skipped.
    #[default]
    Skip,
    /// The new one waits.
    Queue,
    /// The old one is cancelled.
    Replace,
}

/// What span of data time a run covers: the last whole interval that ended at or before its occurrence less `delay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpan {
    /// The length of an interval, by the clock of `timezone`.
    #[serde(default)]
    pub interval: IntervalUnit,
    /// The zone whose days are meant, and in which a time without a zone is read.
    #[serde(default = "utc")]
    #[schemars(extend("x-noctule" = "timezone"))]
    pub timezone: String,
    /// How long after an interval's end its data are complete.
    #[serde(default = "no_time")]
    pub delay: Span,
}

fn no_time() -> Span {
    Span::from_seconds(0)
}

impl Default for DataSpan {
    fn default() -> Self {
        Self { interval: IntervalUnit::default(), timezone: utc(), delay: no_time() }
    }
}

/// The length of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IntervalUnit {
    Hour,
    #[default]
    Day,
    /// From Monday.
    Week,
}

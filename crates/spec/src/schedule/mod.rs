//! `schedule` and `data`: when a pipeline is due, and what span of data time a run covers.

pub(crate) mod check;
pub(crate) mod file;

use noctule_artifacts::{AliasName, ModelName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cron_line::CronLine;
use crate::units::Span;

/// When a pipeline is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub trigger: Trigger,
    /// What becomes of occurrences missed while nothing was running.
    pub misfire: Misfire,
    /// What happens when an occurrence is due while the last run is still going.
    pub overlap: Overlap,
    /// How long after its occurrence a run that has not ended is late.
    pub deadline: Option<Span>,
}

/// What makes a pipeline due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// The clock; and then, where there is a wait, data that have landed.
    Clock { timetable: Timetable, wait: Option<DataWait> },
    /// A promotion that another pipeline, or a person, makes.
    Promotion(PromotionOf),
}

/// Civil times of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    pub cron: CronLine,
    /// The zone's name in the IANA database.
    pub timezone: String,
}

/// The wait for data, which each occurrence of the clock opens.
///
/// The object is looked for at least once, also when the time to give up has already passed at the first look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataWait {
    /// The object, as written: a template, which [`Pipeline::awaited`](crate::Pipeline::awaited) renders for the
    /// interval of an occurrence.
    pub data: String,
    /// How long between two looks.
    pub poll: Span,
    /// How long after the occurrence nobody looks any more.
    pub give_up: Span,
}

/// The promotions that make a pipeline due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionOf {
    pub model: ModelName,
    pub alias: AliasName,
}

impl Schedule {
    /// The civil times, when the clock makes the pipeline due.
    pub fn timetable(&self) -> Option<&Timetable> {
        match &self.trigger {
            Trigger::Clock { timetable, .. } => Some(timetable),
            Trigger::Promotion(_) => None,
        }
    }

    /// The wait for data, when there is one.
    pub fn wait(&self) -> Option<&DataWait> {
        match &self.trigger {
            Trigger::Clock { wait, .. } => wait.as_ref(),
            Trigger::Promotion(_) => None,
        }
    }

    /// The promotions, when they make the pipeline due.
    pub fn promotion(&self) -> Option<&PromotionOf> {
        match &self.trigger {
            Trigger::Promotion(of) => Some(of),
            Trigger::Clock { .. } => None,
        }
    }
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

fn utc() -> String {
    "UTC".to_owned()
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

//! What `schedule` looks like in a file: which of its keys go together is checked in [`check`](super::check).

use noctule_artifacts::{AliasName, ModelName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Misfire, Overlap, utc};
use crate::cron_line::CronLine;
use crate::units::Span;

/// When a pipeline is due: by the clock (`cron`), or after a promotion (`on`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleFile {
    /// Five fields as in crontab(5): minute, hour, day of the month, month, day of the week.
    pub(crate) cron: Option<CronLine>,
    /// The zone whose civil time the fields of `cron` mean.
    #[serde(default = "utc")]
    #[schemars(extend("x-noctule" = "timezone"))]
    pub(crate) timezone: String,
    /// What becomes of occurrences missed while nothing was running.
    #[serde(default)]
    pub(crate) misfire: Misfire,
    /// What happens when an occurrence is due while the last run is still going.
    #[serde(default)]
    pub(crate) overlap: Overlap,
    /// How long after its occurrence a run that has not ended is reported as late.
    #[schemars(extend("x-noctule-positive" = true))]
    pub(crate) deadline: Option<Span>,
    /// What else a run waits for: with `cron` data that have to land, without it a promotion.
    pub(crate) on: Option<OnFile>,
}

/// What else a run waits for: `data` that have to land, or a `promotion`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OnFile {
    /// Beside `cron`, which opens the wait: the path or URL of one object, such as the `_SUCCESS` of a partition. It
    /// is a template over the interval that the run would cover.
    #[schemars(extend("x-noctule" = "source"))]
    pub(crate) data: Option<String>,
    /// How long between two looks for the data.
    #[serde(default = "five_minutes")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub(crate) poll: Span,
    /// How long after the occurrence one looks for the data, before it is skipped.
    #[serde(default = "a_day")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub(crate) give_up: Span,
    /// Instead of `cron`: the model whose promotions, by whomever, make the pipeline due.
    #[schemars(with = "Option<String>", extend("x-noctule" = "name"))]
    pub(crate) promotion: Option<ModelName>,
    /// The alias whose moves are meant.
    #[serde(default = "champion")]
    #[schemars(with = "String", extend("x-noctule" = "name"))]
    pub(crate) alias: AliasName,
}

fn five_minutes() -> Span {
    Span::from_seconds(5 * 60)
}

fn a_day() -> Span {
    Span::from_seconds(24 * 3600)
}

fn champion() -> AliasName {
    "champion".parse().expect("it is a name")
}

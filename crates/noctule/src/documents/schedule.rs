//! When a pipeline runs next, as its clock shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::PipelineName;
use noctule_engine::schedule::{Calendar, Shown, Upcoming, upcoming};
use noctule_spec::{Pipeline, Schedule};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::IntervalDocument;
use super::pipelines::PauseDocument;
use crate::report::{Code, Trouble};

/// What a pipeline's schedule says, and what it comes to next.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScheduleDocument {
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    pub schedule: ScheduleSummary,
    pub paused: Option<PauseDocument>,
    /// The next occurrences by the clock. A pipeline that follows promotions has none.
    pub next: Vec<UpcomingDocument>,
}

/// What a schedule says.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ScheduleSummary {
    #[schema(example = "15 2 * * *")]
    pub cron: Option<String>,
    #[schema(example = "Europe/Berlin")]
    pub timezone: Option<String>,
    /// The data that each occurrence waits for, before templates are rendered.
    pub waits_for: Option<String>,
    /// The alias whose promotions it follows.
    #[schema(example = "home-feed@champion")]
    pub follows: Option<String>,
    #[schema(example = "run-latest")]
    pub misfire: String,
    #[schema(example = "skip")]
    pub overlap: String,
    /// After how many seconds a run is late.
    pub deadline_seconds: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct UpcomingDocument {
    /// The civil time, which tells the occurrence from others of the pipeline.
    #[schema(example = "2026-11-24T02:15")]
    pub id: String,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The clock's offset from UTC at that instant.
    #[schema(example = "+01:00")]
    pub offset: String,
    /// How often the clock shows the civil time: `once`, `never` or `twice`.
    #[schema(example = "once")]
    pub shown: String,
    /// The clock change since the occurrence before it.
    pub change: Option<ClockChangeDocument>,
    /// The data that its run covers.
    pub interval: IntervalDocument,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ClockChangeDocument {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(example = "+02:00")]
    pub before: String,
    #[schema(example = "+01:00")]
    pub after: String,
}

/// The next occurrences of a checked pipeline.
pub fn gather(
    pipeline: &Pipeline,
    paused: Option<PauseDocument>,
    after: Timestamp,
    most: usize,
) -> Result<ScheduleDocument, Trouble> {
    let Some(schedule) = &pipeline.schedule else {
        return Err(Trouble::coded(
            Code::Refused,
            format!("the pipeline `{}` has no schedule: it runs when somebody runs it", pipeline.name),
        ));
    };
    let next = match schedule.timetable() {
        Some(timetable) => upcoming(timetable, after, most).map_err(unable)?,
        None => Vec::new(),
    };
    let calendar = Calendar::of(&pipeline.data).map_err(unable)?;
    let next = next.iter().map(|upcoming| document(upcoming, &calendar)).collect::<Result<_, _>>()?;
    Ok(ScheduleDocument { pipeline: pipeline.name.clone(), schedule: summary(schedule), paused, next })
}

fn unable(error: noctule_engine::schedule::ScheduleError) -> Trouble {
    Trouble::coded(Code::InvalidPipeline, error.to_string())
}

pub fn summary(schedule: &Schedule) -> ScheduleSummary {
    let timetable = schedule.timetable();
    ScheduleSummary {
        cron: timetable.map(|timetable| timetable.cron.to_string()),
        timezone: timetable.map(|timetable| timetable.timezone.clone()),
        waits_for: schedule.wait().map(|wait| wait.data.clone()),
        follows: schedule.promotion().map(|of| format!("{}@{}", of.model, of.alias)),
        misfire: word(&schedule.misfire),
        overlap: word(&schedule.overlap),
        deadline_seconds: schedule.deadline.map(|span| span.seconds()),
    }
}

/// The word that a setting has in the pipeline's file.
fn word(setting: &impl Serialize) -> String {
    match serde_json::to_value(setting) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

fn document(upcoming: &Upcoming, calendar: &Calendar) -> Result<UpcomingDocument, Trouble> {
    let Upcoming { occurrence, offset, shown, change } = upcoming;
    let interval = calendar.interval_at(occurrence.at).map_err(unable)?;
    Ok(UpcomingDocument {
        id: occurrence.id(),
        at: occurrence.at,
        offset: clock(*offset),
        shown: match shown {
            Shown::Once => "once",
            Shown::Never => "never",
            Shown::Twice => "twice",
        }
        .to_owned(),
        change: change.map(|change| ClockChangeDocument {
            at: change.at,
            before: clock(change.before),
            after: clock(change.after),
        }),
        interval: interval.into(),
    })
}

/// An offset as a clock is read: `+01:00`.
fn clock(offset: jiff::tz::Offset) -> String {
    let seconds = offset.seconds();
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    let text = format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    match seconds % 60 {
        0 => text,
        rest => format!("{text}:{rest:02}"),
    }
}

/// A pipeline's text, checked without parameters.
pub fn parse(file: &str, text: Vec<u8>) -> Result<Pipeline, Trouble> {
    let text = String::from_utf8(text).map_err(|_| Trouble::usage(format!("{file} is not UTF-8")))?;
    let definition = noctule_controller::Definition::new(
        file.to_owned(),
        text,
        BTreeMap::new(),
        Timestamp::now(),
        env!("CARGO_PKG_VERSION"),
    );
    Ok(crate::pipeline::Ready::of(definition, None)?.pipeline)
}

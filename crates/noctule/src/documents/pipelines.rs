//! The pipelines of a server, as they were last loaded, and the files that could not be.

use jiff::Timestamp;
use noctule_artifacts::PipelineName;
use noctule_controller::Controller;
use noctule_controller::serve::Catalogue;
use noctule_spec::Pipeline;
use noctule_store::{BrokenPipeline, GoodPipeline, Pause, PipelineRow, ScheduleRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::runs::{RunListed, RunsWanted};
use super::schedule::{self, ScheduleDocument, ScheduleSummary, UpcomingDocument};
use crate::report::{Code, Trouble};

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PipelinesDocument {
    /// By name.
    pub pipelines: Vec<PipelineListed>,
    /// Files that give no pipeline.
    pub problems: Vec<ProblemDocument>,
}

/// A pipeline in the version that holds.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PipelineListed {
    #[schema(value_type = String)]
    pub pipeline: PipelineName,
    /// The file's name in the server's folder.
    pub file: String,
    /// Of the text that runs.
    pub digest: String,
    #[schema(value_type = String, format = DateTime)]
    pub loaded: Timestamp,
    /// Why the file as it is now is not what runs.
    pub problem: Option<ProblemDocument>,
    /// `null` when nothing but people begins its runs.
    pub schedule: Option<ScheduleSummary>,
    pub paused: Option<PauseDocument>,
    /// When the clock next makes it due.
    pub next: Option<UpcomingDocument>,
}

/// A pipeline, and what it has going.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PipelineDocument {
    pub pipeline: PipelineListed,
    pub description: Option<String>,
    pub owner: Option<String>,
    /// Occurrences that wait for their data.
    pub waiting: u64,
    /// Occurrences that wait for their turn.
    pub queued: u64,
    /// Its last runs, the newest first.
    pub runs: Vec<RunListed>,
    /// The text that runs.
    pub text: String,
}

/// What is wrong with a file, with line and column.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProblemDocument {
    pub file: String,
    pub text: String,
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A pause of a schedule.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PauseDocument {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub by: String,
    pub why: Option<String>,
}

impl From<Pause> for PauseDocument {
    fn from(pause: Pause) -> Self {
        Self { at: pause.at, by: pause.by, why: pause.why }
    }
}

impl From<BrokenPipeline> for ProblemDocument {
    fn from(broken: BrokenPipeline) -> Self {
        Self { file: broken.file, text: broken.error, since: broken.since }
    }
}

/// All pipelines. A server has read their texts already, and brings what it knows.
pub async fn gather(
    controller: &Controller,
    known: Option<&Catalogue>,
    now: Timestamp,
) -> Result<PipelinesDocument, Trouble> {
    let (rows, schedules) = (controller.store.pipelines().await?, controller.store.schedules().await?);
    let mut document = PipelinesDocument { pipelines: Vec::new(), problems: Vec::new() };
    for PipelineRow { good, broken } in rows {
        match good {
            Some(good) => {
                let schedule = schedules.iter().find(|row| row.pipeline == good.pipeline).cloned();
                let parsed = parsed(&good, known);
                document.pipelines.push(listed(good, broken, schedule, &parsed, now));
            }
            None => document.problems.extend(broken.map(Into::into)),
        }
    }
    Ok(document)
}

pub async fn gather_one(
    controller: &Controller,
    name: &PipelineName,
    now: Timestamp,
) -> Result<PipelineDocument, Trouble> {
    let (good, broken) = find(controller, name).await?;
    let row = controller.store.schedule(name).await?;
    let text = String::from_utf8_lossy(&good.text).into_owned();
    let parsed = parsed(&good, None);
    let pipeline = listed(good, broken, Some(row), &parsed, now);
    let going = controller.store.going(name).await?;
    let wanted = RunsWanted { pipeline: Some(name.clone()), limit: 5, ..RunsWanted::default() };
    let (description, owner) = parsed.map_or((None, None), |parsed| (parsed.description, parsed.owner));
    Ok(PipelineDocument {
        pipeline,
        description,
        owner,
        waiting: going.waiting,
        queued: going.queued,
        runs: super::runs::gather(controller, &wanted).await?.runs,
        text,
    })
}

/// The schedule of a pipeline that a server has loaded.
pub async fn schedule(
    controller: &Controller,
    name: &PipelineName,
    after: Timestamp,
    most: usize,
) -> Result<ScheduleDocument, Trouble> {
    let (good, _) = find(controller, name).await?;
    let row = controller.store.schedule(name).await?;
    let pipeline = schedule::parse(&good.file, good.text)?;
    schedule::gather(&pipeline, row.paused.map(Into::into), after, most)
}

async fn find(
    controller: &Controller,
    name: &PipelineName,
) -> Result<(GoodPipeline, Option<BrokenPipeline>), Trouble> {
    let mut known = Vec::new();
    for PipelineRow { good, broken } in controller.store.pipelines().await? {
        match good {
            Some(good) if good.pipeline == *name => return Ok((good, broken)),
            Some(good) => known.push(good.pipeline.to_string()),
            None => {}
        }
    }
    let known = match known.len() {
        0 => "no server has loaded any here: `noctule serve` does".to_owned(),
        1..=10 => format!("there are {}", known.join(", ")),
        more => format!("there are {} and {} more", known[..10].join(", "), more - 10),
    };
    Err(Trouble::coded(Code::NoSuchPipeline, format!("there is no pipeline `{name}`: {known}")))
}

/// The pipeline that a text gives: this program may read it otherwise than the one that loaded it.
fn parsed(good: &GoodPipeline, known: Option<&Catalogue>) -> Result<Pipeline, Trouble> {
    let version = known.and_then(|known| known.get(&good.pipeline)).map(|entry| &entry.version);
    match version.filter(|version| version.digest == good.digest.to_string()) {
        Some(version) => Ok(version.pipeline.clone()),
        None => schedule::parse(&good.file, good.text.clone()),
    }
}

fn listed(
    good: GoodPipeline,
    broken: Option<BrokenPipeline>,
    row: Option<ScheduleRow>,
    parsed: &Result<Pipeline, Trouble>,
    now: Timestamp,
) -> PipelineListed {
    let problem = match (broken, parsed) {
        (Some(broken), _) => Some(broken.into()),
        (None, Err(trouble)) => Some(ProblemDocument {
            file: good.file.clone(),
            text: trouble.message.clone(),
            since: good.loaded,
        }),
        (None, Ok(_)) => None,
    };
    let parsed = parsed.as_ref().ok();
    let next = parsed.and_then(|parsed| schedule::gather(parsed, None, now, 1).ok());
    let paused: Option<PauseDocument> = row.and_then(|row| row.paused).map(Into::into);
    PipelineListed {
        pipeline: good.pipeline,
        file: good.file,
        digest: good.digest.to_string(),
        loaded: good.loaded,
        problem,
        schedule: parsed.and_then(|parsed| parsed.schedule.as_ref()).map(schedule::summary),
        paused,
        next: next.and_then(|document| document.next.into_iter().next()),
    }
}

/// An instant as it is written for a pipeline: a time without an offset is read in the pipeline's own zone.
pub async fn at(controller: &Controller, name: &PipelineName, text: &str) -> Result<Timestamp, Trouble> {
    let (good, _) = find(controller, name).await?;
    let pipeline = schedule::parse(&good.file, good.text)?;
    crate::cli::parse_at(text, &pipeline.data.timezone).map_err(Trouble::usage)
}

/// The models that a pipeline publishes to.
pub async fn models(
    controller: &Controller,
    name: &PipelineName,
) -> Result<Vec<noctule_artifacts::ModelName>, Trouble> {
    let (good, _) = find(controller, name).await?;
    let pipeline = schedule::parse(&good.file, good.text)?;
    Ok(pipeline.publishes().map(|(model, _)| model.clone()).collect())
}

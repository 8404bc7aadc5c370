//! Pipelines: looking at them and their schedules, pausing these, and beginning runs.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json as Answer};
use jiff::Timestamp;
use noctule_artifacts::PipelineName;
use noctule_controller::serve::Trigger;
use noctule_store::{BackfillId, OccurrenceKind, OccurrenceStage};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Reason, Why, rows, within};
use crate::documents::changed::{BegunDocument, PausedDocument};
use crate::documents::occurrences::{self, OccurrencesDocument, OccurrencesWanted};
use crate::documents::pipelines::{self, PipelineDocument, PipelinesDocument};
use crate::documents::schedule::ScheduleDocument;
use crate::report::Trouble;
use crate::server::Api;
use crate::server::access::Caller;
use crate::server::extract::{Json, Path, Query, parsed, parsed_option};

pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(schedule))
        .routes(routes!(pause))
        .routes(routes!(unpause))
        .routes(routes!(trigger))
        .routes(routes!(reload))
        .routes(routes!(list_occurrences))
}

/// List the pipelines that the server has loaded, and the files that it could not.
#[utoipa::path(get, path = "/pipelines", tag = "pipelines", responses((status = 200, body = PipelinesDocument)))]
async fn list(State(api): State<Api>) -> Result<Answer<PipelinesDocument>, Trouble> {
    let known = api.handle.catalogue();
    Ok(Answer(pipelines::gather(&api.controller, Some(&known), Timestamp::now()).await?))
}

/// Show one pipeline, with what it has going.
#[utoipa::path(
    get, path = "/pipelines/{pipeline}", tag = "pipelines", responses((status = 200, body = PipelineDocument))
)]
async fn show(
    State(api): State<Api>,
    Path(pipeline): Path<String>,
) -> Result<Answer<PipelineDocument>, Trouble> {
    let name: PipelineName = parsed(&pipeline)?;
    Ok(Answer(pipelines::gather_one(&api.controller, &name, Timestamp::now()).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ScheduleQuery {
    /// Only occurrences after this instant; without it, after now.
    #[param(value_type = Option<String>, format = DateTime)]
    after: Option<Timestamp>,
    /// How many at the most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List when a pipeline runs next, with what clock changes do to it.
#[utoipa::path(
    get, path = "/pipelines/{pipeline}/schedule", tag = "pipelines", params(ScheduleQuery),
    responses((status = 200, body = ScheduleDocument))
)]
async fn schedule(
    State(api): State<Api>,
    Path(pipeline): Path<String>,
    Query(query): Query<ScheduleQuery>,
) -> Result<Answer<ScheduleDocument>, Trouble> {
    let name: PipelineName = parsed(&pipeline)?;
    let after = query.after.unwrap_or_else(Timestamp::now);
    let most = rows(query.limit.or(Some(20)))? as usize;
    Ok(Answer(pipelines::schedule(&api.controller, &name, after, most).await?))
}

/// Let a schedule begin nothing until it is unpaused.
#[utoipa::path(
    post, path = "/pipelines/{pipeline}/pause", tag = "pipelines", request_body = Reason,
    responses((status = 200, body = PausedDocument))
)]
async fn pause(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(pipeline): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<Answer<PausedDocument>, Trouble> {
    let (pipeline, who) = (parsed::<PipelineName>(&pipeline)?, caller.who(Some(reason.checked()?)));
    api.desk.pause(&pipeline, &who).await?;
    Ok(Answer(PausedDocument { pipeline, paused: true }))
}

/// Let a paused schedule go on.
#[utoipa::path(
    post, path = "/pipelines/{pipeline}/unpause", tag = "pipelines", request_body = Reason,
    responses((status = 200, body = PausedDocument))
)]
async fn unpause(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(pipeline): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<Answer<PausedDocument>, Trouble> {
    let (pipeline, who) = (parsed::<PipelineName>(&pipeline)?, caller.who(Some(reason.checked()?)));
    api.desk.resume_schedule(&pipeline, &who).await?;
    Ok(Answer(PausedDocument { pipeline, paused: false }))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TriggerBody {
    /// Parameters of the pipeline, by name.
    #[serde(default)]
    params: BTreeMap<String, String>,
    /// The moment to run for: an instant, or a civil date or time in the pipeline's zone. Without it, now.
    #[schema(
        pattern = r"^(19|20)[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])?)?$",
        example = "2026-11-24"
    )]
    at: Option<String>,
    /// It stands in the run and in the audit table.
    #[schema(max_length = 500, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    why: Option<String>,
}

/// Begin a run of a pipeline.
#[utoipa::path(
    post, path = "/pipelines/{pipeline}/runs", tag = "pipelines", request_body = TriggerBody,
    responses((status = 201, body = BegunDocument))
)]
async fn trigger(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(pipeline): Path<String>,
    Json(body): Json<TriggerBody>,
) -> Result<(axum::http::StatusCode, Answer<BegunDocument>), Trouble> {
    let (pipeline, who) = (parsed::<PipelineName>(&pipeline)?, caller.who(Why { why: body.why }.checked()?));
    let at = match &body.at {
        Some(text) => Some(pipelines::at(&api.controller, &pipeline, text).await?),
        None => None,
    };
    let wish = Trigger { pipeline: pipeline.clone(), params: body.params, at };
    let run = api.desk.trigger(&wish, &who).await?;
    Ok((axum::http::StatusCode::CREATED, Answer(BegunDocument { run, pipeline })))
}

/// Look at the folder of pipelines now.
#[utoipa::path(
    post, path = "/reload", tag = "pipelines", request_body = Why,
    responses((status = 200, body = PipelinesDocument))
)]
async fn reload(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Json(why): Json<Why>,
) -> Result<Answer<PipelinesDocument>, Trouble> {
    api.handle.reload(&caller.who(why.checked()?)).await?;
    let known = api.handle.catalogue();
    Ok(Answer(pipelines::gather(&api.controller, Some(&known), Timestamp::now()).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OccurrencesQuery {
    /// Only those of this pipeline.
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pipeline: Option<String>,
    /// Only those that stand so.
    #[param(pattern = "^(waiting|queued|started|skipped)$")]
    state: Option<String>,
    /// Only those of this kind.
    #[param(pattern = "^(schedule|promotion|backfill)$")]
    kind: Option<String>,
    /// Only those of this backfill.
    #[param(minimum = 1, maximum = 4294967295_i64)]
    backfill: Option<u32>,
    /// How many at the most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where the page begins: what the page before said in `next`.
    #[param(pattern = "^[0-9]{1,15}[.][a-z0-9][a-z0-9_-]{0,62}[.][A-Za-z0-9:/.+-]{1,200}$")]
    cursor: Option<String>,
}

/// List what was due, and what became of it: what falls due last comes first.
#[utoipa::path(
    get, path = "/occurrences", tag = "pipelines", params(OccurrencesQuery),
    responses((status = 200, body = OccurrencesDocument))
)]
async fn list_occurrences(
    State(api): State<Api>,
    Query(query): Query<OccurrencesQuery>,
) -> Result<Answer<OccurrencesDocument>, Trouble> {
    let stage = |word: &String| OccurrenceStage::ALL.into_iter().find(|stage| stage.word() == word);
    let kind = |word: &String| OccurrenceKind::ALL.into_iter().find(|kind| kind.word() == word);
    let no = |what: &str| Trouble::usage(format!("`{what}` is none of the words that it may be"));
    let wanted = OccurrencesWanted {
        pipeline: parsed_option::<PipelineName>(query.pipeline.as_ref())?,
        stages: query
            .state
            .iter()
            .map(|word| stage(word).ok_or_else(|| no("state")))
            .collect::<Result<_, _>>()?,
        kinds: query
            .kind
            .iter()
            .map(|word| kind(word).ok_or_else(|| no("kind")))
            .collect::<Result<_, _>>()?,
        backfill: within("backfill", query.backfill.map(u64::from), 1, u64::from(u32::MAX))?.map(BackfillId),
        after: match &query.cursor {
            None => None,
            Some(text) => Some(
                occurrences::parse_cursor(text)
                    .ok_or_else(|| Trouble::usage("`cursor` is not what a page said in `next`"))?,
            ),
        },
        limit: rows(query.limit)?,
    };
    Ok(Answer(occurrences::gather(&api.controller, &wanted).await?))
}

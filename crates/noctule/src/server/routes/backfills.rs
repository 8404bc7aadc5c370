//! Backfills: planned, entered, paused, cancelled.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json as Answer};
use noctule_artifacts::PipelineName;
use noctule_controller::serve::BackfillWish;
use noctule_store::{BackfillId, BackfillOrder};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Reason, Why, rows, whole};
use crate::documents::backfills::{
    self, BackfillDocument, BackfillsDocument, EnteredDocument, PlannedDocument,
};
use crate::documents::pipelines;
use crate::report::{Code, Trouble};
use crate::server::Api;
use crate::server::access::{Caller, Need};
use crate::server::extract::{Json, Path, Query, parsed, parsed_option};

pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BackfillsQuery {
    /// Only those of this pipeline.
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pipeline: Option<String>,
    /// Only those that have not come to their end.
    #[serde(default)]
    open: bool,
    /// How many at the most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List backfills, the newest first.
#[utoipa::path(
    get, path = "/backfills", tag = "backfills", params(BackfillsQuery),
    responses((status = 200, body = BackfillsDocument))
)]
async fn list(
    State(api): State<Api>,
    Query(query): Query<BackfillsQuery>,
) -> Result<Answer<BackfillsDocument>, Trouble> {
    let pipeline = parsed_option::<PipelineName>(query.pipeline.as_ref())?;
    Ok(Answer(backfills::list(&api.controller, pipeline.as_ref(), query.open, rows(query.limit)?).await?))
}

/// A backfill that somebody wants.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillBody {
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pub pipeline: String,
    /// The first interval begins then or later: an instant, or a civil date or time in the pipeline's zone.
    #[schema(
        pattern = r"^(19|20)[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])?)?$",
        example = "2026-10-01"
    )]
    pub from: String,
    /// The last interval ends then or earlier.
    #[schema(
        pattern = r"^(19|20)[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))(T([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])?)?$",
        example = "2026-11-01"
    )]
    pub to: String,
    /// Which interval comes first.
    #[serde(default)]
    pub order: OrderWord,
    /// How many of its runs may be live at a time.
    #[serde(default = "one", deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 100)]
    pub at_once: u32,
    /// Let its candidates become champions, which needs the role to promote what the pipeline publishes.
    #[serde(default)]
    pub promote: bool,
    /// Only list the intervals.
    #[serde(default)]
    pub dry_run: bool,
    /// Parameters of the pipeline, by name.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// It stands in the backfill and in the audit table.
    #[schema(max_length = 500, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    pub why: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderWord {
    #[default]
    Oldest,
    Newest,
}

fn one() -> u32 {
    1
}

/// Enter a backfill, or only plan one.
#[utoipa::path(
    post, path = "/backfills", tag = "backfills", request_body = BackfillBody,
    responses((status = 200, body = EnteredDocument), (status = 201, body = EnteredDocument))
)]
async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Json(body): Json<BackfillBody>,
) -> Result<(StatusCode, Answer<EnteredDocument>), Trouble> {
    let who = caller.who(Why { why: body.why.clone() }.checked()?);
    if body.promote {
        let pipeline: PipelineName = parsed(&body.pipeline)?;
        for model in pipelines::models(&api.controller, &pipeline).await? {
            caller.must(Need::Promote, Some(model.as_str()))?;
        }
    }
    let wish = wish(&api.controller, &body).await?;
    let entered = enter(&api.controller, &api.desk, &wish, body.dry_run, &who).await?;
    let status = if body.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Answer(entered)))
}

/// The wish that a body stands for.
pub async fn wish(
    controller: &noctule_controller::Controller,
    body: &BackfillBody,
) -> Result<BackfillWish, Trouble> {
    let pipeline: PipelineName = parsed(&body.pipeline)?;
    Ok(BackfillWish {
        from: pipelines::at(controller, &pipeline, &body.from).await?,
        to: pipelines::at(controller, &pipeline, &body.to).await?,
        order: match body.order {
            OrderWord::Oldest => BackfillOrder::OldestFirst,
            OrderWord::Newest => BackfillOrder::NewestFirst,
        },
        at_once: body.at_once,
        promote: body.promote,
        params: body.params.clone(),
        pipeline,
    })
}

/// Plans a backfill, and enters it unless it is a dry run.
pub async fn enter(
    controller: &noctule_controller::Controller,
    desk: &noctule_controller::serve::Desk,
    wish: &BackfillWish,
    dry_run: bool,
    who: &noctule_controller::serve::Who,
) -> Result<EnteredDocument, Trouble> {
    let intervals = desk.plan_backfill(wish).await?;
    let planned = PlannedDocument {
        pipeline: wish.pipeline.clone(),
        intervals: intervals.into_iter().map(Into::into).collect(),
    };
    let backfill = match dry_run {
        true => None,
        false => {
            let id = desk.create_backfill(wish, who).await?;
            Some(backfills::gather(controller, id).await?)
        }
    };
    Ok(EnteredDocument { backfill, planned })
}

/// Show one backfill.
#[utoipa::path(
    get, path = "/backfills/{backfill}", tag = "backfills", responses((status = 200, body = BackfillDocument))
)]
async fn show(
    State(api): State<Api>,
    Path(backfill): Path<String>,
) -> Result<Answer<BackfillDocument>, Trouble> {
    Ok(Answer(backfills::gather(&api.controller, number(&backfill)?).await?))
}

/// Let a backfill begin no more runs; those that are going go on.
#[utoipa::path(
    post, path = "/backfills/{backfill}/pause", tag = "backfills", request_body = Reason,
    responses((status = 200, body = BackfillDocument))
)]
async fn pause(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(backfill): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<Answer<BackfillDocument>, Trouble> {
    let (id, who) = (number(&backfill)?, caller.who(Some(reason.checked()?)));
    api.desk.pause_backfill(id, &who).await?;
    Ok(Answer(backfills::gather(&api.controller, id).await?))
}

/// Let a paused backfill go on.
#[utoipa::path(
    post, path = "/backfills/{backfill}/resume", tag = "backfills", request_body = Reason,
    responses((status = 200, body = BackfillDocument))
)]
async fn resume(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(backfill): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<Answer<BackfillDocument>, Trouble> {
    let (id, who) = (number(&backfill)?, caller.who(Some(reason.checked()?)));
    api.desk.resume_backfill(id, &who).await?;
    Ok(Answer(backfills::gather(&api.controller, id).await?))
}

/// End a backfill: what has not begun is skipped, and what is going is cancelled.
#[utoipa::path(
    post, path = "/backfills/{backfill}/cancel", tag = "backfills", request_body = Reason,
    responses((status = 200, body = BackfillDocument))
)]
async fn cancel(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(backfill): Path<String>,
    Json(reason): Json<Reason>,
) -> Result<Answer<BackfillDocument>, Trouble> {
    let (id, who) = (number(&backfill)?, caller.who(Some(reason.checked()?)));
    api.desk.cancel_backfill(id, &who).await?;
    Ok(Answer(backfills::gather(&api.controller, id).await?))
}

fn number(text: &str) -> Result<BackfillId, Trouble> {
    text.parse::<BackfillId>().map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Trouble::coded(Code::Invalid, format!("`{shown}` is no number of a backfill"))
    })
}

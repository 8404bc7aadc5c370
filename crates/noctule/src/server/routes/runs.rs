//! Runs: looking at them, and asking things of them.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json as Answer};
use noctule_artifacts::{AttemptNumber, PipelineName, RunId, StepName};
use noctule_controller::serve::Sent;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{MOST_NUMBER, Reason, Why, rows, within};
use crate::documents::changed::AskedDocument;
use crate::documents::events::{self, EventsDocument};
use crate::documents::run::{self, GateDocument, RunDocument};
use crate::documents::runs::{self, RunsDocument, RunsWanted};
use crate::documents::why::{self, WhyDocument};
use crate::documents::{find_run, log, no_such_step};
use crate::report::{Code, Trouble};
use crate::server::Api;
use crate::server::access::Caller;
use crate::server::extract::{Json, Path, Query, parsed, parsed_option};

pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(list_events))
        .routes(routes!(show_gate))
        .routes(routes!(say_why))
        .routes(routes!(read_log))
        .routes(routes!(cancel))
        .routes(routes!(resume))
        .routes(routes!(rerun))
        .routes(routes!(ignore))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunsQuery {
    /// Only runs of this pipeline.
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pipeline: Option<String>,
    /// Only runs that stand so; several words are separated by commas.
    #[param(
        pattern = "^(queued|running|stopping|succeeded|failed|data-stop|gate-rejected|held|cancelled)(,(queued|running|stopping|succeeded|failed|data-stop|gate-rejected|held|cancelled))*$"
    )]
    status: Option<String>,
    /// Only runs that have not ended.
    #[serde(default)]
    live: bool,
    /// How many at the most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// Where the page begins: what the page before said in `next`.
    #[param(pattern = "^[0-9]{1,15}[.]r[a-z2-7]{12}$")]
    cursor: Option<String>,
}

/// List runs, the newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(RunsQuery), responses((status = 200, body = RunsDocument)))]
async fn list(
    State(api): State<Api>,
    Query(query): Query<RunsQuery>,
) -> Result<Answer<RunsDocument>, Trouble> {
    let wanted = RunsWanted {
        pipeline: parsed_option::<PipelineName>(query.pipeline.as_ref())?,
        statuses: statuses(query.status.as_deref())?,
        live: query.live,
        limit: rows(query.limit)?,
        after: match &query.cursor {
            None => None,
            Some(text) => Some(
                runs::parse_cursor(text)
                    .ok_or_else(|| Trouble::usage("`cursor` is not what a page said in `next`"))?,
            ),
        },
    };
    Ok(Answer(runs::gather(&api.controller, &wanted).await?))
}

fn statuses(text: Option<&str>) -> Result<Vec<noctule_engine::RunStatus>, Trouble> {
    let mut all = Vec::new();
    for word in text.into_iter().flat_map(|text| text.split(',')) {
        all.extend(
            runs::statuses(word).ok_or_else(|| Trouble::usage(format!("`{word}` is no status of a run")))?,
        );
    }
    Ok(all)
}

/// Show one run. Its id may be shortened; `last` is the newest.
#[utoipa::path(get, path = "/runs/{run}", tag = "runs", responses((status = 200, body = RunDocument)))]
async fn show(State(api): State<Api>, Path(run): Path<String>) -> Result<Answer<RunDocument>, Trouble> {
    let id = find_run(&api.controller.store, &run).await?;
    Ok(Answer(run::gather(&api.controller, &id).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Only events after this number.
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    after: Option<u64>,
    /// How many at the most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List what happened to a run, from its beginning.
#[utoipa::path(
    get, path = "/runs/{run}/events", tag = "runs", params(EventsQuery),
    responses((status = 200, body = EventsDocument))
)]
async fn list_events(
    State(api): State<Api>,
    Path(run): Path<String>,
    Query(query): Query<EventsQuery>,
) -> Result<Answer<EventsDocument>, Trouble> {
    let id = find_run(&api.controller.store, &run).await?;
    let limit = rows(query.limit)? as usize;
    let after = within("after", query.after, 0, MOST_NUMBER)?.unwrap_or(0);
    Ok(Answer(events::gather(&api.controller, &id, after, limit).await?))
}

/// Show the report of a run's gate.
#[utoipa::path(get, path = "/runs/{run}/gate", tag = "runs", responses((status = 200, body = GateDocument)))]
async fn show_gate(State(api): State<Api>, Path(run): Path<String>) -> Result<Answer<GateDocument>, Trouble> {
    let id = find_run(&api.controller.store, &run).await?;
    Ok(Answer(run::gate_report(&api.controller, &id).await?))
}

/// Say why a step was run or reused.
#[utoipa::path(
    get, path = "/runs/{run}/steps/{step}/why", tag = "runs", responses((status = 200, body = WhyDocument))
)]
async fn say_why(
    State(api): State<Api>,
    Path((run, step)): Path<(String, String)>,
) -> Result<Answer<WhyDocument>, Trouble> {
    let step: StepName = parsed(&step)?;
    let id = find_run(&api.controller.store, &run).await?;
    Ok(Answer(why::gather(&api.controller, &id, &step).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// The byte to begin at; a negative one counts from the end.
    #[param(minimum = -9007199254740991_i64, maximum = 9007199254740991_i64)]
    offset: Option<i64>,
    /// How many bytes at the most.
    #[param(minimum = 1, maximum = 1048576)]
    limit: Option<u64>,
}

/// The header of a log's piece that says where the next one begins.
pub const NEXT: &str = "noctule-next";
/// The header that says how long the log is.
pub const SIZE: &str = "noctule-size";
const ATTEMPT: &str = "noctule-attempt";
const MOST_BYTES: u64 = 1 << 20;

/// Read what an attempt wrote. `last` is the step's last attempt.
#[utoipa::path(
    get, path = "/runs/{run}/steps/{step}/attempts/{attempt}/log", tag = "runs", params(LogQuery),
    responses((
        status = 200, description = "A piece of the log, as it was written", content_type = "application/octet-stream",
        headers(
            ("noctule-next" = u64, description = "Where the next piece begins: ask again from here to follow"),
            ("noctule-size" = u64, description = "How long the log is now"),
            ("noctule-attempt" = u32, description = "The attempt's number"),
        )
    ))
)]
async fn read_log(
    State(api): State<Api>,
    Path((run, step, attempt)): Path<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Trouble> {
    let step: StepName = parsed(&step)?;
    let limit = query.limit.unwrap_or(MOST_BYTES);
    if !(1..=MOST_BYTES).contains(&limit) {
        return Err(Trouble::usage(format!("`limit` is {limit}, and has to be 1 to {MOST_BYTES}")));
    }
    let named = match attempt.as_str() {
        "last" => None,
        text => Some(parsed::<AttemptNumber>(text)?),
    };
    let id = find_run(&api.controller.store, &run).await?;
    let attempt = match named {
        Some(attempt) => attempt,
        None => last_attempt(&api, &id, &step).await?,
    };
    let offset = query.offset.unwrap_or(0);
    let piece = log::piece(&api.controller, &id, &step, attempt, offset, limit).await?;
    let piece = piece.ok_or_else(|| log::none(&id, &step, attempt))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::HeaderName::from_static(NEXT), piece.next.into()),
        (header::HeaderName::from_static(SIZE), piece.size.into()),
        (header::HeaderName::from_static(ATTEMPT), attempt.0.into()),
    ];
    Ok((headers, piece.bytes).into_response())
}

async fn last_attempt(api: &Api, id: &RunId, step: &StepName) -> Result<AttemptNumber, Trouble> {
    let (_, run) = api.controller.fold(id).await?;
    let found = run.step(step).ok_or_else(|| no_such_step(&run, step))?;
    let last = found.attempts().last().map(|attempt| attempt.number);
    last.ok_or_else(|| Trouble::coded(Code::NoSuchLog, format!("`{step}` in run {id} has made no attempt")))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CancelBody {
    /// Give nothing time to finish.
    #[serde(default)]
    at_once: bool,
    /// It stands in the run's log and in the audit table.
    #[schema(max_length = 500, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    why: Option<String>,
}

/// Ask a run to end.
#[utoipa::path(
    post, path = "/runs/{run}/cancel", tag = "runs", request_body = CancelBody,
    responses((status = 200, body = AskedDocument))
)]
async fn cancel(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Json(CancelBody { at_once, why }): Json<CancelBody>,
) -> Result<Answer<AskedDocument>, Trouble> {
    let who = caller.who(Why { why }.checked()?);
    let id = find_run(&api.controller.store, &run).await?;
    let sent = api.desk.cancel(&id, at_once, &who).await?;
    asked(&api, id, sent).await
}

/// Try again what of a run did not finish.
#[utoipa::path(
    post, path = "/runs/{run}/resume", tag = "runs", request_body = Why,
    responses((status = 200, body = AskedDocument))
)]
async fn resume(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(run): Path<String>,
    Json(why): Json<Why>,
) -> Result<Answer<AskedDocument>, Trouble> {
    let who = caller.who(why.checked()?);
    let id = find_run(&api.controller.store, &run).await?;
    let sent = api.desk.resume(&id, &who).await?;
    asked(&api, id, sent).await
}

/// Run a step of a run that has ended once more, and all that follow it.
#[utoipa::path(
    post, path = "/runs/{run}/steps/{step}/rerun", tag = "runs", request_body = Reason,
    responses((status = 200, body = AskedDocument))
)]
async fn rerun(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path((run, step)): Path<(String, String)>,
    Json(reason): Json<Reason>,
) -> Result<Answer<AskedDocument>, Trouble> {
    let (step, who) = (parsed::<StepName>(&step)?, caller.who(Some(reason.checked()?)));
    let id = find_run(&api.controller.store, &run).await?;
    has_step(&api, &id, &step).await?;
    let sent = api.desk.rerun(&id, &step, &who).await?;
    asked(&api, id, sent).await
}

/// Say that a failed step of a run is not to count.
#[utoipa::path(
    post, path = "/runs/{run}/steps/{step}/ignore", tag = "runs", request_body = Reason,
    responses((status = 200, body = AskedDocument))
)]
async fn ignore(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path((run, step)): Path<(String, String)>,
    Json(reason): Json<Reason>,
) -> Result<Answer<AskedDocument>, Trouble> {
    let (step, who) = (parsed::<StepName>(&step)?, caller.who(Some(reason.checked()?)));
    let id = find_run(&api.controller.store, &run).await?;
    has_step(&api, &id, &step).await?;
    let sent = api.desk.ignore(&id, &step, &who).await?;
    asked(&api, id, sent).await
}

async fn has_step(api: &Api, id: &RunId, step: &StepName) -> Result<(), Trouble> {
    let (_, run) = api.controller.fold(id).await?;
    match run.step(step) {
        Some(_) => Ok(()),
        None => Err(no_such_step(&run, step)),
    }
}

async fn asked(api: &Api, run: RunId, sent: Sent) -> Result<Answer<AskedDocument>, Trouble> {
    let status = api.controller.store.run(&run).await?.status.word().to_owned();
    let told = match sent {
        Sent::Written => None,
        Sent::Told { driver } => Some(driver),
    };
    Ok(Answer(AskedDocument { run, status, told }))
}

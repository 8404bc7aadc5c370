//! Whether the server lives, whether it is of use, and how it stands.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use noctule_controller::serve::{Leadership, Status, Trouble as Ill};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::report::Trouble;
use crate::server::{Api, metrics};

pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What machines look at.
pub fn probes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(lives)).routes(routes!(ready)).routes(routes!(measure))
}

/// How long the store may take to answer a probe.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the process lives.
#[utoipa::path(
    get, path = "/healthz", tag = "server",
    responses((status = 200, description = "It lives", body = String, content_type = "text/plain"))
)]
async fn lives() -> &'static str {
    "ok\n"
}

#[derive(Debug, Serialize, ToSchema)]
struct ReadyDocument {
    ready: bool,
    /// Whether this server leads; one that stands by is ready too.
    leads: bool,
    /// Why it is not ready.
    problems: Vec<String>,
}

/// Whether the server can be of use: its store answers, and it leads or stands by.
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses(
        (status = 200, description = "It is ready", body = ReadyDocument),
        (status = 503, description = "It is not", body = ReadyDocument)
    )
)]
async fn ready(State(api): State<Api>) -> Response {
    let status = api.handle.status();
    let mut problems = problems(&status);
    match tokio::time::timeout(PATIENCE, api.controller.store.registry_id()).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => problems.push(error.to_string()),
        Err(_) => problems.push(format!("the store does not answer within {} s", PATIENCE.as_secs())),
    }
    if status.last_turn.is_none() {
        problems.push("it has only just begun".to_owned());
    }
    if status.leadership == Leadership::Stopping {
        problems.push("it is stopping".to_owned());
    }
    let ready = problems.is_empty();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Answer(ReadyDocument { ready, leads: leads(&status), problems })).into_response()
}

fn problems(status: &Status) -> Vec<String> {
    [&status.store, &status.folder].into_iter().flatten().map(|ill| ill.what.clone()).collect()
}

fn leads(status: &Status) -> bool {
    matches!(status.leadership, Leadership::Leading { .. })
}

/// Figures, as OpenMetrics.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses((
        status = 200, description = "All figures", body = String,
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    ))
)]
async fn measure(State(api): State<Api>) -> Result<Response, Trouble> {
    let text = metrics::text(&api).await?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

/// How the server stands.
#[derive(Debug, Serialize, ToSchema)]
struct StatusDocument {
    /// The version of the program.
    program: String,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// `leading`, `standing-by` or `stopping`.
    leadership: String,
    /// Who leads, as far as a server that stands by knows.
    leader: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_turn: Option<Timestamp>,
    /// What is wrong with the store, the folder, the clock, runs and occurrences.
    problems: Vec<StatusProblem>,
    pipelines: usize,
    /// The runs that this server drives.
    live: Vec<LiveDocument>,
    slots: Vec<SlotDocument>,
}

#[derive(Debug, Serialize, ToSchema)]
struct StatusProblem {
    about: String,
    what: String,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
struct LiveDocument {
    run: String,
    pipeline: String,
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

/// A live attempt.
#[derive(Debug, Serialize, ToSchema)]
struct SlotDocument {
    run: String,
    pipeline: String,
    step: String,
    attempt: u32,
    pool: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    taken: Timestamp,
}

/// Show how the server stands.
#[utoipa::path(get, path = "/status", tag = "server", responses((status = 200, body = StatusDocument)))]
async fn show(State(api): State<Api>) -> Result<Answer<StatusDocument>, Trouble> {
    let status = api.handle.status();
    let slots = api.controller.store.slots().await?.into_iter().map(|slot| SlotDocument {
        run: slot.run.to_string(),
        pipeline: slot.pipeline.to_string(),
        step: slot.step.to_string(),
        attempt: slot.attempt.0,
        pool: slot.pool,
        taken: slot.taken,
    });
    let (leadership, leader) = match &status.leadership {
        Leadership::Leading { .. } => ("leading", None),
        Leadership::StandingBy { leader } => ("standing-by", leader.clone()),
        Leadership::Stopping => ("stopping", None),
    };
    Ok(Answer(StatusDocument {
        program: status.program.to_owned(),
        since: status.since,
        leadership: leadership.to_owned(),
        leader,
        last_turn: status.last_turn,
        problems: all_problems(&status),
        pipelines: status.pipelines.len(),
        live: status
            .live
            .iter()
            .map(|live| LiveDocument {
                run: live.run.to_string(),
                pipeline: live.pipeline.to_string(),
                since: live.since,
            })
            .collect(),
        slots: slots.collect(),
    }))
}

fn all_problems(status: &Status) -> Vec<StatusProblem> {
    let problem =
        |about: String, ill: &Ill| StatusProblem { about, what: ill.what.clone(), since: ill.since };
    let mut problems = Vec::new();
    for (about, ill) in [("store", &status.store), ("folder", &status.folder), ("clock", &status.clock)] {
        problems.extend(ill.iter().map(|ill| problem(about.to_owned(), ill)));
    }
    problems.extend(status.troubled.iter().map(|(run, ill)| problem(format!("run {run}"), ill)));
    problems
        .extend(status.stuck.iter().map(|((pipeline, id), ill)| problem(format!("{pipeline} at {id}"), ill)));
    problems
}

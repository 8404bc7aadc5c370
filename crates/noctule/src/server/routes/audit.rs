//! The audit table.

use axum::Json as Answer;
use axum::extract::State;
use noctule_store::AuditFilter;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{MOST_NUMBER, rows, short, within};
use crate::documents::audit::{self, AuditDocument};
use crate::report::Trouble;
use crate::server::Api;
use crate::server::extract::Query;

pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only what this person or token did.
    #[param(max_length = 200)]
    who: Option<String>,
    /// Only such actions, such as `run.cancel`.
    #[param(max_length = 100)]
    action: Option<String>,
    /// Only what was about this, such as a run's id.
    #[param(max_length = 500)]
    about: Option<String>,
    /// Only entries with a lower number: what the page before said in `next`.
    #[param(minimum = 0, maximum = 9007199254740991_i64)]
    before: Option<u64>,
    /// How many at the most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List what people, tokens and the server did, the latest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = AuditDocument)))]
async fn list(
    State(api): State<Api>,
    Query(query): Query<AuditQuery>,
) -> Result<Answer<AuditDocument>, Trouble> {
    let filter = AuditFilter {
        who: short("who", query.who, 200)?,
        action: short("action", query.action, 100)?,
        about: short("about", query.about, 500)?,
        before: within("before", query.before, 0, MOST_NUMBER)?,
        limit: Some(rows(query.limit)?),
    };
    Ok(Answer(audit::gather(&api.controller, filter).await?))
}

//! Models: looking at them, and moving their aliases by hand.

use axum::extract::State;
use axum::{Extension, Json as Answer};
use noctule_artifacts::{AliasName, ModelName, VersionNumber};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Reason, whole, whole_option};
use crate::acts;
use crate::documents::changed::MovedDocument;
use crate::documents::models::{
    self, HistoryDocument, ModelsDocument, VerifiedDocument, VersionDocument, VersionsDocument,
};
use crate::report::Trouble;
use crate::server::Api;
use crate::server::access::Caller;
use crate::server::extract::{Json, Path, parsed};

pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(list_versions))
        .routes(routes!(show_version))
        .routes(routes!(list_history))
        .routes(routes!(verify))
        .routes(routes!(promote))
        .routes(routes!(roll_back))
        .routes(routes!(unpin))
}

/// List models, with their aliases.
#[utoipa::path(get, path = "/models", tag = "models", responses((status = 200, body = ModelsDocument)))]
async fn list(State(api): State<Api>) -> Result<Answer<ModelsDocument>, Trouble> {
    Ok(Answer(models::list(&api.controller).await?))
}

/// List the versions of a model.
#[utoipa::path(
    get, path = "/models/{model}/versions", tag = "models", responses((status = 200, body = VersionsDocument))
)]
async fn list_versions(
    State(api): State<Api>,
    Path(model): Path<String>,
) -> Result<Answer<VersionsDocument>, Trouble> {
    Ok(Answer(models::versions(&api.controller, &parsed(&model)?).await?))
}

/// Show one version of a model; `last` is the newest.
#[utoipa::path(
    get, path = "/models/{model}/versions/{version}", tag = "models",
    responses((status = 200, body = VersionDocument))
)]
async fn show_version(
    State(api): State<Api>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Answer<VersionDocument>, Trouble> {
    let (model, version) = (parsed::<ModelName>(&model)?, number(&version)?);
    Ok(Answer(models::version(&api.controller, &model, version).await?))
}

fn number(text: &str) -> Result<Option<VersionNumber>, Trouble> {
    match text {
        "last" => Ok(None),
        text => parsed(text).map(Some),
    }
}

/// Show every promotion of a model.
#[utoipa::path(
    get, path = "/models/{model}/history", tag = "models", responses((status = 200, body = HistoryDocument))
)]
async fn list_history(
    State(api): State<Api>,
    Path(model): Path<String>,
) -> Result<Answer<HistoryDocument>, Trouble> {
    Ok(Answer(models::history(&api.controller, &parsed(&model)?).await?))
}

/// Check every file of a model's versions against its digest.
#[utoipa::path(
    post, path = "/models/{model}/verify", tag = "models", responses((status = 200, body = VerifiedDocument))
)]
async fn verify(
    State(api): State<Api>,
    Path(model): Path<String>,
) -> Result<Answer<VerifiedDocument>, Trouble> {
    Ok(Answer(models::verify(&api.controller, &parsed(&model)?).await?))
}

/// An alias that is to be moved by hand.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteBody {
    #[schema(minimum = 1, maximum = 4294967295_i64)]
    #[serde(deserialize_with = "whole")]
    pub version: u32,
    #[serde(default = "champion")]
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pub alias: String,
    /// It stands in the history.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0\s][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
    )]
    pub why: String,
}

/// An alias that is to be moved back.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackBody {
    /// The version to go back to; without it, the one before.
    #[schema(minimum = 1, maximum = 4294967295_i64)]
    #[serde(default, deserialize_with = "whole_option")]
    pub to: Option<u32>,
    #[serde(default = "champion")]
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pub alias: String,
    /// It stands in the history.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0\s][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
    )]
    pub why: String,
}

/// An alias that runs may move again.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnpinBody {
    #[serde(default = "champion")]
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,62}$")]
    pub alias: String,
    /// It stands in the history.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0\s][^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"
    )]
    pub why: String,
}

fn champion() -> String {
    "champion".to_owned()
}

/// Move an alias to a version by hand, past the gate.
#[utoipa::path(
    post, path = "/models/{model}/promote", tag = "models", request_body = PromoteBody,
    responses((status = 200, body = MovedDocument))
)]
async fn promote(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(model): Path<String>,
    Json(body): Json<PromoteBody>,
) -> Result<Answer<MovedDocument>, Trouble> {
    let (model, alias) = (parsed::<ModelName>(&model)?, parsed::<AliasName>(&body.alias)?);
    let who = caller.who(Some(Reason { why: body.why }.checked()?));
    let version = parsed::<VersionNumber>(&body.version.to_string())?;
    Ok(Answer(acts::promote(&api.controller, &model, version, &alias, &who).await?))
}

/// Move an alias back, and pin it.
#[utoipa::path(
    post, path = "/models/{model}/rollback", tag = "models", request_body = RollbackBody,
    responses((status = 200, body = MovedDocument))
)]
async fn roll_back(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(model): Path<String>,
    Json(body): Json<RollbackBody>,
) -> Result<Answer<MovedDocument>, Trouble> {
    let (model, alias) = (parsed::<ModelName>(&model)?, parsed::<AliasName>(&body.alias)?);
    let who = caller.who(Some(Reason { why: body.why }.checked()?));
    let to = body.to.map(|to| parsed::<VersionNumber>(&to.to_string())).transpose()?;
    Ok(Answer(acts::roll_back(&api.controller, &model, to, &alias, &who).await?))
}

/// Let runs move an alias again.
#[utoipa::path(
    post, path = "/models/{model}/unpin", tag = "models", request_body = UnpinBody,
    responses((status = 200, body = MovedDocument))
)]
async fn unpin(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(model): Path<String>,
    Json(body): Json<UnpinBody>,
) -> Result<Answer<MovedDocument>, Trouble> {
    let (model, alias) = (parsed::<ModelName>(&model)?, parsed::<AliasName>(&body.alias)?);
    let who = caller.who(Some(Reason { why: body.why }.checked()?));
    Ok(Answer(acts::unpin(&api.controller, &model, &alias, &who).await?))
}

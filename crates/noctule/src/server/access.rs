//! Who may do what: one table of all endpoints, which the router, the description and the tests share.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use jiff::Timestamp;
use noctule_artifacts::ModelName;
use noctule_controller::serve::Who;
use noctule_store::{AuditEntry, TokenRole, Via};

use super::Api;
use crate::report::{Code, Trouble};

/// Where all paths begin.
pub const PREFIX: &str = "/api/v1";

/// What an endpoint asks of whoever uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it tells what everybody may know.
    Nothing,
    /// Any role.
    Read,
    /// The role `operate`.
    Operate,
    /// The role `promote` for the model in the path.
    Promote,
}

/// One endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    pub method: &'static str,
    /// Without the prefix.
    pub path: &'static str,
    pub need: Need,
    /// How long its answer may take.
    pub patience: Duration,
}

const SHORT: Duration = Duration::from_secs(30);
/// Where files of models are read whole.
const LONG: Duration = Duration::from_secs(3600);

const fn get(path: &'static str, need: Need) -> Endpoint {
    Endpoint { method: "GET", path, need, patience: SHORT }
}

const fn post(path: &'static str, need: Need) -> Endpoint {
    Endpoint { method: "POST", path, need, patience: SHORT }
}

const fn long(endpoint: Endpoint) -> Endpoint {
    Endpoint { patience: LONG, ..endpoint }
}

/// All endpoints.
pub const ENDPOINTS: &[Endpoint] = &[
    get("/healthz", Need::Nothing),
    get("/readyz", Need::Nothing),
    get("/metrics", Need::Read),
    get("/openapi.json", Need::Nothing),
    get("/status", Need::Read),
    get("/pipelines", Need::Read),
    get("/pipelines/{pipeline}", Need::Read),
    get("/pipelines/{pipeline}/schedule", Need::Read),
    post("/pipelines/{pipeline}/pause", Need::Operate),
    post("/pipelines/{pipeline}/unpause", Need::Operate),
    post("/pipelines/{pipeline}/runs", Need::Operate),
    post("/reload", Need::Operate),
    get("/runs", Need::Read),
    get("/runs/{run}", Need::Read),
    get("/runs/{run}/events", Need::Read),
    get("/runs/{run}/gate", Need::Read),
    get("/runs/{run}/steps/{step}/why", Need::Read),
    get("/runs/{run}/steps/{step}/attempts/{attempt}/log", Need::Read),
    post("/runs/{run}/cancel", Need::Operate),
    post("/runs/{run}/resume", Need::Operate),
    post("/runs/{run}/steps/{step}/rerun", Need::Operate),
    post("/runs/{run}/steps/{step}/ignore", Need::Operate),
    get("/occurrences", Need::Read),
    get("/backfills", Need::Read),
    post("/backfills", Need::Operate),
    get("/backfills/{backfill}", Need::Read),
    post("/backfills/{backfill}/pause", Need::Operate),
    post("/backfills/{backfill}/resume", Need::Operate),
    post("/backfills/{backfill}/cancel", Need::Operate),
    get("/models", Need::Read),
    get("/models/{model}/versions", Need::Read),
    get("/models/{model}/versions/{version}", Need::Read),
    get("/models/{model}/history", Need::Read),
    long(post("/models/{model}/verify", Need::Operate)),
    long(post("/models/{model}/promote", Need::Promote)),
    post("/models/{model}/rollback", Need::Promote),
    post("/models/{model}/unpin", Need::Promote),
    get("/audit", Need::Operate),
];

impl Need {
    /// The role in words, as tokens are given it.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Need::Nothing => None,
            Need::Read => Some("read"),
            Need::Operate => Some("operate"),
            Need::Promote => Some("promote:{model}"),
        }
    }
}

/// The endpoint of a method and a path of the router.
pub fn endpoint(method: &str, path: &str) -> Option<&'static Endpoint> {
    // Whoever may get something may ask how long it is.
    let method = if method == "HEAD" { "GET" } else { method };
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    ENDPOINTS.iter().find(|endpoint| endpoint.method == method && endpoint.path == path)
}

/// Whoever makes a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of the token.
    pub name: String,
    roles: Roles,
}

#[derive(Debug, Clone)]
enum Roles {
    /// Where access is open.
    All,
    Some(BTreeSet<TokenRole>),
}

impl Caller {
    /// Everybody, where access is open.
    pub fn anybody() -> Self {
        Self { name: "anybody on this machine".to_owned(), roles: Roles::All }
    }

    pub fn of(name: String, roles: BTreeSet<TokenRole>) -> Self {
        Self { name, roles: Roles::Some(roles) }
    }

    /// Whether it may do what needs this; the model is the one of the path.
    pub fn may(&self, need: Need, model: Option<&str>) -> bool {
        let Roles::Some(roles) = &self.roles else { return true };
        match need {
            Need::Nothing => true,
            Need::Read => !roles.is_empty(),
            Need::Operate => roles.contains(&TokenRole::Operate),
            Need::Promote => {
                let model = model.and_then(|model| model.parse::<ModelName>().ok());
                roles.contains(&TokenRole::Promote(None))
                    || model.is_some_and(|model| roles.contains(&TokenRole::Promote(Some(model))))
            }
        }
    }

    /// The same as an answer.
    pub fn must(&self, need: Need, model: Option<&str>) -> Result<(), Trouble> {
        if self.may(need, model) {
            return Ok(());
        }
        let role = match (need, model) {
            (Need::Promote, Some(model)) => format!("promote:{model}"),
            _ => need.word().unwrap_or_default().to_owned(),
        };
        Err(Trouble::coded(Code::Forbidden, format!("the token `{}` has not the role `{role}`", self.name)))
    }

    /// Who asks, for the audit table.
    pub fn who(&self, why: Option<String>) -> Who {
        let why = why.map(|why| why.trim().to_owned()).filter(|why| !why.is_empty());
        Who { name: self.name.clone(), via: Via::Api, why }
    }
}

/// Lets a request through to its handler if its bearer may, bounds how long that takes, and keeps what was refused.
pub async fn guard(
    State(api): State<Api>,
    path: MatchedPath,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(endpoint) = endpoint(request.method().as_str(), path.as_str()) else {
        // What the table does not have is open to nobody.
        return no_such_method(&request, path.as_str());
    };
    let about = format!("{} {}", request.method(), request.uri().path());
    let model = params.iter().find(|(name, _)| *name == "model").map(|(_, value)| value.to_owned());
    if endpoint.need != Need::Nothing {
        match caller(&api, request.headers()).await {
            Ok(caller) => {
                if let Err(trouble) = caller.must(endpoint.need, model.as_deref()) {
                    refused(&api, &caller.name, &about, &trouble).await;
                    return trouble.into_response();
                }
                request.extensions_mut().insert(caller);
            }
            Err(trouble) => {
                if trouble.code == Code::Unauthorized {
                    strange(&api, &about, &trouble).await;
                }
                return trouble.into_response();
            }
        }
    }
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(endpoint.patience, answer).await {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => Trouble::own("the request met a fault of noctule's own").into_response(),
        Err(_) => {
            let seconds = endpoint.patience.as_secs();
            Trouble::coded(Code::Away, format!("the answer took longer than {seconds} s")).into_response()
        }
    }
}

fn no_such_method(request: &Request, path: &str) -> Response {
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    let mut allowed = Vec::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| endpoint.path == path) {
        allowed.push(endpoint.method);
        if endpoint.method == "GET" {
            allowed.push("HEAD");
        }
    }
    let trouble = Trouble::coded(
        Code::NoSuchMethod,
        format!("the path takes {}, and not {}", allowed.join(", "), request.method()),
    );
    ([(header::ALLOW, allowed.join(", "))], trouble).into_response()
}

async fn caller(api: &Api, headers: &HeaderMap) -> Result<Caller, Trouble> {
    if api.open {
        // A page of another site that has this machine's browser look up its own name as ours shows by that name.
        return match is_local(headers) {
            true => Ok(Caller::anybody()),
            false => Err(Trouble::coded(
                Code::Forbidden,
                "where access is open, the header `Host` has to be local",
            )),
        };
    }
    let unauthorized = |what: &str| Trouble::coded(Code::Unauthorized, what);
    let given = headers.get(header::AUTHORIZATION).ok_or_else(|| unauthorized("a token is needed"))?;
    let token = given
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| unauthorized("the header `Authorization` has to be `Bearer TOKEN`"))?;
    let found = api.controller.store.find_token(token, Timestamp::now()).await?;
    let row = found.ok_or_else(|| unauthorized("there is no such token, or it was revoked"))?;
    Ok(Caller::of(row.name, row.roles))
}

/// Whether the request names this machine as its own programs do.
fn is_local(headers: &HeaderMap) -> bool {
    headers.get_all(header::HOST).iter().all(|host| is_local_name(host.to_str().unwrap_or_default()))
}

fn is_local_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Keeps what somebody who is known was refused.
async fn refused(api: &Api, who: &str, about: &str, trouble: &Trouble) {
    let entry = AuditEntry {
        at: Timestamp::now(),
        who: who.to_owned(),
        via: Via::Api,
        action: "api.refused".to_owned(),
        about: about.to_owned(),
        why: None,
        outcome: format!("refused: {}", trouble.message),
    };
    if let Err(error) = api.controller.store.audit(&entry).await {
        tracing::warn!(%error, about, "a refusal is missing from the audit table");
    }
}

/// Requests without a token that is known: kept too, a few a minute, so that nobody can fill the table from outside.
#[derive(Debug, Default)]
pub struct Strangers(Mutex<Option<(Instant, u32)>>);

impl Strangers {
    const WINDOW: Duration = Duration::from_secs(60);
    const KEPT: u32 = 10;

    fn keeps(&self) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *seen {
            Some((since, number)) if since.elapsed() < Self::WINDOW => {
                *number = number.saturating_add(1);
                *number <= Self::KEPT
            }
            other => {
                *other = Some((Instant::now(), 1));
                true
            }
        }
    }
}

async fn strange(api: &Api, about: &str, trouble: &Trouble) {
    if api.strangers.keeps() {
        refused(api, "somebody unknown", about, trouble).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(roles: &[&str]) -> Caller {
        Caller::of("t".to_owned(), roles.iter().map(|role| role.parse().unwrap()).collect())
    }

    #[test]
    fn roles_reach_as_far_as_they_say() {
        let (read, operate) = (caller(&["read"]), caller(&["operate"]));
        assert!(read.may(Need::Read, None) && !read.may(Need::Operate, None));
        assert!(operate.may(Need::Read, None) && operate.may(Need::Operate, None));
        assert!(!operate.may(Need::Promote, Some("feed")));
        let feed = caller(&["promote:feed"]);
        assert!(feed.may(Need::Promote, Some("feed")) && feed.may(Need::Read, None));
        assert!(!feed.may(Need::Promote, Some("other")) && !feed.may(Need::Promote, None));
        assert!(!feed.may(Need::Operate, None));
        assert!(caller(&["promote:*"]).may(Need::Promote, Some("other")));
        assert!(!caller(&[]).may(Need::Read, None));
    }

    #[test]
    fn no_endpoint_stands_twice_in_the_table() {
        for (at, one) in ENDPOINTS.iter().enumerate() {
            for other in &ENDPOINTS[at + 1..] {
                assert!(one.method != other.method || one.path != other.path, "{} {}", one.method, one.path);
            }
        }
    }

    #[test]
    fn a_name_that_is_not_this_machine_is_seen() {
        for (host, local) in [
            ("127.0.0.1:8642", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("[::1]:8642", true),
            ("evil.example:8642", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1:8642", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]);
            assert_eq!(is_local(&headers), local, "{host}");
        }
    }

    #[test]
    fn strangers_cannot_fill_the_table() {
        let strangers = Strangers::default();
        assert_eq!((0..100).filter(|_| strangers.keeps()).count(), 10);
    }
}

//! The API of `noctule serve`: JSON over HTTP, described by OpenAPI, for the command line, for scripts and for pages.
//!
//! A request passes [`access::guard`], which knows from one table what every endpoint asks of its caller, then a handler
//! under [`routes`], which gathers a document or asks the controller's desk for something. [`listen`] keeps slow,
//! large and numerous clients within bounds.

pub mod access;
pub mod error;
pub mod extract;
pub mod listen;
pub mod metrics;
pub mod openapi;
pub mod routes;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::{Json, Router};
use noctule_controller::Controller;
use noctule_controller::serve::{Desk, Handle};
use noctule_spec::Access;
use utoipa_axum::router::OpenApiRouter;

use crate::report::{Code, Trouble};
use access::{PREFIX, Strangers};
use metrics::Requests;

/// What handlers have at hand. Clones share it.
#[derive(Clone)]
pub struct Api {
    pub controller: Controller,
    pub desk: Desk,
    pub handle: Handle,
    /// Whether everybody on this machine may do everything.
    pub open: bool,
    pub strangers: Arc<Strangers>,
    pub requests: Requests,
}

impl Api {
    pub fn new(controller: Controller, handle: Handle, access: Access) -> Self {
        Self {
            controller,
            desk: handle.desk().clone(),
            handle,
            open: access == Access::Open,
            strangers: Arc::default(),
            requests: Requests::default(),
        }
    }
}

/// Access may be open only where nobody but this machine can reach the address.
pub fn check_access(access: Access, listen: SocketAddr) -> Result<(), Trouble> {
    if access == Access::Open && !listen.ip().is_loopback() {
        return Err(Trouble::usage(format!(
            "`serve.access: open` lets everybody who can reach {listen} do everything, so it is refused anywhere but on a \
             loopback address: write `listen: 127.0.0.1:{}`, or `access: tokens`",
            listen.port()
        )));
    }
    Ok(())
}

/// All endpoints, and their description.
fn routes() -> (Router<Api>, utoipa::openapi::OpenApi) {
    let versioned = OpenApiRouter::new()
        .merge(routes::status::router())
        .merge(routes::pipelines::router())
        .merge(routes::runs::router())
        .merge(routes::backfills::router())
        .merge(routes::models::router())
        .merge(routes::audit::router());
    OpenApiRouter::with_openapi(openapi::head())
        .nest(PREFIX, versioned)
        .merge(routes::status::probes())
        .split_for_parts()
}

/// The whole API.
pub fn router(api: Api) -> Router {
    let (router, described) = routes();
    let described = Arc::new(openapi::finished(&described));
    let description = axum::routing::get(move || {
        let described = described.clone();
        async move { Json(serde_json::Value::clone(&described)) }
    });
    router
        .route(&format!("{PREFIX}/openapi.json"), description)
        .method_not_allowed_fallback(no_such_method)
        .fallback(no_such_path)
        .route_layer(from_fn_with_state(api.clone(), access::guard))
        .layer(from_fn_with_state(api.clone(), metrics::count))
        .layer(from_fn(marked))
        .with_state(api)
}

async fn no_such_path(request: Request) -> Trouble {
    let path: String = request.uri().path().chars().take(200).collect();
    Trouble::coded(Code::NoSuchPath, format!("there is no path {path}"))
}

async fn no_such_method(request: Request) -> Trouble {
    Trouble::coded(Code::NoSuchMethod, format!("the path does not take {}", request.method()))
}

/// Answers are of the moment, and are what they say they are.
async fn marked(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_is_open_on_loopback_only() {
        for (address, good) in [
            ("127.0.0.1:8642", true),
            ("127.9.9.9:0", true),
            ("[::1]:8642", true),
            ("0.0.0.0:8642", false),
            ("[::]:8642", false),
            ("10.1.2.3:8642", false),
        ] {
            let listen = address.parse().unwrap();
            assert_eq!(check_access(Access::Open, listen).is_ok(), good, "{address}");
            assert!(check_access(Access::Tokens, listen).is_ok());
        }
    }

    #[test]
    fn every_path_of_the_router_is_in_the_table_and_the_other_way_round() {
        let (_, described) = routes();
        let described = openapi::finished(&described);
        let mut paths = Vec::new();
        for (path, item) in described["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                paths.push((method.to_uppercase(), path.clone()));
            }
        }
        for (method, path) in &paths {
            assert!(access::endpoint(method, path).is_some(), "{method} {path} is not in the table");
        }
        for endpoint in access::ENDPOINTS.iter().filter(|endpoint| endpoint.path != "/openapi.json") {
            let known = paths.iter().any(|(method, path)| {
                method == endpoint.method && path.strip_prefix(PREFIX).unwrap_or(path) == endpoint.path
            });
            assert!(known, "{} {} has no handler", endpoint.method, endpoint.path);
        }
    }

    /// `UPDATE=1` rewrites the file.
    #[test]
    fn the_description_in_the_reference_is_that_of_the_router() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");
        let (_, described) = routes();
        let described = serde_json::to_string_pretty(&openapi::finished(&described)).unwrap() + "\n";
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &described).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == described,
            "docs/reference/openapi.json is out of date: run this test with UPDATE=1"
        );
    }
}

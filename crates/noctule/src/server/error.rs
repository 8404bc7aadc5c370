//! The one form of an error of the API, and which status goes with it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::{Code, Trouble};

/// Every answer that is not a success.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorDocument {
    pub error: ErrorBody,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What kind of trouble it is, in a word that does not change.
    #[schema(example = "no-such-run")]
    pub code: String,
    /// What happened, to what, and what to do, for people.
    pub message: String,
    /// Where to go on, when there is more to say than the message does.
    pub help: Option<String>,
}

impl ErrorDocument {
    pub fn of(trouble: Trouble) -> Self {
        let help = help(trouble.code).map(str::to_owned);
        Self { error: ErrorBody { code: trouble.code.word().to_owned(), message: trouble.message, help } }
    }

    /// The trouble that a command line makes of it.
    pub fn into_trouble(self) -> Trouble {
        let ErrorBody { code, message, .. } = self.error;
        match Code::of_word(&code).unwrap_or(Code::Own) {
            Code::InvalidPipeline => Trouble::diagnostics(message),
            Code::Unauthorized => Trouble::coded(
                Code::Unauthorized,
                format!("{message}: set NOCTULE_TOKEN, or give --token-file"),
            ),
            code => Trouble::coded(code, message),
        }
    }
}

/// The status of an answer.
pub fn status(code: Code) -> StatusCode {
    match code {
        Code::Invalid => StatusCode::BAD_REQUEST,
        Code::InvalidPipeline => StatusCode::UNPROCESSABLE_ENTITY,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NoSuchPath
        | Code::NoSuchRun
        | Code::NoSuchStep
        | Code::NoSuchLog
        | Code::NoSuchReport
        | Code::NoSuchPipeline
        | Code::NoSuchModel
        | Code::NoSuchVersion
        | Code::NoSuchAlias
        | Code::NoSuchBackfill => StatusCode::NOT_FOUND,
        Code::NoSuchMethod => StatusCode::METHOD_NOT_ALLOWED,
        Code::AmbiguousRun | Code::Refused | Code::Held | Code::Damaged => StatusCode::CONFLICT,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::TooSlow => StatusCode::REQUEST_TIMEOUT,
        Code::Away | Code::Misconfigured => StatusCode::SERVICE_UNAVAILABLE,
        Code::Own => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn help(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::Unauthorized => "send `Authorization: Bearer TOKEN`; `noctule admin tokens add` makes one",
        Code::Forbidden => "`noctule admin tokens add` makes a token with other roles",
        Code::NoSuchPath | Code::NoSuchMethod | Code::Invalid | Code::NotJson => {
            "/api/v1/openapi.json describes every path"
        }
        Code::NoSuchRun | Code::AmbiguousRun => "GET /api/v1/runs lists the runs there are",
        Code::NoSuchPipeline => "GET /api/v1/pipelines lists the pipelines there are",
        Code::NoSuchModel | Code::NoSuchVersion | Code::NoSuchAlias => {
            "GET /api/v1/models lists the models there are"
        }
        Code::NoSuchBackfill => "GET /api/v1/backfills lists the backfills there are",
        Code::Away => "ask again a little later",
        Code::Own => "the server's log says more",
        _ => return None,
    })
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let (code, status) = (self.code, status(self.code));
        if status.is_server_error() {
            tracing::warn!(code = code.word(), error = self.message, "a request failed");
        }
        let body = serde_json::to_vec(&ErrorDocument::of(self)).expect("it has only text keys");
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        let headers = response.headers_mut();
        match code {
            Code::Unauthorized => {
                headers
                    .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"noctule\""));
            }
            Code::Away => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"))),
            // What was not read of the request cannot be told from the next one.
            Code::TooLarge | Code::TooSlow => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reaches_the_command_line_as_it_was() {
        for code in Code::ALL {
            let there = ErrorDocument::of(Trouble::coded(code, "x")).into_trouble();
            assert_eq!((there.code, there.exit), (code, code.exit()));
        }
    }
}

//! What handlers take from a request. What is not as it has to be is refused in the API's own form.

use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::report::{Code, Trouble};

/// The largest body that is read.
const LARGEST: usize = 1 << 20;
/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(10);
/// A client that sends too much is listened to for so long, so that it hears the answer.
const LINGER: Duration = Duration::from_secs(2);

/// A JSON body.
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Trouble;

    async fn from_request(request: Request, _: &S) -> Result<Self, Trouble> {
        if !is_json(request.headers()) {
            return Err(Trouble::coded(
                Code::NotJson,
                "the body has to be JSON, and the header `Content-Type: application/json` has to say so",
            ));
        }
        let told = length(request.headers());
        let bytes = whole(request.into_body(), told).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Trouble::usage(format!("the body is not as it has to be: {error}")))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn whole(body: Body, told: Option<u64>) -> Result<Vec<u8>, Trouble> {
    let too_large = || Trouble::coded(Code::TooLarge, format!("the body is larger than {LARGEST} bytes"));
    let mut stream = body.into_data_stream();
    let until = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut large = told.is_some_and(|told| told > LARGEST as u64);
    while !large {
        let piece = tokio::time::timeout_at(until, stream.next()).await.map_err(|_| {
            Trouble::coded(Code::TooSlow, format!("the body did not arrive within {} s", PATIENCE.as_secs()))
        })?;
        match piece {
            None => return Ok(bytes),
            Some(Err(error)) => return Err(Trouble::usage(format!("the body could not be read: {error}"))),
            Some(Ok(piece)) => {
                large = bytes.len() + piece.len() > LARGEST;
                bytes.extend_from_slice(&piece);
            }
        }
    }
    drop(bytes);
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(LINGER, rest).await;
    Err(too_large())
}

/// The query of the address.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Trouble> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(query)| Self(query)).map_err(|rejection| {
            use std::error::Error;
            let cause = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
            Trouble::usage(format!("the query of the address is not as it has to be: {cause}"))
        })
    }
}

/// The variable parts of the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Trouble> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(path)| Self(path))
            .map_err(|rejection| Trouble::usage(format!("the path is not as it has to be: {rejection}")))
    }
}

/// A part of a request as the type that it has to be.
pub fn parsed<T>(text: &str) -> Result<T, Trouble>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| Trouble::usage(error.to_string()))
}

/// The same where it may be left out.
pub fn parsed_option<T>(text: Option<&String>) -> Result<Option<T>, Trouble>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.map(|text| parsed(text)).transpose()
}

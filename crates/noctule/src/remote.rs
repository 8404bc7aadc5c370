//! Speaking to a server: the API from the command line's side.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::Global;
use crate::report::{Code, Trouble};
use crate::server::error::ErrorDocument;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(90);
/// The same where every file of a model is read.
pub const LONG: Duration = Duration::from_secs(3600);

/// A server that commands are sent to.
pub struct Remote {
    client: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// A place of the API: its segments, and what is asked for there.
pub struct Ask<'a> {
    pub path: &'a [&'a str],
    pub query: Vec<(&'a str, String)>,
}

impl<'a> Ask<'a> {
    pub fn at(path: &'a [&'a str]) -> Self {
        Self { path, query: Vec::new() }
    }

    pub fn with(mut self, name: &'a str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub fn with_some(self, name: &'a str, value: Option<&impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value.to_string()),
            None => self,
        }
    }
}

impl Remote {
    /// The server that the arguments name.
    pub fn new(address: &str, global: &Global) -> Result<Self, Trouble> {
        let base = Url::parse(address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| {
                Trouble::usage(format!(
                    "`--server {address}` is no address of a server: write one such as http://127.0.0.1:8642"
                ))
            })?;
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .user_agent(concat!("noctule/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Trouble::own(format!("speaking to a server could not be prepared: {error}")))?;
        Ok(Self { client, base, token: token(global)? })
    }

    pub async fn get<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, Trouble> {
        self.document(self.request(Method::GET, &ask)).await
    }

    pub async fn post<T: DeserializeOwned>(&self, ask: Ask<'_>, body: &impl Serialize) -> Result<T, Trouble> {
        self.document(self.request(Method::POST, &ask).json(body)).await
    }

    /// The same for what takes long.
    pub async fn post_patiently<T: DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        body: &impl Serialize,
    ) -> Result<T, Trouble> {
        self.document(self.request(Method::POST, &ask).json(body).timeout(LONG)).await
    }

    /// Bytes, with the header of this name.
    pub async fn bytes(&self, ask: Ask<'_>, header: &str) -> Result<(Vec<u8>, Option<String>), Trouble> {
        let response = self.send(self.request(Method::GET, &ask)).await?;
        let value = response.headers().get(header).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = response.bytes().await.map_err(|error| self.away(&error))?;
        Ok((bytes.to_vec(), value))
    }

    fn request(&self, method: Method, ask: &Ask<'_>) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(ask.path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let request = self.client.request(method, url).timeout(PATIENCE);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn document<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Trouble> {
        let response = self.send(request).await?;
        let bytes = response.bytes().await.map_err(|error| self.away(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Trouble::own(format!(
                "the server {} answers in a form that this noctule does not know ({error}): use one of the server's \
                 version",
                self.shown()
            ))
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Trouble> {
        let response = request.send().await.map_err(|error| self.away(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = response.bytes().await.map_err(|error| self.away(&error))?;
        Err(match serde_json::from_slice::<ErrorDocument>(&bytes) {
            Ok(document) => document.into_trouble(),
            Err(_) => self.foreign(status),
        })
    }

    /// An answer that is none of noctule's.
    fn foreign(&self, status: StatusCode) -> Trouble {
        Trouble::coded(
            Code::Away,
            format!(
                "{} answers with {status}, and not as a noctule server does: check the address",
                self.shown()
            ),
        )
    }

    fn away(&self, error: &reqwest::Error) -> Trouble {
        let mut text = String::new();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(error) = cause {
            text = error.to_string();
            cause = error.source();
        }
        let what = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
        let why = if text.is_empty() { String::new() } else { format!(" ({text})") };
        Trouble::coded(
            Code::Away,
            format!(
                "the server {} {what}{why}: check that it runs and that the address is right",
                self.shown()
            ),
        )
    }

    /// Its address, without what may be secret.
    fn shown(&self) -> String {
        let mut url = self.base.clone();
        let _ = url.set_password(None);
        let _ = url.set_username("");
        url.set_query(None);
        url.to_string().trim_end_matches('/').to_owned()
    }
}

fn token(global: &Global) -> Result<Option<String>, Trouble> {
    let text = match &global.token_file {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Trouble::usage(format!("the token file {} cannot be read: {error}", path.display()))
            })?;
            Some(text)
        }
        None => std::env::var("NOCTULE_TOKEN").ok(),
    };
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    match text {
        Some(text) if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(text)),
        Some(_) => Err(Trouble::usage("the token holds characters that no token has: copy it again")),
        None => Ok(None),
    }
}

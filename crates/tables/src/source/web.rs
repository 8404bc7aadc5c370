//! A file behind HTTP, asked for by exactly the address that is given, its query included.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::http::HttpBuilder;
use object_store::path::Path as ObjectPath;
use object_store::{
    ClientConfigKey, ClientOptions, Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
};
use url::{Position, Url};

use crate::source::error::SourceError;

/// A failing request is repeated for so long; a step has retries of its own.
const PATIENCE: Duration = Duration::from_secs(20);
const RETRIES: usize = 5;

/// Whether an address is that of a file behind HTTP.
pub(crate) fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// A store that holds one object, at the empty path: what is behind the address.
///
/// The library's own would drop the query of the address, and with it the signature; and it would take an address of
/// Amazon or Azure for one that is to be signed anew.
pub(crate) fn page(url: &Url) -> Result<Arc<dyn ObjectStore>, SourceError> {
    let allow_http = (url.scheme() == "http").to_string();
    let store = HttpBuilder::new()
        .with_url(&url[..Position::BeforePath])
        .with_config(ClientConfigKey::AllowHttp, allow_http)
        .with_retry(RetryConfig { max_retries: RETRIES, retry_timeout: PATIENCE, ..RetryConfig::default() })
        .with_http_connector(Exactly { address: url[..Position::AfterQuery].to_owned() })
        .build()
        .map_err(|error| SourceError::from_store(url.as_str(), error))?;
    Ok(Arc::new(store))
}

/// What the server says of the file, without reading it.
pub(crate) async fn look(url: &Url) -> Result<ObjectMeta, SourceError> {
    let store = page(url)?;
    let path = ObjectPath::default();
    let refused = match store.head(&path).await {
        Ok(meta) => return Ok(meta),
        Err(error) => error,
    };
    if !was_answered(&refused) {
        return Err(SourceError::from_store(url.as_str(), refused));
    }
    // An address may be signed for reading alone, and some servers know no other request.
    let response = store.get_opts(&path, GetOptions::default()).await;
    response.map(|response| response.meta).map_err(|error| SourceError::from_store(url.as_str(), error))
}

/// Whether a server answered, if only to refuse.
fn was_answered(error: &Error) -> bool {
    match error {
        Error::Generic { source, .. } => {
            let text = source.to_string();
            text.contains("status code") || text.contains(SourceError::NO_LENGTH)
        }
        _ => true,
    }
}

/// Asks for one address, whatever the library makes of it.
struct Exactly {
    address: String,
}

struct Asked {
    address: String,
    client: HttpClient,
}

impl HttpConnector for Exactly {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Asked { address: self.address.clone(), client }))
    }
}

#[async_trait]
impl HttpService for Asked {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let wanted = self.address.parse();
        *request.uri_mut() = wanted.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        self.client.execute(request).await
    }
}

/// The address may be signed: it is not shown.
impl std::fmt::Debug for Exactly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exactly")
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked")
    }
}

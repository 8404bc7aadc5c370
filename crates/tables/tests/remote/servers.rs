//! An S3 server over a folder and a small web server, both on ports that the system chooses.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use noctule_tables::source::Access;
use object_store::aws::AmazonS3Builder;
use object_store::{ObjectStore, ObjectStoreExt};
use s3s::HttpRequest;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

const KEY: &str = "noctule-test";
const SECRET: &str = "a secret of the test";

pub struct S3 {
    _folder: tempfile::TempDir,
    pub access: Access,
    store: Arc<dyn ObjectStore>,
}

/// Serves S3 with signatures checked.
pub async fn s3() -> S3 {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("bucket")).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            let answer = hyper::service::service_fn(move |request: HttpRequest<Incoming>| {
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.call(request.map(s3s::Body::from)).await.unwrap()) }
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), answer).await;
            });
        }
    });
    let environment = [
        ("AWS_ENDPOINT", endpoint.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "us-east-1"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let store = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(&endpoint)
        .with_allow_http(true)
        .with_access_key_id(KEY)
        .with_secret_access_key(SECRET)
        .with_region("us-east-1")
        .build()
        .unwrap();
    S3 { _folder: folder, access: Access { environment }, store: Arc::new(store) }
}

impl S3 {
    pub async fn put(&self, path: &str, text: &str) {
        let path = object_store::path::Path::parse(path).unwrap();
        self.store.put(&path, text.to_owned().into()).await.unwrap();
    }
}

#[derive(Clone)]
pub struct Page {
    pub text: String,
    pub etag: Option<String>,
    pub dated: bool,
}

/// Pages by path and query.
pub struct Web {
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    root: String,
}

impl Web {
    pub async fn serve() -> Self {
        let pages: Arc<Mutex<BTreeMap<String, Page>>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let root = format!("http://{}", listener.local_addr().unwrap());
        let served = pages.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let pages = served.clone();
                let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let address = request.uri().path_and_query().unwrap().as_str();
                    let page = pages.lock().unwrap().get(address).cloned();
                    let conditional = request.headers().contains_key("if-match");
                    async move { Ok::<_, Infallible>(answer(request.method().as_str(), conditional, page)) }
                });
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        Self { pages, root }
    }

    pub fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }
}

fn answer(method: &str, conditional: bool, page: Option<Page>) -> Response<s3s::Body> {
    let body = |text: &str| s3s::Body::from(Bytes::from(text.to_owned()));
    let refused = |status: u16| Response::builder().status(status).body(body("")).unwrap();
    let Some(page) = page else { return refused(404) };
    let is_weak = page.etag.as_ref().is_some_and(|etag| etag.starts_with("W/"));
    if conditional && is_weak {
        // RFC 9110, 13.1.1: a weak ETag meets no condition.
        return refused(412);
    }
    let mut answer = Response::builder().header("content-length", page.text.len());
    if page.dated {
        answer = answer.header("last-modified", "Sun, 01 Nov 2026 00:00:00 GMT");
    }
    if let Some(etag) = &page.etag {
        answer = answer.header("etag", etag);
    }
    answer.body(body(if method == "HEAD" { "" } else { &page.text })).unwrap()
}

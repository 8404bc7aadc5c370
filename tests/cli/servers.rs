//! An S3 server over a folder and a web server, in this process and on ports that the system chooses.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::RwLock;

use crate::house::House;

const KEY: &str = "noctule-test";
const SECRET: &str = "a secret of the test";

/// Serves one bucket, with signatures checked, until it is dropped.
pub struct S3 {
    folder: tempfile::TempDir,
    endpoint: String,
    _runtime: Runtime,
}

impl S3 {
    pub fn serve() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("bucket")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = builder.build();
        // The server keeps content and ETag in two files; a real one does each write at once.
        let turns = Arc::new(RwLock::new(()));
        let runtime = Runtime::new().unwrap();
        let endpoint = runtime.block_on(listen(move |request: Request<Incoming>| {
            let (service, turns) = (service.clone(), turns.clone());
            async move {
                let (_reading, _writing) = match request.method().as_str() {
                    "GET" | "HEAD" => (Some(turns.read().await), None),
                    _ => (None, Some(turns.write().await)),
                };
                service.call(request.map(s3s::Body::from)).await.unwrap()
            }
        }));
        Self { folder, endpoint, _runtime: runtime }
    }

    /// The file behind an object's name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("bucket").join(name)
    }

    /// A command that may use the server.
    pub fn command(&self, house: &House, arguments: &[&str]) -> Command {
        let mut command = house.command(arguments);
        command
            .env("AWS_ENDPOINT", &self.endpoint)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_REGION", "us-east-1");
        command
    }
}

/// What a page answers.
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn of(etag: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, etag: Some(format!("\"{etag}\"")), body: body.into() }
    }

    pub fn refusal(status: u16, body: &str) -> Self {
        Self { status, etag: None, body: body.into() }
    }
}

/// Answers as it is told, and remembers what it was asked: the method, then the path with its query.
pub struct Web {
    pub root: String,
    asked: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Web {
    pub fn serve(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (remembered, answer) = (asked.clone(), Arc::new(answer));
        let runtime = Runtime::new().unwrap();
        let root = runtime.block_on(listen(move |request: Request<Incoming>| {
            let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
            let method = request.method().to_string();
            remembered.lock().unwrap().push(format!("{method} {path}"));
            let told = answer(&method, &path);
            let mut response =
                Response::builder().status(told.status).header("content-length", told.body.len());
            if let Some(etag) = told.etag {
                response = response.header("etag", etag);
            }
            let body = if method == "HEAD" { Vec::new() } else { told.body };
            async move { response.body(s3s::Body::from(body)).unwrap() }
        }));
        Self { root, asked, _runtime: runtime }
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Serves what `answer` gives; gives the address.
async fn listen<F, A>(answer: F) -> String
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<s3s::Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = hyper::service::service_fn(move |request| {
                let response = answer(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    address
}

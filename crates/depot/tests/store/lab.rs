//! Stores to try things on: a folder, and an S3 server of this process over a folder.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use noctule_artifacts::manifest::{Outcome, Output, OutputForm, Record};
use noctule_artifacts::{AttemptNumber, Fingerprint, OutputName, RunId, layout};
use noctule_depot::{Contents, Depot, Draft, Options};
use s3s::HttpRequest;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::sync::RwLock;

const BUCKET: &str = "bucket";
const KEY: &str = "noctule-test";
const SECRET: &str = "a secret of the test";

/// A store, and the folder where its files can be got at behind its back.
pub struct Lab {
    home: tempfile::TempDir,
    address: String,
    environment: Vec<(String, String)>,
    files: PathBuf,
}

/// What the server does with the conditions of a request.
#[derive(Clone, Copy, PartialEq)]
pub enum Conditions {
    Kept,
    Ignored,
}

impl Lab {
    pub async fn folder() -> Self {
        let home = tempfile::tempdir().unwrap();
        let files = home.path().join("store");
        Self { address: files.to_str().unwrap().to_owned(), environment: vec![], files, home }
    }

    pub async fn s3() -> Self {
        Self::s3_with(Conditions::Kept).await
    }

    pub async fn s3_with(conditions: Conditions) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("s3");
        let files = root.join(BUCKET).join("some/prefix");
        std::fs::create_dir_all(root.join(BUCKET)).unwrap();
        let port = serve(root, conditions).await;
        let environment = [
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{port}")),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_ACCESS_KEY_ID", KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("AWS_REGION", "us-east-1".into()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).into();
        Self { address: format!("s3://{BUCKET}/some/prefix"), environment, files, home }
    }

    /// Opens the store as another process would.
    pub fn open(&self) -> Depot {
        self.open_with(&[])
    }

    pub fn open_with(&self, more: &[(&str, &str)]) -> Depot {
        self.open_at(&self.address, more)
    }

    pub fn open_at(&self, address: &str, more: &[(&str, &str)]) -> Depot {
        let mut environment = self.environment.clone();
        environment.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let options = Options {
            create: true,
            environment,
            cache: self.home.path().join("cache"),
            cache_bytes: 1 << 30,
            patience: Duration::from_secs(1),
        };
        Depot::open(address, &options).unwrap()
    }

    /// The file behind a path of the store.
    pub fn behind(&self, path: &str) -> PathBuf {
        self.files.join(path)
    }

    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }
}

/// Serves S3 with signatures checked, on a port that the system chooses.
///
/// The server looks whether an object is there and writes it in two steps, and keeps content and ETag in two files; a
/// real one does each at once. So a write is let through only while nothing else is.
async fn serve(root: PathBuf, conditions: Conditions) -> u16 {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(&root).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let turns = Arc::new(RwLock::new(()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (service, turns, root) = (service.clone(), turns.clone(), root.clone());
            let answer = hyper::service::service_fn(move |request: HttpRequest<hyper::body::Incoming>| {
                let (service, turns, root) = (service.clone(), turns.clone(), root.clone());
                async move {
                    if conditions == Conditions::Ignored && request.headers().contains_key("if-none-match") {
                        // The header is signed and has to stay; without the object its condition holds.
                        let _ = std::fs::remove_file(root.join(request.uri().path().trim_start_matches('/')));
                    }
                    let bucket = request.uri().path().split('/').nth(1).unwrap_or_default();
                    if !root.join(bucket).is_dir() {
                        return Ok(no_such_bucket());
                    }
                    let (_reading, _writing) = match request.method().as_str() {
                        "GET" | "HEAD" => (Some(turns.read().await), None),
                        _ => (None, Some(turns.write().await)),
                    };
                    let answer = service.call(request.map(s3s::Body::from)).await;
                    Ok::<_, Infallible>(answer.unwrap())
                }
            });
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(socket), answer).await;
            });
        }
    });
    port
}

/// What S3 answers; this server would make the bucket.
fn no_such_bucket() -> s3s::HttpResponse {
    let text = "<?xml version=\"1.0\"?><Error><Code>NoSuchBucket</Code></Error>";
    let mut answer = s3s::HttpResponse::new(s3s::Body::from(text.to_owned()));
    *answer.status_mut() = 404.try_into().unwrap();
    answer
}

pub fn run() -> RunId {
    RunId::from_random(11)
}

pub fn prefix(step: &str, attempt: u32) -> String {
    layout::attempt_prefix(&run(), &step.parse().unwrap(), AttemptNumber(attempt))
}

pub fn manifest_path(step: &str, attempt: u32) -> String {
    format!("{}{}", prefix(step, attempt), layout::MANIFEST)
}

pub fn main_output() -> OutputName {
    OutputName::main()
}

pub fn contents() -> Contents {
    let form = Output { form: OutputForm::Table, columns: vec![], rows: Some(3) };
    Contents {
        kind: "extract".into(),
        outcome: Outcome::Ok,
        outputs: BTreeMap::from([(main_output(), form)]),
        facts: BTreeMap::new(),
    }
}

pub fn record(step: &str, attempt: u32) -> Record {
    Record {
        pipeline: "p".parse().unwrap(),
        run: run(),
        step: step.parse().unwrap(),
        attempt: AttemptNumber(attempt),
        started: Timestamp::UNIX_EPOCH,
        finished: Timestamp::UNIX_EPOCH,
        inputs: BTreeMap::new(),
        fingerprint: Fingerprint::of_kind("extract", 1),
        program: "0.1.0".into(),
        cpu: "x86-64".into(),
        metrics: BTreeMap::new(),
        notes: vec![],
        parts: vec![],
        elsewhere: BTreeMap::new(),
        facts: BTreeMap::new(),
    }
}

/// A draft with these files in its main output.
pub fn drafted(depot: &Depot, step: &str, attempt: u32, files: &[(&str, &[u8])]) -> Draft {
    let mut draft = depot.draft(&prefix(step, attempt)).unwrap();
    for (name, bytes) in files {
        let path = draft.create(&main_output(), name).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    draft
}

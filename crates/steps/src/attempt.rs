//! One attempt: what `noctule step` runs in a child process or a pod.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::launch::LaunchDocument;
use noctule_artifacts::manifest::{Output, Part, Record};
use noctule_artifacts::{Digest, Outcome, OutputName};
use noctule_depot::{Committed, Contents, Depot, Draft, Options};
use noctule_spec::StepKind;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::emit::Emit;
use crate::error::{Class, Classed, StepError};
use crate::{dedup, evaluate, extract, filter, gate, publish, shell, split, train};

/// What the process is told: where the store is, and which launch document in it says the rest.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// The store's address, such as `file:///srv/noctule` or `s3://bucket/prefix`.
    pub store: String,
    /// Path of the launch document in the store.
    pub launch: String,
    /// Digest of the launch document: another document than the announced one is refused.
    pub digest: Digest,
}

/// What a step works with.
pub struct Attempt {
    pub launch: LaunchDocument,
    pub depot: Depot,
    pub emit: Emit,
    pub(crate) draft: Draft,
    pub(crate) outputs: BTreeMap<OutputName, Output>,
    pub(crate) facts: BTreeMap<String, Value>,
    pub(crate) record_facts: BTreeMap<String, Value>,
    pub(crate) parts: Vec<Part>,
}

/// An error of the frame itself.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    #[error("there is no step kind `{kind}` in noctule {}: run the step with the noctule that planned it", env!("CARGO_PKG_VERSION"))]
    UnknownKind { kind: String },
    #[error(
        "the step kind `{kind}` is at version {ours} here and was planned at version {planned}: run the step with the noctule that planned it"
    )]
    OtherVersion { kind: String, ours: u32, planned: u32 },
    #[error(
        "the settings of the step kind `{kind}` are not of the expected shape: run the step with the noctule that planned it"
    )]
    Settings {
        kind: String,
        #[source]
        cause: serde_json::Error,
    },
    #[error("the threads of the step could not be started: {0}")]
    Threads(#[source] std::io::Error),
}

impl Classed for AttemptError {
    fn class(&self) -> Class {
        match self {
            AttemptError::UnknownKind { .. }
            | AttemptError::OtherVersion { .. }
            | AttemptError::Settings { .. } => Class::Configuration,
            AttemptError::Threads(_) => Class::Temporary,
        }
    }
}

impl Classed for noctule_depot::Error {
    fn class(&self) -> Class {
        match self.trouble() {
            noctule_depot::Trouble::Temporary => Class::Temporary,
            noctule_depot::Trouble::BadData => Class::Data,
            noctule_depot::Trouble::BadConfig => Class::Configuration,
            noctule_depot::Trouble::Other => Class::Other,
        }
    }
}

/// Runs one attempt to its end, reports on standard output, and gives the exit code: 0 when the manifest is
/// committed, else that of the error's [`Class`].
pub fn run(arguments: &Arguments) -> u8 {
    let emit = Emit::to_stdout();
    match work(arguments, &emit) {
        Ok(_) => 0,
        Err(error) => {
            emit.failure(&error.to_string());
            error.class.exit_code()
        }
    }
}

/// Runs one attempt and gives what it committed.
pub fn work(arguments: &Arguments, emit: &Emit) -> Result<Committed, StepError> {
    let options = Options::from_environment();
    let bytes = {
        let reader = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let depot = Depot::open(&arguments.store, &options)?;
        reader.map_err(AttemptError::Threads)?.block_on(depot.read(&arguments.launch))?
    };
    let launch = LaunchDocument::from_json(&bytes, arguments.digest)?;
    let threads = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(launch.resources.threads.max(1) as usize)
        .enable_all()
        .build()
        .map_err(AttemptError::Threads)?;
    // Opened anew: connections of the one above belong to threads that are gone.
    let depot = Depot::open(&arguments.store, &options)?;
    threads.block_on(attempt(launch, depot, emit.clone()))
}

/// Runs one attempt whose launch document is read already.
pub async fn attempt(launch: LaunchDocument, depot: Depot, emit: Emit) -> Result<Committed, StepError> {
    let started = Timestamp::now();
    let mut attempt = Attempt::new(launch, depot, emit)?;
    let outcome = dispatch(&mut attempt).await?;
    attempt.commit(outcome, started).await
}

async fn dispatch(attempt: &mut Attempt) -> Result<Outcome, StepError> {
    let kind = attempt.kind()?;
    let (ours, planned) = (kind.version(), attempt.launch.kind_version);
    if ours != planned {
        let kind = attempt.launch.kind.clone();
        return Err(AttemptError::OtherVersion { kind, ours, planned }.into());
    }
    match kind {
        StepKind::Extract(settings) => extract::run(attempt, settings).await,
        StepKind::Filter(settings) => filter::run(attempt, settings).await,
        StepKind::Dedup(settings) => dedup::run(attempt, settings).await,
        StepKind::Split(settings) => split::run(attempt, settings).await,
        StepKind::Train(settings) => train::run(attempt, settings).await,
        StepKind::Evaluate(settings) => evaluate::run(attempt, settings).await,
        StepKind::Gate(settings) => gate::run(attempt, settings).await,
        StepKind::Publish(settings) => publish::run(attempt, settings).await,
        StepKind::Shell(settings) => shell::run(attempt, settings).await,
    }
}

impl Attempt {
    pub fn new(launch: LaunchDocument, depot: Depot, emit: Emit) -> Result<Self, StepError> {
        let draft = depot.draft(&launch.prefix())?;
        Ok(Self {
            launch,
            depot,
            emit,
            draft,
            outputs: BTreeMap::new(),
            facts: BTreeMap::new(),
            record_facts: BTreeMap::new(),
            parts: Vec::new(),
        })
    }

    /// The step's kind with its settings, as `noctule_spec::kinds` declares them.
    fn kind(&self) -> Result<StepKind, StepError> {
        let with = &self.launch.with;
        Ok(match self.launch.kind.as_str() {
            "extract" => StepKind::Extract(self.settings(with)?),
            "filter" => StepKind::Filter(self.settings(with)?),
            "dedup" => StepKind::Dedup(self.settings(with)?),
            "split" => StepKind::Split(self.settings(with)?),
            "train" => StepKind::Train(self.settings(with)?),
            "evaluate" => StepKind::Evaluate(self.settings(with)?),
            "gate" => StepKind::Gate(self.settings(with)?),
            "publish" => StepKind::Publish(self.settings(with)?),
            "shell" => StepKind::Shell(self.settings(with)?),
            kind => return Err(AttemptError::UnknownKind { kind: kind.to_owned() }.into()),
        })
    }

    fn settings<T: DeserializeOwned>(&self, with: &Value) -> Result<T, AttemptError> {
        serde_json::from_value(with.clone())
            .map_err(|cause| AttemptError::Settings { kind: self.launch.kind.clone(), cause })
    }

    async fn commit(self, outcome: Outcome, started: Timestamp) -> Result<Committed, StepError> {
        let (metrics, notes) = self.emit.reported();
        let launch = self.launch;
        let mut facts = self.record_facts;
        if let Some(expectation) = launch.expectation {
            facts.insert("expectation".to_owned(), expectation.to_string().into());
        }
        let contents = Contents { kind: launch.kind, outcome, outputs: self.outputs, facts: self.facts };
        let record = Record {
            pipeline: launch.pipeline,
            run: launch.run,
            step: launch.step,
            attempt: launch.attempt,
            started,
            finished: Timestamp::now(),
            inputs: launch.inputs.into_iter().map(|(reference, input)| (reference, input.digest)).collect(),
            fingerprint: launch.fingerprint,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            cpu: cpu(),
            metrics,
            notes,
            parts: self.parts,
            elsewhere: BTreeMap::new(),
            facts,
        };
        Ok(self.draft.commit(contents, record).await?)
    }
}

/// The instruction set and those of its extensions that numeric code chooses by.
fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    let extensions = [
        ("avx2", std::arch::is_x86_feature_detected!("avx2")),
        ("fma", std::arch::is_x86_feature_detected!("fma")),
        ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let extensions: [(&str, bool); 0] = [];
    let mut text = std::env::consts::ARCH.to_owned();
    for (name, _) in extensions.iter().filter(|(_, there)| *there) {
        text.push('+');
        text.push_str(name);
    }
    text
}

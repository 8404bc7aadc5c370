//! A store in a temporary folder, and the steps that are run on it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::util::display::array_value_to_string;
use noctule_artifacts::launch::{Input, Interval, LastGood, LaunchDocument, Listing, Resources};
use noctule_artifacts::{AttemptNumber, Fingerprint, OutputName, RegistryId, RunId};
use noctule_depot::{Committed, Depot, Options};
use noctule_spec::kinds;
use noctule_steps::{Emit, StepError, extract};
use noctule_tables::Table;
use serde_json::{Value, json};

/// A store, and what the next step is launched with.
pub struct House {
    pub folder: tempfile::TempDir,
    pub depot: Depot,
    pub interval: Interval,
    pub timezone: String,
    pub resources: Resources,
    pub earlier: Vec<String>,
    pub last_good: Option<LastGood>,
    steps: u128,
}

impl House {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = folder.path().join("store").display().to_string();
        let options = Options { create: true, ..Options::from_environment() };
        Self {
            depot: Depot::open(&address, &options).unwrap(),
            folder,
            interval: day("2026-11-01T00:00:00Z"),
            timezone: "UTC".to_owned(),
            resources: Resources { threads: 2, memory_bytes: 256 << 20 },
            earlier: Vec::new(),
            last_good: None,
            steps: 0,
        }
    }

    /// Writes a file beside the store.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a step on outputs of others, each named by its reference.
    pub async fn step(
        &mut self,
        kind: &str,
        with: Value,
        inputs: &[(&str, &Committed)],
    ) -> Result<Committed, StepError> {
        self.launch(kind, with, inputs, BTreeMap::new()).await
    }

    /// Lists a source and runs an extract on it.
    pub async fn extract(&mut self, with: Value) -> Result<Committed, StepError> {
        let with = settings(with);
        let listing = self.list(&with).await?;
        self.launch("extract", with, &[], listing).await
    }

    pub async fn list(&self, with: &Value) -> Result<BTreeMap<String, Listing>, StepError> {
        let settings = serde_json::from_value(with.clone()).unwrap();
        extract::list_sources(&settings, self.interval, &self.timezone).await
    }

    pub async fn launch(
        &mut self,
        kind: &str,
        with: Value,
        inputs: &[(&str, &Committed)],
        sources: BTreeMap<String, Listing>,
    ) -> Result<Committed, StepError> {
        self.steps += 1;
        let inputs = inputs.iter().map(|(reference, committed)| {
            let (step, output) = reference.split_once('.').unwrap_or((reference, "main"));
            let input = Input {
                step: step.parse().unwrap(),
                output: output.parse().unwrap(),
                manifest: committed.path.clone(),
                digest: committed.digest,
            };
            ((*reference).to_owned(), input)
        });
        let launch: LaunchDocument = LaunchDocument {
            format: noctule_artifacts::launch::FORMAT,
            registry: RegistryId::from_random(1),
            pipeline: "p".parse().unwrap(),
            run: RunId::from_random(self.steps),
            step: kind.parse().unwrap(),
            attempt: AttemptNumber(1),
            kind: kind.to_owned(),
            kind_version: version(kind),
            with,
            interval: self.interval,
            timezone: self.timezone.clone(),
            inputs: inputs.collect(),
            models: BTreeMap::new(),
            sources,
            earlier: self.earlier.clone(),
            last_good: self.last_good.clone(),
            expectation: None,
            erased: None,
            version: None,
            fingerprint: Fingerprint::of_kind(kind, version(kind)),
            resources: self.resources,
            env: BTreeMap::new(),
        };
        let emit = Emit::to(Box::new(std::io::sink()));
        noctule_steps::attempt::attempt(launch, self.depot.clone(), emit).await
    }

    /// An output as a table.
    pub async fn table(&self, committed: &Committed, output: &str) -> Table {
        let output: OutputName = output.parse().unwrap();
        let mut paths = Vec::new();
        for entry in committed.manifest.identity.files_of(&output) {
            paths.push(self.depot.fetch(&committed.manifest, &committed.path, entry).await.unwrap());
        }
        Table::open(output.as_str(), &paths, None).unwrap()
    }

    /// An output as text: a line of names, then a line a row.
    pub async fn text(&self, committed: &Committed, output: &str) -> String {
        let table = self.table(committed, output).await;
        let names: Vec<&str> = table.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let mut text = names.join(" ");
        for batch in table.scan_all(1).unwrap() {
            let batch = batch.unwrap();
            for row in 0..batch.num_rows() {
                let cells: Vec<String> = batch
                    .columns()
                    .iter()
                    .map(|column| match column.is_null(row) {
                        true => "-".to_owned(),
                        false => array_value_to_string(column, row).unwrap(),
                    })
                    .collect();
                text.push('\n');
                text.push_str(&cells.join(" "));
            }
        }
        // The folder of a test is another one each time.
        text.replace(&self.folder.path().display().to_string(), "DIR")
    }
}

fn version(kind: &str) -> u32 {
    match kind {
        "extract" => kinds::extract::VERSION,
        "filter" => kinds::filter::VERSION,
        "dedup" => kinds::dedup::VERSION,
        "split" => kinds::split::VERSION,
        "train" => kinds::train::VERSION,
        "evaluate" => kinds::evaluate::VERSION,
        other => panic!("no test launches {other} here"),
    }
}

/// The day that begins at a time.
pub fn day(start: &str) -> Interval {
    let start: jiff::Timestamp = start.parse().unwrap();
    Interval { start, end: start + jiff::SignedDuration::from_hours(24) }
}

/// Settings of an extract of one source: its keys, and those of the step under `step`.
pub fn settings(with: Value) -> Value {
    let mut source = with.as_object().unwrap().clone();
    let mut settings = json!({"rejected": {"max_share": 0.01}});
    if let Some(step) = source.remove("step") {
        settings.as_object_mut().unwrap().extend(step.as_object().unwrap().clone());
    }
    if settings.get("sources").is_none() {
        settings["sources"] = json!({"source": source});
    }
    settings
}

/// A metric of the record.
pub fn metric(committed: &Committed, name: &str) -> f64 {
    let metrics = &committed.manifest.record.metrics;
    *metrics.get(name).unwrap_or_else(|| panic!("no metric `{name}` among {metrics:?}"))
}

//! A store with made-up tables in it, and steps run on them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use jiff::Timestamp;
use noctule_artifacts::launch::{
    EnvValue, FORMAT, Input, Interval, LaunchDocument, ModelVersion, ReservedVersion, Resources,
};
use noctule_artifacts::manifest::{Column, Output, OutputForm, Record};
use noctule_artifacts::{AttemptNumber, Fingerprint, Outcome, OutputName, RegistryId, RunId, VersionNumber};
use noctule_depot::{Committed, Contents, Depot, Options};
use noctule_spec::StepKind;
use noctule_steps::{Emit, StepError, attempt};
use noctule_tables::TableWriter;
use serde_json::{Value, json};

pub struct Lab {
    pub depot: Depot,
    pub home: tempfile::TempDir,
    attempts: AtomicU32,
}

/// What one attempt is told beside its settings.
#[derive(Default, Clone)]
pub struct Told {
    pub inputs: BTreeMap<String, Input>,
    pub models: BTreeMap<String, Option<ModelVersion>>,
    pub version: Option<ReservedVersion>,
    pub env: BTreeMap<String, EnvValue>,
    pub threads: u32,
    /// In MiB; a lot when 0.
    pub memory: u64,
}

impl Told {
    pub fn reads(inputs: &[(&str, &Input)]) -> Self {
        let inputs = inputs.iter().map(|(name, input)| ((*name).to_owned(), (*input).clone())).collect();
        Self { inputs, ..Self::default() }
    }

    pub fn and(mut self, name: &str, input: &Input) -> Self {
        self.inputs.insert(name.to_owned(), input.clone());
        self
    }

    pub fn model(mut self, name: &str, version: Option<ModelVersion>) -> Self {
        self.models.insert(name.to_owned(), version);
        self
    }
}

/// Interactions: user, item, time in seconds.
pub type Rows = Vec<(i64, i64, i64)>;

impl Lab {
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let options = Options {
            create: true,
            environment: Vec::new(),
            cache: home.path().join("cache"),
            ..Options::from_environment()
        };
        let depot = Depot::open(home.path().join("store").to_str().unwrap(), &options).unwrap();
        Self { depot, home, attempts: AtomicU32::new(0) }
    }

    fn next(&self) -> AttemptNumber {
        AttemptNumber(self.attempts.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Puts tables into the store as outputs of one artifact, and gives a reference to each.
    pub async fn tables(&self, kind: &str, outputs: &[(&str, RecordBatch)]) -> BTreeMap<String, Input> {
        let number = self.next();
        let run = RunId::from_random(1);
        let prefix = format!("runs/{run}/{kind}/{number}/");
        let mut draft = self.depot.draft(&prefix).unwrap();
        let mut declared = BTreeMap::new();
        for (name, batch) in outputs {
            let output: OutputName = name.parse().unwrap();
            let path = draft.create(&output, "0000.parquet").unwrap();
            let mut writer = TableWriter::new(batch.schema(), 1, move |_| Ok(path.clone()));
            writer.write(batch).unwrap();
            writer.finish().unwrap();
            let schema = batch.schema();
            let columns = schema.fields().iter().map(|field| Column {
                name: field.name().clone(),
                data_type: field.data_type().to_string(),
                nullable: field.is_nullable(),
            });
            let rows = Some(batch.num_rows() as u64);
            declared.insert(output, Output { form: OutputForm::Table, columns: columns.collect(), rows });
        }
        let contents = Contents {
            kind: kind.to_owned(),
            outcome: Outcome::Ok,
            outputs: declared,
            facts: BTreeMap::new(),
        };
        let record = Record {
            pipeline: "p".parse().unwrap(),
            run,
            step: kind.parse().unwrap(),
            attempt: number,
            started: Timestamp::UNIX_EPOCH,
            finished: Timestamp::UNIX_EPOCH,
            inputs: BTreeMap::new(),
            fingerprint: Fingerprint::of_kind(kind, 1),
            program: "test".into(),
            cpu: "test".into(),
            metrics: BTreeMap::new(),
            notes: vec![],
            parts: vec![],
            elsewhere: BTreeMap::new(),
            facts: BTreeMap::new(),
        };
        let committed = draft.commit(contents, record).await.unwrap();
        outputs.iter().map(|(name, _)| ((*name).to_owned(), input_of(&committed, name))).collect()
    }

    /// `train` and `test` as a split by time leaves them.
    pub async fn split(&self, train: &Rows, test: &Rows) -> (Input, Input) {
        let tables =
            self.tables("split", &[("train", interactions(train)), ("test", interactions(test))]).await;
        (tables["train"].clone(), tables["test"].clone())
    }

    /// Runs one step.
    pub async fn run(&self, kind: &str, with: Value, told: Told) -> Result<Committed, StepError> {
        let version = version_of(kind, &with);
        let fingerprint = Fingerprint::of_kind(kind, version)
            .with("with", with.clone())
            .with("inputs", json!(told.inputs.values().map(|input| input.digest).collect::<Vec<_>>()));
        let launch = LaunchDocument {
            format: FORMAT,
            registry: RegistryId::from_random(7),
            pipeline: "p".parse().unwrap(),
            run: RunId::from_random(1),
            step: kind.parse().unwrap(),
            attempt: self.next(),
            kind: kind.to_owned(),
            kind_version: version,
            with,
            interval: Interval { start: seconds(0), end: seconds(86_400) },
            timezone: "UTC".into(),
            inputs: told.inputs,
            models: told.models,
            sources: BTreeMap::new(),
            earlier: vec![],
            last_good: None,
            expectation: None,
            erased: None,
            version: told.version,
            fingerprint,
            resources: Resources {
                threads: told.threads.max(1),
                memory_bytes: if told.memory > 0 { told.memory << 20 } else { 1 << 30 },
            },
            env: told.env,
        };
        attempt::attempt(launch, self.depot.clone(), Emit::to(Box::new(io::sink()))).await
    }

    /// The local path of a file of an artifact.
    pub async fn file(&self, committed: &Committed, ending: &str) -> PathBuf {
        let manifest = &committed.manifest;
        let entry = manifest.identity.files.iter().find(|entry| entry.name.ends_with(ending));
        let entry = entry.unwrap_or_else(|| panic!("no {ending} in {:?}", manifest.identity.files));
        self.depot.fetch(manifest, &committed.path, entry).await.unwrap()
    }

    pub async fn json(&self, committed: &Committed, ending: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.file(committed, ending).await).unwrap()).unwrap()
    }

    /// Trains, evaluates, judges and, when that passes, publishes: what a night does.
    pub async fn night(
        &self,
        (train, test): (&Input, &Input),
        training: Value,
        compare: &[(&str, Option<ModelVersion>)],
        require: Value,
    ) -> (Committed, Committed, Committed) {
        let model = self.run("train", training, Told::reads(&[("split.train", train)])).await.unwrap();
        let mut told = Told::reads(&[("split.train", train), ("split.test", test)]);
        told = told.and("model", &input_of(&model, "main"));
        let mut names = Vec::new();
        for (name, version) in compare {
            names.push((*name).to_owned());
            if name.contains('@') {
                told = told.model(name, version.clone());
            }
        }
        let quality = self.run("evaluate", evaluate(&names), told).await.unwrap();
        let gate = json!({"evaluation": "quality", "require": require});
        let gate =
            self.run("gate", gate, Told::reads(&[("quality", &input_of(&quality, "report"))])).await.unwrap();
        (model, quality, gate)
    }

    pub async fn publish(
        &self,
        model: &Committed,
        gate: &Committed,
        version: u32,
    ) -> Result<Committed, StepError> {
        let mut told =
            Told::reads(&[("model", &input_of(model, "main")), ("gate", &input_of(gate, "report"))]);
        told.version = Some(ReservedVersion {
            model: "feed".parse().unwrap(),
            alias: "champion".parse().unwrap(),
            version: VersionNumber(version),
        });
        self.run(
            "publish",
            json!({"model": "model", "gate": "gate", "name": "feed", "alias": "champion"}),
            told,
        )
        .await
    }
}

pub fn evaluate(compare: &[String]) -> Value {
    json!({
        "model": "model", "history": "split.train", "test": "split.test", "compare": compare,
        "metrics": ["ndcg@10", "recall@10", "coverage@10"],
    })
}

pub fn published(model: &Committed, version: u32) -> Option<ModelVersion> {
    Some(ModelVersion {
        model: "feed".parse().unwrap(),
        version: VersionNumber(version),
        digest: model.digest,
    })
}

pub fn input_of(committed: &Committed, output: &str) -> Input {
    Input {
        step: committed.manifest.record.step.clone(),
        output: output.parse().unwrap(),
        manifest: committed.path.clone(),
        digest: committed.digest,
    }
}

fn version_of(kind: &str, with: &Value) -> u32 {
    let with = with.clone();
    let kind = match kind {
        "train" => StepKind::Train(serde_json::from_value(with).unwrap()),
        "evaluate" => StepKind::Evaluate(serde_json::from_value(with).unwrap()),
        "gate" => StepKind::Gate(serde_json::from_value(with).unwrap()),
        "publish" => StepKind::Publish(serde_json::from_value(with).unwrap()),
        "shell" => StepKind::Shell(serde_json::from_value(with).unwrap()),
        other => panic!("{other}"),
    };
    kind.version()
}

pub fn seconds(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub fn interactions(rows: &Rows) -> RecordBatch {
    let users: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>());
    let items: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>());
    let times = rows.iter().map(|row| row.2 * 1_000_000).collect::<Vec<_>>();
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    let schema = Schema::new(vec![
        Field::new("user", DataType::Int64, false),
        Field::new("item", DataType::Int64, false),
        Field::new("time", times.data_type().clone(), false),
    ]);
    RecordBatch::try_new(Arc::new(schema), vec![users, items, times]).unwrap()
}

pub fn texts(columns: &[(&str, &[&str])]) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays = columns.iter().map(|(_, values)| Arc::new(StringArray::from(values.to_vec())) as ArrayRef);
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays.collect()).unwrap()
}

/// Numbers that look random and are the same on every machine (Knuth's linear congruence).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, n: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as i64
    }
}

/// Users of ten tastes, each of whom mostly takes items of their own taste: 600 users, 200 items. The first day is
/// train, the second test.
pub fn tastes(seed: u64) -> (Rows, Rows) {
    let mut numbers = Numbers(seed);
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for user in 0..600 {
        let mut taken = std::collections::BTreeSet::new();
        for i in 0..18 {
            let own = numbers.below(10) < 9;
            let item = if own { (user % 10) * 20 + numbers.below(20) } else { numbers.below(200) };
            if !taken.insert(item) {
                continue;
            }
            let row = |day: i64| (user, 1000 + item, day * 86_400 - 1_000 + i);
            if i < 12 { train.push(row(1)) } else { test.push(row(2)) }
        }
    }
    let items: std::collections::BTreeSet<i64> = train.iter().map(|row| row.1).collect();
    test.retain(|row| items.contains(&row.1));
    (train, test)
}

/// Training rows whose items have nothing to do with their users.
pub fn shuffled(mut rows: Rows, seed: u64) -> Rows {
    let mut numbers = Numbers(seed);
    for at in (1..rows.len()).rev() {
        let other = numbers.below(at as i64 + 1) as usize;
        let (a, b) = (rows[at].1, rows[other].1);
        rows[at].1 = b;
        rows[other].1 = a;
    }
    rows
}

pub fn ials() -> Value {
    json!({"input": "split.train", "algorithm": "ials", "factors": 16, "epochs": 6, "seed": 1})
}

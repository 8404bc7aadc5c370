//! `gate`: judges a candidate by rules. Only what passes can be published.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use noctule_artifacts::manifest::OutputForm;
use noctule_artifacts::{Digest, Manifest, Outcome};
use noctule_gate::{
    Compared, Evidence, Report, Scored, Slices, SplitFacts, Training, Verdict, judge, markdown,
};
use noctule_spec::kinds::gate::Settings;
use noctule_spec::reference::ModelReference;
use noctule_tables::Table;
use serde_json::{Map, Value};

use crate::StepResult;
use crate::attempt::Attempt;
use crate::error::{Class, Classed, StepError};
use crate::evaluation::{
    Evaluation, FORMAT, ModelReport, REPORT, REPORT_FILE, USERS, known_column, slice_column, value_column,
};

/// Facts of the gate's artifact that a publication rests on.
pub const VERDICT: &str = "verdict";
/// The digest of the model that was judged.
pub const JUDGED: &str = "judged";
/// Published models that the candidate was compared with: by reference the version, or null for one that does not
/// exist.
pub const COMPARED: &str = "compared";

#[derive(Debug, thiserror::Error)]
pub enum GateError {
    #[error(
        "the artifact behind `{reference}` is a {kind}, and a gate judges an evaluation: name a step that `uses: evaluate`"
    )]
    NotAnEvaluation { reference: String, kind: String },
    #[error(
        "the file `{file}` of the evaluation `{reference}` cannot be used: {cause}; run the evaluation again"
    )]
    BadFile { reference: String, file: String, cause: String },
    #[error("the evaluation has format {found}, and this program reads format {FORMAT}: use a newer noctule")]
    OtherFormat { found: u32 },
    #[error("the report could not be written: {0}")]
    Write(std::io::Error),
}

impl Classed for GateError {
    fn class(&self) -> Class {
        match self {
            Self::NotAnEvaluation { .. } | Self::OtherFormat { .. } => Class::Configuration,
            Self::BadFile { .. } => Class::Data,
            Self::Write(_) => Class::Other,
        }
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let reference = settings.evaluation.to_string();
    let input = attempt.input(&reference)?.clone();
    let read = Read::evaluation(attempt, &reference).await?;
    let report = judge(&read.evidence()?, &settings.require, seed(input.digest));
    write(attempt, &report)?;
    attempt.emit.note(&report.decided);
    for rule in &report.rules {
        if let Some(figures) = &rule.figures {
            attempt.emit.metric(&format!("{} value", rule.rule), figures.value);
        }
    }
    let (verdict, outcome) = match report.verdict {
        Verdict::Pass => ("pass", Outcome::Ok),
        Verdict::Fail => ("fail", Outcome::GateRejected),
        Verdict::Inconclusive => ("inconclusive", Outcome::GateInconclusive),
    };
    attempt.fact(VERDICT, verdict);
    attempt.fact("decided", report.decided.clone());
    attempt.fact(JUDGED, report.candidate.map_or(Value::Null, |digest| Value::from(digest.to_string())));
    attempt.fact(COMPARED, compared(&read.evaluation));
    Ok(outcome)
}

/// The bootstrap's seed: the same evaluation is judged alike wherever and whenever.
fn seed(evaluation: Digest) -> u64 {
    let first = evaluation.as_bytes()[..8].try_into().expect("a digest has 32 bytes");
    u64::from_be_bytes(first)
}

fn write(attempt: &mut Attempt, report: &Report) -> Result<(), StepError> {
    let output = REPORT.parse().expect("it is an output name");
    for (name, bytes) in [("gate.json", report.to_json()), ("gate.md", markdown(report).into_bytes())] {
        let path = attempt.create(&output, name)?;
        std::fs::write(path, bytes).map_err(GateError::Write)?;
    }
    attempt.declare(&output, OutputForm::Report);
    Ok(())
}

fn compared(evaluation: &Evaluation) -> Value {
    let scored = evaluation.models.iter().skip(1);
    let scored =
        scored.filter_map(|model| Some((model.reference.to_string(), Value::from(model.version?.0))));
    let absent = evaluation.absent.iter().map(|reference| (reference.to_string(), Value::Null));
    Value::Object(scored.chain(absent).collect::<Map<_, _>>())
}

/// An evaluation as it was read.
struct Read {
    reference: String,
    evaluation: Evaluation,
    users: Table,
    batches: Vec<RecordBatch>,
}

impl Read {
    async fn evaluation(attempt: &Attempt, reference: &str) -> Result<Self, StepError> {
        let manifest = attempt.manifest(reference).await?;
        if manifest.identity.kind != "evaluate" {
            let (reference, kind) = (reference.to_owned(), manifest.identity.kind);
            return Err(GateError::NotAnEvaluation { reference, kind }.into());
        }
        let bad = |file: &str, cause: &dyn ToString| GateError::BadFile {
            reference: reference.to_owned(),
            file: file.to_owned(),
            cause: cause.to_string(),
        };
        let report = fetch(attempt, &manifest, reference, REPORT).await?;
        let file = report.iter().find(|path| path.0.ends_with(REPORT_FILE));
        let file = file.ok_or_else(|| bad(REPORT_FILE, &"it is not there"))?;
        let bytes = std::fs::read(&file.1).map_err(|error| bad(REPORT_FILE, &error))?;
        let evaluation: Evaluation =
            serde_json::from_slice(&bytes).map_err(|error| bad(REPORT_FILE, &error))?;
        if evaluation.format != FORMAT {
            return Err(GateError::OtherFormat { found: evaluation.format }.into());
        }
        let paths: Vec<_> =
            fetch(attempt, &manifest, reference, USERS).await?.into_iter().map(|f| f.1).collect();
        let users = Table::open(&format!("{reference}.{USERS}"), &paths, None)?;
        let threads = attempt.launch.resources.threads as usize;
        let batches = users.scan_all(threads)?.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { reference: reference.to_owned(), evaluation, users, batches })
    }

    fn evidence(&self) -> Result<Evidence, StepError> {
        let evaluation = &self.evaluation;
        let Some((candidate, others)) = evaluation.models.split_first() else {
            return Err(self.bad(REPORT_FILE, "it has no models").into());
        };
        let mut compared: BTreeMap<ModelReference, Compared> = BTreeMap::new();
        for model in others {
            compared.insert(model.reference.clone(), Compared::Scored(Box::new(self.scored(model)?)));
        }
        for absent in &evaluation.absent {
            compared.insert(absent.clone(), Compared::Absent);
        }
        let split =
            SplitFacts { train: evaluation.split.history.clone(), test_start: evaluation.split.test_start };
        Ok(Evidence {
            users: usize::try_from(self.users.rows()).unwrap_or(usize::MAX),
            split,
            candidate: self.scored(candidate)?,
            compared,
            slices: self.slices()?,
        })
    }

    fn scored(&self, model: &ModelReport) -> Result<Scored, StepError> {
        let mut per_user = BTreeMap::new();
        for metric in self.evaluation.metrics.iter().filter(|metric| metric.is_per_user()) {
            let name = value_column(&model.reference, *metric);
            if self.users.has_column(&name) {
                per_user.insert(*metric, self.numbers(&name)?);
            }
        }
        let absolute = model.figures.iter().filter(|(metric, _)| !metric.is_per_user());
        let known = known_column(&model.reference);
        Ok(Scored {
            digest: model.digest,
            training: match &model.trained_on {
                None => Training::History,
                Some(read) => {
                    Training::Tables { read: read.iter().cloned().collect(), until: model.trained_until }
                }
            },
            per_user,
            absolute: absolute.filter_map(|(metric, figure)| Some((*metric, figure.mean?))).collect(),
            known: if self.users.has_column(&known) { self.flags(&known)? } else { Vec::new() },
        })
    }

    fn slices(&self) -> Result<Slices, StepError> {
        let Some(slices) = &self.evaluation.slices else { return Ok(Slices::default()) };
        let mut columns = BTreeMap::new();
        for name in &slices.columns {
            let mut values = Vec::new();
            for array in self.column(&slice_column(name), &DataType::Utf8)? {
                values.extend(array.as_string::<i32>().iter().map(|value| value.map(str::to_owned)));
            }
            columns.insert(name.clone(), values);
        }
        Ok(Slices { min_users: slices.min_users, columns })
    }

    fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>, StepError> {
        let mut values = Vec::new();
        for array in self.column(name, &DataType::Float64)? {
            values.extend(array.as_primitive::<Float64Type>().iter());
        }
        Ok(values)
    }

    fn flags(&self, name: &str) -> Result<Vec<bool>, StepError> {
        let mut values = Vec::new();
        for array in self.column(name, &DataType::Boolean)? {
            values.extend(array.as_boolean().iter().map(|flag| flag.unwrap_or(false)));
        }
        Ok(values)
    }

    fn column(&self, name: &str, wanted: &DataType) -> Result<Vec<&arrow::array::ArrayRef>, StepError> {
        let found = self.users.column_type(name)?;
        if found != wanted {
            return Err(self.bad(USERS, &format!("`{name}` is {found}, not {wanted}")).into());
        }
        Ok(self.batches.iter().filter_map(|batch| batch.column_by_name(name)).collect())
    }

    fn bad(&self, file: &str, cause: &str) -> GateError {
        GateError::BadFile {
            reference: self.reference.clone(),
            file: file.to_owned(),
            cause: cause.to_owned(),
        }
    }
}

/// Names and local paths of the files of one output, checked against their digests.
async fn fetch(
    attempt: &Attempt,
    manifest: &Manifest,
    reference: &str,
    output: &str,
) -> Result<Vec<(String, std::path::PathBuf)>, StepError> {
    let path = &attempt.input(reference)?.manifest;
    let output = output.parse().expect("it is an output name");
    let mut files = Vec::new();
    for entry in manifest.identity.files_of(&output) {
        files.push((entry.name.clone(), attempt.depot.fetch(manifest, path, entry).await?));
    }
    Ok(files)
}

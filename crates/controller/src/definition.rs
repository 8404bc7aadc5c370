//! What a run was made from: the pipeline's text and what was given with it, kept with the run.
//!
//! A run goes on as it began, whatever has become of the file since.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::RunId;
use noctule_artifacts::launch::Interval;
use noctule_engine::schedule::Calendar;
use noctule_spec::{Context, Diagnostics, Loaded, Pipeline, SourceText};
use serde::{Deserialize, Serialize};

use crate::error::ControllerError;

/// The format this release writes. Every format ever released is read for good.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    format: u32,
    /// The pipeline file, as the person named it.
    pub file: String,
    pub text: String,
    /// Parameters given on the command line, as text.
    pub params: BTreeMap<String, String>,
    /// The occurrence: `--at`, or the moment of the call.
    pub at: Timestamp,
    /// The program that began the run.
    pub program: String,
}

impl Definition {
    pub fn new(
        file: String,
        text: String,
        params: BTreeMap<String, String>,
        at: Timestamp,
        program: &str,
    ) -> Self {
        Self { format: FORMAT, file, text, params, at, program: program.to_owned() }
    }

    pub fn source(&self) -> SourceText {
        SourceText::new(self.file.clone(), self.text.clone().into_bytes())
    }

    /// Reads the pipeline for an interval and a run.
    pub fn load(&self, interval: Interval, run: Option<RunId>) -> Result<Loaded, Diagnostics> {
        let context = Context { params: self.params.clone(), interval, run, now: self.at, pools: None };
        noctule_spec::load(&self.source(), &context)
    }

    /// Reads the pipeline for the interval that its own `data` and the occurrence give.
    pub fn resolve(&self, run: Option<RunId>) -> Result<(Interval, Loaded), Refused> {
        let probe = Interval { start: self.at, end: self.at };
        let first = self.load(probe, run.clone()).map_err(Refused::Pipeline)?;
        let interval = interval_of(&first.pipeline, self.at).map_err(Refused::Interval)?;
        let loaded = self.load(interval, run).map_err(Refused::Pipeline)?;
        Ok((interval, loaded))
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a definition has only text keys")
    }

    pub fn from_json(run: &RunId, bytes: &[u8]) -> Result<Self, ControllerError> {
        let unreadable = |cause: String| ControllerError::Definition { run: run.clone(), cause };
        let definition: Self =
            serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if definition.format > FORMAT {
            return Err(unreadable(format!("it has format {}", definition.format)));
        }
        Ok(definition)
    }
}

/// Why a definition gives no run.
#[derive(Debug)]
pub enum Refused {
    Pipeline(Diagnostics),
    Interval(String),
}

/// The span of data time that a run at this occurrence covers.
pub fn interval_of(pipeline: &Pipeline, at: Timestamp) -> Result<Interval, String> {
    let calendar = Calendar::of(&pipeline.data).map_err(|error| error.to_string())?;
    calendar.interval_at(at).map_err(|error| error.to_string())
}

/// The name that a lease on a run has.
pub(crate) fn lease_name(run: &RunId) -> String {
    format!("run/{run}")
}

/// The kind of message that asks for a run to be cancelled.
pub(crate) fn cancel_kind(run: &RunId) -> String {
    format!("cancel/{run}")
}

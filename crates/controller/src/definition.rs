//! What a run was made from: the pipeline's text and what was given with it, kept with the run.
//!
//! A run goes on as it began, whatever has become of the file, the configuration and the program since.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::RunId;
use noctule_artifacts::launch::Interval;
use noctule_engine::schedule::Calendar;
use noctule_launcher::local::Machine;
use noctule_spec::{Context, Diagnostics, Loaded, Pipeline, SourceText};
use serde::{Deserialize, Serialize};

use crate::error::ControllerError;

/// The format this release writes. Every format ever released is read for good.
const FORMAT: u32 = 1;

/// The version of this program.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    pub(crate) format: u32,
    /// The pipeline file, as the person named it.
    pub file: String,
    pub text: String,
    /// Parameters given on the command line, as text.
    pub params: BTreeMap<String, String>,
    /// The occurrence: `--at`, or the moment of the call.
    pub at: Timestamp,
    /// The program that began the run.
    pub program: String,
    /// The digest of the image that the program runs in; a program on a machine has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What the configuration gave the steps when the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// When the run is late, if its schedule says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Candidates become versions, and no alias is moved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub register_only: bool,
    /// Who began the run, when it was a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A part of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    pub threads: u32,
    pub memory_bytes: u64,
}

impl From<Machine> for Share {
    fn from(machine: Machine) -> Self {
        Self { threads: machine.threads, memory_bytes: machine.memory_bytes }
    }
}

impl Share {
    /// What of this share a machine still has.
    pub(crate) fn within(self, machine: Machine) -> Machine {
        Machine {
            threads: self.threads.min(machine.threads),
            memory_bytes: self.memory_bytes.min(machine.memory_bytes),
        }
    }
}

impl Definition {
    pub fn new(
        file: String,
        text: String,
        params: BTreeMap<String, String>,
        at: Timestamp,
        program: &str,
    ) -> Self {
        Self {
            format: FORMAT,
            file,
            text,
            params,
            at,
            program: program.to_owned(),
            image: None,
            share: None,
            deadline: None,
            register_only: false,
            by: None,
            why: None,
        }
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
        Self::parse(bytes).map_err(|cause| ControllerError::Definition { run: run.clone(), cause })
    }

    /// Reads a definition that no run has yet, such as a backfill's.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let definition: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        match definition.format > FORMAT {
            true => Err(format!("it has format {}", definition.format)),
            false => Ok(definition),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_of_the_first_release_is_read_for_good() {
        let written = r#"{"format":1,"file":"dags/a.yaml","text":"x","params":{"k":"v"},"at":"2026-11-24T02:15:00Z","program":"0.1.0"}"#;
        let run = RunId::from_random(1);
        let read = Definition::from_json(&run, written.as_bytes()).unwrap();
        assert_eq!((read.register_only, read.share, read.deadline), (false, None, None));
        assert_eq!(String::from_utf8(read.to_json()).unwrap(), written);
        let newer = written.replace("\"format\":1", "\"format\":2");
        assert!(Definition::from_json(&run, newer.as_bytes()).is_err());
    }
}

//! A checked pipeline: what a file says, with templates rendered, defaults filled in and references resolved.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::launch::{EnvValue, Interval};
use noctule_artifacts::{AliasName, ModelName, OutputName, PipelineName, StepName, address};
use serde_json::Value;

use crate::alerts::Alerts;
use crate::kinds::{declaration, dedup, evaluate, extract, filter, gate, publish, shell, split, train};
use crate::limits::Limits;
use crate::resources::Resources;
use crate::retry::Retry;
use crate::schedule::{DataSpan, Schedule};
use crate::template::{Renderer, Scope};
use crate::timeouts::Timeouts;
use crate::units::Cut;

/// A pipeline that may be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    pub name: PipelineName,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub schedule: Option<Schedule>,
    /// -100 to 100; where slots are scarce, attempts of the higher one go first.
    pub priority: i32,
    pub limits: Limits,
    pub data: DataSpan,
    /// The effective parameters: defaults, and what the command line put over them.
    pub params: BTreeMap<String, Value>,
    pub alerts: Alerts,
    /// Steps in an order in which each comes after all it needs; otherwise in the file's order.
    pub steps: Vec<Step>,
}

/// What a schedule waits for cannot be named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`schedule.on.data` cannot be rendered for the interval from {start}: {reason}")]
pub struct AwaitedError {
    start: Timestamp,
    reason: String,
}

/// A step that may be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub name: StepName,
    pub kind: StepKind,
    /// Outputs of other steps that the settings name, each once, in order of the text written.
    pub inputs: Vec<InputReference>,
    /// Published models that the settings name, as written (`home-feed@champion`), each once, in order.
    pub models: Vec<String>,
    /// Steps that must have ended well before: of data, and by `needs`. Each once, in order.
    pub needs: Vec<StepName>,
    pub retry: Retry,
    pub timeouts: Timeouts,
    pub resources: Resources,
    /// Why the step is not to run, when its `when` is false.
    pub disabled: Option<String>,
    /// Runs also after a failure of what it needs.
    pub always: bool,
    /// Waits for an earlier attempt that cannot be seen gone, instead of running beside it.
    pub exclusive: bool,
    /// The pool of which each of its attempts takes a slot; the configuration declares it.
    pub pool: Option<String>,
    pub env: BTreeMap<String, EnvValue>,
    pub labels: BTreeMap<String, String>,
}

/// Another step's output, as the settings name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputReference {
    /// As written: `split.train`, or `unique` for its `main` output.
    pub reference: String,
    pub step: StepName,
    pub output: OutputName,
}

/// What a step does: its kind with the settings.
#[derive(Debug, Clone, PartialEq)]
pub enum StepKind {
    Extract(extract::Settings),
    Filter(filter::Settings),
    Dedup(dedup::Settings),
    Split(split::Settings),
    Train(train::Settings),
    Evaluate(evaluate::Settings),
    Gate(gate::Settings),
    Publish(publish::Settings),
    Shell(shell::Settings),
}

impl Pipeline {
    pub fn step(&self, name: &StepName) -> Option<&Step> {
        self.steps.iter().find(|step| &step.name == name)
    }

    /// The aliases that its steps move, in their order.
    pub fn publishes(&self) -> impl Iterator<Item = (&ModelName, &AliasName)> {
        self.steps.iter().filter_map(|step| match &step.kind {
            StepKind::Publish(settings) => Some((&settings.name, &settings.alias)),
            _ => None,
        })
    }

    /// The object that its schedule waits for before a run of this interval; `None` when it waits for no data.
    ///
    /// # Errors
    ///
    /// The template cannot be rendered for this interval.
    pub fn awaited(&self, interval: Interval) -> Result<Option<String>, AwaitedError> {
        let Some(wait) = self.schedule.as_ref().and_then(Schedule::wait) else {
            return Ok(None);
        };
        let scope = Scope {
            pipeline: self.name.as_str(),
            params: &self.params,
            interval,
            timezone: &self.data.timezone,
            run: "",
            at: interval.end,
        };
        let reason = |reason: String| AwaitedError { start: interval.start, reason };
        match Renderer::new(&scope).text(&wait.data) {
            Ok(text) if !text.is_empty() => Ok(Some(text)),
            Ok(_) => Err(reason("it gives no text".to_owned())),
            Err(diagnostic) => Err(reason(diagnostic.message)),
        }
    }
}

impl StepKind {
    /// The kind's name, as `uses` writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Extract(_) => "extract",
            Self::Filter(_) => "filter",
            Self::Dedup(_) => "dedup",
            Self::Split(_) => "split",
            Self::Train(_) => "train",
            Self::Evaluate(_) => "evaluate",
            Self::Gate(_) => "gate",
            Self::Publish(_) => "publish",
            Self::Shell(_) => "shell",
        }
    }

    /// The version of what the kind computes; it goes up whenever the same settings and inputs give other bytes.
    pub fn version(&self) -> u32 {
        declaration(self.name()).map_or(0, |declaration| declaration.version)
    }

    /// The settings with all defaults filled in: what a launch document carries.
    pub fn canonical(&self) -> Value {
        match self {
            Self::Extract(settings) => serde_json::to_value(settings),
            Self::Filter(settings) => serde_json::to_value(settings),
            Self::Dedup(settings) => serde_json::to_value(settings),
            Self::Split(settings) => serde_json::to_value(settings),
            Self::Train(settings) => serde_json::to_value(settings),
            Self::Evaluate(settings) => serde_json::to_value(settings),
            Self::Gate(settings) => serde_json::to_value(settings),
            Self::Publish(settings) => serde_json::to_value(settings),
            Self::Shell(settings) => serde_json::to_value(settings),
        }
        .expect("settings have only text keys and finite numbers")
    }

    /// The part of the settings that decides the result. What an `expect` demands is judged anew in each run, and how
    /// an address is signed decides nothing.
    pub fn fingerprint_settings(&self) -> Value {
        let Self::Extract(settings) = self else { return self.canonical() };
        let mut settings = settings.clone();
        for source in settings.sources.values_mut() {
            source.source = address::identity(&source.source);
        }
        let mut settings = Self::Extract(settings).canonical();
        settings.as_object_mut().expect("settings are an object").remove("expect");
        settings
    }

    /// Whether the result depends on where the run's interval ends.
    pub fn reads_interval_end(&self) -> bool {
        match self {
            Self::Extract(settings) => settings.window.is_some() || settings.snapshot.is_some(),
            Self::Filter(settings) => {
                settings.window.is_some()
                    || settings.users.as_ref().is_some_and(|users| users.within.is_some())
            }
            Self::Split(settings) => matches!(settings.test, Cut::Span(_)),
            // A command finds the interval in its environment.
            Self::Shell(_) => true,
            Self::Dedup(_) | Self::Train(_) | Self::Evaluate(_) | Self::Gate(_) | Self::Publish(_) => false,
        }
    }
}

//! What a pipeline file looks like: the keys of the whole, and of a step.
//!
//! These types are never filled in. They declare names, prose and ranges, from which forms are made.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::alerts::Alerts;
use crate::form::Form;
use crate::kinds;
use crate::limits::Limits;
use crate::resources::Resources;
use crate::retry::Retry;
use crate::schedule::DataSpan;
use crate::schedule::file::ScheduleFile;
use crate::timeouts::Timeouts;

/// The version of the grammar that is read.
pub(crate) const GRAMMAR: u64 = 1;

/// A pipeline: when it runs, with what parameters, and the steps it is made of.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "declares, and is never filled in")]
struct PipelineFile {
    /// The version of this grammar: 1.
    noctule: u64,
    /// The pipeline's name.
    #[schemars(extend("x-noctule" = "name"))]
    pipeline: String,
    /// What it is for, in a sentence.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// When it is due. Without it, it runs when somebody runs it.
    schedule: Option<ScheduleFile>,
    /// What span of data time a run covers.
    data: Option<DataSpan>,
    /// Where attempts wait for a slot, those of the higher priority go first.
    #[schemars(range(min = -100, max = 100), extend("default" = 0))]
    priority: Option<i32>,
    /// How much of the machine the pipeline may use at a time.
    limits: Option<Limits>,
    /// Values that templates see as `params.<name>` and `--param name=value` overrides.
    params: Option<BTreeMap<String, Param>>,
    /// What holds for every step that does not say otherwise.
    defaults: Option<Defaults>,
    /// Who is told, and about what.
    alerts: Option<Alerts>,
    /// The steps by name.
    #[schemars(extend("x-noctule" = "raw"))]
    steps: BTreeMap<String, String>,
}

/// What holds for every step that does not say otherwise.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "declares, and is never filled in")]
struct Defaults {
    /// How often and when a failed attempt is tried again.
    retry: Option<Retry>,
    /// How long each phase of an attempt may take.
    timeouts: Option<Timeouts>,
    /// What an attempt may use.
    resources: Option<Resources>,
}

/// A parameter: its value, or its type with a default and a range.
struct Param;

impl JsonSchema for Param {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Param".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-noctule": "raw"})
    }
}

/// A parameter with a type.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "declares, and is never filled in")]
struct TypedParam {
    /// What its values are.
    #[schemars(rename = "type")]
    data_type: crate::params::ParamType,
    /// The value when none is given. Without it one must be given.
    #[schemars(extend("x-noctule" = "raw"))]
    default: Option<String>,
    /// The least number.
    min: Option<f64>,
    /// The greatest number.
    max: Option<f64>,
    /// The only values.
    #[schemars(extend("x-noctule" = "raw"))]
    choices: Option<Vec<String>>,
    /// What it is for.
    description: Option<String>,
}

/// A step: its kind, its settings, and how its attempts are run.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "declares, and is never filled in")]
struct StepFile {
    /// The kind of step.
    #[schemars(with = "KindName")]
    uses: String,
    /// The kind's settings.
    #[schemars(extend("x-noctule" = "raw"))]
    with: Option<String>,
    /// Steps that must have ended well before this one, beside those whose outputs it reads.
    #[schemars(extend("x-noctule" = "raw"))]
    needs: Option<Vec<String>>,
    /// Whether the step is run: `true`, `false`, or a template that gives one of them.
    #[schemars(extend("x-noctule" = "raw"))]
    when: Option<bool>,
    /// Runs the step also when what it needs has failed.
    #[schemars(extend("default" = false))]
    always: Option<bool>,
    /// Waits for an earlier attempt that cannot be seen gone, instead of running beside it.
    #[schemars(extend("default" = false))]
    exclusive: Option<bool>,
    /// A pool of the configuration, such as `gpu`: an attempt starts only when the pool has a free slot, and takes it.
    #[schemars(extend("x-noctule" = "name"))]
    pool: Option<String>,
    /// How often and when a failed attempt is tried again. What is not said here is as in `defaults`.
    retry: Option<Retry>,
    /// How long each phase of an attempt may take. What is not said here is as in `defaults`.
    timeouts: Option<Timeouts>,
    /// What an attempt may use. What is not said here is as in `defaults`.
    resources: Option<Resources>,
    /// Environment variables of the step's process: texts, or secrets as `{secret: name}`.
    #[schemars(extend("x-noctule-keys" = "variable"))]
    env: Option<BTreeMap<String, Variable>>,
    /// Labels for people and clusters.
    labels: Option<BTreeMap<String, String>>,
}

/// The name of a step kind.
struct KindName;

impl JsonSchema for KindName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KindName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Schema> = kinds::KINDS
            .iter()
            .map(|kind| json_schema!({"const": kind.name, "description": kind.summary}))
            .collect();
        json_schema!({"oneOf": kinds})
    }
}

/// The value of an environment variable: a text, or the name of a secret.
struct Variable;

impl JsonSchema for Variable {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Variable".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = crate::alerts::SecretName::json_schema(generator);
        json_schema!({
            "x-noctule": "either",
            "x-noctule-scalar": {"key": "text", "value": {"type": "string"}},
            "x-noctule-mapping": secret,
        })
    }
}

pub(crate) fn pipeline_form() -> Form {
    Form::of::<PipelineFile>()
}

pub(crate) fn step_form() -> Form {
    Form::of::<StepFile>()
}

pub(crate) fn typed_param_form() -> Form {
    Form::of::<TypedParam>()
}

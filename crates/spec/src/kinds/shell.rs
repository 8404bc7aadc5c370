//! `shell`: runs a command of the user's own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Declaration, Output, Settling};
use crate::diagnostic::Code;
use crate::form;
use crate::pipeline::StepKind;
use crate::reference::Reference;

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 1;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "shell",
    version: VERSION,
    summary: "Runs a command of the user's own.",
    prose: "\
The command finds each input in a folder named by `NOCTULE_INPUT_<NAME>`, writes its output into the folder \
`NOCTULE_OUTPUT`, and may leave a JSON object of numbers in the file `NOCTULE_METRICS`. `NOCTULE_INTERVAL_START`, \
`NOCTULE_INTERVAL_END` and `NOCTULE_SEED` say what the run covers, and `env` adds more. The output counts only when \
the command exits with 0; exit code 75 asks for another try, 65 and 78 say that trying again cannot help.",
    outputs: &[Output { name: "main", prose: "What the command wrote, in the form that `output` says." }],
    example: "\
model:
  uses: shell
  with:
    command: [python3, train.py]
    inputs: {TRAIN: split.train}
    output: model
    reuse: {files: [train.py, requirements.txt]}
",
    form: form::Form::of::<Settings>,
    settle,
};

/// What is run, on what. The command finds its inputs in the folders `NOCTULE_INPUT_<NAME>`, writes its output into
/// the folder `NOCTULE_OUTPUT`, and may leave a JSON object of numbers in the file `NOCTULE_METRICS`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A list of a program and its arguments, or one text that `sh -c` runs.
    pub command: Command,
    /// Outputs of other steps, by the name that the command finds them under.
    #[serde(default)]
    #[schemars(extend("x-noctule-keys" = "variable"))]
    pub inputs: BTreeMap<String, Reference>,
    /// What the command writes: any `files`, Parquet files of one `table`, or a `model` in the documented layout.
    #[serde(default)]
    pub output: Form,
    /// Lets an earlier result be reused as long as these files are unchanged. Without it the command runs each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// The program and its arguments.
    Argv(Vec<String>),
    /// A text for `sh -c`.
    Text(String),
}

impl JsonSchema for Command {
    fn schema_name() -> Cow<'static, str> {
        "Command".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-noctule": "either",
            "x-noctule-scalar": {"key": "text", "value": {"type": "string", "minLength": 1}},
            "x-noctule-list": {"key": "argv", "value": {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
            }},
        })
    }
}

/// What the command writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    #[default]
    Files,
    Table,
    Model,
}

/// What a result depends on beside its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reuse {
    /// Paths of files that are hashed: the program, its configuration, its lock file.
    #[schemars(length(min = 1))]
    pub files: Vec<String>,
}

fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let settings: Settings = settling.read(canonical)?;
    if let Command::Argv(argv) = &settings.command
        && argv[0].trim().is_empty()
    {
        settling.refuse(
            &["command"],
            Code::BadValue,
            "the command has no program",
            "name it first in the list",
        );
    }
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for name in settings.inputs.keys() {
        if let Some(first) = seen.insert(name.to_uppercase(), name) {
            settling.conflict(
                &["inputs", name],
                &["inputs", first],
                format!("`{name}` and `{first}` would be the same variable"),
                "give one of them another name",
            );
        }
    }
    Some(StepKind::Shell(settings))
}

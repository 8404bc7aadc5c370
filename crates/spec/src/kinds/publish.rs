//! `publish`: makes a version of the model that the gate let pass, and moves an alias to it.

use noctule_artifacts::{AliasName, ModelName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Declaration, Settling};
use crate::diagnostic::Code;
use crate::form::Form;
use crate::pipeline::StepKind;
use crate::reference::Reference;

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 1;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "publish",
    version: VERSION,
    summary: "Makes a version of the model that the gate let pass, and moves an alias to it.",
    prose: "\
A version is immutable, and its files are checked one by one against the digests of what was judged. The alias moves \
only if it still points where the gate saw it; otherwise evaluation and gate run again. A pinned alias does not move. \
A candidate that is the champion already makes no new version.",
    outputs: &[],
    example: "\
publish:
  uses: publish
  with: {model: model, gate: gate, name: home-feed, alias: champion}
",
    form: Form::of::<Settings>,
    settle,
};

/// What is published, under which name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The model: the one that the gate's evaluation judged.
    #[schemars(extend("x-noctule-role" = "model"))]
    pub model: Reference,
    /// The gate that must have passed.
    #[schemars(extend("x-noctule-role" = "gate"))]
    pub gate: Reference,
    /// The name that versions are published under.
    #[schemars(with = "String", extend("x-noctule" = "name"))]
    pub name: ModelName,
    /// The alias that is moved to the new version.
    #[schemars(with = "String", extend("x-noctule" = "name"))]
    pub alias: AliasName,
}

fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let settings: Settings = settling.read(canonical)?;
    if settings.alias.as_str().bytes().all(|b| b.is_ascii_digit()) {
        settling.refuse(
            &["alias"],
            Code::BadValue,
            format!("an alias of digits alone, `{}`, would be taken for a version", settings.alias),
            "give it a name, such as `champion`",
        );
    }
    Some(StepKind::Publish(settings))
}

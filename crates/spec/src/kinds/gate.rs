//! `gate`: judges a candidate by rules. Only what passes can be published.

use std::collections::BTreeMap;
use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Declaration, Output, Settling};
use crate::diagnostic::{Code, Diagnostic};
use crate::form::Form;
use crate::metric::Metric;
use crate::pipeline::StepKind;
use crate::reference::{ModelReference, Reference};
use crate::tree::Node;
use crate::units::{Change, Share};

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 1;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "gate",
    version: VERSION,
    summary: "Judges a candidate by rules. Only what passes can be published.",
    prose: "\
Each rule compares one metric with a bar: an absolute one (`min`, `max`), or the ratio to another model (`against` \
with `max_drop` or `min_gain`), paired user by user. With `confidence` the bar must be met by a bound of the interval, \
not by the point estimate. Any rule that fails makes the verdict `fail`, else any that is inconclusive makes it \
`inconclusive`, else it is `pass`. A missing metric, a group without enough users, a model that cannot be compared: \
never a pass.

Before the first version there is no champion, and rules against it are skipped; a gate that judged no rule does not \
pass. So give it an absolute rule too, or one against `popularity`.",
    outputs: &[Output { name: "report", prose: "`gate.json` and `gate.md`: every rule with its numbers, and what decided." }],
    example: "\
gate:
  uses: gate
  with:
    evaluation: quality
    require:
      - {metric: ndcg@20, against: popularity, min_gain: 10%, confidence: 95%}
      - {metric: ndcg@20, against: home-feed@champion, max_drop: 1%, confidence: 95%}
",
    form: Form::of::<Written>,
    settle,
};

/// Which evaluation is judged, by which rules. All must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub evaluation: Reference,
    pub require: Vec<Rule>,
}

/// One rule: a metric, a bar, and how sure one wants to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub metric: Metric,
    pub bar: Bar,
    /// One-sided confidence in (0.5, 1). Without it the point estimate decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Share>,
    /// Judges only the users of one group of the evaluation's slices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
}

/// What the candidate must reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bar {
    /// The metric is at least this.
    Min(f64),
    /// The metric is at most this.
    Max(f64),
    /// The ratio candidate/other − 1 is at least `-drop`.
    MaxDrop { against: ModelReference, drop: Share },
    /// The ratio candidate/other − 1 is at least `gain`, which is not negative and may exceed 1.
    MinGain { against: ModelReference, gain: Change },
}

impl Bar {
    /// The model compared with; `None` for an absolute bar.
    pub fn against(&self) -> Option<&ModelReference> {
        match self {
            Self::Min(_) | Self::Max(_) => None,
            Self::MaxDrop { against, .. } | Self::MinGain { against, .. } => Some(against),
        }
    }
}

/// One group of users.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// One of the evaluation's slice columns.
    pub column: String,
    /// The value of that column, as text.
    pub value: String,
}

/// `with` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The step that evaluated the candidate.
    #[schemars(extend("x-noctule-role" = "evaluation"))]
    evaluation: Reference,
    /// The rules. All must hold.
    #[schemars(length(min = 1))]
    require: Vec<WrittenRule>,
}

/// A rule as it is written: a metric, one bar, and how sure one wants to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    /// One of the evaluation's metrics.
    metric: Metric,
    /// The metric is at least this.
    #[serde(default)]
    min: Option<f64>,
    /// The metric is at most this.
    #[serde(default)]
    max: Option<f64>,
    /// One of the models that the evaluation compares with; goes with `max_drop` or `min_gain`.
    #[serde(default)]
    against: Option<ModelReference>,
    /// The candidate is at most this much worse than the other: candidate/other − 1 is at least −max_drop.
    #[serde(default)]
    max_drop: Option<Share>,
    /// The candidate is at least this much better than the other: candidate/other − 1 is at least min_gain.
    #[serde(default)]
    min_gain: Option<Change>,
    /// One-sided, above 50% and below 100%: pass when the lower bound lies above the bar, fail when the upper bound
    /// lies below it, otherwise inconclusive. Without it the point estimate decides.
    #[serde(default)]
    confidence: Option<Share>,
    /// One column of the evaluation's slices and a value, such as `{country: de}`: only these users are judged.
    #[serde(default)]
    #[schemars(extend("x-noctule-keys" = "column"))]
    slice: BTreeMap<String, String>,
}

fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let written: Written = settling.read(canonical)?;
    let nodes: Vec<Node> =
        settling.with.entry("require").map(|entry| entry.value.items().to_vec()).unwrap_or_default();
    let rules = written.require.into_iter().zip(&nodes);
    let rules: Vec<Option<Rule>> = rules.map(|(rule, node)| settle_rule(rule, node, settling)).collect();
    let require = rules.into_iter().collect::<Option<Vec<Rule>>>()?;
    Some(StepKind::Gate(Settings { evaluation: written.evaluation, require }))
}

fn settle_rule(rule: WrittenRule, node: &Node, settling: &mut Settling<'_>) -> Option<Rule> {
    let bar = bar(&rule, node, settling)?;
    let slice = slice(&rule, node, settling);
    if let Some(confidence) = rule.confidence {
        check_confidence(rule.metric, confidence, node, settling);
    }
    if !rule.metric.is_per_user() && !rule.slice.is_empty() {
        let message = format!("`{}` has one value for all users, so it takes no `slice`", rule.metric);
        settling
            .push(Diagnostic::error(Code::Conflict, message).at(key_at(node, "slice"), "").help("remove it"));
    }
    Some(Rule { metric: rule.metric, bar, confidence: rule.confidence, slice })
}

const BARS: [&str; 4] = ["min", "max", "max_drop", "min_gain"];

fn bar(rule: &WrittenRule, node: &Node, settling: &mut Settling<'_>) -> Option<Bar> {
    let given: Vec<&str> = BARS.into_iter().filter(|key| node.entry(key).is_some()).collect();
    let bar = match given[..] {
        [first, second, ..] => {
            let message = format!("a rule has one bar, and this has `{first}` and `{second}`");
            Err(Diagnostic::error(Code::Conflict, message)
                .at(key_at(node, second), "")
                .also(key_at(node, first), "")
                .help("make two rules of it; all must hold"))
        }
        _ => the_bar(rule, node),
    };
    bar.map_err(|diagnostic| settling.push(diagnostic)).ok()
}

fn the_bar(rule: &WrittenRule, node: &Node) -> Result<Bar, Diagnostic> {
    match (rule.min, rule.max, rule.max_drop, rule.min_gain) {
        (Some(min), ..) => alone(rule, node, "min").map(|()| Bar::Min(min)),
        (_, Some(max), ..) => alone(rule, node, "max").map(|()| Bar::Max(max)),
        (_, _, Some(drop), _) => {
            compared(rule, node, "max_drop").map(|against| Bar::MaxDrop { against, drop })
        }
        (_, _, _, Some(gain)) if gain.fraction() < 0.0 => {
            Err(Diagnostic::error(Code::OutOfRange, format!("`min_gain` is {gain}, which is a loss"))
                .at(value_at(node, "min_gain"), "")
                .help("write `max_drop` for a loss that is borne"))
        }
        (_, _, _, Some(gain)) => {
            compared(rule, node, "min_gain").map(|against| Bar::MinGain { against, gain })
        }
        (None, None, None, None) => Err(Diagnostic::error(Code::MissingKey, "this rule has no bar")
            .at(node.at.clone(), "")
            .help("add `min` or `max`, or `against` with `max_drop` or `min_gain`")),
    }
}

/// An absolute bar has no other model.
fn alone(rule: &WrittenRule, node: &Node, key: &str) -> Result<(), Diagnostic> {
    if rule.against.is_none() {
        return Ok(());
    }
    let message = format!("`{key}` is a bar for the candidate alone, and there is `against`");
    Err(Diagnostic::error(Code::Conflict, message)
        .at(key_at(node, key), "")
        .also(key_at(node, "against"), "")
        .help("write `max_drop` or `min_gain` with `against`"))
}

/// A relative bar has one.
fn compared(rule: &WrittenRule, node: &Node, key: &str) -> Result<ModelReference, Diagnostic> {
    rule.against.clone().ok_or_else(|| {
        Diagnostic::error(Code::MissingKey, format!("`{key}` needs a model to compare with"))
            .at(key_at(node, key), "")
            .help("add `against: popularity`, or a model such as `home-feed@champion`")
    })
}

fn slice(rule: &WrittenRule, node: &Node, settling: &mut Settling<'_>) -> Option<Slice> {
    if node.entry("slice").is_some() && rule.slice.len() != 1 {
        settling.push(
            Diagnostic::error(
                Code::OutOfRange,
                format!("a slice has one column, and this has {}", rule.slice.len()),
            )
            .at(key_at(node, "slice"), "")
            .help("write one, such as `slice: {country: de}`"),
        );
        return None;
    }
    let (column, value) = rule.slice.first_key_value()?;
    Some(Slice { column: column.clone(), value: value.clone() })
}

fn check_confidence(metric: Metric, confidence: Share, node: &Node, settling: &mut Settling<'_>) {
    let fraction = confidence.fraction();
    if !metric.is_per_user() {
        let message = format!("`{metric}` has one value for all users, so it takes no `confidence`");
        settling.push(
            Diagnostic::error(Code::Gate, message).at(key_at(node, "confidence"), "").help("remove it"),
        );
    } else if fraction <= 0.5 || fraction >= 1.0 {
        let diagnostic = Diagnostic::error(
            Code::OutOfRange,
            format!("`confidence` is {confidence}; it lies above 50% and below 100%"),
        )
        .at(value_at(node, "confidence"), "");
        let meant = Share::new(1.0 - fraction).filter(|_| fraction > 0.0 && fraction < 0.5);
        settling.push(diagnostic.maybe_help(meant.map(|meant| format!("did you mean `{meant}`?"))));
    }
}

fn key_at(node: &Node, key: &str) -> Range<usize> {
    node.entry(key).map_or_else(|| node.at.clone(), |entry| entry.key_at.clone())
}

fn value_at(node: &Node, key: &str) -> Range<usize> {
    node.entry(key).map_or_else(|| node.at.clone(), |entry| entry.value.at.clone())
}

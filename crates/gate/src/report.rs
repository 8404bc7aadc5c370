//! What the gate found: a verdict, what decided it, and every rule with its numbers.

use noctule_artifacts::Digest;
use noctule_spec::kinds::gate::Slice;
use serde::{Deserialize, Serialize};

use crate::interval::Method;

/// The version of the report's JSON form.
pub const FORMAT: u32 = 1;

/// The gate's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Pass,
    Fail,
    Inconclusive,
}

/// How one rule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleOutcome {
    Pass,
    Fail,
    Inconclusive,
    /// The model that it compares with does not exist yet.
    Skipped,
}

/// The report of one gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub format: u32,
    pub verdict: Verdict,
    /// What decided, in one sentence.
    pub decided: String,
    /// The digest of the model that was judged.
    pub candidate: Option<Digest>,
    /// Users scored.
    pub users: u64,
    pub rules: Vec<RuleReport>,
}

/// One rule and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// The rule in words.
    pub rule: String,
    pub metric: String,
    pub slice: Option<Slice>,
    /// The model compared with, as the rule names it; `None` for an absolute rule.
    pub against: Option<String>,
    /// The digest of that model, when it is one that was read.
    pub against_digest: Option<Digest>,
    pub confidence: Option<f64>,
    pub outcome: RuleOutcome,
    /// Why, in one sentence.
    pub reason: String,
    /// `None` when the rule came to no numbers.
    pub figures: Option<Figures>,
}

/// The numbers of one rule. What is not finite, or has no meaning, is absent.
///
/// `value`, `bar`, `standard_error`, the bounds and the margins are in the unit of the rule: the ratio
/// candidate/other − 1 for a rule against another model, the metric itself for an absolute one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub users: u64,
    /// Mean over the users.
    pub candidate: f64,
    pub other: Option<f64>,
    /// `candidate − other`.
    pub difference: Option<f64>,
    /// What is held against the bar.
    pub value: f64,
    pub bar: f64,
    /// Absent for a metric without a value per user.
    pub uncertainty: Option<Uncertainty>,
    /// The same comparison on the users that both models know.
    pub known_to_both: Option<Known>,
}

/// How sure the value is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uncertainty {
    pub standard_error: Option<f64>,
    /// The one-sided confidence of each bound: the rule's, or 95 % when the rule has none and the bounds only inform.
    pub confidence: f64,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
    pub method: Method,
    /// Users on whom the models differ (for an absolute rule: whose value is not zero).
    pub differing: u64,
    /// The smallest margin that these users resolve with a power of 80 %.
    pub resolvable: Option<f64>,
    /// The margin asked for: the drop that the rule allows, else the distance of the value from the bar.
    pub margin: f64,
    /// Users that would resolve that margin with a power of 80 %; never below the floor of support.
    pub users_needed: Option<u64>,
    /// For an allowed drop: how often a candidate of equal quality passes with these users.
    pub pass_if_equal: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    pub users: u64,
    pub candidate: Option<f64>,
    pub other: Option<f64>,
    /// Ratio candidate/other − 1.
    pub value: Option<f64>,
}

impl Report {
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a report has only text keys");
        bytes.push(b'\n');
        bytes
    }

    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

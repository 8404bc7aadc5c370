//! The metrics that an evaluation can compute and a gate can judge.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A metric with its cut-off, written `ndcg@20`. Definitions stand in `docs/reference/evaluate.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Metric {
    measure: Measure,
    /// How many recommendations are looked at; `None` for the whole ranking.
    k: Option<u32>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Gain 1 per hit, discount 1/log2(rank + 1), by the ideal of min(K, |truth|) hits.
    Ndcg,
    /// Hits by |truth|.
    Recall,
    /// Hits by min(K, |truth|).
    RecallCapped,
    /// Hits by K.
    Precision,
    /// Mean over |truth| of the precision at each hit.
    Map,
    /// 1 by the rank of the first hit, 0 without one.
    Mrr,
    /// 1 with a hit, 0 without.
    Hit,
    /// Area under the ROC curve over all unseen candidates.
    Auc,
    /// Distinct items recommended by candidates. One figure for all users.
    Coverage,
}

/// How a measure takes a cut-off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CutOff {
    Needed,
    Allowed,
    None,
}

/// The longest list that a cut-off may ask for.
pub const LARGEST_K: u32 = 1000;

impl Measure {
    pub const ALL: [Measure; 9] = [
        Self::Ndcg,
        Self::Recall,
        Self::RecallCapped,
        Self::Precision,
        Self::Map,
        Self::Mrr,
        Self::Hit,
        Self::Auc,
        Self::Coverage,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ndcg => "ndcg",
            Self::Recall => "recall",
            Self::RecallCapped => "recall_capped",
            Self::Precision => "precision",
            Self::Map => "map",
            Self::Mrr => "mrr",
            Self::Hit => "hit",
            Self::Auc => "auc",
            Self::Coverage => "coverage",
        }
    }

    const fn cut_off(self) -> CutOff {
        match self {
            Self::Auc => CutOff::None,
            Self::Mrr => CutOff::Allowed,
            _ => CutOff::Needed,
        }
    }
}

/// Text that is no metric: the rule it breaks, worded to follow the text in question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MetricError(pub String);

impl Metric {
    pub fn measure(self) -> Measure {
        self.measure
    }

    pub fn k(self) -> Option<u32> {
        self.k
    }

    /// Whether each user has a value of their own; a metric without is absolute and takes no confidence.
    pub fn is_per_user(self) -> bool {
        self.measure != Measure::Coverage
    }
}

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(text: &str) -> Result<Self, MetricError> {
        let (name, k) = match text.split_once('@') {
            Some((name, k)) => (name, Some(k)),
            None => (text, None),
        };
        let Some(measure) = Measure::ALL.into_iter().find(|m| m.name() == name) else {
            return Err(MetricError("is not a metric".to_owned()));
        };
        let k = match (k, measure.cut_off()) {
            (None, CutOff::Needed) => {
                return Err(MetricError(format!("needs a cut-off, such as `{name}@20`")));
            }
            (Some(_), CutOff::None) => {
                return Err(MetricError(format!("has a cut-off, and `{name}` looks at the whole ranking")));
            }
            (None, _) => None,
            (Some(k), _) => match k.parse::<u32>() {
                Ok(number @ 1..=LARGEST_K) if !k.starts_with(['+', '0']) => Some(number),
                _ => return Err(MetricError(format!("has a cut-off that is not within 1 to {LARGEST_K}"))),
            },
        };
        Ok(Self { measure, k })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.k {
            Some(k) => f.pad(&format!("{}@{k}", self.measure.name())),
            None => f.pad(self.measure.name()),
        }
    }
}

impl TryFrom<String> for Metric {
    type Error = MetricError;

    fn try_from(text: String) -> Result<Self, MetricError> {
        text.parse().map_err(|MetricError(why)| MetricError(format!("`{text}` {why}")))
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.to_string()
    }
}

impl JsonSchema for Metric {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Metric".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "x-noctule": "metric"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        for text in ["ndcg@20", "recall_capped@1", "mrr", "mrr@10", "auc", "coverage@1000"] {
            assert_eq!(text.parse::<Metric>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_metric_is_refused_with_a_reason() {
        for (text, reason) in [
            ("ndcg", "needs a cut-off"),
            ("ndcg@0", "within 1 to 1000"),
            ("ndcg@1001", "within 1 to 1000"),
            ("ndcg@020", "within 1 to 1000"),
            ("ndcg@", "within 1 to 1000"),
            ("auc@10", "whole ranking"),
            ("roc", "is not a metric"),
            ("", "is not a metric"),
        ] {
            let error = text.parse::<Metric>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

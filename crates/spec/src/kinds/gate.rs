//! `gate`: judges a candidate by rules. Only what passes can be published.

use serde::{Deserialize, Serialize};

use crate::metric::Metric;
use crate::reference::{ModelReference, Reference};
use crate::units::{Change, Share};

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

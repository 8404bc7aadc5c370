//! What an evaluation leaves for the gate and for people: `evaluation.json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::{Digest, VersionNumber};
use noctule_gate::TableIdentity;
use noctule_spec::metric::Metric;
use noctule_spec::reference::ModelReference;
use serde::{Deserialize, Serialize};

use crate::model::Form;

/// The version of the JSON form.
pub(crate) const FORMAT: u32 = 1;

pub(crate) const REPORT: &str = "report";
pub(crate) const USERS: &str = "users";
pub(crate) const REPORT_FILE: &str = "evaluation.json";

/// One evaluation: what was ranked for whom, and how well each model did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub format: u32,
    pub candidate: ModelReference,
    pub metrics: Vec<Metric>,
    pub universe: UniverseFacts,
    pub split: SplitFound,
    /// The candidate first, then the models compared with, in the order of the settings.
    pub models: Vec<ModelReport>,
    /// Models to compare with that do not exist yet.
    pub absent: Vec<ModelReference>,
    /// Groups of users; absent when none were asked for.
    pub slices: Option<SlicesReport>,
}

/// Users, items and rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UniverseFacts {
    /// Users with a test row whose item is a candidate.
    pub test_users: u64,
    /// Of these, the ones that were scored.
    pub scored_users: u64,
    /// The salt of the sample, when not all were scored.
    pub salt: Option<String>,
    /// Items with a row in the history.
    pub candidate_items: u64,
    pub history_rows: u64,
    pub test_rows: u64,
    /// Test rows whose item has no row in the history: no model could have ranked them.
    pub dropped_unknown_item: u64,
}

/// How history and test lie to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitFound {
    pub history: TableIdentity,
    pub history_until: Option<Timestamp>,
    /// The earliest time of a test row, when no history row is later: the split is by time.
    pub test_start: Option<Timestamp>,
}

/// One model and its figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    pub reference: ModelReference,
    /// `None` for the popularity baseline.
    pub digest: Option<Digest>,
    /// For a published model.
    pub version: Option<VersionNumber>,
    pub form: Form,
    /// The tables it was trained on; `None` for the baseline, which is counted over the history.
    pub trained_on: Option<Vec<TableIdentity>>,
    pub trained_until: Option<Timestamp>,
    /// Scored users that it has factors for; `None` for a model that scores all users alike.
    pub known_users: Option<u64>,
    /// Candidate items that it knows.
    pub known_items: u64,
    pub figures: BTreeMap<Metric, FigureReport>,
    /// The same over the users that the candidate and this model know, where not both know all.
    pub on_users_known_to_both: Option<BTreeMap<Metric, FigureReport>>,
}

/// A mean over users.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FigureReport {
    /// `None` when no user has a value.
    pub mean: Option<f64>,
    /// Of the mean; `None` for a metric without a value per user, and for fewer than two users.
    pub standard_error: Option<f64>,
    /// Users with a value.
    pub users: u64,
}

/// Figures by group of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlicesReport {
    pub min_users: u64,
    pub columns: Vec<String>,
    /// The groups of at least `min_users`.
    pub groups: Vec<GroupReport>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    pub column: String,
    pub value: String,
    pub users: u64,
    /// By model, in the order of [`Evaluation::models`].
    pub figures: Vec<BTreeMap<Metric, FigureReport>>,
}

/// The column of the users table with a model's values of a metric.
pub(crate) fn value_column(model: &ModelReference, metric: Metric) -> String {
    format!("{model}/{metric}")
}

/// The column that says which users a model knows.
pub(crate) fn known_column(model: &ModelReference) -> String {
    format!("{model}/known")
}

/// The column of an attribute of the users.
pub(crate) fn slice_column(column: &str) -> String {
    format!("slice/{column}")
}

impl FigureReport {
    /// The figure of some users' values; NaN stands for a user without one.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
        let n = values.len() as f64;
        if values.is_empty() {
            return Self { mean: None, standard_error: None, users: 0 };
        }
        let mean = noctule_gate::ratio::mean(&values);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        Self { mean: Some(mean), standard_error, users: values.len() as u64 }
    }
}

impl Evaluation {
    pub fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("an evaluation has only text keys");
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_the_textbook_standard_error() {
        let figure = FigureReport::of([1.0, f64::NAN, 2.0, 3.0, 4.0].into_iter());
        assert_eq!((figure.mean, figure.users), (Some(2.5), 4));
        assert!((figure.standard_error.unwrap() - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-15);
        assert_eq!(FigureReport::of([0.5].into_iter()).standard_error, None);
        assert_eq!(FigureReport::of(std::iter::empty()).mean, None);
    }
}

//! What a gate judges: scores of several models for the same users, and what makes them comparable.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use noctule_artifacts::{Digest, OutputName};
use noctule_spec::metric::Metric;
use noctule_spec::reference::ModelReference;
use serde::{Deserialize, Serialize};

/// One evaluation: a candidate and the models it is compared with, scored on the same users and the same truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Number of users scored; every per-user column has this many values, in one order.
    pub users: usize,
    pub split: SplitFacts,
    pub candidate: Scored,
    pub compared: BTreeMap<ModelReference, Compared>,
    pub slices: Slices,
}

/// How the test rows were set apart.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitFacts {
    /// The rows that tonight's candidate was to be trained on.
    pub train: TableIdentity,
    /// The first instant of the test rows under a split by time; `None` under any other.
    pub test_start: Option<Timestamp>,
}

/// A table, whoever made it: an output of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableIdentity {
    /// The digest of the artifact.
    pub artifact: Digest,
    pub output: OutputName,
}

/// A model that the evaluation was told to compare with.
#[derive(Debug, Clone, PartialEq)]
pub enum Compared {
    /// The alias points nowhere yet.
    Absent,
    Scored(Box<Scored>),
}

/// One model's scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The digest of the model artifact; `None` for the baseline, which is counted and not read.
    pub digest: Option<Digest>,
    pub training: Training,
    /// One value per user; `None` where the metric's definition gives none, which depends on the user and not on the
    /// model. Such users are left out of a rule.
    pub per_user: BTreeMap<Metric, Vec<Option<f64>>>,
    /// One value for all users.
    pub absolute: BTreeMap<Metric, f64>,
    /// Whether the model knows each user; empty when it was not asked.
    pub known: Vec<bool>,
}

/// What a model was made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Training {
    /// Counted over the evaluation's own history: never newer than the test rows.
    History,
    /// Trained on tables of its own.
    Tables {
        read: BTreeSet<TableIdentity>,
        /// The latest time among the rows; `None` when the rows have no time or the model does not say.
        until: Option<Timestamp>,
    },
}

/// Groups of users.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slices {
    /// A group of fewer users lacks support.
    pub min_users: u64,
    /// By column, each user's value; `None` for a user without one.
    pub columns: BTreeMap<String, Vec<Option<String>>>,
}

impl Training {
    /// Why a model's scores on these test rows cannot be trusted; `None` when they can.
    ///
    /// A model has not seen the test rows when it was trained on the rows that the split set aside for training, or,
    /// under a split by time, on rows that all lie before the test rows. Equal times are before: a split by time breaks
    /// ties by user and item.
    pub fn incomparable(&self, split: &SplitFacts) -> Option<String> {
        let Self::Tables { read, until } = self else {
            return None;
        };
        if read.contains(&split.train) {
            return None;
        }
        match (split.test_start, until) {
            (Some(start), Some(until)) if *until <= start => None,
            (Some(start), Some(until)) => Some(format!(
                "its training data reach to {until}, past the start of the test span at {start}"
            )),
            (Some(_), None) => Some(
                "it does not say how far its training data reach, so it may have seen the test rows; \
                 its card needs `data.until`"
                    .to_owned(),
            ),
            (None, _) => Some(
                "the split is not by time, and it was trained on other rows than tonight's training rows, so it may \
                 have seen the test rows"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str) -> TableIdentity {
        TableIdentity { artifact: Digest::of(name.as_bytes()), output: "train".parse().unwrap() }
    }

    fn trained(on: &str, until: Option<i64>) -> Training {
        Training::Tables {
            read: BTreeSet::from([table(on)]),
            until: until.map(|s| Timestamp::from_second(s).unwrap()),
        }
    }

    #[test]
    fn under_a_split_by_time_the_end_of_the_training_data_decides() {
        let split =
            SplitFacts { train: table("tonight"), test_start: Some(Timestamp::from_second(100).unwrap()) };
        assert_eq!(trained("tonight", None).incomparable(&split), None);
        assert_eq!(trained("yesterday", Some(99)).incomparable(&split), None);
        assert_eq!(trained("yesterday", Some(100)).incomparable(&split), None);
        assert_eq!(
            trained("tomorrow", Some(101)).incomparable(&split).unwrap(),
            "its training data reach to 1970-01-01T00:01:41Z, past the start of the test span at 1970-01-01T00:01:40Z"
        );
        assert!(trained("foreign", None).incomparable(&split).unwrap().contains("data.until"));
        assert_eq!(Training::History.incomparable(&split), None);
    }

    #[test]
    fn under_any_other_split_only_the_same_training_rows_will_do() {
        let split = SplitFacts { train: table("tonight"), test_start: None };
        assert_eq!(trained("tonight", Some(500)).incomparable(&split), None);
        assert!(trained("yesterday", Some(1)).incomparable(&split).unwrap().contains("not by time"));
        assert_eq!(Training::History.incomparable(&split), None);
    }
}

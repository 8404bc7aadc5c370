//! The words for metrics: `ndcg@20`, `mrr`, `auc`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Cutoff, Metric, PerUser};

/// Why a word names no metric.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MetricError {
    #[error("`{word}` is no metric; did you mean `{nearest}`?")]
    Unknown { word: String, nearest: String },
    #[error("`{word}` needs a cut-off, such as `{word}@20`")]
    NoCutoff { word: String },
    #[error("`{word}`: a cut-off is a whole number from 1 to {}, such as `{name}@20`", u32::MAX)]
    BadCutoff { word: String, name: &'static str },
    #[error("`{word}`: {name} has no cut-off; write `{name}`")]
    NeedlessCutoff { word: String, name: &'static str },
}

/// How a name turns into a metric, with the cut-off that it takes.
enum Form {
    Required(fn(Cutoff) -> Metric),
    Optional(fn(Option<Cutoff>) -> Metric),
    Without(Metric),
}

const FORMS: [(&str, Form); 9] = [
    ("ndcg", Form::Required(|k| Metric::PerUser(PerUser::Ndcg(k)))),
    ("recall", Form::Required(|k| Metric::PerUser(PerUser::Recall(k)))),
    ("recall_capped", Form::Required(|k| Metric::PerUser(PerUser::RecallCapped(k)))),
    ("precision", Form::Required(|k| Metric::PerUser(PerUser::Precision(k)))),
    ("map", Form::Required(|k| Metric::PerUser(PerUser::Map(k)))),
    ("mrr", Form::Optional(|k| Metric::PerUser(PerUser::Mrr(k)))),
    ("hit", Form::Required(|k| Metric::PerUser(PerUser::Hit(k)))),
    ("auc", Form::Without(Metric::PerUser(PerUser::Auc))),
    ("coverage", Form::Required(Metric::Coverage)),
];

impl FromStr for Metric {
    type Err = MetricError;

    fn from_str(word: &str) -> Result<Self, MetricError> {
        let (name, cutoff) = match word.split_once('@') {
            Some((name, cutoff)) => (name, Some(cutoff)),
            None => (word, None),
        };
        let Some((name, form)) = FORMS.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(word, name, cutoff));
        };
        let bad = || MetricError::BadCutoff { word: word.to_owned(), name };
        let cutoff = cutoff.map(|k| read_cutoff(k).ok_or_else(bad));
        match (form, cutoff) {
            (Form::Required(build), Some(k)) => Ok(build(k?)),
            (Form::Required(_), None) => Err(MetricError::NoCutoff { word: word.to_owned() }),
            (Form::Optional(build), k) => Ok(build(k.transpose()?)),
            (Form::Without(metric), None) => Ok(*metric),
            (Form::Without(_), Some(_)) => Err(MetricError::NeedlessCutoff { word: word.to_owned(), name }),
        }
    }
}

/// Digits alone: `u32` would also read a leading `+`, and zeros would not come back from `Display`.
fn read_cutoff(text: &str) -> Option<Cutoff> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    plain.then(|| text.parse().ok().and_then(Cutoff::new)).flatten()
}

fn unknown(word: &str, name: &str, cutoff: Option<&str>) -> MetricError {
    let name = name.to_lowercase();
    // A word that holds a metric's name whole (`roc_auc`) is close, whatever stands around it.
    let likeness =
        |known: &str| strsim::jaro_winkler(&name, known).max(if name.contains(known) { 0.9 } else { 0.0 });
    let (nearest, form) = FORMS
        .iter()
        .max_by(|left, right| likeness(left.0).total_cmp(&likeness(right.0)))
        .expect("there are metrics");
    let nearest = match (form, cutoff.and_then(read_cutoff)) {
        (Form::Without(_), _) | (Form::Optional(_), None) => (*nearest).to_owned(),
        (_, Some(k)) => format!("{nearest}@{}", k.get()),
        (Form::Required(_), None) => format!("{nearest}@20"),
    };
    MetricError::Unknown { word: word.to_owned(), nearest }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerUser(metric) => metric.fmt(f),
            Self::Coverage(k) => write!(f, "coverage@{}", k.get()),
        }
    }
}

impl fmt::Display for PerUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, k) = match self {
            Self::Ndcg(k) => ("ndcg", Some(k)),
            Self::Recall(k) => ("recall", Some(k)),
            Self::RecallCapped(k) => ("recall_capped", Some(k)),
            Self::Precision(k) => ("precision", Some(k)),
            Self::Map(k) => ("map", Some(k)),
            Self::Mrr(k) => ("mrr", k.as_ref()),
            Self::Hit(k) => ("hit", Some(k)),
            Self::Auc => ("auc", None),
        };
        match k {
            Some(k) => write!(f, "{name}@{}", k.get()),
            None => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_as_it_was() {
        for word in [
            "ndcg@20",
            "recall@10",
            "recall_capped@20",
            "precision@5",
            "map@20",
            "mrr@20",
            "mrr",
            "hit@10",
            "auc",
            "coverage@20",
            "ndcg@4294967295",
        ] {
            let metric: Metric = word.parse().expect(word);
            assert_eq!(metric.to_string(), word);
        }
    }

    #[test]
    fn a_wrong_word_gets_the_right_one() {
        let message = |word: &str| word.parse::<Metric>().unwrap_err().to_string();
        assert_eq!(message("ndgc@10"), "`ndgc@10` is no metric; did you mean `ndcg@10`?");
        assert_eq!(message("NDCG@20"), "`NDCG@20` is no metric; did you mean `ndcg@20`?");
        assert_eq!(message("hitrate"), "`hitrate` is no metric; did you mean `hit@20`?");
        assert_eq!(message("roc_auc"), "`roc_auc` is no metric; did you mean `auc`?");
        assert_eq!(message("ndcg"), "`ndcg` needs a cut-off, such as `ndcg@20`");
        assert_eq!(message("auc@5"), "`auc@5`: auc has no cut-off; write `auc`");
        for word in
            ["ndcg@0", "ndcg@", "ndcg@+5", "ndcg@05", "ndcg@-1", "ndcg@2.5", "ndcg@4294967296", "mrr@x"]
        {
            assert!(message(word).contains("a cut-off is a whole number from 1 to"), "{word}");
        }
        assert!(message("").contains("is no metric"));
    }
}

//! `evaluate`: scores a candidate and the models it is compared with, in one pass over the same users.

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

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 2;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "evaluate",
    version: VERSION,
    summary: "Scores a candidate, and the models it is compared with, in one pass over the same users.",
    prose: "\
Every item with a row in `history` is ranked for every test user, items that the user has in `history` left out; equal \
scores go by item id. All models get the same users, truth and exclusions. A model that does not know a user answers \
with its own popularity; an item that it does not know is a miss.

Metrics are plain means over users. T is the user's set of test items, K the cut-off, a hit an item of T among the \
first K: `ndcg@K` is the sum of 1/log2(rank + 1) over hits, by the same sum over ranks 1 to min(K, |T|); `recall@K` \
is hits by |T|, `recall_capped@K` by min(K, |T|), `precision@K` by K; `map@K` is the sum of precision at each hit by \
|T|; `mrr` is 1 by the rank of the first hit, with `@K` 0 beyond K; `hit@K` is 1 with a hit; `auc` is the area under \
the ROC curve over unseen candidates. `coverage@K` is the share of candidates that anybody is recommended: one figure, \
with no value per user.",
    outputs: &[
        Output { name: "report", prose: "`evaluation.json`: every model's metrics." },
        Output { name: "users", prose: "Per user and model each metric, as `<model>/<metric>`." },
    ],
    example: "\
quality:
  uses: evaluate
  with:
    model: model
    history: split.train
    test: split.test
    compare: [home-feed@champion, popularity]
    metrics: [ndcg@20, recall@20]
",
    form: Form::of::<Settings>,
    settle,
};

/// What is evaluated, on what, against what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The candidate.
    pub model: ModelReference,
    /// What each user has seen, which items are candidates, and what popularity counts: usually the training rows.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub history: Reference,
    /// The rows to predict.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub test: Reference,
    /// Models to score beside the candidate: `name@alias`, `name@3`, a step, or `popularity`. An alias that points
    /// nowhere yet is left out, and said to be.
    #[serde(default)]
    pub compare: Vec<ModelReference>,
    /// What to compute.
    #[schemars(length(min = 1))]
    pub metrics: Vec<Metric>,
    /// How many users are scored at most.
    #[serde(default)]
    pub users: UserSample,
    /// Groups of users to score by themselves as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<Slices>,
}

/// How many users are scored at most. The same are chosen for all models, by a salted hash of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserSample {
    /// Up to this many users all are scored.
    #[serde(default = "hundred_thousand")]
    #[schemars(range(min = 1))]
    pub sample: u64,
    /// Another salt chooses other users.
    #[serde(default)]
    pub salt: String,
}

fn hundred_thousand() -> u64 {
    100_000
}

impl Default for UserSample {
    fn default() -> Self {
        Self { sample: hundred_thousand(), salt: String::new() }
    }
}

/// Groups of users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slices {
    /// A table with the column `user` and an attribute of the user per column.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub users: Reference,
    /// The attributes to group by, each by itself.
    #[schemars(length(min = 1))]
    pub columns: Vec<String>,
    /// A group of fewer test users lacks support.
    #[serde(default = "two_hundred")]
    #[schemars(range(min = 1))]
    pub min_users: u64,
}

fn two_hundred() -> u64 {
    200
}

fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let settings: Settings = settling.read(canonical)?;
    if settings.model == ModelReference::Popularity {
        settling.refuse(
            &["model"],
            Code::BadValue,
            "`popularity` is the baseline to compare with, not a candidate",
            "name a step that trains; `train` has `algorithm: popularity`",
        );
    }
    if settings.history == settings.test {
        settling.refuse(
            &["test"],
            Code::Conflict,
            format!(
                "`test` and `history` are both `{}`: what a user has seen is never recommended",
                settings.test
            ),
            "use the `train` and `test` outputs of a split",
        );
    }
    let compare = settings.compare.iter().map(ToString::to_string).collect::<Vec<_>>();
    let metrics = settings.metrics.iter().map(ToString::to_string).collect::<Vec<_>>();
    refuse_repeated("compare", &compare, settling);
    refuse_repeated("metrics", &metrics, settling);
    if let Some(index) = settings.compare.iter().position(|model| *model == settings.model) {
        let at = item_place("compare", index, settling);
        let message = format!("`{}` is compared with itself", settings.model);
        settling.push(Diagnostic::error(Code::Conflict, message).at(at, "").help("remove it here"));
    }
    Some(StepKind::Evaluate(settings))
}

fn refuse_repeated(key: &str, words: &[String], settling: &mut Settling<'_>) {
    for (index, word) in words.iter().enumerate() {
        if let Some(first) = words[..index].iter().position(|earlier| earlier == word) {
            let diagnostic =
                Diagnostic::error(Code::Conflict, format!("`{word}` is listed twice in `{key}`"))
                    .at(item_place(key, index, settling), "again here")
                    .also(item_place(key, first, settling), "first here");
            settling.push(diagnostic);
        }
    }
}

fn item_place(key: &str, index: usize, settling: &Settling<'_>) -> Range<usize> {
    let list = settling.with.entry(key).map(|entry| &entry.value);
    list.and_then(|list| list.items().get(index))
        .map_or_else(|| settling.place(&[key]), |item| item.at.clone())
}

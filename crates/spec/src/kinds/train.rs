//! `train`: makes a model of interactions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Declaration, Output, Settling};
use crate::diagnostic::Code;
use crate::form::Form;
use crate::metric::Metric;
use crate::pipeline::StepKind;
use crate::reference::Reference;

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 1;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "train",
    version: VERSION,
    summary: "Makes a model of interactions.",
    prose: "\
`ials` factorises the interactions with implicit alternating least squares, as in Rendle, Krichene, Zhang, Koren 2021, \
\"Revisiting the Performance of iALS on Item Recommendation Benchmarks\": every row is a positive of weight 1 (a column \
`value` is ignored), every other pair weighs `unobserved_weight`. `popularity` counts; it is the baseline, and what \
every model answers with for a user that it does not know.

The same rows, settings and seed give the same bits, whatever the number of threads.",
    outputs: &[Output { name: "main", prose: "The model, in the documented layout." }],
    example: "\
model:
  uses: train
  with: {input: split.train, algorithm: ials, factors: 128}
  resources: {cpu: 8, memory: 32Gi}
",
    form: Form::of::<Settings>,
    settle,
};

/// What is trained, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The interactions: a table with the columns `user` and `item`, one row per pair.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub input: Reference,
    /// What kind of model.
    pub algorithm: Algorithm,
    /// Numbers per user and per item.
    #[serde(default = "defaults::factors")]
    #[schemars(range(min = 1, max = 2048))]
    pub factors: u32,
    /// Passes over the data.
    #[serde(default = "defaults::epochs")]
    #[schemars(range(min = 1, max = 10000))]
    pub epochs: u32,
    /// The weight of the penalty on large factors.
    #[serde(default = "defaults::regularisation")]
    #[schemars(range(min = 0.000000001, max = 1_000_000.0))]
    pub regularisation: f64,
    /// How strongly the penalty grows with how often a user or an item occurs: 0 not at all, 1 in proportion.
    #[serde(default = "defaults::nu")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub nu: f64,
    /// The weight of a pair that was not observed, against 1 for one that was.
    #[serde(default = "defaults::unobserved_weight")]
    #[schemars(range(min = 0.000000001, max = 1_000_000.0))]
    pub unobserved_weight: f64,
    /// The spread of the random start; each factor gets it divided by the square root of `factors`.
    #[serde(default = "defaults::init_stddev")]
    #[schemars(range(min = 0.000000001, max = 1000.0))]
    pub init_stddev: f64,
    /// A column that multiplies the observed term of each row. Without it every row weighs 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub weight: Option<String>,
    /// The seed of the random start.
    #[serde(default = "defaults::seed")]
    pub seed: u64,
    /// Stops when a metric on validation rows no longer improves, and keeps the best epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<EarlyStop>,
}

/// What kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// Implicit alternating least squares (Rendle, Krichene, Zhang, Koren 2021).
    Ials,
    /// The number of interactions of each item: the baseline.
    Popularity,
}

/// When to stop early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStop {
    /// The rows to watch: usually the `validation` output of a split.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub validation: Reference,
    /// The metric to watch.
    #[serde(default = "defaults::watched")]
    pub metric: Metric,
    /// How many epochs without improvement are borne.
    #[serde(default = "defaults::patience")]
    #[schemars(range(min = 1, max = 1000))]
    pub patience: u32,
}

mod defaults {
    use crate::metric::Metric;

    pub(super) fn factors() -> u32 {
        64
    }

    pub(super) fn epochs() -> u32 {
        16
    }

    pub(super) fn regularisation() -> f64 {
        0.003
    }

    pub(super) fn nu() -> f64 {
        1.0
    }

    pub(super) fn unobserved_weight() -> f64 {
        0.1
    }

    pub(super) fn init_stddev() -> f64 {
        0.1
    }

    pub(super) fn seed() -> u64 {
        42
    }

    pub(super) fn watched() -> Metric {
        "ndcg@20".parse().expect("it is a metric")
    }

    pub(super) fn patience() -> u32 {
        2
    }
}

/// The settings that only factor models have.
const OF_FACTOR_MODELS: [&str; 9] = [
    "factors",
    "epochs",
    "regularisation",
    "nu",
    "unobserved_weight",
    "init_stddev",
    "weight",
    "seed",
    "early_stop",
];

fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let settings: Settings = settling.read(canonical)?;
    if settings.algorithm == Algorithm::Popularity {
        for key in OF_FACTOR_MODELS {
            if settling.is_written(key) {
                settling.warn(
                    &[key],
                    format!("`{key}` has no effect: `popularity` only counts"),
                    "remove it",
                );
            }
        }
    } else if settings.init_stddev == 0.0 {
        settling.refuse(
            &["init_stddev"],
            Code::OutOfRange,
            "`init_stddev` is 0, and factors that start at zero stay there",
            "use a small number, such as `0.1`",
        );
    }
    Some(StepKind::Train(settings))
}

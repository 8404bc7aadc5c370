//! `split`: sets interactions apart for training, test and validation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Declaration, Output, Settling};
use crate::diagnostic::{Code, Diagnostic};
use crate::form::Form;
use crate::pipeline::StepKind;
use crate::reference::Reference;
use crate::units::Cut;

/// Goes up whenever the same settings and inputs give other bytes.
pub const VERSION: u32 = 2;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "split",
    version: VERSION,
    summary: "Sets interactions apart for training, test and validation.",
    prose: "\
The same rows and settings give the same split, whatever the order of the rows: ties in time are broken by user and \
item. Test rows whose user or item has no training row are dropped and counted. An empty test set, a pair on both \
sides, and training rows later than the test under `by: time` are errors.

Under `by: time` a pair lies where it was first seen: by its `first_time`, which `dedup` writes, where the table has \
one, else by its `time`. What a user watched in the training span and again on the test day is thus a training row, and \
never a test row: last night's model has learnt it, and tonight's would not. Such a row has its `first_time` as `time`, \
so that no side tells more than was known at its end, and is counted as `test_repeated_pair` (or \
`validation_repeated_pair`); its other columns stay as they are. A pair that the window no longer shows in training is \
new to it. The other ways to split look at rows alone.",
    outputs: &[
        Output { name: "train", prose: "The rows to learn from." },
        Output { name: "test", prose: "The rows to predict." },
        Output {
            name: "validation",
            prose: "With `validation`: rows cut from the training rows, for choosing settings.",
        },
    ],
    example: "\
split:
  uses: split
  with: {input: active, by: time, test: 1d}
",
    form: Form::of::<Settings>,
    settle,
};

/// What a split does. Test rows whose user or item has no training row are dropped and counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The interactions: a table with the columns `user` and `item`, and `time` under `by: time` and `by: last`.
    #[schemars(extend("x-noctule-role" = "table"))]
    pub input: Reference,
    /// What decides which rows are test rows.
    pub by: By,
    /// How much becomes test. Under `by: time` a span before the interval's end (`1d`) or a share of the rows
    /// (`10%`); under `random` a share of the rows; under `user` a share of the users; under `last` it is `last`.
    #[serde(default = "last")]
    pub test: Cut,
    /// How much of the training rows becomes validation, cut the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Cut>,
    /// The seed of `by: random` and `by: user`.
    #[serde(default)]
    pub seed: u64,
}

fn last() -> Cut {
    Cut::Last
}

/// What decides which rows are test rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The latest rows are test; ties in time are broken by user and item.
    Time,
    /// Rows are drawn at random.
    Random,
    /// Each user's latest row is test, if the user has at least two.
    Last,
    /// All rows of users drawn at random are test.
    User,
}

fn settle(canonical: Value, settling: &mut Settling<'_>) -> Option<StepKind> {
    let settings: Settings = settling.read(canonical)?;
    if settings.by != By::Last && !settling.is_written("test") {
        settling.refuse(
            &["by"],
            Code::MissingKey,
            "`split` has no `test`",
            "say how much becomes test, such as `test: 10%`",
        );
    } else {
        check_cut(settings.by, settings.test, "test", settling);
    }
    if let Some(validation) = settings.validation {
        check_cut(settings.by, validation, "validation", settling);
    }
    if settling.is_written("seed") && matches!(settings.by, By::Time | By::Last) {
        settling.warn(&["seed"], "`seed` has no effect: nothing is drawn at random here", "");
    }
    Some(StepKind::Split(settings))
}

/// Each way of splitting has its own measure.
fn check_cut(by: By, cut: Cut, key: &str, settling: &mut Settling<'_>) {
    let (fits, measure) = match by {
        By::Time => (cut != Cut::Last, "a span of time or a share of the rows, such as `1d` or `10%`"),
        By::Random => (matches!(cut, Cut::Share(_)), "a share of the rows, such as `10%`"),
        By::User => (matches!(cut, Cut::Share(_)), "a share of the users, such as `10%`"),
        By::Last => (cut == Cut::Last, "each user's `last` row"),
    };
    if !fits {
        let message = format!("`{key}` is `{cut}`; under this `by` it is {measure}");
        let diagnostic = Diagnostic::error(Code::Conflict, message)
            .at(settling.place(&[key]), "")
            .also(settling.place(&["by"]), "");
        settling.push(diagnostic);
        return;
    }
    let (empty, whole) = match cut {
        Cut::Span(span) => (span.is_zero(), false),
        Cut::Share(share) => (share.fraction() == 0.0, share.fraction() == 1.0),
        Cut::Last => (false, false),
    };
    if empty || whole {
        let what = if empty { "nothing" } else { "everything" };
        settling.refuse(&[key], Code::OutOfRange, format!("`{key}` is `{cut}`, which sets {what} apart"), "");
    }
}

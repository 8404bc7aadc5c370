//! `evaluate`: scores a candidate and the models it is compared with, in one pass over the same users.

mod contender;
mod memory;
mod slices;
mod universe;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use noctule_artifacts::Outcome;
use noctule_artifacts::manifest::OutputForm;
use noctule_gate::TableIdentity;
use noctule_recsys::interactions::InteractionsError;
use noctule_recsys::metrics::Metric as Computed;
use noctule_recsys::rank::{Figure, RankError, Tally, Universe, UniverseError, rank};
use noctule_spec::kinds::evaluate::Settings;
use noctule_spec::metric::Metric;
use noctule_spec::reference::ModelReference;

use crate::StepResult;
use crate::attempt::Attempt;
use crate::error::{Class, Classed, StepError};
use crate::evaluation::{
    Evaluation, FORMAT, FigureReport, GroupReport, ModelReport, REPORT, REPORT_FILE, SlicesReport,
    SplitFound, USERS, UniverseFacts, known_column, slice_column, value_column,
};
use crate::interactions::InteractionTable;
use crate::pool::pool;

use contender::{Contender, Found};
use memory::{Heard, check_memory};
use slices::SliceColumn;
use universe::Scene;

pub use memory::extent_of;

#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error(
        "no test user is left: none of the {rows} test rows has an item with a row in the history; are `history` and `test` of one split?"
    )]
    NoUsers { rows: usize },
    #[error(
        "user {user} has item {item} both in the history and in the test rows: what a user has seen is never recommended, so the test rows leak; use the outputs of one split"
    )]
    Leak { user: String, item: String },
    #[error("the models cannot be ranked: {0}")]
    Universe(#[from] UniverseError),
    #[error("the models cannot be ranked: {0}")]
    Rank(#[from] RankError),
    #[error("the rows cannot be indexed: {0}")]
    Interactions(#[from] InteractionsError),
    #[error("`{word}` cannot be computed: {cause}")]
    Metric { word: String, cause: noctule_recsys::metrics::MetricError },
    #[error(
        "the launch document does not say what `{reference}` points at: start the step again through a run"
    )]
    Unresolved { reference: String },
    #[error("the candidate `{reference}` does not exist: no version of it is published")]
    NoCandidate { reference: String },
    #[error(
        "version {version} of {model} in the store has digest {found}, and the registry names {expected}: the store is not the registry's, or was altered"
    )]
    OtherVersion { model: String, version: u32, found: String, expected: String },
    #[error(
        "the user {user} stands in `{table}` twice, with different values of `{column}`; give each user one row"
    )]
    AmbiguousSlice { table: String, user: String, column: String },
    #[error("a result could not be put together: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("the report could not be written: {0}")]
    Write(std::io::Error),
}

impl Classed for EvaluateError {
    fn class(&self) -> Class {
        match self {
            Self::NoUsers { .. } | Self::Leak { .. } | Self::Universe(_) | Self::Rank(_) => Class::Data,
            Self::Interactions(_) | Self::OtherVersion { .. } | Self::AmbiguousSlice { .. } => Class::Data,
            Self::Metric { .. } | Self::Unresolved { .. } | Self::NoCandidate { .. } => Class::Configuration,
            Self::Arrow(_) | Self::Write(_) => Class::Other,
        }
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let (found, absent) = find(attempt, &settings).await?;
    // What is told of the inputs comes first, so that nothing is read in vain; then what is found in them.
    check_memory(attempt, &settings, &Heard::of_inputs(attempt, &settings).await?, &found)?;
    let scene = Scene::read(attempt, &settings).await?;
    check_memory(attempt, &settings, &Heard::of_scene(&scene), &found)?;
    let contenders =
        found.into_iter().map(|found| Contender::read(found, &scene)).collect::<Result<Vec<_>, _>>()?;
    let slices = match &settings.slices {
        Some(slices) => SliceColumn::read_all(attempt, slices, &scene.users).await?,
        None => Vec::new(),
    };
    let figures = score(attempt, &settings, &scene, &contenders)?;
    let reports = model_reports(&settings, &contenders, &figures);
    for report in &reports {
        for (metric, figure) in &report.figures {
            if let Some(mean) = figure.mean {
                attempt.emit.metric(&value_column(&report.reference, *metric), mean);
            }
        }
    }
    write_users(attempt, &settings, &scene, &contenders, &figures, &slices)?;
    let slices = settings.slices.as_ref().map(|asked| SlicesReport {
        min_users: asked.min_users,
        columns: asked.columns.clone(),
        groups: slices
            .iter()
            .flat_map(|column| groups(column, &settings, &figures))
            .filter(|group| group.users >= asked.min_users)
            .collect(),
    });
    let evaluation = Evaluation {
        format: FORMAT,
        candidate: settings.model.clone(),
        metrics: settings.metrics.clone(),
        universe: scene.facts.clone(),
        split: scene.split.clone(),
        models: reports,
        absent,
        slices,
    };
    let report = REPORT.parse().expect("it is an output name");
    let path = attempt.create(&report, REPORT_FILE)?;
    std::fs::write(path, evaluation.to_json()).map_err(EvaluateError::Write)?;
    attempt.declare(&report, OutputForm::Report);
    Ok(Outcome::Ok)
}

/// The candidate and the models it is compared with; and those that do not exist yet.
async fn find(
    attempt: &Attempt,
    settings: &Settings,
) -> Result<(Vec<Found>, Vec<ModelReference>), StepError> {
    let candidate = Found::find(attempt, &settings.model).await?;
    let candidate =
        candidate.ok_or_else(|| EvaluateError::NoCandidate { reference: settings.model.to_string() })?;
    let (mut found, mut absent) = (vec![candidate], Vec::new());
    for reference in &settings.compare {
        match Found::find(attempt, reference).await? {
            Some(model) => found.push(model),
            None => {
                attempt.emit.note(&format!("{reference} does not exist yet, so it is not compared with"));
                absent.push(reference.clone());
            }
        }
    }
    Ok((found, absent))
}

/// Ranks all candidate items for all scored users by all models, and gives the figures by model and metric.
fn score(
    attempt: &Attempt,
    settings: &Settings,
    scene: &Scene,
    contenders: &[Contender],
) -> Result<Vec<Vec<Figure>>, StepError> {
    let metrics = settings.metrics.iter().map(|metric| computed(*metric)).collect::<Result<Vec<_>, _>>()?;
    let universe = Universe::new(&scene.history, &scene.truth, &scene.candidates)
        .map_err(|error| scene.explain(error))?;
    let models: Vec<_> = contenders.iter().map(Contender::model).collect();
    let mut tally = Tally::new(&universe, models.len(), &metrics);
    let total = universe.n_users() as u64;
    let emit = &attempt.emit;
    pool(attempt.launch.resources.threads)?
        .install(|| {
            rank(&universe, &models, Tally::list_length(&metrics), &mut |chunk| {
                tally.add(chunk);
                emit.progress(chunk.users().end as u64, Some(total), "users");
                ControlFlow::Continue(())
            })
        })
        .map_err(EvaluateError::from)?;
    Ok(tally.finish(&universe))
}

fn computed(metric: Metric) -> Result<Computed, EvaluateError> {
    let word = metric.to_string();
    word.parse().map_err(|cause| EvaluateError::Metric { word, cause })
}

/// A figure, over the users for whom `counts` holds.
fn figure(figure: &Figure, counts: impl Fn(usize) -> bool) -> FigureReport {
    match &figure.per_user {
        Some(values) => FigureReport::of(
            values.iter().enumerate().filter(|(user, _)| counts(*user)).map(|(_, value)| *value),
        ),
        None => FigureReport {
            mean: Some(figure.value).filter(|value| value.is_finite()),
            standard_error: None,
            users: figure.support as u64,
        },
    }
}

fn model_reports(settings: &Settings, contenders: &[Contender], figures: &[Vec<Figure>]) -> Vec<ModelReport> {
    let candidate = &contenders[0];
    let report = |contender: &Contender, of_model: &Vec<Figure>| {
        let over = |counts: &dyn Fn(usize) -> bool, per_user_only: bool| {
            let named = settings.metrics.iter().zip(of_model);
            named
                .filter(|(_, found)| !per_user_only || found.per_user.is_some())
                .map(|(metric, found)| (*metric, figure(found, counts)))
                .collect::<BTreeMap<_, _>>()
        };
        let some_unknown = !contender.knows_all() || !candidate.knows_all();
        ModelReport {
            reference: contender.reference.clone(),
            digest: contender.digest,
            version: contender.version,
            form: contender.form(),
            trained_on: contender.trained_on.clone(),
            trained_until: contender.trained_until,
            known_users: contender.known_users(),
            known_items: contender.known_items(),
            figures: over(&|_| true, false),
            on_users_known_to_both: some_unknown
                .then(|| over(&|user| contender.knows(user) && candidate.knows(user), true)),
        }
    };
    contenders.iter().zip(figures).map(|(contender, of_model)| report(contender, of_model)).collect()
}

fn groups(column: &SliceColumn, settings: &Settings, figures: &[Vec<Figure>]) -> Vec<GroupReport> {
    let of_group = |value: &String| {
        let inside = |user: usize| column.values[user].as_ref() == Some(value);
        let per_model = figures.iter().map(|of_model| {
            let named = settings.metrics.iter().zip(of_model).filter(|(_, found)| found.per_user.is_some());
            named.map(|(metric, found)| (*metric, figure(found, inside))).collect()
        });
        GroupReport {
            column: column.name.clone(),
            value: value.clone(),
            users: column.values.iter().filter(|found| found.as_ref() == Some(value)).count() as u64,
            figures: per_model.collect(),
        }
    };
    column.distinct().iter().map(of_group).collect()
}

/// The table of per-user values, which the gate judges.
fn write_users(
    attempt: &mut Attempt,
    settings: &Settings,
    scene: &Scene,
    contenders: &[Contender],
    figures: &[Vec<Figure>],
    slices: &[SliceColumn],
) -> Result<(), StepError> {
    let mut fields = vec![scene.users.field("user")];
    let mut arrays = vec![scene.users.to_array()];
    for (contender, of_model) in contenders.iter().zip(figures) {
        for (metric, found) in settings.metrics.iter().zip(of_model) {
            let Some(values) = &found.per_user else { continue };
            let values: Float64Array =
                values.iter().map(|value| (!value.is_nan()).then_some(*value)).collect();
            fields.push(Field::new(value_column(&contender.reference, *metric), DataType::Float64, true));
            arrays.push(Arc::new(values) as ArrayRef);
        }
        if contender.known_users().is_some() {
            let known: Vec<bool> = (0..scene.users.len()).map(|user| contender.knows(user)).collect();
            fields.push(Field::new(known_column(&contender.reference), DataType::Boolean, false));
            arrays.push(Arc::new(BooleanArray::from(known)));
        }
    }
    for slice in slices {
        fields.push(Field::new(slice_column(&slice.name), DataType::Utf8, true));
        arrays.push(Arc::new(StringArray::from(slice.values.clone())));
    }
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(EvaluateError::from)?;
    let mut output = attempt.table_output(USERS, schema)?;
    output.writer.write(&batch)?;
    attempt.finish(output)?;
    Ok(())
}

/// The table behind a reference, as the gate and the cards name it.
pub(crate) fn identity(attempt: &Attempt, reference: &str) -> Result<TableIdentity, StepError> {
    let input = attempt.input(reference)?;
    Ok(TableIdentity { artifact: input.digest, output: input.output.clone() })
}

pub(crate) fn split_found(
    history: TableIdentity,
    history_rows: &InteractionTable,
    test_rows: &InteractionTable,
) -> SplitFound {
    let history_until = history_rows.until();
    let test_from = test_rows.span.map(|(first, _)| first);
    let test_start = match (history_until, test_from) {
        (Some(until), Some(from)) if until <= from => Some(from),
        _ => None,
    };
    SplitFound { history, history_until, test_start }
}

pub(crate) fn facts(scene: &universe::Counts, salt: &str) -> UniverseFacts {
    UniverseFacts {
        test_users: scene.test_users,
        scored_users: scene.scored_users,
        salt: (scene.scored_users < scene.test_users).then(|| salt.to_owned()),
        candidate_items: scene.candidate_items,
        history_rows: scene.history_rows,
        test_rows: scene.test_rows,
        dropped_unknown_item: scene.dropped_unknown_item,
    }
}

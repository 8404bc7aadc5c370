//! `train`: makes a model of interactions.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use noctule_artifacts::{Outcome, OutputName};
use noctule_gate::TableIdentity;
use noctule_recsys::interactions::{Interactions, InteractionsError};
use noctule_recsys::train::ials::{
    EpochReport, Extent, Factors, Ials, IalsError, IalsSettings, SettingsError,
};
use noctule_recsys::train::popularity;
use noctule_spec::kinds::train::{Algorithm, Settings};
use serde_json::Value;

use crate::StepResult;
use crate::attempt::Attempt;
use crate::emit::Emit;
use crate::error::{Class, Classed, StepError};
use crate::interactions::InteractionTable;
use crate::memory::{Need, grouped};
use crate::model::{self, Card, DataFacts, FactorTables, Form, LAYOUT, Tables};
use crate::pool::pool;
use crate::watch::Watch;

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the training ended: {0}")]
    Ials(#[from] IalsError),
    #[error(transparent)]
    Interactions(#[from] InteractionsError),
}

impl Classed for TrainError {
    fn class(&self) -> Class {
        match self {
            Self::Settings(_) => Class::Configuration,
            Self::Ials(_) | Self::Interactions(_) => Class::Data,
        }
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let reference = settings.input.to_string();
    let table = attempt.table(&reference).await?;
    let budget = attempt.budget()?;
    let given = attempt.launch.resources.memory_bytes;
    // What is told of the input comes first, so that nothing is read in vain; then what is found in it.
    let (users, items) = attempt.told_counts(&reference).await?;
    let (users, items) = (users.unwrap_or(0), items.unwrap_or(0));
    let threads = attempt.launch.resources.threads;
    need(&settings, sizes(&settings, [users, items, table.rows()], threads), 8 * (users + items))
        .check(given)?;
    let rows = InteractionTable::read(&table, settings.weight.as_deref(), "train on", &budget)?;
    let found = [rows.users.len() as u64, rows.items.len() as u64, rows.rows() as u64];
    let id_bytes = rows.users.bytes() + rows.items.bytes();
    need(&settings, sizes(&settings, found, threads), id_bytes).check(given)?;
    let pairs = Interactions::from_pairs(
        &rows.user_of,
        &rows.item_of,
        rows.weights.as_deref(),
        rows.users.len(),
        rows.items.len(),
    )
    .map_err(TrainError::from)?;
    for (name, count) in [("rows", rows.rows()), ("users", rows.users.len()), ("items", rows.items.len())] {
        attempt.emit.count(name, count as u64);
    }
    let counts = popularity(&pairs);
    let (factors, training) = match settings.algorithm {
        Algorithm::Popularity => (None, BTreeMap::new()),
        Algorithm::Ials => {
            let watch = watch(attempt, &settings, &rows).await?;
            let (factors, training) = ials(attempt, &settings, &pairs, watch)?;
            (Some(factors), training)
        }
    };
    let card = card(attempt, &settings, &reference, &rows, training)?;
    let tables = Tables {
        items: rows.items,
        counts,
        factors: factors.map(|Factors { users, items }| FactorTables {
            users: rows.users,
            user_factors: users,
            item_factors: items,
        }),
    };
    model::write(attempt, &OutputName::main(), &card, &tables)?;
    Ok(Outcome::Ok)
}

fn sizes(settings: &Settings, [users, items, pairs]: [u64; 3], threads: u32) -> Extent {
    let factors = match settings.algorithm {
        Algorithm::Ials => u64::from(settings.factors),
        Algorithm::Popularity => 0,
    };
    Extent { users, items, pairs, weighted: settings.weight.is_some(), factors, threads: u64::from(threads) }
}

/// What a training holds: the rows as indices and by user and item, and the factors, twice when the best epoch is kept
/// beside the current one.
fn need(settings: &Settings, sizes: Extent, id_bytes: u64) -> Need {
    let Extent { users, items, pairs, weighted, factors, .. } = sizes;
    let memory = sizes.memory();
    let of = match (grouped(pairs), users + items) {
        (rows, 0) => format!("{rows} rows"),
        (rows, _) => format!("{rows} rows of {} users and {} items", grouped(users), grouped(items)),
    };
    let (doing, instead) = match settings.algorithm {
        Algorithm::Ials => (
            format!("training on {of} with {factors} factors"),
            "use fewer `factors`, or train on fewer rows",
        ),
        Algorithm::Popularity => (format!("counting {of}"), "train on fewer rows"),
    };
    let rows = InteractionTable::bytes(pairs, weighted) + id_bytes + memory.pairs;
    let need = Need::new(doing, instead).and("rows", rows);
    if settings.algorithm == Algorithm::Popularity {
        return need;
    }
    let need = need.and("factor tables", memory.tables).and("equations", memory.turned + memory.matrices);
    match settings.early_stop {
        Some(_) => need.and("the best epoch's tables", memory.tables + 4 * factors * items),
        None => need,
    }
}

/// What watches the training, when the settings ask for it.
async fn watch(
    attempt: &Attempt,
    settings: &Settings,
    rows: &InteractionTable,
) -> Result<Option<Watch>, StepError> {
    let Some(early_stop) = &settings.early_stop else { return Ok(None) };
    let table = attempt.table(&early_stop.validation.to_string()).await?;
    let validation = InteractionTable::read(&table, None, "validate on", &attempt.budget()?)?;
    Ok(Some(Watch::new(early_stop, rows, &validation, &attempt.emit)?))
}

fn ials(
    attempt: &Attempt,
    settings: &Settings,
    pairs: &Interactions,
    mut watch: Option<Watch>,
) -> Result<(Factors, BTreeMap<String, Value>), StepError> {
    let trainer = Ials::new(IalsSettings {
        factors: settings.factors as usize,
        epochs: settings.epochs,
        regularisation: settings.regularisation,
        nu: settings.nu,
        unobserved_weight: settings.unobserved_weight,
        init_stddev: settings.init_stddev,
        seed: settings.seed,
    })
    .map_err(TrainError::from)?;
    let pool = pool(attempt.launch.resources.threads)?;
    let emit = &attempt.emit;
    let mut started = Instant::now();
    let mut watching = Ok(());
    let trained = pool.install(|| {
        trainer.fit(pairs, None, &mut |report: &EpochReport, factors: &Factors| {
            tell(emit, report, settings.epochs, started.elapsed().as_secs_f64());
            let flow = match watch.as_mut().map(|watch| watch.look(report.epoch, factors, emit)) {
                None => ControlFlow::Continue(()),
                Some(Ok(flow)) => flow,
                Some(Err(error)) => {
                    watching = Err(error);
                    ControlFlow::Break(())
                }
            };
            started = Instant::now();
            flow
        })
    });
    let trained = trained.map_err(TrainError::from)?;
    watching?;
    let mut training = BTreeMap::from([("epochs".to_owned(), Value::from(trained.epoch))]);
    let factors = match watch.and_then(Watch::into_best) {
        None => trained.factors,
        Some(best) => {
            emit.count("best_epoch", u64::from(best.epoch));
            training.insert("best_epoch".to_owned(), Value::from(best.epoch));
            training.insert(best.metric, Value::from(best.value));
            best.factors
        }
    };
    Ok((factors, training))
}

fn tell(emit: &Emit, report: &EpochReport, epochs: u32, seconds: f64) {
    let epoch = u64::from(report.epoch);
    emit.series("loss", epoch, report.loss);
    emit.series("epoch_seconds", epoch, seconds);
    emit.progress(epoch, Some(u64::from(epochs)), "epochs");
}

fn card(
    attempt: &Attempt,
    settings: &Settings,
    reference: &str,
    rows: &InteractionTable,
    training: BTreeMap<String, Value>,
) -> Result<Card, StepError> {
    let input = attempt.input(reference)?;
    // Names of steps are the pipeline's, and no part of what was computed.
    let mut parameters: BTreeMap<String, Value> = match serde_json::to_value(settings) {
        Ok(Value::Object(settings)) => settings.into_iter().collect(),
        _ => unreachable!("settings are a JSON object"),
    };
    parameters.remove("input");
    parameters.remove("algorithm");
    if settings.algorithm == Algorithm::Popularity {
        parameters.clear();
    }
    Ok(Card {
        layout: LAYOUT,
        form: match settings.algorithm {
            Algorithm::Ials => Form::Factors,
            Algorithm::Popularity => Form::Counts,
        },
        algorithm: match settings.algorithm {
            Algorithm::Ials => "ials".to_owned(),
            Algorithm::Popularity => "popularity".to_owned(),
        },
        fingerprint: attempt.launch.fingerprint.digest().to_string(),
        parameters,
        data: DataFacts {
            rows: Some(rows.rows() as u64),
            users: Some(rows.users.len() as u64),
            items: Some(rows.items.len() as u64),
            read: vec![TableIdentity { artifact: input.digest, output: input.output.clone() }],
            from: rows.span.map(|(first, _)| first),
            until: rows.until(),
        },
        training,
        ids: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_said_before_the_work() {
        let settings: Settings = serde_json::from_value(
            serde_json::json!({"input": "split.train", "algorithm": "ials", "factors": 128}),
        )
        .unwrap();
        let sizes = Extent {
            users: 1_000_000,
            items: 500_000,
            pairs: 10_000_000,
            weighted: false,
            factors: 128,
            threads: 2,
        };
        assert!(need(&settings, sizes, 12_000_000).check(2 << 30).is_ok());
        let error = need(&settings, sizes, 12_000_000).check(1 << 30).unwrap_err();
        insta::assert_snapshot!(error, @"training on 10,000,000 rows of 1,000,000 users and 500,000 items with 128 factors needs about 1,459 MiB (factor tables 733 MiB, equations 492 MiB, rows 187 MiB, the program itself 48 MiB), and `resources.memory` gives it 1,024 MiB: raise it to 1536Mi, or use fewer `factors`, or train on fewer rows");
        assert_eq!(error.class().exit_code(), 78);
    }
}

//! `dedup`: makes one interaction of repeated ones, and one item of near-duplicates.
//!
//! Repeated events go first, then near-duplicate items are joined and interactions rewritten to the one that stays,
//! then repeated pairs of user and item are settled. Rows keep their order.

mod near;

use arrow::array::{Array, ArrayRef, BooleanArray};
use noctule_artifacts::Outcome;
use noctule_spec::kinds::dedup::{Pairs, Settings};
use noctule_tables::rows::{ItemMap, Keep, PairRule, drop_repeated, resolve_pairs};
use noctule_tables::{Budget, Table};

use crate::StepResult;
use crate::attempt::Attempt;
use crate::error::{Class, Classed, StepError};
use near::Joined;

#[derive(Debug, thiserror::Error)]
pub enum DedupError {
    #[error("`{0}` has no rows: there is nothing to learn from; look at the steps before")]
    NoRows(String),
    #[error(
        "the column `{column}` of `{table}` has type {found}, and texts are compared: map it with `type: text` where it is extracted"
    )]
    NotText { table: String, column: String, found: String },
    #[error("items cannot be compared: {0}")]
    Similar(#[from] noctule_recsys::similar::SimilarError),
}

impl Classed for DedupError {
    fn class(&self) -> Class {
        match self {
            DedupError::NoRows(_) | DedupError::Similar(_) => Class::Data,
            DedupError::NotText { .. } => Class::Configuration,
        }
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let table = attempt.table(&settings.input.to_string()).await?;
    if table.rows() == 0 {
        return Err(DedupError::NoRows(table.name().to_owned()).into());
    }
    let catalogue = match &settings.items {
        Some(reference) => Some(attempt.table(&reference.to_string()).await?),
        None => None,
    };
    let budget = attempt.budget()?;
    attempt.emit.count("rows_before", table.rows());

    let mut keep = Keep::all(table.rows());
    if let Some(repeated) = &settings.repeated {
        let key: Vec<&str> = repeated.key.0.iter().map(String::as_str).collect();
        drop_repeated(&table, &key, &mut keep, &budget)?;
        attempt.emit.count("repeated_events", table.rows() - keep.count());
    }
    let joined = match (&settings.near, &catalogue) {
        (Some(near), Some(catalogue)) => Some(near::join(attempt, near, catalogue).await?),
        _ => None,
    };
    let map = joined.as_ref().map_or(Ok(ItemMap::Identity), Joined::map)?;
    write_interactions(attempt, &table, &keep, &map, settings.pairs, &budget)?;
    if let Some(joined) = &joined {
        joined.write(attempt)?;
    }
    if let Some(catalogue) = &catalogue {
        write_catalogue(attempt, catalogue, joined.as_ref(), &budget)?;
    }
    attempt.emit.count("spilled_bytes", budget.spilled());
    Ok(Outcome::Ok)
}

fn write_interactions(
    attempt: &mut Attempt,
    table: &Table,
    keep: &Keep,
    map: &ItemMap,
    pairs: Option<Pairs>,
    budget: &Budget,
) -> Result<(), StepError> {
    let (emit, total) = (attempt.emit.clone(), table.rows());
    let progress = |rows| emit.progress(total + rows, Some(2 * total), "rows");
    let rows = match pairs {
        Some(rule) => {
            let resolved = resolve_pairs(table, keep, map, pair_rule(rule), budget)?;
            attempt.emit.count("repeated_pairs", keep.count() - resolved.keep.count());
            let mut output = attempt.table_output("main", resolved.schema(table.schema()))?;
            resolved.write(table, map, budget, &mut output.writer, progress)?;
            attempt.finish(output)?
        }
        None => {
            let mut output = attempt.table_output("main", table.schema().clone())?;
            let mut first = 0;
            for batch in table.scan_all(budget.threads())? {
                let batch = batch?;
                output.writer.write_where(&map.apply(&batch)?, &keep.mask(first, batch.num_rows()))?;
                first += batch.num_rows() as u64;
                progress(first);
            }
            attempt.finish(output)?
        }
    };
    attempt.emit.count("rows", rows);
    Ok(())
}

fn pair_rule(rule: Pairs) -> PairRule {
    match rule {
        Pairs::KeepLatest => PairRule::KeepLatest,
        Pairs::KeepFirst => PairRule::KeepFirst,
        Pairs::KeepMax => PairRule::KeepMax,
        Pairs::Sum => PairRule::Sum,
        Pairs::Count => PairRule::Count,
    }
}

/// The catalogue of the items that stay: those that another one stands for go.
fn write_catalogue(
    attempt: &mut Attempt,
    catalogue: &Table,
    joined: Option<&Joined>,
    budget: &Budget,
) -> Result<(), StepError> {
    let mut output = attempt.table_output("items", catalogue.schema().clone())?;
    let column = catalogue.schema().index_of("item").map_err(noctule_tables::Error::from)?;
    for batch in catalogue.scan_all(budget.threads())? {
        let batch = batch?;
        let stays = match joined {
            Some(joined) => joined.stays(batch.column(column)),
            None => all(batch.column(column)),
        };
        output.writer.write_where(&batch, &stays)?;
    }
    attempt.finish(output)?;
    Ok(())
}

fn all(column: &ArrayRef) -> BooleanArray {
    BooleanArray::from(vec![true; column.len()])
}

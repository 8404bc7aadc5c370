//! Near-duplicate items: which id stands for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use noctule_artifacts::OutputName;
use noctule_artifacts::launch::Input;
use noctule_recsys::similar::{Method, NearDuplicates, canonical};
use noctule_spec::kinds::dedup::{Near, NearMethod};
use noctule_tables::Table;
use noctule_tables::rows::ItemMap;

use super::DedupError;
use crate::attempt::Attempt;
use crate::error::{Class, StepError};
use crate::pool::pool;

/// The name under which an attempt reads the ids that its last good run kept.
const EARLIER: &str = "canonical ids of the last good run";

/// An item id: numbers are ordered as numbers, texts byte by byte. The least id is the oldest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Number(i64),
    Text(String),
}

/// Every item of the catalogue, and the one that stands for it.
pub(super) struct Joined {
    standing: BTreeMap<Id, Id>,
}

/// Finds near-duplicates in the catalogue and names the one of each group that stays.
pub(super) async fn join(attempt: &mut Attempt, near: &Near, catalogue: &Table) -> Result<Joined, StepError> {
    let pinned = earlier(attempt).await?;
    let (ids, texts) = read(catalogue, near)?;
    let search = NearDuplicates {
        method: match near.method {
            NearMethod::Auto => Method::Auto,
            NearMethod::Exact => Method::Exact,
            NearMethod::Minhash => Method::MinHash,
        },
        ..NearDuplicates::new(near.jaccard)
    };
    let fields: Vec<Vec<&str>> =
        texts.iter().map(|texts| texts.iter().map(String::as_str).collect()).collect();
    let found =
        pool(attempt.launch.resources.threads)?.install(|| search.find(&fields)).map_err(DedupError::from)?;
    let marks: Vec<bool> = ids.iter().map(|id| pinned.contains(id)).collect();
    let named = canonical(&found.pairs, &ids, &marks);

    let emit = &attempt.emit;
    emit.count("items_before", ids.len() as u64);
    emit.count("near_pairs", found.pairs.len() as u64);
    emit.count("near_pairs_vetoed", found.counts.vetoed);
    emit.count("near_groups", named.groups as u64);
    emit.count("items_replaced", named.replaced as u64);
    emit.count("items_chained", named.chained as u64);
    emit.count("items_without_text", found.counts.empty as u64);
    if found.counts.approximate {
        emit.note("pairs were found by MinHash, which may miss a few in a hundred at the threshold");
    }
    let standing = named
        .item
        .iter()
        .enumerate()
        .map(|(item, &stands)| (ids[item].clone(), ids[stands as usize].clone()));
    Ok(Joined { standing: standing.collect() })
}

/// The ids that stood for themselves in the last good run: they stay what they were.
async fn earlier(attempt: &mut Attempt) -> Result<BTreeSet<Id>, StepError> {
    let Some(last) = attempt.launch.last_good.clone() else { return Ok(BTreeSet::new()) };
    let output: OutputName = "canonical".parse().expect("a valid name");
    let input =
        Input { step: attempt.launch.step.clone(), output, manifest: last.manifest, digest: last.digest };
    attempt.launch.inputs.insert(EARLIER.to_owned(), input);
    let table = match attempt.table(EARLIER).await {
        Ok(table) => table,
        Err(error) if matches!(error.class, Class::Data | Class::Configuration) => {
            attempt.emit.note(&format!(
                "the ids that run {} kept cannot be read any more, so the oldest id of each group stays: {error}",
                last.run
            ));
            return Ok(BTreeSet::new());
        }
        Err(error) => return Err(error),
    };
    let mut pinned = BTreeSet::new();
    for batch in table.scan(&["item", "canonical"], 1)? {
        let batch = batch?;
        let (items, standing) = (ids_of(batch.column(0)), ids_of(batch.column(1)));
        pinned.extend(
            items
                .into_iter()
                .zip(standing)
                .filter(|(item, stands)| item == stands)
                .filter_map(|(item, _)| item),
        );
    }
    Ok(pinned)
}

/// The ids and texts of the catalogue in the order of ids; of an id that stands twice, the first row.
fn read(catalogue: &Table, near: &Near) -> Result<(Vec<Id>, Vec<Vec<String>>), StepError> {
    for column in &near.columns {
        let found = catalogue.column_type(column)?;
        if found != &DataType::Utf8 {
            let (table, column) = (catalogue.name().to_owned(), column.clone());
            return Err(DedupError::NotText { table, column, found: found.to_string() }.into());
        }
    }
    let columns: Vec<&str> = std::iter::once("item").chain(near.columns.iter().map(String::as_str)).collect();
    let mut items: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    for batch in catalogue.scan(&columns, 1)? {
        let batch = batch?;
        let texts: Vec<_> = batch.columns()[1..].iter().map(|column| column.as_string::<i32>()).collect();
        for (row, id) in ids_of(batch.column(0)).into_iter().enumerate() {
            let Some(id) = id else { continue };
            items.entry(id).or_insert_with(|| {
                texts
                    .iter()
                    .map(|column| if column.is_null(row) { "" } else { column.value(row) }.to_owned())
                    .collect()
            });
        }
    }
    Ok(items.into_iter().unzip())
}

/// The ids of a column; `None` where there is none.
fn ids_of(column: &ArrayRef) -> Vec<Option<Id>> {
    match column.data_type() {
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(|id| id.map(Id::Number)).collect(),
        DataType::Utf8 => {
            column.as_string::<i32>().iter().map(|id| id.map(|id| Id::Text(id.to_owned()))).collect()
        }
        _ => vec![None; column.len()],
    }
}

fn column(ids: impl Iterator<Item = Id>, text: bool) -> ArrayRef {
    if text {
        let ids = ids.map(|id| match id {
            Id::Text(text) => text,
            Id::Number(number) => number.to_string(),
        });
        return Arc::new(StringArray::from_iter_values(ids));
    }
    Arc::new(Int64Array::from_iter_values(ids.filter_map(|id| match id {
        Id::Number(number) => Some(number),
        Id::Text(_) => None,
    })))
}

impl Joined {
    fn columns(&self, wanted: impl Fn(&Id, &Id) -> bool) -> (ArrayRef, ArrayRef) {
        let text = self.standing.keys().next().is_some_and(|id| matches!(id, Id::Text(_)));
        let rows = || self.standing.iter().filter(|(item, stands)| wanted(item, stands));
        (
            column(rows().map(|(item, _)| item.clone()), text),
            column(rows().map(|(_, stands)| stands.clone()), text),
        )
    }

    /// What interactions are rewritten by.
    pub(super) fn map(&self) -> Result<ItemMap, StepError> {
        let (items, standing) = self.columns(|item, stands| item != stands);
        if items.is_empty() {
            return Ok(ItemMap::Identity);
        }
        Ok(ItemMap::from_columns(&items, &standing)?)
    }

    /// Which rows of a catalogue stay.
    pub(super) fn stays(&self, items: &ArrayRef) -> BooleanArray {
        let stays = |id: &Option<Id>| match id {
            Some(id) => self.standing.get(id).is_none_or(|stands| stands == id),
            None => true,
        };
        BooleanArray::from(ids_of(items).iter().map(stays).collect::<Vec<_>>())
    }

    /// Writes each item and the one that stands for it, in the order of ids.
    pub(super) fn write(&self, attempt: &mut Attempt) -> Result<(), StepError> {
        let (items, standing) = self.columns(|_, _| true);
        let kind = items.data_type().clone();
        let schema = Arc::new(Schema::new(vec![
            Field::new("item", kind.clone(), false),
            Field::new("canonical", kind, false),
        ]));
        let mut output = attempt.table_output("canonical", schema.clone())?;
        let batch =
            RecordBatch::try_new(schema, vec![items, standing]).map_err(noctule_tables::Error::from)?;
        output.writer.write(&batch)?;
        attempt.finish(output)?;
        Ok(())
    }
}

//! One row for each pair of user and item.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use hashbrown::HashTable;

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::normal::time_type;
use crate::rows::buckets::{Buckets, spread};
use crate::rows::coded::{check_time, times};
use crate::rows::first::{FIRST_TIME, FirstTimes, OfRow, Told, first_times, tells_first_time};
use crate::rows::ids::{Dictionary, IdColumn, id_kind};
use crate::rows::keep::Keep;
use crate::rows::log::{Log, LogReader, Record};
use crate::rows::rewrite::ItemMap;
use crate::table::Table;
use crate::write::TableWriter;

/// Which row of a pair stays, and what becomes of its `value`.
///
/// Where this leaves a tie, the later time wins, then the greater value, then the later row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairRule {
    /// The row with the latest `time`.
    KeepLatest,
    /// The row with the earliest `time`; of several at that time the first.
    KeepFirst,
    /// The row with the greatest `value`.
    KeepMax,
    /// The row with the latest `time`, with the sum of the pair's values, added in the order of the rows.
    Sum,
    /// The row with the latest `time`, with the number of the pair's rows.
    Count,
}

/// A row of a pair, as the rules see it.
#[derive(Clone, Copy)]
struct Candidate<F> {
    user: u64,
    item: u64,
    time: i64,
    value: f64,
    row: u64,
    told: F,
}

impl<F: Record> Record for Candidate<F> {
    const BYTES: usize = 40 + F::BYTES;

    fn put(self, out: &mut Vec<u8>) {
        self.user.put(out);
        self.item.put(out);
        self.time.put(out);
        self.value.put(out);
        self.row.put(out);
        self.told.put(out);
    }

    fn get(bytes: &[u8]) -> Self {
        Self {
            user: u64::get(bytes),
            item: u64::get(&bytes[8..]),
            time: i64::get(&bytes[16..]),
            value: f64::get(&bytes[24..]),
            row: u64::get(&bytes[32..]),
            told: F::get(&bytes[40..]),
        }
    }
}

impl<F: Told> Candidate<F> {
    fn first(&self) -> i64 {
        self.told.first(self.time)
    }
}

/// The rows that stay, one for each pair; the new `value` of each where the rule makes one, and the time of the
/// pair's first row where rows have times.
pub struct Resolved {
    pub keep: Keep,
    totals: Option<Log<f64>>,
    first_times: Option<FirstTimes>,
}

impl PairRule {
    fn totals(self) -> bool {
        matches!(self, PairRule::Sum | PairRule::Count)
    }

    /// Whether `new` takes the place of `old`, which stands before it.
    #[inline]
    fn prefers<F>(self, new: &Candidate<F>, old: &Candidate<F>) -> bool {
        let later = || new.time.cmp(&old.time);
        let greater = || new.value.total_cmp(&old.value);
        match self {
            PairRule::KeepFirst => new.time < old.time,
            PairRule::KeepMax => greater().then_with(later) != Ordering::Less,
            PairRule::KeepLatest | PairRule::Sum | PairRule::Count => {
                later().then_with(greater) != Ordering::Less
            }
        }
    }

    /// Whether the output tells when a pair was first seen. The row that is kept under `KeepFirst` does so itself.
    fn notes_first_time(self, table: &Table) -> Result<bool> {
        let told = tells_first_time(table)?;
        Ok(table.has_column("time") && (told || self != PairRule::KeepFirst))
    }

    fn check(self, table: &Table) -> Result<()> {
        if self != PairRule::KeepMax && self != PairRule::Count || table.has_column("time") {
            check_time(table)?;
        }
        let valued = table.has_column("value");
        if self == PairRule::KeepMax || self == PairRule::Sum || valued {
            let found = table.column_type("value")?;
            if !matches!(found, DataType::Float64 | DataType::Int64) {
                return Err(Error::ColumnType {
                    place: table.name().to_owned(),
                    column: "value".to_owned(),
                    found: found.to_string(),
                    wanted: "a number".to_owned(),
                    remedy: "map it with `type: float` where it is extracted".to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Picks one of the rows of each pair, among those of `keep`, with items taken for what `map` makes of them.
///
/// # Errors
/// A column that the rule needs is missing or of the wrong type.
pub fn resolve_pairs(
    table: &Table,
    keep: &Keep,
    map: &ItemMap,
    rule: PairRule,
    budget: &Budget,
) -> Result<Resolved> {
    rule.check(table)?;
    if table.has_column("time") && tells_first_time(table)? {
        resolve::<i64>(table, keep, map, rule, budget)
    } else {
        resolve::<()>(table, keep, map, rule, budget)
    }
}

fn resolve<F: Told>(
    table: &Table,
    keep: &Keep,
    map: &ItemMap,
    rule: PairRule,
    budget: &Budget,
) -> Result<Resolved> {
    let buckets = candidates::<F>(table, keep, map, budget)?;
    let mut kept = Keep::none(table.rows());
    let mut totals = rule.totals().then(|| Buckets::<OfRow<f64>>::new(budget, keep.count()));
    let mut earlier =
        rule.notes_first_time(table)?.then(|| Buckets::<OfRow<i64>>::new(budget, keep.count() / 4));
    let mut best = Vec::new();
    // Buckets by the row's uppermost bits come back in the order of rows.
    let row_shift = table.rows().max(1).leading_zeros();
    buckets.drain(|bucket| {
        settle_bucket(rule, bucket, &mut best);
        for winner in &best {
            let row = winner.candidate.row;
            kept.add_row(row);
            if let Some(totals) = &mut totals {
                let value = if rule == PairRule::Count { winner.count as f64 } else { winner.sum };
                totals.add(row << row_shift, OfRow { row, value });
            }
            if let Some(earlier) = &mut earlier
                && winner.first < winner.candidate.first()
            {
                earlier.add(row << row_shift, OfRow { row, value: winner.first });
            }
        }
        earlier.as_mut().map_or(Ok(()), Buckets::settle)?;
        totals.as_mut().map_or(Ok(()), Buckets::settle)
    })?;
    let mut resolved = Resolved { keep: kept, totals: None, first_times: None };
    if let Some(totals) = totals {
        let mut log = Log::new(budget);
        totals.drain(|bucket| {
            bucket.sort_unstable_by_key(|total| total.row);
            log.extend(&bucket.iter().map(|total| total.value).collect::<Vec<_>>())
        })?;
        resolved.totals = Some(log);
    }
    if let Some(earlier) = earlier {
        let mut first_times = FirstTimes::new(budget);
        earlier.drain(|bucket| {
            bucket.sort_unstable_by_key(|earlier| earlier.row);
            first_times.extend(bucket)
        })?;
        resolved.first_times = Some(first_times);
    }
    Ok(resolved)
}

/// The best row of a pair so far, when the pair was first seen, and what its rows add up to.
struct Best<F> {
    candidate: Candidate<F>,
    first: i64,
    sum: f64,
    count: u64,
}

/// Finds the best row of each pair in a bucket, whose records are in the order of rows.
fn settle_bucket<F: Told>(rule: PairRule, bucket: &[Candidate<F>], best: &mut Vec<Best<F>>) {
    best.clear();
    let mut index: HashTable<u32> = HashTable::with_capacity(bucket.len());
    for candidate in bucket {
        let hash = pair_hash(candidate);
        let found = index.find(hash, |at| {
            let other = &best[*at as usize].candidate;
            other.user == candidate.user && other.item == candidate.item
        });
        match found {
            Some(at) => {
                let best = &mut best[*at as usize];
                best.sum += candidate.value;
                best.count += 1;
                best.first = best.first.min(candidate.first());
                if rule.prefers(candidate, &best.candidate) {
                    best.candidate = *candidate;
                }
            }
            None => {
                index.insert_unique(hash, best.len() as u32, |at| pair_hash(&best[*at as usize].candidate));
                let (first, sum) = (candidate.first(), candidate.value);
                best.push(Best { candidate: *candidate, first, sum, count: 1 });
            }
        }
    }
}

#[inline]
fn pair_hash<F>(candidate: &Candidate<F>) -> u64 {
    spread(spread(candidate.user) ^ candidate.item.rotate_left(32))
}

fn candidates<F: Told>(
    table: &Table,
    keep: &Keep,
    map: &ItemMap,
    budget: &Budget,
) -> Result<Buckets<Candidate<F>>> {
    let place = table.name();
    let (timed, valued) = (table.has_column("time"), table.has_column("value"));
    let told = F::BYTES > 0;
    let mut columns = vec!["user", "item"];
    columns.extend(timed.then_some("time"));
    columns.extend(valued.then_some("value"));
    columns.extend(told.then_some(FIRST_TIME));
    let mut users = Dictionary::new(id_kind(table, "user")?, "users", budget);
    let mut items = Dictionary::new(id_kind(table, "item")?, "items", budget);
    let mut buckets = Buckets::new(budget, keep.count());
    let (mut user_keys, mut item_keys) = (Vec::new(), Vec::new());
    let mut first = 0;
    for batch in table.scan(&columns, budget.threads())? {
        let batch = map.apply(&batch?)?;
        keys(&mut users, IdColumn::of(place, "user", batch.column(0))?, &mut user_keys)?;
        keys(&mut items, IdColumn::of(place, "item", batch.column(1))?, &mut item_keys)?;
        let times = if timed { Some(times(place, &batch)?) } else { None };
        let values = if valued { Some(values(place, &batch)?) } else { None };
        let firsts = if told { first_times(place, &batch)? } else { Vec::new() };
        for i in 0..batch.num_rows() {
            let row = first + i as u64;
            if !keep.has(row) {
                continue;
            }
            let candidate = Candidate {
                user: user_keys[i],
                item: item_keys[i],
                time: times.map_or(0, |times| times[i]),
                value: values.as_ref().map_or(0.0, |values| values.value(i)),
                row,
                told: F::new(firsts.get(i).copied().unwrap_or_default()),
            };
            buckets.add(pair_hash(&candidate), candidate);
        }
        buckets.settle()?;
        first += batch.num_rows() as u64;
    }
    Ok(buckets)
}

/// Numbers stand for themselves, texts by their codes.
fn keys(dictionary: &mut Dictionary, column: IdColumn<'_>, out: &mut Vec<u64>) -> Result<()> {
    out.clear();
    match column {
        IdColumn::Integer(array) => out.extend(array.values().iter().map(|id| *id as u64)),
        text => {
            let mut codes = Vec::with_capacity(text.len());
            dictionary.encode(text, &mut codes)?;
            out.extend(codes.into_iter().map(u64::from));
        }
    }
    Ok(())
}

/// The column `value` of a batch as fractions; a missing one counts as nothing.
fn values(place: &str, batch: &RecordBatch) -> Result<Float64Array> {
    let array = batch.column_by_name("value").expect("the scan asked for it");
    let floats: Float64Array = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().unary(|value| value as f64),
        _ => array.as_primitive::<Float64Type>().clone(),
    };
    if floats.iter().flatten().any(|value| !value.is_finite()) {
        return Err(Error::Value {
            place: place.to_owned(),
            column: "value".to_owned(),
            cause: "NaN or infinite".to_owned(),
            remedy: "drop such rows before",
        });
    }
    Ok(floats.iter().map(|value| Some(value.unwrap_or(0.0))).collect())
}

impl Resolved {
    /// The columns of the output: those of the table, with `value` as a fraction where the rule makes it, and
    /// [`FIRST_TIME`] where rows have times.
    pub fn schema(&self, table: &SchemaRef) -> SchemaRef {
        let mut fields: Vec<Field> = table.fields().iter().map(|field| field.as_ref().clone()).collect();
        let mut put = |made: Field| match fields.iter_mut().find(|field| field.name() == made.name()) {
            Some(field) => *field = made,
            None => fields.push(made),
        };
        if self.totals.is_some() {
            put(Field::new("value", DataType::Float64, false));
        }
        if self.first_times.is_some() {
            put(Field::new(FIRST_TIME, time_type(), false));
        }
        Arc::new(Schema::new(fields))
    }

    /// Streams the table and writes the rows that stay, rewritten.
    pub fn write(
        &self,
        table: &Table,
        map: &ItemMap,
        budget: &Budget,
        writer: &mut TableWriter,
        mut progress: impl FnMut(u64),
    ) -> Result<()> {
        let mut totals = self.totals.as_ref().map(LogReader::new);
        let mut first_times = self.first_times.as_ref().map(FirstTimes::reader);
        let mut start = 0;
        for batch in table.scan_all(budget.threads())? {
            let mut batch = batch?;
            let mask = self.keep.mask(start, batch.num_rows());
            if let Some(first_times) = &mut first_times {
                let column = first_times.of_batch(table.name(), start, &batch)?;
                batch = with_column(&batch, FIRST_TIME, column)?;
            }
            start += batch.num_rows() as u64;
            let mut kept = map.apply(&arrow::compute::filter_record_batch(&batch, &mask)?)?;
            if let Some(totals) = &mut totals {
                let mut values = Vec::with_capacity(kept.num_rows());
                totals.take(kept.num_rows(), &mut values)?;
                kept = with_column(&kept, "value", Arc::new(Float64Array::from(values)))?;
            }
            writer.write(&kept.project(&order(&kept, writer.schema())?)?)?;
            progress(start);
        }
        Ok(())
    }
}

/// The batch with a column of this name: in the place of the one that it has, or as its last.
fn with_column(batch: &RecordBatch, name: &str, column: ArrayRef) -> Result<RecordBatch> {
    let field = Field::new(name, column.data_type().clone(), false);
    let mut fields: Vec<Field> =
        batch.schema_ref().fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut columns = batch.columns().to_vec();
    match batch.schema_ref().index_of(name) {
        Ok(at) => (fields[at], columns[at]) = (field, column),
        Err(_) => {
            fields.push(field);
            columns.push(column);
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Where in a batch the columns of a schema stand.
fn order(batch: &RecordBatch, schema: &SchemaRef) -> Result<Vec<usize>> {
    let places = schema.fields().iter().map(|field| batch.schema_ref().index_of(field.name()));
    Ok(places.collect::<std::result::Result<_, _>>()?)
}

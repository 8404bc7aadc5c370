//! Repeated events: rows with equal keys, of which one stays.

use std::hash::{DefaultHasher, Hash, Hasher};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use arrow::row::{RowConverter, SortField};
use hashbrown::HashMap;

use crate::budget::Budget;
use crate::error::Result;
use crate::normal::time_type;
use crate::rows::buckets::{Buckets, spread};
use crate::rows::coded::times;
use crate::rows::keep::Keep;
use crate::rows::log::Record;
use crate::table::Table;

#[derive(Clone, Copy)]
struct Event {
    key: u128,
    time: i64,
    row: u64,
}

impl Record for Event {
    const BYTES: usize = 32;

    fn put(self, out: &mut Vec<u8>) {
        self.key.put(out);
        self.time.put(out);
        self.row.put(out);
    }

    fn get(bytes: &[u8]) -> Self {
        Self { key: u128::get(bytes), time: i64::get(&bytes[16..]), row: u64::get(&bytes[24..]) }
    }
}

/// Drops all but one of the rows with equal values in the key columns: the earliest stays, and of several the first.
/// A row without a value in one of them is no repetition of any other.
///
/// Keys are compared by a hash of 128 bits: among 10^9 distinct keys two collide with a chance of about 10^-21.
pub fn drop_repeated(table: &Table, key: &[&str], keep: &mut Keep, budget: &Budget) -> Result<()> {
    let timed = table.has_column("time") && table.column_type("time")? == &time_type();
    let mut columns = key.to_vec();
    if timed && !columns.contains(&"time") {
        columns.push("time");
    }
    let mut keys = Keys::new(table, key)?;
    let mut buckets = Buckets::<Event>::new(budget, table.rows());
    let mut first = 0;
    for batch in table.scan(&columns, budget.threads())? {
        let batch = batch?;
        let times = if timed { Some(times(table.name(), &batch)?) } else { None };
        keys.for_each(&batch, |i, key| {
            let row = first + i as u64;
            if keep.has(row) {
                let time = times.map_or(0, |times| times[i]);
                buckets.add(spread(key as u64), Event { key, time, row });
            }
        })?;
        buckets.settle()?;
        first += batch.num_rows() as u64;
    }
    let mut earliest: HashMap<u128, (i64, u64)> = HashMap::new();
    buckets.drain(|bucket| {
        earliest.clear();
        for event in bucket.iter() {
            let best = earliest.entry(event.key).or_insert((event.time, event.row));
            if (event.time, event.row) < *best {
                keep.drop_row(best.1);
                *best = (event.time, event.row);
            } else if event.row != best.1 {
                keep.drop_row(event.row);
            }
        }
        Ok(())
    })
}

/// Turns the key columns of a row into 128 bits.
enum Keys {
    /// One column of whole numbers is its own key.
    Integer,
    Hashed {
        columns: usize,
        rows: RowConverter,
    },
}

impl Keys {
    fn new(table: &Table, key: &[&str]) -> Result<Self> {
        let types = key.iter().map(|name| table.column_type(name)).collect::<Result<Vec<_>>>()?;
        if let [DataType::Int64] = types[..] {
            return Ok(Self::Integer);
        }
        let fields = types.into_iter().map(|kind| SortField::new(kind.clone())).collect();
        Ok(Self::Hashed { columns: key.len(), rows: RowConverter::new(fields)? })
    }

    fn for_each(&mut self, batch: &RecordBatch, mut visit: impl FnMut(usize, u128)) -> Result<()> {
        match self {
            Self::Integer => {
                let array = batch.column(0).as_primitive::<Int64Type>();
                for i in (0..array.len()).filter(|i| array.is_valid(*i)) {
                    visit(i, u128::from(array.value(i) as u64));
                }
            }
            Self::Hashed { columns, rows } => {
                let arrays = &batch.columns()[..*columns];
                let converted = rows.convert_columns(arrays)?;
                for i in (0..batch.num_rows()).filter(|i| arrays.iter().all(|array| array.is_valid(*i))) {
                    visit(i, hash(converted.row(i).as_ref()));
                }
            }
        }
        Ok(())
    }
}

/// Two independent SipHashes. Only equality is taken from them, so a hash of another release may be another one.
fn hash(bytes: &[u8]) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, bytes).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

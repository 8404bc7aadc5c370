//! User and item ids: whole numbers or text, and small codes for them.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::table::Table;

/// How the ids of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    Integer,
    Text,
}

/// How the ids of a table's column are written.
///
/// # Errors
/// The column is missing, or of another type.
pub fn id_kind(table: &Table, column: &str) -> Result<IdKind> {
    match table.column_type(column)? {
        DataType::Int64 => Ok(IdKind::Integer),
        DataType::Utf8 => Ok(IdKind::Text),
        other => Err(Error::ColumnType {
            place: table.name().to_owned(),
            column: column.to_owned(),
            found: other.to_string(),
            wanted: "whole numbers or text".to_owned(),
            remedy: "map it with `type: text` or `type: integer` where it is extracted".to_owned(),
        }),
    }
}

/// The ids of one batch, none of them null.
#[derive(Debug, Clone, Copy)]
pub enum IdColumn<'a> {
    Integer(&'a Int64Array),
    Text(&'a StringArray),
}

impl<'a> IdColumn<'a> {
    /// # Errors
    /// An id is null, or the type is neither of the two.
    pub fn of(place: &str, column: &str, array: &'a ArrayRef) -> Result<Self> {
        if array.null_count() > 0 {
            return Err(Error::Value {
                place: place.to_owned(),
                column: column.to_owned(),
                cause: format!("{} of {} rows have no id", array.null_count(), array.len()),
                remedy: "drop such rows before",
            });
        }
        match array.data_type() {
            DataType::Int64 => Ok(Self::Integer(array.as_primitive::<Int64Type>())),
            DataType::Utf8 => Ok(Self::Text(array.as_string::<i32>())),
            other => Err(Error::ColumnType {
                place: place.to_owned(),
                column: column.to_owned(),
                found: other.to_string(),
                wanted: "whole numbers or text".to_owned(),
                remedy: "map it where it is extracted".to_owned(),
            }),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Integer(array) => array.len(),
            Self::Text(array) => array.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Codes from 0 up for the distinct ids of a column, in the order they were first seen.
pub struct Dictionary {
    ids: Ids,
    budget: Budget,
    taken: u64,
    what: &'static str,
}

enum Ids {
    Integer { codes: HashMap<i64, u32>, values: Vec<i64> },
    Text { codes: HashTable<u32>, values: Texts, hasher: DefaultHashBuilder },
}

/// Texts one after the other in one piece of memory.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

impl Texts {
    fn get(&self, code: u32) -> &[u8] {
        let code = code as usize;
        let start = if code == 0 { 0 } else { self.ends[code - 1] as usize };
        &self.bytes[start..self.ends[code] as usize]
    }

    fn push(&mut self, text: &[u8]) -> u32 {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as u64);
        (self.ends.len() - 1) as u32
    }
}

impl Dictionary {
    /// `what` is a word for the ids in messages, such as `users`.
    pub fn new(kind: IdKind, what: &'static str, budget: &Budget) -> Self {
        let ids = match kind {
            IdKind::Integer => Ids::Integer { codes: HashMap::new(), values: Vec::new() },
            IdKind::Text => Ids::Text {
                codes: HashTable::new(),
                values: Texts::default(),
                hasher: DefaultHashBuilder::default(),
            },
        };
        Self { ids, budget: budget.clone(), taken: 0, what }
    }

    pub fn kind(&self) -> IdKind {
        match self.ids {
            Ids::Integer { .. } => IdKind::Integer,
            Ids::Text { .. } => IdKind::Text,
        }
    }

    pub fn len(&self) -> usize {
        match &self.ids {
            Ids::Integer { values, .. } => values.len(),
            Ids::Text { values, .. } => values.ends.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the code of each id, giving new ids a new one.
    pub fn encode(&mut self, column: IdColumn<'_>, out: &mut Vec<u32>) -> Result<()> {
        match (&mut self.ids, column) {
            (Ids::Integer { codes, values }, IdColumn::Integer(array)) => {
                out.extend(array.values().iter().map(|id| {
                    *codes.entry(*id).or_insert_with(|| {
                        values.push(*id);
                        (values.len() - 1) as u32
                    })
                }));
            }
            (Ids::Text { codes, values, hasher }, IdColumn::Text(array)) => {
                for i in 0..array.len() {
                    let text = array.value(i).as_bytes();
                    let hash = hasher.hash_one(text);
                    let entry = codes.entry(
                        hash,
                        |code| values.get(*code) == text,
                        |code| hasher.hash_one(values.get(*code)),
                    );
                    let code = match entry {
                        hashbrown::hash_table::Entry::Occupied(entry) => *entry.get(),
                        hashbrown::hash_table::Entry::Vacant(entry) => {
                            let code = values.push(text);
                            entry.insert(code);
                            code
                        }
                    };
                    out.push(code);
                }
            }
            _ => unreachable!("the files of a table have one schema"),
        }
        self.account()
    }

    /// The codes of ids; `None` for one that has none. An id of the other kind has none.
    pub fn lookup(&self, column: IdColumn<'_>) -> Vec<Option<u32>> {
        match (&self.ids, column) {
            (Ids::Integer { codes, .. }, IdColumn::Integer(array)) => {
                array.values().iter().map(|id| codes.get(id).copied()).collect()
            }
            (Ids::Text { codes, values, hasher }, IdColumn::Text(array)) => (0..array.len())
                .map(|i| {
                    let text = array.value(i).as_bytes();
                    codes.find(hasher.hash_one(text), |code| values.get(*code) == text).copied()
                })
                .collect(),
            (_, column) => vec![None; column.len()],
        }
    }

    /// An id as text, for messages and for stable hashing.
    pub fn text(&self, code: u32) -> String {
        match &self.ids {
            Ids::Integer { values, .. } => values[code as usize].to_string(),
            Ids::Text { values, .. } => String::from_utf8_lossy(values.get(code)).into_owned(),
        }
    }

    /// The place of each code when ids are ordered: numbers as numbers, text byte by byte.
    pub fn ranks(&self) -> Vec<u32> {
        let mut codes: Vec<u32> = (0..self.len() as u32).collect();
        match &self.ids {
            Ids::Integer { values, .. } => codes.sort_unstable_by_key(|code| values[*code as usize]),
            Ids::Text { values, .. } => codes.sort_unstable_by(|a, b| values.get(*a).cmp(values.get(*b))),
        }
        let mut ranks = vec![0; codes.len()];
        for (rank, code) in codes.into_iter().enumerate() {
            ranks[code as usize] = rank as u32;
        }
        ranks
    }

    fn account(&mut self) -> Result<()> {
        let bytes = match &self.ids {
            Ids::Integer { values, .. } => values.len() as u64 * 40,
            Ids::Text { values, .. } => values.ends.len() as u64 * 24 + values.bytes.len() as u64 * 2,
        };
        if self.len() > u32::MAX as usize / 2 {
            return Err(self
                .budget
                .exhausted(&format!("keeping more than two thousand million {}", self.what)));
        }
        if bytes > self.taken {
            let more = (bytes - self.taken).max(1 << 20);
            self.budget.take(more, &format!("keeping {} distinct {}", self.len(), self.what))?;
            self.taken += more;
        }
        Ok(())
    }
}

impl Drop for Dictionary {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn ids_are_ordered_as_numbers_or_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let budget = Budget::new(1 << 24, 1, folder.path());
        let mut numbers = Dictionary::new(IdKind::Integer, "users", &budget);
        let array: ArrayRef = Arc::new(Int64Array::from(vec![10, 9, i64::MIN, i64::MAX, 10]));
        let mut codes = Vec::new();
        numbers.encode(IdColumn::of("t", "user", &array).unwrap(), &mut codes).unwrap();
        assert_eq!(codes, [0, 1, 2, 3, 0]);
        assert_eq!(numbers.ranks(), [2, 1, 0, 3]);

        let mut texts = Dictionary::new(IdKind::Text, "users", &budget);
        let array: ArrayRef = Arc::new(StringArray::from(vec!["10", "9", "", "é", "日本", "10"]));
        codes.clear();
        texts.encode(IdColumn::of("t", "user", &array).unwrap(), &mut codes).unwrap();
        assert_eq!(codes, [0, 1, 2, 3, 4, 0]);
        assert_eq!(texts.ranks(), [1, 2, 0, 3, 4]);
        assert_eq!(texts.text(4), "日本");
        let asked: ArrayRef = Arc::new(StringArray::from(vec!["é", "e"]));
        assert_eq!(texts.lookup(IdColumn::of("t", "user", &asked).unwrap()), [Some(3), None]);
    }

    #[test]
    fn a_null_id_is_refused() {
        let array: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let error = IdColumn::of("events", "user", &array).unwrap_err();
        assert!(error.to_string().contains("1 of 2 rows have no id"), "{error}");
    }
}

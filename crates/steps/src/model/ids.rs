//! Lists of user or item ids, and where in a list an id stands.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use hashbrown::HashMap;
use noctule_tables::rows::{Dictionary, IdColumn, IdKind};

/// Ids as the source has them: whole numbers or text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    Integer(Vec<i64>),
    Text(Vec<String>),
}

impl Ids {
    pub fn none(kind: IdKind) -> Self {
        match kind {
            IdKind::Integer => Self::Integer(Vec::new()),
            IdKind::Text => Self::Text(Vec::new()),
        }
    }

    /// The ids of a dictionary in ascending order: numbers as numbers, text byte by byte. Beside them, for each code the
    /// position of its id.
    pub fn sorted(dictionary: &Dictionary) -> (Self, Vec<u32>) {
        let ranks = dictionary.ranks();
        let mut order = vec![0; ranks.len()];
        for (code, rank) in (0_u32..).zip(&ranks) {
            order[*rank as usize] = code;
        }
        let texts = order.iter().map(|code| dictionary.text(*code));
        let ids = match dictionary.kind() {
            IdKind::Integer => Self::Integer(
                texts
                    .map(|text| text.parse().expect("a whole number was written as text just now"))
                    .collect(),
            ),
            IdKind::Text => Self::Text(texts.collect()),
        };
        (ids, ranks)
    }

    pub fn extend(&mut self, column: IdColumn<'_>) {
        match (self, column) {
            (Self::Integer(ids), IdColumn::Integer(array)) => ids.extend(array.values()),
            (Self::Text(ids), IdColumn::Text(array)) => {
                ids.extend(array.iter().map(|id| id.unwrap_or_default().to_owned()));
            }
            _ => unreachable!("the batches of a table have one schema"),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Integer(ids) => ids.len(),
            Self::Text(ids) => ids.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that they take.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Integer(ids) => 8 * ids.len() as u64,
            Self::Text(ids) => ids.iter().map(|id| (size_of::<String>() + id.len()) as u64).sum(),
        }
    }

    /// The id at a position, as text.
    pub fn text(&self, position: usize) -> String {
        match self {
            Self::Integer(ids) => ids[position].to_string(),
            Self::Text(ids) => ids[position].clone(),
        }
    }

    pub fn arrow_type(&self) -> DataType {
        match self {
            Self::Integer(_) => DataType::Int64,
            Self::Text(_) => DataType::Utf8,
        }
    }

    pub fn to_array(&self) -> ArrayRef {
        match self {
            Self::Integer(ids) => Arc::new(Int64Array::from(ids.clone())),
            Self::Text(ids) => Arc::new(StringArray::from(ids.clone())),
        }
    }

    /// The ids at the given positions.
    pub fn select(&self, positions: &[usize]) -> Self {
        match self {
            Self::Integer(ids) => Self::Integer(positions.iter().map(|at| ids[*at]).collect()),
            Self::Text(ids) => Self::Text(positions.iter().map(|at| ids[*at].clone()).collect()),
        }
    }

    /// An id that stands twice, as text.
    pub fn repeated(&self) -> Option<String> {
        fn twice<T: Ord + Clone>(ids: &[T]) -> Option<T> {
            let mut sorted: Vec<&T> = ids.iter().collect();
            sorted.sort_unstable();
            sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
        }
        match self {
            Self::Integer(ids) => twice(ids).map(|id| id.to_string()),
            Self::Text(ids) => twice(ids),
        }
    }

    pub fn index(&self) -> IdIndex<'_> {
        match self {
            Self::Integer(ids) => IdIndex::Integer(ids.iter().copied().zip(0..).collect()),
            Self::Text(ids) => IdIndex::Text(ids.iter().map(String::as_str).zip(0..).collect()),
        }
    }
}

/// Finds ids of a list.
///
/// Numbers are found by the text that writes them, and the other way round: a source that changes the type of a column
/// does not make all its users strangers.
pub enum IdIndex<'a> {
    Integer(HashMap<i64, u32>),
    Text(HashMap<&'a str, u32>),
}

impl IdIndex<'_> {
    /// For each of `ids` its position in the list, if it is there.
    pub fn find(&self, ids: &Ids) -> Vec<Option<u32>> {
        match (self, ids) {
            (Self::Integer(index), Ids::Integer(ids)) => {
                ids.iter().map(|id| index.get(id).copied()).collect()
            }
            (Self::Text(index), Ids::Text(ids)) => {
                ids.iter().map(|id| index.get(id.as_str()).copied()).collect()
            }
            (Self::Integer(index), Ids::Text(ids)) => {
                ids.iter().map(|id| number(id).and_then(|id| index.get(&id).copied())).collect()
            }
            (Self::Text(index), Ids::Integer(ids)) => {
                ids.iter().map(|id| index.get(id.to_string().as_str()).copied()).collect()
            }
        }
    }
}

/// The number that a text writes in the one way that numbers are written.
fn number(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_whatever_their_type() {
        let numbers = Ids::Integer(vec![7, -1, i64::MAX]);
        let texts = Ids::Text(vec!["-1".into(), "07".into(), "x".into(), i64::MAX.to_string()]);
        assert_eq!(numbers.index().find(&texts), [Some(1), None, None, Some(2)]);
        assert_eq!(texts.index().find(&numbers), [None, Some(0), Some(3)]);
        assert_eq!(texts.index().find(&texts), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(numbers.repeated(), None);
        assert_eq!(Ids::Integer(vec![3, 1, 3]).repeated(), Some("3".into()));
    }
}

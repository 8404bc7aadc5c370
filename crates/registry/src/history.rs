//! The history of an alias: append-only rows, and the state that they fold to.

use jiff::Timestamp;
use noctule_artifacts::version::{FORMAT, PromotedBy, PromotionRecord};
use noctule_artifacts::{AliasName, ModelName, VersionNumber};

/// One row: an alias moved from a version to a version, or its pin was taken off where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Promotion {
    /// Its place in the model's history, from 1. It only rises, and of two rows of an alias the higher one holds.
    pub sequence: u64,
    pub model: ModelName,
    pub alias: AliasName,
    pub from: Option<VersionNumber>,
    pub to: VersionNumber,
    pub at: Timestamp,
    pub by: PromotedBy,
    /// Whether the alias is pinned from this row on: runs may not move it.
    pub pinned: bool,
}

/// Where an alias stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliasState {
    pub version: VersionNumber,
    /// The row that put it there.
    pub sequence: u64,
    pub pinned: bool,
    trail: Vec<VersionNumber>,
}

/// The rows of one alias of one model, in the order of their sequence numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    model: ModelName,
    alias: AliasName,
    rows: Vec<Promotion>,
    state: Option<AliasState>,
}

/// A row that cannot follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutOfPlace {
    #[error(
        "promotion {sequence} cannot follow promotion {last} of {model}@{alias}: sequence numbers only rise"
    )]
    NotLater { model: ModelName, alias: AliasName, sequence: u64, last: u64 },
    #[error("promotion {sequence} belongs to {found_model}@{found_alias}, not to {model}@{alias}")]
    OtherAlias {
        sequence: u64,
        model: ModelName,
        alias: AliasName,
        found_model: ModelName,
        found_alias: AliasName,
    },
}

impl Promotion {
    /// The form that is kept in the store beside the versions.
    pub fn to_record(&self) -> PromotionRecord {
        PromotionRecord {
            format: FORMAT,
            sequence: self.sequence,
            model: self.model.clone(),
            alias: self.alias.clone(),
            from: self.from,
            to: self.to,
            at: self.at,
            by: self.by.clone(),
            pinned: self.pinned,
        }
    }

    pub fn from_record(record: PromotionRecord) -> Self {
        let PromotionRecord { format: _, sequence, model, alias, from, to, at, by, pinned } = record;
        Self { sequence, model, alias, from, to, at, by, pinned }
    }
}

impl AliasState {
    /// The version to roll back to: the one that the alias held before this one, with what was rolled back left out.
    pub fn previous(&self) -> Option<VersionNumber> {
        self.trail.iter().rev().nth(1).copied()
    }

    fn after(previous: Option<Self>, row: &Promotion) -> Self {
        let mut trail = previous.map_or_else(Vec::new, |state| state.trail);
        match trail.iter().rposition(|version| *version == row.to) {
            // Where a pinned row points back, what lay above was rolled back: the next rollback goes further down.
            Some(place) if row.pinned || place + 1 == trail.len() => trail.truncate(place + 1),
            _ => trail.push(row.to),
        }
        Self { version: row.to, sequence: row.sequence, pinned: row.pinned, trail }
    }
}

impl History {
    pub fn new(model: ModelName, alias: AliasName) -> Self {
        Self { model, alias, rows: Vec::new(), state: None }
    }

    /// Folds rows in any order; duplicates of one sequence number are refused.
    pub fn fold(
        model: ModelName,
        alias: AliasName,
        rows: impl IntoIterator<Item = Promotion>,
    ) -> Result<Self, OutOfPlace> {
        let mut rows: Vec<Promotion> = rows.into_iter().collect();
        rows.sort_by_key(|row| row.sequence);
        rows.into_iter().try_fold(Self::new(model, alias), |mut history, row| {
            history.push(row)?;
            Ok(history)
        })
    }

    /// Appends a row. There is no taking one away.
    pub fn push(&mut self, row: Promotion) -> Result<(), OutOfPlace> {
        if row.model != self.model || row.alias != self.alias {
            return Err(OutOfPlace::OtherAlias {
                sequence: row.sequence,
                model: self.model.clone(),
                alias: self.alias.clone(),
                found_model: row.model,
                found_alias: row.alias,
            });
        }
        if let Some(last) = self.rows.last().filter(|last| row.sequence <= last.sequence) {
            return Err(OutOfPlace::NotLater {
                model: row.model,
                alias: row.alias,
                sequence: row.sequence,
                last: last.sequence,
            });
        }
        self.state = Some(AliasState::after(self.state.take(), &row));
        self.rows.push(row);
        Ok(())
    }

    pub fn model(&self) -> &ModelName {
        &self.model
    }

    pub fn alias(&self) -> &AliasName {
        &self.alias
    }

    /// Where the alias stands; `None` while no row has set it.
    pub fn state(&self) -> Option<&AliasState> {
        self.state.as_ref()
    }

    pub fn rows(&self) -> &[Promotion] {
        &self.rows
    }

    /// Whether the alias ever pointed at the version.
    pub fn held(&self, version: VersionNumber) -> bool {
        self.rows.iter().any(|row| row.to == version)
    }

    /// Rows that do not begin where the one before them ended: between the two, rows are missing.
    pub fn gaps(&self) -> impl Iterator<Item = (Option<&Promotion>, &Promotion)> {
        self.rows.iter().enumerate().filter_map(|(i, row)| {
            let before = i.checked_sub(1).map(|i| &self.rows[i]);
            (row.from != before.map(|before| before.to)).then_some((before, row))
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn row(sequence: u64, from: Option<u32>, to: u32, pinned: bool) -> Promotion {
        Promotion {
            sequence,
            model: "home-feed".parse().unwrap(),
            alias: "champion".parse().unwrap(),
            from: from.map(VersionNumber),
            to: VersionNumber(to),
            at: Timestamp::UNIX_EPOCH,
            by: PromotedBy::Person { name: "ada".into(), reason: "because".into() },
            pinned,
        }
    }

    pub(crate) fn folded(rows: impl IntoIterator<Item = Promotion>) -> History {
        History::fold("home-feed".parse().unwrap(), "champion".parse().unwrap(), rows).unwrap()
    }

    fn previous(history: &History) -> Option<u32> {
        history.state().unwrap().previous().map(|version| version.0)
    }

    #[test]
    fn rolling_back_twice_goes_back_twice() {
        let mut history =
            folded([row(1, None, 3, false), row(2, Some(3), 4, false), row(5, Some(4), 5, false)]);
        assert_eq!(previous(&history), Some(4));
        history.push(row(6, Some(5), 4, true)).unwrap();
        assert_eq!(previous(&history), Some(3));
        history.push(row(7, Some(4), 3, true)).unwrap();
        assert_eq!(previous(&history), None);
        history.push(row(8, Some(3), 3, false)).unwrap();
        assert_eq!((previous(&history), history.state().unwrap().pinned), (None, false));
        history.push(row(9, Some(3), 6, false)).unwrap();
        assert_eq!(previous(&history), Some(3));
    }

    #[test]
    fn a_missing_row_shows_as_a_gap() {
        let history = folded([row(1, None, 1, false), row(4, Some(2), 3, false)]);
        let gaps: Vec<_> = history.gaps().map(|(a, b)| (a.map(|a| a.sequence), b.sequence)).collect();
        assert_eq!(gaps, [(Some(1), 4)]);
    }

    #[test]
    fn a_record_round_trips() {
        let row = row(4, Some(2), 3, true);
        assert_eq!(Promotion::from_record(row.to_record()), row);
    }

    proptest! {
        /// Whatever the order in which rows are met, the highest sequence number says where the alias stands.
        #[test]
        fn the_state_is_the_fold_and_a_lower_sequence_never_wins(
            moves in prop::collection::btree_map(1u64..500, (1u32..6, any::<bool>()), 1..30),
            shuffle in any::<prop::sample::Index>(),
        ) {
            let mut rows: Vec<_> = moves.iter().map(|(s, (to, pinned))| row(*s, None, *to, *pinned)).collect();
            let (last, (to, pinned)) = moves.iter().next_back().unwrap();
            let turn = shuffle.index(rows.len());
            rows.rotate_left(turn);
            let mut history = folded(rows);
            let state = history.state().unwrap().clone();
            prop_assert_eq!(
                (state.version, state.sequence, state.pinned),
                (VersionNumber(*to), *last, *pinned)
            );
            for late in 0..=*last {
                prop_assert!(history.push(row(late, None, 99, false)).is_err());
            }
            prop_assert_eq!(history.state(), Some(&state));
        }

        /// A push only ever adds its row at the end.
        #[test]
        fn history_only_grows(pushes in prop::collection::vec((1u64..60, 1u32..6, any::<bool>()), 1..40)) {
            let mut history = folded([]);
            for (sequence, to, pinned) in pushes {
                let before = history.rows().to_vec();
                let pushed = history.push(row(sequence, None, to, pinned)).is_ok();
                prop_assert_eq!(&history.rows()[..before.len()], &before[..]);
                prop_assert_eq!(history.rows().len(), before.len() + usize::from(pushed));
                prop_assert_eq!(&folded(history.rows().to_vec()), &history);
            }
        }
    }
}

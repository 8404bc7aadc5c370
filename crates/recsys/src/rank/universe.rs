//! What is ranked for whom.

use thiserror::Error;

use crate::interactions::Interactions;

/// The users, items, exclusions and truth that all models of one evaluation share.
///
/// A user's candidates are the candidate items without the user's own history. Item indices must
/// follow the order of the item ids, since equal scores are ordered by index. A truth item given
/// twice is one truth item.
#[derive(Debug, Clone, Copy)]
pub struct Universe<'a> {
    pub(super) history: &'a Interactions,
    pub(super) truth: &'a Interactions,
    pub(super) candidates: &'a [bool],
}

/// Why history, truth and candidates do not make a universe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UniverseError {
    #[error(
        "history has {} users and {} items, truth {} and {}; build both over the same users and items",
        .history.0, .history.1, .truth.0, .truth.1
    )]
    DifferentShapes { history: (usize, usize), truth: (usize, usize) },
    #[error("{flags} candidate flags stand beside {n_items} items; give one flag per item")]
    CandidateFlags { flags: usize, n_items: usize },
    #[error(
        "truth item {item} of user {user} is no candidate and can never be ranked; \
         drop such rows from the truth"
    )]
    TruthNotCandidate { user: usize, item: u32 },
    #[error(
        "truth item {item} of user {user} is also in the user's history, which is excluded from \
         the ranking; the test rows leak into the training rows"
    )]
    TruthInHistory { user: usize, item: u32 },
}

impl<'a> Universe<'a> {
    /// `candidates` has a flag per item.
    ///
    /// # Errors
    /// When the shapes differ, or a truth item could not be ranked because it is not a candidate or
    /// stands in its user's history.
    pub fn new(
        history: &'a Interactions,
        truth: &'a Interactions,
        candidates: &'a [bool],
    ) -> Result<Self, UniverseError> {
        let shape = |pairs: &Interactions| (pairs.n_users(), pairs.n_items());
        if shape(history) != shape(truth) {
            return Err(UniverseError::DifferentShapes { history: shape(history), truth: shape(truth) });
        }
        if candidates.len() != history.n_items() {
            return Err(UniverseError::CandidateFlags {
                flags: candidates.len(),
                n_items: history.n_items(),
            });
        }
        for user in 0..truth.n_users() {
            let seen = history.items_of(user);
            for &item in truth.items_of(user) {
                if !candidates[item as usize] {
                    return Err(UniverseError::TruthNotCandidate { user, item });
                }
                if seen.binary_search(&item).is_ok() {
                    return Err(UniverseError::TruthInHistory { user, item });
                }
            }
        }
        Ok(Self { history, truth, candidates })
    }

    #[must_use]
    pub fn n_users(&self) -> usize {
        self.history.n_users()
    }

    #[must_use]
    pub fn n_items(&self) -> usize {
        self.history.n_items()
    }

    /// How many items can be recommended to somebody.
    #[must_use]
    pub fn n_candidates(&self) -> usize {
        self.candidates.iter().filter(|candidate| **candidate).count()
    }

    /// The truth items of a user, ascending, each once.
    pub(super) fn truth_of(&self, user: usize) -> impl Iterator<Item = u32> {
        distinct(self.truth.items_of(user))
    }

    /// The candidates that a user has seen, ascending, each once.
    pub(super) fn seen_candidates(&self, user: usize) -> impl Iterator<Item = u32> {
        distinct(self.history.items_of(user)).filter(|item| self.candidates[*item as usize])
    }
}

fn distinct(ascending: &[u32]) -> impl Iterator<Item = u32> {
    ascending.chunk_by(|left, right| left == right).map(|run| run[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(rows: &[(u32, u32)]) -> Interactions {
        let users: Vec<u32> = rows.iter().map(|row| row.0).collect();
        let items: Vec<u32> = rows.iter().map(|row| row.1).collect();
        Interactions::from_pairs(&users, &items, None, 2, 3).expect("valid")
    }

    #[test]
    fn truth_that_cannot_be_ranked_is_refused() {
        let history = pairs(&[(0, 0)]);
        let leak = Universe::new(&history, &pairs(&[(0, 0)]), &[true; 3]).unwrap_err();
        assert_eq!(leak, UniverseError::TruthInHistory { user: 0, item: 0 });
        let absent = Universe::new(&history, &pairs(&[(1, 2)]), &[true, true, false]).unwrap_err();
        assert_eq!(absent, UniverseError::TruthNotCandidate { user: 1, item: 2 });
    }

    #[test]
    fn shapes_must_agree() {
        let (history, truth) = (Interactions::empty(2, 3), Interactions::empty(2, 4));
        assert!(matches!(
            Universe::new(&history, &truth, &[true; 3]),
            Err(UniverseError::DifferentShapes { .. })
        ));
        assert!(matches!(
            Universe::new(&history, &history, &[true; 2]),
            Err(UniverseError::CandidateFlags { flags: 2, n_items: 3 })
        ));
    }

    #[test]
    fn repeats_count_once() {
        let (history, truth) = (pairs(&[(0, 0), (0, 0), (0, 2)]), pairs(&[(0, 1), (0, 1)]));
        let universe = Universe::new(&history, &truth, &[true, true, false]).expect("valid");
        assert_eq!(universe.truth_of(0).collect::<Vec<_>>(), [1]);
        assert_eq!(universe.seen_candidates(0).collect::<Vec<_>>(), [0]);
        assert_eq!(universe.n_candidates(), 2);
    }
}

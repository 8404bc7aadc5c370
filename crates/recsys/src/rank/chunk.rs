//! The answer for a span of users.

use std::ops::Range;

use crate::metrics::TruthRanks;

/// The rankings of consecutive users, by every model.
#[derive(Debug)]
pub struct RankedChunk {
    users: Range<usize>,
    models: Vec<Rankings>,
}

/// One model's ranking for one user.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UserRanking<'a> {
    /// The best candidates, best first; fewer than asked for when the model knows fewer.
    pub list: &'a [u32],
    /// The user's truth items, ascending, each once. The ranks stand in the same order.
    pub truth: &'a [u32],
    pub ranks: TruthRanks<'a>,
}

/// One model's rankings for the users of a chunk, end to end.
#[derive(Debug, Default)]
pub(super) struct Rankings {
    pub(super) lists: Vec<u32>,
    pub(super) truth: Vec<u32>,
    pub(super) ranks: Vec<Option<u32>>,
    pub(super) mean_ranks: Vec<f64>,
    ends: Vec<Ends>,
}

#[derive(Debug, Clone, Copy)]
struct Ends {
    list: usize,
    truth: usize,
    candidates: usize,
}

impl Rankings {
    /// Closes the ranking of a user, whose list, truth and ranks were pushed before.
    pub(super) fn end_user(&mut self, candidates: usize) {
        self.ends.push(Ends { list: self.lists.len(), truth: self.truth.len(), candidates });
    }

    fn of(&self, place: usize) -> UserRanking<'_> {
        let start = match place.checked_sub(1) {
            Some(before) => self.ends[before],
            None => Ends { list: 0, truth: 0, candidates: 0 },
        };
        let end = self.ends[place];
        let truth = start.truth..end.truth;
        UserRanking {
            list: &self.lists[start.list..end.list],
            truth: &self.truth[truth.clone()],
            ranks: TruthRanks {
                ranks: &self.ranks[truth.clone()],
                mean_ranks: &self.mean_ranks[truth],
                candidates: end.candidates,
            },
        }
    }
}

impl RankedChunk {
    pub(super) fn new(users: Range<usize>, models: Vec<Rankings>) -> Self {
        Self { users, models }
    }

    /// The users of the chunk, indices of the universe.
    #[must_use]
    pub fn users(&self) -> Range<usize> {
        self.users.clone()
    }

    /// The ranking by the model at position `model` for `user`.
    ///
    /// # Panics
    /// When the user is not one of [`users`](Self::users), or there is no such model.
    #[must_use]
    pub fn ranking(&self, model: usize, user: usize) -> UserRanking<'_> {
        self.models[model].of(user - self.users.start)
    }
}

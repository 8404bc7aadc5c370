//! Full ranking: every unseen candidate of every user, by several models, in one pass.
//!
//! The order of a user's candidates is by falling score, equal scores by rising item index, so a
//! ranking does not depend on chance. Scores of factors are single precision, each the sum of its
//! products in the order of the factors, and equal means equal in single precision. Items that a
//! model does not know rank below all that it knows: they are in no list, and have no rank.
//!
//! Nothing of size users x items is ever held. Scores of a block of items stay in cache; each
//! user's best items, and the ranks of **all** of the user's truth items, are taken while they pass.
//! [`rank()`] hands the result on in chunks of users; [`Tally`] turns them into metrics.

mod chunk;
mod extent;
mod factors;
mod fixed;
mod model;
mod overlap;
mod pass;
mod tally;
mod top;
mod universe;

pub use chunk::{RankedChunk, UserRanking};
pub use extent::{Extent, RankMemory};
pub use model::{FactorScores, Model, RankError, Scorer, StaticScores};
pub use overlap::overlap;
pub use tally::{Figure, Tally};
pub use universe::{Universe, UniverseError};

use std::ops::{ControlFlow, Range};

use rayon::prelude::*;

use chunk::Rankings;
use factors::FactorRanker;
use fixed::FixedOrder;

/// Users whose scores against a block of items are computed together.
const USERS_PER_CHUNK: usize = 128;
/// Chunks per thread between two hand-overs, so that threads seldom wait for the slowest chunk.
const CHUNKS_PER_THREAD: usize = 16;

/// Ranks all candidates for all users of the universe by each model.
///
/// `depth` is the length of the lists. `on_chunk` gets the users in order, a chunk at a time, on the
/// calling thread, and stops the ranking early by `Break`. The work runs on the current rayon pool.
///
/// # Errors
/// A model whose tables do not fit the universe, or a score that is NaN or infinite.
pub fn rank(
    universe: &Universe<'_>,
    models: &[Model<'_>],
    depth: u32,
    on_chunk: &mut dyn FnMut(&RankedChunk) -> ControlFlow<()>,
) -> Result<(), RankError> {
    for model in models {
        model.check(universe)?;
    }
    let rankers: Vec<Ranker<'_>> = models.iter().map(|model| Ranker::new(model, universe)).collect();
    let at_once = USERS_PER_CHUNK * CHUNKS_PER_THREAD * rayon::current_num_threads();
    for start in (0..universe.n_users()).step_by(at_once) {
        let end = universe.n_users().min(start + at_once);
        let chunks: Vec<Range<usize>> = (start..end)
            .step_by(USERS_PER_CHUNK)
            .map(|first| first..end.min(first + USERS_PER_CHUNK))
            .collect();
        let ranked: Vec<Result<RankedChunk, RankError>> =
            chunks.into_par_iter().map(|users| rank_chunk(universe, &rankers, users, depth)).collect();
        for chunk in ranked {
            if on_chunk(&chunk?).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn rank_chunk(
    universe: &Universe<'_>,
    rankers: &[Ranker<'_>],
    users: Range<usize>,
    depth: u32,
) -> Result<RankedChunk, RankError> {
    let models = rankers
        .iter()
        .map(|ranker| ranker.rank(universe, users.clone(), depth as usize))
        .collect::<Result<_, _>>()?;
    Ok(RankedChunk::new(users, models))
}

/// A model made ready to rank.
struct Ranker<'a> {
    name: &'a str,
    n_candidates: usize,
    fixed: FixedOrder,
    factors: Option<FactorRanker<'a>>,
}

impl<'a> Ranker<'a> {
    fn new(model: &'a Model<'_>, universe: &Universe<'_>) -> Self {
        let (fixed, factors) = match &model.scorer {
            Scorer::Static(scores) => (scores, None),
            Scorer::Factors(scores) => (&scores.fallback, Some(FactorRanker::new(scores, universe))),
        };
        Self {
            name: model.name,
            n_candidates: universe.n_candidates(),
            fixed: FixedOrder::new(fixed, universe),
            factors,
        }
    }

    fn rank(
        &self,
        universe: &Universe<'_>,
        users: Range<usize>,
        depth: usize,
    ) -> Result<Rankings, RankError> {
        let mut passes = match &self.factors {
            None => Vec::new(),
            Some(factors) => factors
                .score(universe, users.clone(), depth)
                .map_err(|user| RankError::UserNotFinite { model: self.name.to_owned(), user })?,
        }
        .into_iter()
        .peekable();
        let mut rankings = Rankings::default();
        for user in users {
            match passes.next_if(|pass| pass.user == user) {
                Some(pass) => pass.finish(self.n_candidates, &mut rankings),
                None => self.fixed.rank(universe, user, depth, self.n_candidates, &mut rankings),
            }
        }
        Ok(rankings)
    }
}

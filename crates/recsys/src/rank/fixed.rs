//! Ranking by scores that are the same for every user: sorted once, then only read.

use super::chunk::Rankings;
use super::model::StaticScores;
use super::universe::Universe;

/// The known candidates in the one order that all users share.
pub(super) struct FixedOrder {
    order: Vec<u32>,
    /// The place of each item in `order`; `ABSENT` for one that is not there.
    places: Vec<u32>,
    /// For each place, where the run of equal scores around it starts and ends.
    ties: Vec<(u32, u32)>,
}

const ABSENT: u32 = u32::MAX;

impl FixedOrder {
    pub(super) fn new(scores: &StaticScores<'_>, universe: &Universe<'_>) -> Self {
        let mut order: Vec<u32> = (0..)
            .zip(universe.candidates.iter().zip(scores.known))
            .filter(|(_, (candidate, known))| **candidate && **known)
            .map(|(item, _)| item)
            .collect();
        let score = |item: u32| scores.scores[item as usize];
        // Stable, so equal scores stay in the order of their indices. Adding 0 makes -0 equal to 0.
        order.sort_by(|left, right| (score(*right) + 0.0).total_cmp(&(score(*left) + 0.0)));
        let mut places = vec![ABSENT; universe.n_items()];
        for (place, item) in (0..).zip(&order) {
            places[*item as usize] = place;
        }
        let mut ties = Vec::with_capacity(order.len());
        for run in order.chunk_by(|left, right| score(*left) == score(*right)) {
            let start = ties.len() as u32;
            let end = start + run.len() as u32;
            ties.resize(end as usize, (start, end));
        }
        Self { order, places, ties }
    }

    /// Appends the ranking of `user`. `n_candidates` counts the universe's candidates.
    pub(super) fn rank(
        &self,
        universe: &Universe<'_>,
        user: usize,
        depth: usize,
        n_candidates: usize,
        into: &mut Rankings,
    ) {
        let mut n_seen = 0;
        let mut seen: Vec<u32> = universe
            .seen_candidates(user)
            .inspect(|_| n_seen += 1)
            .map(|item| self.places[item as usize])
            .filter(|place| *place != ABSENT)
            .collect();
        seen.sort_unstable();
        self.list(&seen, depth, &mut into.lists);

        let candidates = n_candidates - n_seen;
        let known = self.order.len() - seen.len();
        let seen_before = |place: u32| seen.partition_point(|seen| *seen < place);
        for item in universe.truth_of(user) {
            into.truth.push(item);
            let place = self.places[item as usize];
            if place == ABSENT {
                into.ranks.push(None);
                into.mean_ranks.push(shared_last_rank(known, candidates));
                continue;
            }
            let (start, end) = self.ties[place as usize];
            let ahead = start as usize - seen_before(start);
            let equal = (end - start) as usize - (seen_before(end) - seen_before(start));
            into.ranks.push(Some((place as usize - seen_before(place) + 1) as u32));
            into.mean_ranks.push(ahead as f64 + (equal as f64 + 1.0) / 2.0);
        }
        into.end_user(candidates);
    }

    fn list(&self, seen: &[u32], depth: usize, into: &mut Vec<u32>) {
        let mut seen = seen.iter().copied().peekable();
        let unseen = (0..).zip(&self.order).filter(|(place, _)| {
            let skip = seen.peek() == Some(place);
            if skip {
                seen.next();
            }
            !skip
        });
        into.extend(unseen.take(depth).map(|(_, item)| *item));
    }
}

/// The mean rank of the candidates that a model does not know: they share the places below the
/// `known` ones.
pub(super) fn shared_last_rank(known: usize, candidates: usize) -> f64 {
    (known + 1 + candidates) as f64 / 2.0
}

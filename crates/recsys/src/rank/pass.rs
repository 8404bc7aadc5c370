//! What is taken from one user's scores while they pass.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::chunk::Rankings;
use super::factors::KnownItems;
use super::fixed::shared_last_rank;
use super::top::Top;
use crate::kernel::LANES;
use crate::kernel::lanes::Lanes;

/// One user, while blocks of scores go by. Places are positions among the items that are candidates
/// and known to the model, ascending by item.
pub(super) struct UserPass<'a> {
    pub(super) user: usize,
    items: &'a KnownItems,
    seen: Peekable<IntoIter<u32>>,
    n_seen_known: usize,
    n_seen: usize,
    top: Top,
    truth: Vec<TruthItem>,
}

struct TruthItem {
    item: u32,
    /// `None` for an item that the model doesn't know.
    known: Option<Standing>,
}

/// How a known truth item stands so far.
struct Standing {
    place: u32,
    score: f32,
    /// Unseen items with a higher score.
    above: u32,
    /// Unseen items with the same score that come before it.
    equal_before: u32,
    /// And after it.
    equal_after: u32,
}

impl<'a> UserPass<'a> {
    /// `seen` are the user's seen candidates and `truth` the truth items, both ascending; `score`
    /// gives the score of a place.
    pub(super) fn new(
        user: usize,
        items: &'a KnownItems,
        seen: impl Iterator<Item = u32>,
        truth: impl Iterator<Item = u32>,
        depth: usize,
        score: impl Fn(u32) -> f32,
    ) -> Self {
        let mut n_seen = 0;
        let seen: Vec<u32> = seen.inspect(|_| n_seen += 1).filter_map(|item| items.place(item)).collect();
        let truth = truth
            .map(|item| TruthItem {
                item,
                known: items.place(item).map(|place| Standing {
                    place,
                    score: score(place),
                    above: 0,
                    equal_before: 0,
                    equal_after: 0,
                }),
            })
            .collect();
        Self {
            user,
            items,
            n_seen_known: seen.len(),
            n_seen,
            seen: seen.into_iter().peekable(),
            top: Top::new(depth),
            truth,
        }
    }

    /// Takes the scores of the places from `start` on. Scores beyond the last place must be
    /// negative infinity, and there must be whole vectors of them.
    ///
    /// # Safety
    /// That of [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn take<L: Lanes>(&mut self, start: u32, scores: &mut [f32]) {
        let end = start + scores.len() as u32;
        while let Some(place) = self.seen.next_if(|place| *place < end) {
            scores[(place - start) as usize] = f32::NEG_INFINITY;
        }
        // SAFETY: the caller's.
        unsafe {
            self.take_top::<L>(start, scores);
            for truth in &mut self.truth {
                if let Some(standing) = &mut truth.known {
                    standing.take::<L>(start, scores);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn take_top<L: Lanes>(&mut self, start: u32, scores: &[f32]) {
        const AT_ONCE: usize = 4 * LANES;
        let mut bar = self.top.bar();
        for (part, at) in scores.chunks(AT_ONCE).zip((start..).step_by(AT_ONCE)) {
            let mut above = 0u64;
            for (number, vector) in part.chunks_exact(LANES).enumerate() {
                // SAFETY: the caller's, and the chunk is one vector long.
                let mask = unsafe { L::above(L::load(vector.as_ptr()), L::splat(bar)) };
                above |= u64::from(mask) << (number * LANES);
            }
            while above != 0 {
                let lane = above.trailing_zeros();
                above &= above - 1;
                let score = part[lane as usize];
                if score > bar {
                    self.top.push(score, at + lane);
                    bar = self.top.bar();
                }
            }
        }
    }

    /// Appends what was found. `n_candidates` counts the universe's candidates.
    pub(super) fn finish(self, n_candidates: usize, into: &mut Rankings) {
        let candidates = n_candidates - self.n_seen;
        let known = self.items.len() - self.n_seen_known;
        into.lists.extend(self.top.into_places().map(|place| self.items.item(place)));
        for truth in self.truth {
            into.truth.push(truth.item);
            match truth.known {
                None => {
                    into.ranks.push(None);
                    into.mean_ranks.push(shared_last_rank(known, candidates));
                }
                Some(standing) => {
                    into.ranks.push(Some(standing.above + standing.equal_before + 1));
                    let equal = standing.equal_before + standing.equal_after;
                    into.mean_ranks.push(f64::from(standing.above) + 1.0 + f64::from(equal) / 2.0);
                }
            }
        }
        into.end_user(candidates);
    }
}

impl Standing {
    #[inline(always)]
    unsafe fn take<L: Lanes>(&mut self, start: u32, scores: &[f32]) {
        let own = self.place.wrapping_sub(start) as usize;
        // SAFETY: the caller's, and every chunk is one vector long.
        let (above, at_least) = unsafe {
            let score = L::splat(self.score);
            let (mut above, mut at_least) = (L::no_counts(), L::no_counts());
            for vector in scores.chunks_exact(LANES) {
                let vector = L::load(vector.as_ptr());
                above = L::count_above(vector, score, above);
                at_least = L::count_at_least(vector, score, at_least);
            }
            (L::total(above), L::total(at_least))
        };
        let equal = at_least - above;
        self.above += above;
        if own < scores.len() {
            let before = scores[..own].iter().filter(|score| **score == self.score).count() as u32;
            self.equal_before += before;
            self.equal_after += equal - before - 1;
        } else if self.place < start {
            self.equal_after += equal;
        } else {
            self.equal_before += equal;
        }
    }
}

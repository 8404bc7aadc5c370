//! Ranking by inner products: scores of a block of items, for many users at a time.

use std::borrow::Cow;
use std::ops::Range;

use super::model::FactorScores;
use super::pass::UserPass;
use super::universe::Universe;
use crate::kernel::LANES;
use crate::kernel::lanes::{Lanes, with_widest_lanes};
use crate::kernel::lines::Lines;
use crate::kernel::product::{Ahead, Place, SET, product};

/// Items to a panel: what a tile of the product holds in registers.
pub(super) const PANEL: usize = 3 * LANES;
/// Panels to a block, whose scores for a chunk of users stay in the second-level cache.
const PANELS_PER_BLOCK: usize = 10;
pub(super) const BLOCK: usize = PANEL * PANELS_PER_BLOCK;

/// The candidates that a model knows, ascending.
pub(super) struct KnownItems {
    items: Vec<u32>,
    places: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl KnownItems {
    fn new(known: &[bool], candidates: &[bool]) -> Self {
        let items: Vec<u32> = (0..)
            .zip(known.iter().zip(candidates))
            .filter(|(_, (known, candidate))| **known && **candidate)
            .map(|(item, _)| item)
            .collect();
        let mut places = vec![ABSENT; known.len()];
        for (place, item) in (0..).zip(&items) {
            places[*item as usize] = place;
        }
        Self { items, places }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn item(&self, place: u32) -> u32 {
        self.items[place as usize]
    }

    pub(super) fn place(&self, item: u32) -> Option<u32> {
        Some(self.places[item as usize]).filter(|place| *place != ABSENT)
    }
}

/// A factor model made ready to rank.
pub(super) struct FactorRanker<'a> {
    users: Cow<'a, [f32]>,
    user_rows: &'a [Option<u32>],
    items: KnownItems,
    n_factors: usize,
    /// The known items' factors in panels: of each, first the first factor of all its items.
    panels: Lines,
    largest_norm: f64,
}

impl<'a> FactorRanker<'a> {
    pub(super) fn new(scores: &'a FactorScores<'_>, universe: &Universe<'_>) -> Self {
        let items = KnownItems::new(scores.known, universe.candidates);
        let n_factors = scores.items.ncols();
        let mut panels = Lines::zeroed(items.len().next_multiple_of(PANEL) * n_factors);
        let mut largest_norm = 0f64;
        for (place, item) in items.items.iter().enumerate() {
            let row = scores.items.row(*item as usize);
            let panel = place / PANEL * PANEL * n_factors + place % PANEL;
            for (factor, value) in row.iter().enumerate() {
                panels[panel + factor * PANEL] = *value;
            }
            largest_norm = largest_norm.max(norm(row.iter()));
        }
        Self {
            users: match scores.users.as_slice() {
                Some(rows) => Cow::Borrowed(rows),
                None => Cow::Owned(scores.users.iter().copied().collect()),
            },
            user_rows: scores.user_rows,
            items,
            n_factors,
            panels,
            largest_norm,
        }
    }

    /// The passes of those of `users` that the model knows; `Err` names a user whose scores are not
    /// finite.
    pub(super) fn score(
        &self,
        universe: &Universe<'_>,
        users: Range<usize>,
        depth: usize,
    ) -> Result<Vec<UserPass<'_>>, usize> {
        let known: Vec<(usize, &[f32])> =
            users.filter_map(|user| self.user_rows[user].map(|row| (user, self.factors_of(row)))).collect();
        // Nobody to score for, as under a split by user: there may be no row of factors at all.
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let mut factors = vec![0f32; known.len() * self.n_factors];
        for (to, (_, from)) in factors.chunks_exact_mut(self.n_factors.max(1)).zip(&known) {
            to.copy_from_slice(from);
        }
        let mut passes = known
            .iter()
            .map(|(user, factors)| {
                UserPass::new(
                    *user,
                    &self.items,
                    universe.seen_candidates(*user),
                    universe.truth_of(*user),
                    depth,
                    |place| self.score_one(factors, place),
                )
            })
            .collect();
        let finite = known.iter().all(|(_, factors)| self.scores_are_finite(factors));
        match score_blocks(self, &factors, &mut passes, finite) {
            None => Ok(passes),
            Some(row) => Err(known[row].0),
        }
    }

    fn factors_of(&self, row: u32) -> &[f32] {
        let start = row as usize * self.n_factors;
        &self.users[start..start + self.n_factors]
    }

    /// Whether no score of a user can overflow: no partial sum exceeds the product of the norms.
    fn scores_are_finite(&self, factors: &[f32]) -> bool {
        norm(factors.iter()) * self.largest_norm < f64::from(f32::MAX) / 2.0
    }

    fn score_one(&self, factors: &[f32], place: u32) -> f32 {
        let panel = place as usize / PANEL * PANEL * self.n_factors + place as usize % PANEL;
        score_in_order(factors, &self.panels, panel)
    }
}

fn norm<'a>(values: impl Iterator<Item = &'a f32>) -> f64 {
    values.map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

with_widest_lanes! {
    /// The score of the item whose first factor stands at `start`, with the bits that the product of
    /// a block gives it.
    fn score_in_order(user: &[f32], panels: &[f32], start: usize) -> f32 = score_in_order_with
}

#[inline(always)]
unsafe fn score_in_order_with<L: Lanes>(user: &[f32], panels: &[f32], start: usize) -> f32 {
    user.iter().zip(panels.iter().skip(start).step_by(PANEL)).fold(0.0, |sum, (user, item)| {
        // SAFETY: the caller's.
        unsafe { L::scalar_mul_add(*item, *user, sum) }
    })
}

with_widest_lanes! {
    /// Scores all items for the users of `passes`, whose factors stand in `users`. Unless `finite`,
    /// looks for scores that are not, and gives the position of such a user.
    fn score_blocks(
        ranker: &FactorRanker<'_>,
        users: &[f32],
        passes: &mut Vec<UserPass<'_>>,
        finite: bool,
    ) -> Option<usize> = score_blocks_with
}

#[inline(always)]
unsafe fn score_blocks_with<L: Lanes>(
    ranker: &FactorRanker<'_>,
    users: &[f32],
    passes: &mut Vec<UserPass<'_>>,
    finite: bool,
) -> Option<usize> {
    let n_factors = ranker.n_factors;
    let mut scores = Lines::zeroed(BLOCK * passes.len());
    for start in (0..ranker.items.len()).step_by(BLOCK) {
        let known = BLOCK.min(ranker.items.len() - start);
        for panel in 0..known.div_ceil(PANEL) {
            let place = Place {
                a: ranker.panels[(start + panel * PANEL) * n_factors..].as_ptr(),
                a_step_k: PANEL,
                b: users.as_ptr(),
                b_step_k: 1,
                b_step_j: n_factors,
                c: scores[panel * PANEL..].as_mut_ptr(),
                c_step_j: BLOCK,
            };
            // SAFETY: the panel has PANEL items of n_factors numbers, users as many per pass, and
            // scores a BLOCK per pass.
            unsafe {
                product::<L, SET>(place, PANEL / LANES, passes.len(), n_factors, &mut Ahead::nothing());
            }
        }
        for (row, pass) in passes.iter_mut().enumerate() {
            let scores = &mut scores[row * BLOCK..][..known.next_multiple_of(LANES)];
            if !finite && !scores[..known].iter().all(|score| score.is_finite()) {
                return Some(row);
            }
            scores[known..].fill(f32::NEG_INFINITY);
            // SAFETY: the caller's.
            unsafe { pass.take::<L>(start as u32, scores) };
        }
    }
    None
}

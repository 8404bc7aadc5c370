//! All pairs of sets above a Jaccard threshold: a prefix-filter join.
//!
//! Elements are ordered by rarity. Two sets that reach the threshold must share an element
//! among the first few of each (their prefixes), so an index of prefixes finds every pair;
//! what an element's position still allows to be shared rejects many at once. The method is
//! PPJoin of Xiao, Wang, Lin and Yu, "Efficient similarity joins for near duplicate
//! detection" (WWW 2008), for a self-join in order of size.
//!
//! Where a text's rarest shingles are not rare, most of the time goes into index entries of
//! sets that have little in common. A bitmap of each set ([`super::sets::Sketch`]) proves that
//! of most without looking at the set, as in Sandes, Teodoro and Melo, "Bitmap filter:
//! speeding up exact set similarity joins with bitwise operations" (2020).

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::sets::{SKETCH_BITS, Sets};
use super::shingle::{Gram, Shingler, jaccard, least_shared, least_size, shared};
use super::{Counts, Found, NearDuplicates, Pair, SimilarError};

/// Pairs of places in `items`, in order; `items` have distinct texts, none empty.
pub(super) fn join<G: Gram>(
    search: &NearDuplicates,
    shingler: &Shingler<G>,
    items: &[u32],
) -> Result<Found, SimilarError> {
    let sets = Sets::number(shingler, items);
    let index = PrefixIndex::new(&sets, search.jaccard);
    let found = AtomicUsize::new(0);
    let per_set: Vec<(Vec<Pair>, Counts)> = (0..sets.len())
        .into_par_iter()
        .with_min_len(256)
        .map_init(
            || Probe::new(sets.len()),
            |probe, set| {
                if found.load(Ordering::Relaxed) > search.max_pairs {
                    return (Vec::new(), Counts::default());
                }
                let matches = probe.run(search, shingler, items, &sets, &index, set);
                found.fetch_add(matches.0.len(), Ordering::Relaxed);
                matches
            },
        )
        .collect();
    if found.into_inner() > search.max_pairs {
        return Err(search.too_many());
    }
    let mut result = Found { pairs: Vec::new(), counts: Counts::default() };
    for (pairs, counts) in per_set {
        result.pairs.extend(pairs);
        result.counts.candidates += counts.candidates;
        result.counts.vetoed += counts.vetoed;
    }
    Ok(result)
}

/// Where each shingle stands in the prefix of which set.
struct PrefixIndex {
    /// Per shingle, where its entries end.
    ends: Vec<usize>,
    /// (set, position in the set), ascending by set.
    entries: Vec<(u32, u32)>,
}

impl PrefixIndex {
    fn new(sets: &Sets, threshold: f64) -> PrefixIndex {
        let mut starts = vec![0usize; sets.distinct + 1];
        let prefixes = || {
            (0..sets.len()).map(|set| {
                let elements = sets.set(set);
                // The index serves sets of this size and larger.
                let least = least_shared(threshold, elements.len(), elements.len());
                (set, &elements[..elements.len() - least + 1])
            })
        };
        for (_, prefix) in prefixes() {
            for &element in prefix {
                starts[element as usize + 1] += 1;
            }
        }
        for element in 1..starts.len() {
            starts[element] += starts[element - 1];
        }
        let mut entries = vec![(0, 0); starts[sets.distinct]];
        let mut next = starts;
        for (set, prefix) in prefixes() {
            for (position, &element) in prefix.iter().enumerate() {
                entries[next[element as usize]] = (set as u32, position as u32);
                next[element as usize] += 1;
            }
        }
        next.pop();
        PrefixIndex { ends: next, entries }
    }

    fn entries(&self, element: u32) -> &[(u32, u32)] {
        let element = element as usize;
        let start = element.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.entries[start..self.ends[element]]
    }
}

/// The scratch memory of one thread.
struct Probe {
    /// Shared elements seen so far with each smaller set.
    overlap: Vec<u32>,
    touched: Vec<u32>,
}

/// An overlap of a set that position or size already ruled out.
const RULED_OUT: u32 = u32::MAX;

impl Probe {
    fn new(sets: usize) -> Probe {
        Probe { overlap: vec![0; sets], touched: Vec::new() }
    }

    fn run<G: Gram>(
        &mut self,
        search: &NearDuplicates,
        shingler: &Shingler<G>,
        items: &[u32],
        sets: &Sets,
        index: &PrefixIndex,
        set: usize,
    ) -> (Vec<Pair>, Counts) {
        self.collect_candidates(search.jaccard, sets, index, set);
        let elements = sets.set(set);
        let mut pairs = Vec::new();
        let mut counts = Counts::default();
        self.touched.sort_unstable();
        for &other in &self.touched {
            if std::mem::take(&mut self.overlap[other as usize]) == RULED_OUT {
                continue;
            }
            counts.candidates += 1;
            let others = sets.set(other as usize);
            let least = least_shared(search.jaccard, elements.len(), others.len());
            let Some(shared) = shared(elements, others, least) else {
                continue;
            };
            let jaccard = jaccard(elements.len(), others.len(), shared);
            if jaccard < search.jaccard {
                continue;
            }
            let (a, b) = (sets.item[set], sets.item[other as usize]);
            if shingler.differ_in_number(items[a as usize], items[b as usize]) {
                counts.vetoed += 1;
            } else {
                pairs.push(Pair { a, b, jaccard });
            }
        }
        self.touched.clear();
        (pairs, counts)
    }

    fn collect_candidates(&mut self, threshold: f64, sets: &Sets, index: &PrefixIndex, set: usize) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has the instruction.
            return unsafe { self.collect_with_popcnt(threshold, sets, index, set) };
        }
        self.collect(threshold, sets, index, set);
    }

    /// The same as [`Self::collect`]; bits are counted by one instruction instead of twelve.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt")]
    fn collect_with_popcnt(&mut self, threshold: f64, sets: &Sets, index: &PrefixIndex, set: usize) {
        self.collect(threshold, sets, index, set);
    }

    #[inline(always)]
    fn collect(&mut self, threshold: f64, sets: &Sets, index: &PrefixIndex, set: usize) {
        let elements = sets.set(set);
        let smallest = least_size(threshold, elements.len());
        let prefix = elements.len() - smallest + 1;
        // Elements that are in one of two sets alone: a + b - 2 shared, which is the most
        // where both are of this size and the shared are just enough.
        let most_apart = (1.0 - threshold) / (1.0 + threshold) * 2.0 * elements.len() as f64;
        let most_apart = (most_apart + 1e-6) as u32;
        let sketch = (most_apart < SKETCH_BITS / 2).then(|| sets.sketch(set));
        for (position, &element) in elements[..prefix].iter().enumerate() {
            let entries = index.entries(element);
            let end = entries.partition_point(|&(other, _)| (other as usize) < set);
            let start =
                entries[..end].partition_point(|&(other, _)| sets.set(other as usize).len() < smallest);
            for &(other, other_position) in &entries[start..end] {
                let far = |sketch| sets.sketch(other as usize).apart(sketch) > most_apart;
                if !sketch.is_some_and(far) {
                    self.count(threshold, sets, (set, position), (other, other_position));
                }
            }
        }
    }

    /// Counts the element that two sets share at these positions.
    #[inline]
    fn count(
        &mut self,
        threshold: f64,
        sets: &Sets,
        (set, position): (usize, usize),
        (other, other_position): (u32, u32),
    ) {
        let overlap = &mut self.overlap[other as usize];
        if *overlap == RULED_OUT {
            return;
        }
        if *overlap == 0 {
            self.touched.push(other);
        }
        let (size, others) = (sets.set(set).len(), sets.set(other as usize).len());
        let rest = (size - position).min(others - other_position as usize);
        if (*overlap as usize + rest) < least_shared(threshold, size, others) {
            *overlap = RULED_OUT;
        } else {
            *overlap += 1;
        }
    }
}

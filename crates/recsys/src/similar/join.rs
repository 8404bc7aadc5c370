//! All pairs of sets above a Jaccard threshold: a prefix-filter join.
//!
//! Elements are ordered by rarity. Two sets that reach the threshold must share an element
//! among the first few of each (their prefixes), so an index of prefixes finds every pair;
//! what an element's position still allows to be shared rejects most at once. The method is
//! PPJoin of Xiao, Wang, Lin and Yu, "Efficient similarity joins for near duplicate
//! detection" (WWW 2008), for a self-join in order of size.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

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

/// The items' sets of shingles, shingles numbered by rarity, sets in order of size.
struct Sets {
    elements: Vec<u32>,
    /// Where each set ends in `elements`.
    ends: Vec<usize>,
    /// Which of the items each set is.
    item: Vec<u32>,
    distinct: usize,
}

const SHARDS: usize = 256;
/// Items whose shingles are counted by one task.
const CHUNK: usize = 1_024;

impl Sets {
    fn number<G: Gram>(shingler: &Shingler<G>, items: &[u32]) -> Sets {
        let ranks = Ranks::by_rarity(shingler, items);
        let unordered: Vec<Vec<u32>> = items
            .par_iter()
            .map_init(Vec::new, |grams: &mut Vec<G>, &item| {
                grams.clear();
                shingler.append_grams(item, grams);
                let mut set: Vec<u32> = grams.iter().map(|gram| ranks.of(*gram)).collect();
                set.sort_unstable();
                set.dedup();
                set.shrink_to_fit();
                set
            })
            .collect();
        let mut item: Vec<u32> = (0..items.len() as u32).collect();
        item.sort_unstable_by_key(|&place| (unordered[place as usize].len(), place));
        let mut sets = Sets {
            elements: Vec::with_capacity(unordered.iter().map(Vec::len).sum()),
            ends: Vec::with_capacity(items.len()),
            item,
            distinct: ranks.distinct,
        };
        for &place in &sets.item {
            sets.elements.extend(&unordered[place as usize]);
            sets.ends.push(sets.elements.len());
        }
        sets
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    fn set(&self, set: usize) -> &[u32] {
        let start = set.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.elements[start..self.ends[set]]
    }
}

/// A number for each distinct shingle; rarer ones have lower numbers.
struct Ranks<G> {
    shards: Vec<hashbrown::HashMap<G, u32>>,
    distinct: usize,
}

impl<G: Gram> Ranks<G> {
    fn by_rarity(shingler: &Shingler<G>, items: &[u32]) -> Ranks<G> {
        let shards: Vec<std::sync::Mutex<hashbrown::HashMap<G, u32>>> =
            (0..SHARDS).map(|_| Default::default()).collect();
        items.par_chunks(CHUNK).for_each(|items| {
            let mut grams = Vec::new();
            for &item in items {
                shingler.append_grams(item, &mut grams);
            }
            // Repeats within a text are counted too: any order of shingles gives the same
            // pairs, and a nearly right one gives them as fast.
            grams.sort_unstable_by_key(|gram| (shard_of(*gram), *gram));
            for run in grams.chunk_by(|a, b| shard_of(*a) == shard_of(*b)) {
                let mut shard = shards[shard_of(run[0])].lock().expect("no holder can panic");
                for same in run.chunk_by(|a, b| a == b) {
                    let count = shard.entry(same[0]).or_insert(0);
                    *count = count.saturating_add(same.len() as u32);
                }
            }
        });
        let mut shards: Vec<hashbrown::HashMap<G, u32>> =
            shards.into_iter().map(|shard| shard.into_inner().expect("no holder can panic")).collect();
        let mut order: Vec<(u32, G)> =
            shards.iter().flat_map(|shard| shard.iter().map(|(gram, count)| (*count, *gram))).collect();
        order.par_sort_unstable();
        for (rank, (_, gram)) in order.iter().enumerate() {
            shards[shard_of(*gram)].insert(*gram, rank as u32);
        }
        Ranks { distinct: order.len(), shards }
    }

    #[inline]
    fn of(&self, gram: G) -> u32 {
        self.shards[shard_of(gram)][&gram]
    }
}

#[inline]
fn shard_of<G: Gram>(gram: G) -> usize {
    (gram.mixed() >> 56) as usize
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
        let elements = sets.set(set);
        let smallest = least_size(threshold, elements.len());
        let prefix = elements.len() - smallest + 1;
        for (position, &element) in elements[..prefix].iter().enumerate() {
            let entries = index.entries(element);
            let end = entries.partition_point(|&(other, _)| (other as usize) < set);
            let start =
                entries[..end].partition_point(|&(other, _)| sets.set(other as usize).len() < smallest);
            for &(other, other_position) in &entries[start..end] {
                let overlap = &mut self.overlap[other as usize];
                if *overlap == RULED_OUT {
                    continue;
                }
                if *overlap == 0 {
                    self.touched.push(other);
                }
                let others = sets.set(other as usize).len();
                let rest = (elements.len() - position).min(others - other_position as usize);
                if *overlap as usize + rest < least_shared(threshold, elements.len(), others) {
                    *overlap = RULED_OUT;
                } else {
                    *overlap += 1;
                }
            }
        }
    }
}

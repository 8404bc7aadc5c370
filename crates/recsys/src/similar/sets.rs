//! The sets that are joined: shingles as small numbers, sets in one piece of memory.

use std::sync::Mutex;

use hashbrown::HashMap;
use rayon::prelude::*;

use super::shingle::{Gram, Shingler, mix};

/// The items' sets of shingles, shingles numbered by rarity, sets in order of size.
pub(super) struct Sets {
    elements: Vec<u32>,
    /// Where each set ends in `elements`.
    ends: Vec<usize>,
    sketches: Vec<Sketch>,
    /// Which of the items each set is.
    pub item: Vec<u32>,
    /// Distinct shingles of all.
    pub distinct: usize,
}

const SHARDS: usize = 256;
/// Items whose shingles are counted by one task.
const CHUNK: usize = 1_024;

impl Sets {
    pub fn number<G: Gram>(shingler: &Shingler<G>, items: &[u32]) -> Sets {
        let ranks = Ranks::by_rarity(shingler, items);
        let mut unordered: Vec<Vec<u32>> = items
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
            sketches: Vec::with_capacity(items.len()),
            item,
            distinct: ranks.distinct,
        };
        for &place in &sets.item {
            // Each piece is freed as soon as it is copied.
            let set = std::mem::take(&mut unordered[place as usize]);
            sets.elements.extend(&set);
            sets.ends.push(sets.elements.len());
            sets.sketches.push(Sketch::of(&set));
        }
        sets
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    #[inline]
    pub fn sketch(&self, set: usize) -> &Sketch {
        &self.sketches[set]
    }

    #[inline]
    pub fn set(&self, set: usize) -> &[u32] {
        let start = set.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.elements[start..self.ends[set]]
    }
}

/// A set as 256 bits, each the parity of the elements that fall on it. An element that is in
/// one of two sets alone turns one bit, so two sketches differ in no more bits than the sets
/// do in elements.
#[derive(Clone, Copy)]
pub(super) struct Sketch([u64; 4]);

pub(super) const SKETCH_BITS: u32 = 256;

impl Sketch {
    fn of(set: &[u32]) -> Sketch {
        let mut sketch = Sketch([0; 4]);
        for &element in set {
            let bit = mix(u64::from(element)) % u64::from(SKETCH_BITS);
            sketch.0[bit as usize / 64] ^= 1 << (bit % 64);
        }
        sketch
    }

    /// A lower bound of the elements in one of the two sets alone.
    #[inline(always)]
    pub fn apart(&self, other: &Sketch) -> u32 {
        self.0.iter().zip(other.0).map(|(a, b)| (a ^ b).count_ones()).sum()
    }
}

/// A number for each distinct shingle; rarer ones have lower numbers.
struct Ranks<G> {
    shards: Vec<HashMap<G, u32>>,
    distinct: usize,
}

impl<G: Gram> Ranks<G> {
    fn by_rarity(shingler: &Shingler<G>, items: &[u32]) -> Ranks<G> {
        let shards: Vec<Mutex<HashMap<G, u32>>> = (0..SHARDS).map(|_| Default::default()).collect();
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
        let mut shards: Vec<HashMap<G, u32>> =
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

//! Candidate pairs by MinHash and bands, each then verified.
//!
//! For a random function of shingles, two sets have the same least value with a probability
//! that is their Jaccard similarity J (Broder 1997). A band is `rows` such values; two items
//! are candidates when some band agrees, which happens with probability
//! 1 - (1 - J^rows)^bands. [`Bands::for_threshold`] chooses both.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::shingle::{Gram, Shingler, jaccard, least_shared, mix, shared};
use super::{Counts, Found, NearDuplicates, Pair, SimilarError};

/// The least probability that a pair at the threshold becomes a candidate.
const RECALL: f64 = 0.98;
const MOST_HASHES: usize = 160;
/// Hash functions evaluated side by side.
const LANES: usize = 16;

/// How many bands, of how many rows each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bands {
    pub bands: usize,
    pub rows: usize,
}

impl Bands {
    /// The longest rows, hence the fewest false candidates, for which at most 160 hash
    /// functions find a pair at the threshold with probability 0.98.
    pub fn for_threshold(threshold: f64) -> Bands {
        (1..=MOST_HASHES)
            .map(|rows| {
                let agree = threshold.powi(rows as i32);
                let bands =
                    if agree < 1.0 { ((1.0 - RECALL).ln() / (-agree).ln_1p()).ceil().max(1.0) } else { 1.0 };
                Bands { bands: bands.min(1e9) as usize, rows }
            })
            .filter(|shape| shape.rows == 1 || shape.hashes() <= MOST_HASHES)
            .max_by_key(|shape| shape.rows)
            .expect("rows of one are always among them")
    }

    fn hashes(self) -> usize {
        self.bands.saturating_mul(self.rows)
    }
}

/// Pairs of places in `items`, in order; `items` have distinct texts, none empty.
pub(super) fn search<G: Gram>(
    search: &NearDuplicates,
    shingler: &Shingler<G>,
    items: &[u32],
) -> Result<Found, SimilarError> {
    let shape = Bands::for_threshold(search.jaccard);
    let keys = BandKeys::compute(shape, search.seed, shingler, items);
    let bands: Vec<Result<(Vec<Pair>, Counts), SimilarError>> = (0..shape.bands)
        .into_par_iter()
        .map(|band| Verifier::new(search, shingler, items, &keys).run(band))
        .collect();
    let mut found = Found { pairs: Vec::new(), counts: Counts { approximate: true, ..Counts::default() } };
    for band in bands {
        let (pairs, counts) = band?;
        found.pairs.extend(pairs);
        found.counts.candidates += counts.candidates;
        found.counts.vetoed += counts.vetoed;
    }
    Ok(found)
}

/// `x -> (x ^ mask) * factor` in 32 bits, on shingles that were mixed before: each is a
/// bijection, so the least value falls on a shingle that is as good as random.
struct Hashes {
    masks: Vec<[u32; LANES]>,
    factors: Vec<[u32; LANES]>,
}

impl Hashes {
    fn new(count: usize, seed: u64) -> Hashes {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        let mut lanes = |odd: u32| -> Vec<[u32; LANES]> {
            (0..count.div_ceil(LANES)).map(|_| std::array::from_fn(|_| stream.next_u32() | odd)).collect()
        };
        Hashes { masks: lanes(0), factors: lanes(1) }
    }

    /// The least value of each function over `shingles`, in `least`.
    fn sign(&self, shingles: &[u32], least: &mut [u32]) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            return unsafe { self.sign_avx2(shingles, least) };
        }
        self.sign_plain(shingles, least);
    }

    /// The same instructions as [`Self::sign_plain`], eight lanes at once.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn sign_avx2(&self, shingles: &[u32], least: &mut [u32]) {
        self.sign_plain(shingles, least);
    }

    #[inline(always)]
    fn sign_plain(&self, shingles: &[u32], least: &mut [u32]) {
        let groups = self.masks.iter().zip(&self.factors);
        for ((masks, factors), least) in groups.zip(least.chunks_exact_mut(LANES)) {
            let mut lowest = [u32::MAX; LANES];
            for &shingle in shingles {
                for lane in 0..LANES {
                    let value = (shingle ^ masks[lane]).wrapping_mul(factors[lane]);
                    lowest[lane] = lowest[lane].min(value);
                }
            }
            least.copy_from_slice(&lowest);
        }
    }
}

/// One 32-bit key for each band of each item. Chance agreements of keys cost a verification,
/// nothing more.
struct BandKeys {
    bands: usize,
    keys: Vec<u32>,
}

impl BandKeys {
    fn compute<G: Gram>(shape: Bands, seed: u64, shingler: &Shingler<G>, items: &[u32]) -> BandKeys {
        let hashes = Hashes::new(shape.hashes(), seed);
        let mut keys = vec![0; items.len() * shape.bands];
        keys.par_chunks_mut(shape.bands).zip(items).with_min_len(256).for_each_init(
            || (Vec::new(), Vec::new(), vec![0; hashes.masks.len() * LANES]),
            |(grams, shingles, least), (keys, &item)| {
                grams.clear();
                shingler.append_grams(item, grams);
                shingles.clear();
                shingles.extend(grams.iter().map(|gram: &G| (gram.mixed() >> 32) as u32));
                hashes.sign(shingles, least);
                for (key, rows) in keys.iter_mut().zip(least.chunks_exact(shape.rows)) {
                    let whole = rows.iter().fold(0, |key, row| mix(key ^ u64::from(*row)));
                    *key = (whole >> 32) as u32;
                }
            },
        );
        BandKeys { bands: shape.bands, keys }
    }

    #[inline]
    fn of(&self, place: u32) -> &[u32] {
        let start = place as usize * self.bands;
        &self.keys[start..start + self.bands]
    }

    /// Whether two items agree in a band before `band`, where they were compared already.
    #[inline]
    fn met_before(&self, a: u32, b: u32, band: usize) -> bool {
        self.of(a)[..band].iter().zip(self.of(b)).any(|(a, b)| a == b)
    }
}

/// Compares the items that share a key in one band.
struct Verifier<'s, 'c, G> {
    search: &'s NearDuplicates,
    shingler: &'s Shingler<'c, G>,
    items: &'s [u32],
    keys: &'s BandKeys,
    pairs: Vec<Pair>,
    counts: Counts,
}

impl<'s, 'c, G: Gram> Verifier<'s, 'c, G> {
    fn new(
        search: &'s NearDuplicates,
        shingler: &'s Shingler<'c, G>,
        items: &'s [u32],
        keys: &'s BandKeys,
    ) -> Self {
        Verifier { search, shingler, items, keys, pairs: Vec::new(), counts: Counts::default() }
    }

    fn run(mut self, band: usize) -> Result<(Vec<Pair>, Counts), SimilarError> {
        let mut order: Vec<u64> = (0..self.items.len() as u32)
            .map(|place| u64::from(self.keys.of(place)[band]) << 32 | u64::from(place))
            .collect();
        order.sort_unstable();
        for bucket in order.chunk_by(|a, b| a >> 32 == b >> 32) {
            if bucket.len() > 1 {
                self.compare_bucket(bucket, band);
            }
            if self.pairs.len() > self.search.max_pairs {
                return Err(self.search.too_many());
            }
        }
        Ok((self.pairs, self.counts))
    }

    fn compare_bucket(&mut self, bucket: &[u64], band: usize) {
        let mut sets: Vec<Option<Vec<G>>> = vec![None; bucket.len()];
        for (n, &first) in bucket.iter().enumerate() {
            for (m, &second) in bucket.iter().enumerate().skip(n + 1) {
                let (a, b) = (first as u32, second as u32);
                if self.keys.met_before(a, b, band) {
                    continue;
                }
                for (slot, place) in [(n, a), (m, b)] {
                    if sets[slot].is_none() {
                        let mut set = Vec::new();
                        self.shingler.set(self.items[place as usize], &mut set);
                        sets[slot] = Some(set);
                    }
                }
                if let (Some(set), Some(other)) = (&sets[n], &sets[m]) {
                    let jaccard = similarity(set, other, self.search.jaccard);
                    self.judge(a, b, jaccard);
                }
            }
        }
    }

    fn judge(&mut self, a: u32, b: u32, jaccard: Option<f64>) {
        self.counts.candidates += 1;
        let Some(jaccard) = jaccard else {
            return;
        };
        let (item_a, item_b) = (self.items[a as usize], self.items[b as usize]);
        if self.shingler.differ_in_number(item_a, item_b) {
            self.counts.vetoed += 1;
        } else {
            self.pairs.push(Pair { a, b, jaccard });
        }
    }
}

/// The similarity of two ascending sets, if it reaches the threshold.
fn similarity<G: Gram>(a: &[G], b: &[G], threshold: f64) -> Option<f64> {
    let shared = shared(a, b, least_shared(threshold, a.len(), b.len()))?;
    Some(jaccard(a.len(), b.len(), shared)).filter(|jaccard| *jaccard >= threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance_of_candidacy(shape: Bands, jaccard: f64) -> f64 {
        1.0 - (1.0 - jaccard.powi(shape.rows as i32)).powi(shape.bands as i32)
    }

    #[test]
    fn bands_reach_the_recall_at_the_threshold() {
        for percent in 1..=100 {
            let threshold = f64::from(percent) / 100.0;
            let shape = Bands::for_threshold(threshold);
            assert!(chance_of_candidacy(shape, threshold) >= RECALL, "{threshold} {shape:?}");
        }
        assert_eq!(Bands::for_threshold(0.7), Bands { bands: 22, rows: 5 });
    }

    #[test]
    fn plain_and_wide_signatures_are_the_same_bits() {
        let hashes = Hashes::new(37, 9);
        let shingles: Vec<u32> = (0..101u64).map(|n| mix(n) as u32).collect();
        let (mut plain, mut wide) = (vec![0; 48], vec![0; 48]);
        hashes.sign_plain(&shingles, &mut plain);
        hashes.sign(&shingles, &mut wide);
        assert_eq!(plain, wide);
    }

    #[test]
    fn signatures_agree_as_often_as_sets_are_alike() {
        // |A| = |B| = 60, 40 shared: J = 0.5.
        let hashes = Hashes::new(20_000, 3);
        let shingle = |n: u64| (mix(n) >> 32) as u32;
        let a: Vec<u32> = (0..60).map(shingle).collect();
        let b: Vec<u32> = (20..80).map(shingle).collect();
        let (mut sign_a, mut sign_b) = (vec![0; 20_000], vec![0; 20_000]);
        hashes.sign(&a, &mut sign_a);
        hashes.sign(&b, &mut sign_b);
        let agree = sign_a.iter().zip(&sign_b).filter(|(a, b)| a == b).count();
        assert!((agree as f64 / 20_000.0 - 0.5).abs() < 0.02, "{agree}");
    }
}

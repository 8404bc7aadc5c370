//! Near-duplicate items: which of them are one thing under several ids.
//!
//! Two items are near-duplicates when the Jaccard similarity of their sets of character
//! n-grams (4 by default) reaches a threshold, and they do not differ in a number:
//! "Part 2" and "Part 3" are two things, however alike the rest. [`fold`] says what text is
//! compared and what counts as a number.
//!
//! Up to [`EXACT_UP_TO`] items the answer is complete (a prefix-filter join, [`join`]); above
//! that, MinHash finds pairs ([`minhash`]) of which at least 98 in a hundred at the threshold,
//! and more above it, are expected to be found. Either way each pair's similarity is computed
//! exactly, on shingles that are numbered one by one and never merged by a hash.
//!
//! [`canonical`] then names one item for each group of near-duplicates.

mod canonical;
mod fold;
mod join;
mod minhash;
mod sets;
mod shingle;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use canonical::{Canonical, canonical};
use fold::Corpus;
use shingle::{Alphabet, Shingler};

/// Distinct texts above which [`Method::Auto`] gives up completeness for speed.
pub const EXACT_UP_TO: usize = 1_000_000;

/// The search for near-duplicates.
#[derive(Clone, Debug)]
pub struct NearDuplicates {
    /// The least similarity of a pair, above 0 and at most 1.
    pub jaccard: f64,
    /// Characters in a shingle, 2 to 4. A shorter text is one shingle by itself.
    pub ngram: usize,
    pub method: Method,
    /// Chooses the hash functions of MinHash; the exact method does not use it.
    pub seed: u64,
    /// More pairs than this are an error, since texts so alike are made from a template.
    pub max_pairs: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Exact up to [`EXACT_UP_TO`] distinct texts, else MinHash.
    Auto,
    /// Every pair. Time grows with the square of the items where their rarest shingles are
    /// shared by many: of 200,000 items, titles of 50 characters took 5 CPU seconds, texts of
    /// 180 characters from a small vocabulary 96.
    Exact,
    /// Nearly every pair, in time that grows with the items: 0.6 and 1.7 CPU seconds for the
    /// same two.
    MinHash,
}

/// A pair of near-duplicate items, by index, `a < b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub a: u32,
    pub b: u32,
    pub jaccard: f64,
}

/// What a search found.
///
/// Of items whose folded texts are equal, each is paired with the first of them alone (a
/// thousand equal texts are 999 pairs, not half a million), and only the first takes part in
/// pairs with others. So every near-duplicate is linked, though not every pair is listed.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// In order of `(a, b)`.
    pub pairs: Vec<Pair>,
    pub counts: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Items without any text: they match nothing.
    pub empty: usize,
    /// Items whose folded text equals an earlier item's.
    pub equal: usize,
    /// Pairs of different texts whose similarity was computed.
    pub candidates: u64,
    /// Of these, pairs at or above the threshold that differ in a number.
    pub vetoed: u64,
    /// Whether MinHash was used, so that pairs may be missing.
    pub approximate: bool,
}

#[derive(Debug, Error, PartialEq)]
pub enum SimilarError {
    #[error("jaccard {0} is no threshold; it must be above 0 and at most 1, for example 0.7")]
    Threshold(f64),
    #[error("shingles of {0} characters are not supported; ngram is 2 to 4")]
    Ngram(usize),
    #[error("{0} items are more than can be compared; at most {max} are", max = u32::MAX)]
    TooManyItems(usize),
    #[error(
        "more than {limit} pairs of items are near-duplicates at jaccard {jaccard}: the texts \
         seem to be made from a template. Raise jaccard, or compare columns that tell items apart"
    )]
    TooManyPairs { limit: usize, jaccard: f64 },
}

impl NearDuplicates {
    /// Shingles of four characters, the method by size, at most twenty million pairs.
    pub fn new(jaccard: f64) -> NearDuplicates {
        NearDuplicates { jaccard, ngram: 4, method: Method::Auto, seed: 0, max_pairs: 20_000_000 }
    }

    /// Finds the near-duplicates among items, each given by its text fields (title,
    /// description; a missing one is empty). The same pairs come out on any number of threads.
    ///
    /// Memory, besides the input: the folded text, about as large as the input; for the exact
    /// method 4 bytes for each distinct shingle of each item (about one a character), twice
    /// that while they are numbered, 8 for one in five of them (at 0.7) in the index, 64 an
    /// item, and 30 for each distinct shingle of all; for MinHash 4 an item and band, and 8 an
    /// item and thread; and 16 a pair.
    pub fn find<'a, I>(&self, items: &[I]) -> Result<Found, SimilarError>
    where
        I: AsRef<[&'a str]> + Sync,
    {
        self.check(items.len())?;
        let corpus = Corpus::fold(items);
        let alphabet = Alphabet::of(&corpus);
        let groups = Groups::of(&corpus);
        let found = if alphabet.is_narrow() {
            self.compare::<u64>(&corpus, &alphabet, &groups)?
        } else {
            self.compare::<u128>(&corpus, &alphabet, &groups)?
        };
        let mut pairs: Vec<Pair> = found
            .pairs
            .into_iter()
            .map(|pair| groups.pair_of_items(pair))
            .chain(groups.equal.iter().map(|&(a, b)| Pair { a, b, jaccard: 1.0 }))
            .collect();
        if pairs.len() > self.max_pairs {
            return Err(self.too_many());
        }
        pairs.sort_unstable_by_key(|pair| (pair.a, pair.b));
        Ok(Found { pairs, counts: Counts { empty: groups.empty, equal: groups.equal.len(), ..found.counts } })
    }

    fn compare<G: shingle::Gram>(
        &self,
        corpus: &Corpus,
        alphabet: &Alphabet,
        groups: &Groups,
    ) -> Result<Found, SimilarError> {
        let shingler = Shingler::<G>::new(corpus, alphabet, self.ngram);
        let exact = match self.method {
            Method::Auto => groups.firsts.len() <= EXACT_UP_TO,
            Method::Exact => true,
            Method::MinHash => false,
        };
        if exact {
            join::join(self, &shingler, &groups.firsts)
        } else {
            minhash::search(self, &shingler, &groups.firsts)
        }
    }

    fn check(&self, items: usize) -> Result<(), SimilarError> {
        if !(self.jaccard > 0.0 && self.jaccard <= 1.0) {
            return Err(SimilarError::Threshold(self.jaccard));
        }
        if !(2..=4).contains(&self.ngram) {
            return Err(SimilarError::Ngram(self.ngram));
        }
        if items > u32::MAX as usize {
            return Err(SimilarError::TooManyItems(items));
        }
        Ok(())
    }

    fn too_many(&self) -> SimilarError {
        SimilarError::TooManyPairs { limit: self.max_pairs, jaccard: self.jaccard }
    }
}

/// Items by equality of folded text and numbers.
struct Groups {
    /// The first item of each distinct text, in order.
    firsts: Vec<u32>,
    /// (first, other) for the rest.
    equal: Vec<(u32, u32)>,
    empty: usize,
}

impl Groups {
    fn of(corpus: &Corpus) -> Groups {
        let mut seen: hashbrown::HashMap<(&str, &str), u32> = hashbrown::HashMap::new();
        let mut groups = Groups { firsts: Vec::new(), equal: Vec::new(), empty: 0 };
        for item in 0..corpus.len() as u32 {
            let text = corpus.text(item);
            if text.is_empty() {
                groups.empty += 1;
                continue;
            }
            match seen.entry((text, corpus.numbers(item))) {
                hashbrown::hash_map::Entry::Occupied(first) => {
                    groups.equal.push((*first.get(), item));
                }
                hashbrown::hash_map::Entry::Vacant(place) => {
                    place.insert(item);
                    groups.firsts.push(item);
                }
            }
        }
        groups
    }

    /// A pair of indices into `firsts` as a pair of items.
    fn pair_of_items(&self, pair: Pair) -> Pair {
        let (a, b) = (self.firsts[pair.a as usize], self.firsts[pair.b as usize]);
        Pair { a: a.min(b), b: a.max(b), jaccard: pair.jaccard }
    }
}

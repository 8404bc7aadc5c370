//! Character n-grams as integers, exactly: two are equal if and only if their characters are.

use std::hash::Hash;

use rayon::prelude::*;

use super::fold::Corpus;

/// The characters that occur in a corpus, numbered from 1 in order of code point.
pub(super) struct Alphabet {
    /// By code point; 0 for those that do not occur.
    numbers: Vec<u32>,
    size: usize,
}

const CODE_POINTS: usize = 0x11_0000;

impl Alphabet {
    pub fn of(corpus: &Corpus) -> Alphabet {
        let occurs = corpus
            .pieces()
            .fold(CharSet::new, |mut set, text| {
                set.add(text);
                set
            })
            .reduce(CharSet::new, CharSet::union);
        let mut alphabet = Alphabet { numbers: vec![0; CODE_POINTS], size: 0 };
        for code in occurs.codes() {
            alphabet.size += 1;
            alphabet.numbers[code] = alphabet.size as u32;
        }
        alphabet
    }

    /// Whether four characters fit into 64 bits.
    pub fn is_narrow(&self) -> bool {
        self.size < 1 << 16
    }

    #[inline]
    fn number(&self, c: char) -> u32 {
        self.numbers[c as usize]
    }
}

struct CharSet(Vec<u64>);

impl CharSet {
    fn new() -> CharSet {
        CharSet(vec![0; CODE_POINTS / 64])
    }

    fn add(&mut self, text: &str) {
        for c in text.chars() {
            self.0[c as usize / 64] |= 1 << (c as usize % 64);
        }
    }

    fn union(mut self, other: CharSet) -> CharSet {
        for (word, more) in self.0.iter_mut().zip(other.0) {
            *word |= more;
        }
        self
    }

    fn codes(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(place, word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| place * 64 + bit)
        })
    }
}

/// Up to four characters packed into an integer, the last in the lowest bits. Numbers begin
/// at 1, so a shorter text differs from every longer one.
pub(super) trait Gram: Copy + Ord + Hash + Send + Sync {
    const EMPTY: Self;
    /// The gram one character further on, of at most `ngram` characters.
    fn push(self, number: u32, ngram: usize) -> Self;
    /// Well-mixed bits for hashing; equal for equal grams.
    fn mixed(self) -> u64;
}

impl Gram for u64 {
    const EMPTY: u64 = 0;

    #[inline]
    fn push(self, number: u32, ngram: usize) -> u64 {
        (self << 16 | u64::from(number)) & (u64::MAX >> (64 - 16 * ngram))
    }

    #[inline]
    fn mixed(self) -> u64 {
        mix(self)
    }
}

impl Gram for u128 {
    const EMPTY: u128 = 0;

    #[inline]
    fn push(self, number: u32, ngram: usize) -> u128 {
        (self << 32 | u128::from(number)) & (u128::MAX >> (128 - 32 * ngram))
    }

    #[inline]
    fn mixed(self) -> u64 {
        mix(mix((self >> 64) as u64) ^ self as u64)
    }
}

/// The finaliser of SplitMix64: a bijection of 64-bit words in which each bit in turns each
/// bit out.
#[inline]
pub(super) fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Cuts the texts of a corpus into grams.
pub(super) struct Shingler<'c, G> {
    corpus: &'c Corpus,
    alphabet: &'c Alphabet,
    ngram: usize,
    gram: std::marker::PhantomData<G>,
}

impl<'c, G: Gram> Shingler<'c, G> {
    pub fn new(corpus: &'c Corpus, alphabet: &'c Alphabet, ngram: usize) -> Self {
        Shingler { corpus, alphabet, ngram, gram: std::marker::PhantomData }
    }

    /// Appends the grams of the item's text in order, repeats included; one, if the text is
    /// not longer than a gram; none, if it is empty.
    #[inline]
    pub fn append_grams(&self, item: u32, grams: &mut Vec<G>) {
        let mut gram = G::EMPTY;
        let mut seen = 0;
        for c in self.corpus.text(item).chars() {
            gram = gram.push(self.alphabet.number(c), self.ngram);
            seen += 1;
            if seen >= self.ngram {
                grams.push(gram);
            }
        }
        if seen > 0 && seen < self.ngram {
            grams.push(gram);
        }
    }

    /// The item's set of grams, ascending, in `grams`.
    pub fn set(&self, item: u32, grams: &mut Vec<G>) {
        grams.clear();
        self.append_grams(item, grams);
        grams.sort_unstable();
        grams.dedup();
    }

    pub fn differ_in_number(&self, a: u32, b: u32) -> bool {
        self.corpus.numbers(a) != self.corpus.numbers(b)
    }
}

/// How many elements two ascending sets share, or `None` as soon as fewer than `least` are
/// certain.
#[inline]
pub(super) fn shared<T: Ord>(a: &[T], b: &[T], least: usize) -> Option<usize> {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        if count + (a.len() - i).min(b.len() - j) < least {
            return None;
        }
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                count += 1;
                i += 1;
                j += 1;
            }
        }
    }
    (count >= least).then_some(count)
}

/// The Jaccard similarity of sets of `a` and `b` elements that share `shared`.
#[inline]
pub(super) fn jaccard(a: usize, b: usize, shared: usize) -> f64 {
    shared as f64 / (a + b - shared) as f64
}

/// The fewest shared elements with which sets of `a` and `b` elements can reach `threshold`;
/// where rounding leaves a doubt, one fewer.
#[inline]
pub(super) fn least_shared(threshold: f64, a: usize, b: usize) -> usize {
    let bound = threshold / (1.0 + threshold) * (a + b) as f64;
    (bound - 1e-6).ceil().max(1.0) as usize
}

/// The fewest elements that a set can have and reach `threshold` with one of `size`.
#[inline]
pub(super) fn least_size(threshold: f64, size: usize) -> usize {
    (threshold * size as f64 - 1e-6).ceil().max(1.0) as usize
}

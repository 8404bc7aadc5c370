//! The search against brute force, and the cases that a reader would ask about.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn exact(jaccard: f64) -> NearDuplicates {
    NearDuplicates { method: Method::Exact, ..NearDuplicates::new(jaccard) }
}

fn minhash(jaccard: f64) -> NearDuplicates {
    NearDuplicates { method: Method::MinHash, ..NearDuplicates::new(jaccard) }
}

fn titles(search: &NearDuplicates, titles: &[&str]) -> Found {
    let items: Vec<[&str; 1]> = titles.iter().map(|title| [*title]).collect();
    search.find(&items).unwrap()
}

fn indices(found: &Found) -> Vec<(u32, u32)> {
    found.pairs.iter().map(|pair| (pair.a, pair.b)).collect()
}

#[test]
fn similarity_is_counted_in_sets_of_grams() {
    // "abcdefgh" and "abcdefgx" have five grams each and share four: 4 / 6.
    let found = titles(&exact(0.66), &["abcdefgh", "abcdefgx"]);
    assert_eq!(found.pairs, [Pair { a: 0, b: 1, jaccard: 4.0 / 6.0 }]);
    assert_eq!(indices(&titles(&exact(0.67), &["abcdefgh", "abcdefgx"])), []);
    // A set, not a multiset: "aaaaaa" has one gram.
    assert_eq!(indices(&titles(&exact(1.0), &["aaaaaa", "aaaaa!"])), [(0, 1)]);
}

#[test]
fn a_threshold_that_is_met_exactly_is_met() {
    // Seven shared of ten: 0.7 itself.
    let found = titles(&exact(0.7), &["abcdefghijk", "abcdefghijxy"]);
    assert_eq!(found.pairs, [Pair { a: 0, b: 1, jaccard: 7.0 / 10.0 }]);
}

#[test]
fn a_different_number_is_a_different_thing() {
    let found = titles(
        &exact(0.7),
        &[
            "The long way home part 2",
            "The long way home part 3",
            "The Long Way Home, Part II",
            "The long way home part two",
        ],
    );
    // Part II is part 2, but nothing else here is; the last has no number.
    assert_eq!(indices(&found), [(0, 2)]);
    assert!(found.counts.vetoed >= 1);
}

#[test]
fn empty_texts_match_nothing_and_short_ones_only_themselves() {
    let found = titles(&exact(0.7), &["", "!!", "寿司", "寿司!", "寿", "東京", "ab", "abc"]);
    assert_eq!(indices(&found), [(2, 3)]);
    assert_eq!(found.counts.empty, 2);
}

#[test]
fn equal_texts_are_linked_to_the_first() {
    let found = titles(&exact(0.7), &["same words", "other thing", "Same Words", "same, words"]);
    assert_eq!(indices(&found), [(0, 2), (0, 3)]);
    assert_eq!(found.counts.equal, 2);
}

#[test]
fn fields_are_one_text() {
    let items = [["The old harbour", "at night"], ["The old", "harbour at night"]];
    assert_eq!(indices(&exact(0.7).find(&items).unwrap()), [(0, 1)]);
}

#[test]
fn wrong_settings_and_templates_are_errors() {
    let find = |search: NearDuplicates| search.find(&[["a"]]).unwrap_err().to_string();
    assert_eq!(
        find(exact(0.0)),
        "jaccard 0 is no threshold; it must be above 0 and at most 1, for example 0.7"
    );
    assert!(find(exact(f64::NAN)).starts_with("jaccard NaN"));
    assert_eq!(
        find(NearDuplicates { ngram: 9, ..exact(0.7) }),
        "shingles of 9 characters are not supported; ngram is 2 to 4"
    );
    let texts: Vec<String> = (0..100u8)
        .map(|n| format!("a video of the user called {}{}", (b'a' + n / 10) as char, (b'a' + n % 10) as char))
        .collect();
    let items: Vec<[&str; 1]> = texts.iter().map(|text| [text.as_str()]).collect();
    for search in [exact(0.7), minhash(0.7)] {
        let error = NearDuplicates { max_pairs: 50, ..search }.find(&items).unwrap_err();
        assert_eq!(error, SimilarError::TooManyPairs { limit: 50, jaccard: 0.7 });
    }
}

#[test]
fn more_characters_than_sixteen_bits_count_are_still_exact() {
    // 70,000 distinct characters, so that shingles need the wide form.
    let scripts: Vec<String> = (0x4e00u32..)
        .filter_map(char::from_u32)
        .filter(|c| c.is_alphabetic())
        .take(70_000)
        .collect::<Vec<char>>()
        .chunks(50)
        .map(|chunk| chunk.iter().collect())
        .collect();
    let mut texts: Vec<&str> = scripts.iter().map(String::as_str).collect();
    let copy = format!("{}x", scripts[7]);
    texts.push(&copy);
    let found = titles(&exact(0.7), &texts);
    let twin = texts.len() as u32 - 1;
    assert!(indices(&found).contains(&(7, twin)));
}

/// Texts of few words, so that many are alike.
fn corpus() -> impl Strategy<Value = Vec<(String, String)>> {
    let word = prop::sample::select(vec![
        "red", "green", "blue", "harbour", "harbor", "2", "3", "ii", "café", "寿司", "a", "",
    ]);
    let text = prop::collection::vec(word, 0..7).prop_map(|words| words.join(" "));
    prop::collection::vec((text.clone(), text), 0..40)
}

/// All linked pairs by definition: sets compared one by one.
fn brute_force(items: &[[&str; 2]], threshold: f64, ngram: usize) -> BTreeSet<(u32, u32)> {
    let corpus = Corpus::fold(items);
    let set = |item: u32| -> BTreeSet<Vec<char>> {
        let text: Vec<char> = corpus.text(item).chars().collect();
        match text.len() {
            0 => BTreeSet::new(),
            length if length < ngram => BTreeSet::from([text]),
            _ => text.windows(ngram).map(<[char]>::to_vec).collect(),
        }
    };
    let mut pairs = BTreeSet::new();
    for a in 0..items.len() as u32 {
        for b in a + 1..items.len() as u32 {
            let (one, other) = (set(a), set(b));
            let shared = one.intersection(&other).count();
            let all = one.union(&other).count();
            let alike = all > 0 && shared as f64 / all as f64 >= threshold;
            if alike && corpus.numbers(a) == corpus.numbers(b) {
                pairs.insert((a, b));
            }
        }
    }
    pairs
}

/// Every pair among items of equal text, from the links to the first of each.
fn with_equal_texts(found: &Found, items: usize) -> BTreeSet<(u32, u32)> {
    let mut first: Vec<u32> = (0..items as u32).collect();
    for pair in found.pairs.iter().filter(|pair| pair.jaccard == 1.0) {
        first[pair.b as usize] = first[pair.b as usize].min(pair.a);
    }
    let linked: BTreeSet<(u32, u32)> = indices(found).into_iter().collect();
    let mut pairs = BTreeSet::new();
    for a in 0..items as u32 {
        for b in a + 1..items as u32 {
            let (one, other) = (first[a as usize], first[b as usize]);
            if one == other || linked.contains(&(one.min(other), one.max(other))) {
                pairs.insert((a, b));
            }
        }
    }
    pairs
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_exact_method_finds_what_brute_force_finds(
        texts in corpus(),
        percent in prop::sample::select(vec![5u32, 30, 50, 70, 75, 90, 100]),
        ngram in 2usize..=4,
    ) {
        let items: Vec<[&str; 2]> =
            texts.iter().map(|(title, text)| [title.as_str(), text.as_str()]).collect();
        let threshold = f64::from(percent) / 100.0;
        let search = NearDuplicates { ngram, ..exact(threshold) };
        let found = search.find(&items).unwrap();
        prop_assert_eq!(
            with_equal_texts(&found, items.len()),
            brute_force(&items, threshold, ngram)
        );
    }

    #[test]
    fn minhash_finds_nothing_that_is_not_there(texts in corpus(), seed in 0u64..50) {
        let items: Vec<[&str; 2]> =
            texts.iter().map(|(title, text)| [title.as_str(), text.as_str()]).collect();
        let all = exact(0.7).find(&items).unwrap();
        let some = NearDuplicates { seed, ..minhash(0.7) }.find(&items).unwrap();
        let all: BTreeSet<(u32, u32)> = indices(&all).into_iter().collect();
        prop_assert!(indices(&some).iter().all(|pair| all.contains(pair)));
    }
}

/// Made-up titles of nine words, and for each an edit of it.
fn edited_titles(count: usize) -> Vec<String> {
    let word = |n: u64| -> String {
        let bits = shingle::mix(n);
        (0..7).map(|k| (b'a' + (bits >> (8 * k) & 15) as u8) as char).collect()
    };
    (0..count as u64)
        .flat_map(|title| {
            let words: Vec<String> = (0..9).map(|place| word(title * 100 + place)).collect();
            let mut edit = words.clone();
            edit[(title % 9) as usize] = word(title * 100 + 50);
            [words.join(" "), edit.join(" ")]
        })
        .collect()
}

#[test]
fn minhash_finds_98_in_a_hundred_near_the_threshold() {
    let texts = edited_titles(4_000);
    let items: Vec<[&str; 1]> = texts.iter().map(|text| [text.as_str()]).collect();
    let all = exact(0.7).find(&items).unwrap();
    // One word of nine exchanged leaves a similarity just above the threshold.
    assert!(all.pairs.len() >= 3_000);
    let mean = all.pairs.iter().map(|pair| pair.jaccard).sum::<f64>() / all.pairs.len() as f64;
    assert!(mean < 0.8, "{mean}");
    for seed in 0..3 {
        let some = NearDuplicates { seed, ..minhash(0.7) }.find(&items).unwrap();
        let recall = some.pairs.len() as f64 / all.pairs.len() as f64;
        assert!(recall >= 0.98, "{recall}");
    }
}

#[test]
fn threads_do_not_change_the_answer() {
    let texts = edited_titles(1_500);
    let items: Vec<[&str; 1]> = texts.iter().map(|text| [text.as_str()]).collect();
    for search in [exact(0.5), minhash(0.5)] {
        let run = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
                .install(|| search.find(&items).unwrap())
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(5));
    }
}

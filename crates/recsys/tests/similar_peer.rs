//! Near-duplicates against Python: `tests/peers/similar/pairs.py`, by definition, and datasketch.

use std::collections::BTreeMap;

use noctule_recsys::similar::{Method, NearDuplicates};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

#[path = "../../../tests/support/note.rs"]
mod note;
#[path = "../../../tests/support/peer.rs"]
mod peer;
#[path = "../../../tests/support/python.rs"]
mod python;
#[path = "../../../tests/support/skip.rs"]
mod skip;

use peer::ask;

type Pairs = BTreeMap<(u64, u64), f64>;

/// Titles and descriptions in several scripts, and for many of them an edit. No two folded
/// texts are equal, so that every pair is listed.
fn items(count: usize, seed: u64) -> Vec<[String; 2]> {
    const WORDS: [&str; 30] = [
        "harbour",
        "Night",
        "CAFÉ",
        "cafe\u{301}",
        "straße",
        "ΣΊΣΥΦΟΣ",
        "寿司",
        "東京タワー",
        "ｗｉｄｅ",
        "🔥",
        "İzmir",
        "naïve",
        "co\u{ad}op",
        "2",
        "02",
        "ii",
        "IV",
        "x",
        "part",
        "S02E05",
        "½",
        "$5",
        "a|b",
        "Нева",
        "हिन्दी",
        "one",
        "two",
        "river",
        "mountain",
        "velvet",
    ];
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |n: usize| random.next_u32() as usize % n;
    let mut text = |words: usize, own: usize| {
        let words: Vec<&str> = (0..words).map(|_| WORDS[draw(WORDS.len())]).collect();
        format!(
            "{} q{}z",
            words.join(" "),
            "abcdefghij".chars().cycle().skip(own % 10).take(own / 10 + 1).collect::<String>()
        )
    };
    let mut items: Vec<[String; 2]> = Vec::new();
    for own in 0..count {
        items.push(match items.last() {
            Some([title, description]) if own % 3 == 1 => {
                [format!("{title}!"), format!("{description} {own}")]
            }
            Some([title, description]) if own % 3 == 2 => [title.clone(), format!("{description} river")],
            _ => [text(4, own), text(9, own)],
        });
    }
    items
}

fn question(items: &[[String; 2]], jaccard: f64, ngram: usize, datasketch: bool) -> Value {
    json!({"items": items, "jaccard": jaccard, "ngram": ngram, "datasketch": datasketch})
}

fn find(items: &[[String; 2]], search: &NearDuplicates) -> (Pairs, u64) {
    let borrowed: Vec<[&str; 2]> = items.iter().map(|[a, b]| [a.as_str(), b.as_str()]).collect();
    let found = search.find(&borrowed).expect("the settings are valid");
    assert_eq!(found.counts.equal, 0, "no two texts are equal");
    let pairs = found.pairs.iter().map(|pair| ((pair.a.into(), pair.b.into()), pair.jaccard));
    (pairs.collect(), found.counts.vetoed)
}

fn pairs_of(answer: &Value) -> Pairs {
    let number = |value: &Value| value.as_u64().expect("an index");
    answer["pairs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|pair| ((number(&pair[0]), number(&pair[1])), pair[2].as_f64().expect("a number")))
        .collect()
}

/// Pairs that only one side has.
fn difference(a: &Pairs, b: &Pairs) -> Vec<(u64, u64)> {
    let only = |a: &Pairs, b: &Pairs| -> Vec<(u64, u64)> {
        a.keys().filter(|pair| !b.contains_key(pair)).copied().collect()
    };
    [only(a, b), only(b, a)].concat()
}

#[test]
fn pairs_and_similarities_are_those_of_the_definition() {
    for (seed, jaccard, ngram) in [(1, 0.7, 4), (2, 0.4, 3), (3, 0.9, 2)] {
        let items = items(240, seed);
        let test = "pairs_and_similarities_are_those_of_the_definition";
        let Some(answer) = ask(test, "similar/pairs.py", &[], &question(&items, jaccard, ngram, false))
        else {
            return;
        };
        let search = NearDuplicates { ngram, method: Method::Exact, ..NearDuplicates::new(jaccard) };
        let (pairs, vetoed) = find(&items, &search);
        assert!(pairs.len() > 30 && vetoed > 30, "{} {vetoed}", pairs.len());
        let expected = pairs_of(&answer);
        assert!(pairs.keys().eq(expected.keys()), "{:?}", difference(&pairs, &expected));
        for (pair, jaccard) in &pairs {
            // As near as a number comes through JSON.
            assert!((jaccard - expected[pair]).abs() < 1e-12, "{pair:?}");
        }
        assert_eq!(Some(vetoed), answer["vetoed"].as_u64());
    }
}

#[test]
fn minhash_misses_no_more_than_datasketch_may() {
    let items = items(900, 5);
    let test = "minhash_misses_no_more_than_datasketch_may";
    let Some(answer) = ask(test, "similar/pairs.py", &["datasketch"], &question(&items, 0.7, 4, true)) else {
        return;
    };
    let all = pairs_of(&answer);
    let proposed = answer["proposed"].as_array().expect("a list");
    let theirs = proposed
        .iter()
        .filter(|pair| all.contains_key(&(pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap())))
        .count();
    let search = NearDuplicates { method: Method::MinHash, ..NearDuplicates::new(0.7) };
    let (ours, _) = find(&items, &search);
    assert!(ours.keys().all(|pair| all.contains_key(pair)));
    let recall = |found: usize| found as f64 / all.len() as f64;
    assert!(recall(theirs) >= 0.97, "datasketch finds {}", recall(theirs));
    assert!(recall(ours.len()) >= 0.98, "{}", recall(ours.len()));
}

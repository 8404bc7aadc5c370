//! Titles and descriptions, and how alike two of them are.
//!
//! Groups of a block ([`crate::item::Group`]) get texts that go together: twins nearly the
//! same words, with a known similarity; sequels, episodes and remakes the same words with
//! another number.

use crate::draw::{Draw, Purpose};
use crate::item::{BLOCK, Group, ItemBlock, Likeness};
use crate::words::{ADJECTIVES, COMMON, NOUNS, SYLLABLES};
use crate::world::World;

/// Similarity that separates [`Likeness::Twin`] from [`Likeness::FarTwin`].
pub(crate) const TWIN_JACCARD: f64 = 0.7;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub title: String,
    pub description: String,
}

impl Text {
    /// Jaccard similarity of the two sets of character 4-grams of title and description,
    /// joined by a space, in lower case, each run of other than letters and digits being one
    /// space.
    pub fn jaccard(&self, other: &Text) -> f64 {
        let (a, b) = (self.shingles(), other.shingles());
        let shared = a.iter().filter(|gram| b.binary_search(gram).is_ok()).count();
        shared as f64 / (a.len() + b.len() - shared) as f64
    }

    fn shingles(&self) -> Vec<[char; 4]> {
        let mut folded = vec![];
        let joined = self.title.chars().chain([' ']).chain(self.description.chars());
        for c in joined {
            if c.is_alphanumeric() {
                folded.extend(c.to_lowercase());
            } else if folded.last().is_some_and(|last| *last != ' ') {
                folded.push(' ');
            }
        }
        if folded.last() == Some(&' ') {
            folded.pop();
        }
        let mut grams: Vec<[char; 4]> =
            folded.windows(4).map(|window| [window[0], window[1], window[2], window[3]]).collect();
        grams.sort_unstable();
        grams.dedup();
        grams
    }
}

/// The texts of the 64 items of a block.
pub(crate) fn draw_texts(world: &World, block: i64, items: &ItemBlock) -> Vec<Text> {
    let mut draw = Draw::new(world.seed(), Purpose::ItemTexts, 0, block);
    let mut texts: Vec<Text> =
        (0..BLOCK as usize).map(|slot| draw_text(items.items[slot].cluster as usize, &mut draw)).collect();
    for group in &items.groups {
        write_group(&mut texts, group, &mut draw);
    }
    texts
}

fn draw_text(category: usize, draw: &mut Draw) -> Text {
    let mut title = format!(
        "{} {} {} {}",
        capital(pick(&ADJECTIVES, draw)),
        pick(&NOUNS[category], draw),
        pick(&["with", "by", "for", "and", "from", "without"], draw),
        capital(&name(draw)),
    );
    if draw.chance(0.08) {
        title += &format!(" in {} steps", 3 + draw.below(20));
    }
    let words = 17 + draw.below(8) as usize;
    let mut description = capital(pick(&ADJECTIVES, draw));
    for n in 1..words {
        description.push_str(if n % 9 == 8 { ", " } else { " " });
        description.push_str(&word(category, draw));
    }
    description.push('.');
    Text { title, description }
}

fn word(category: usize, draw: &mut Draw) -> String {
    match draw.below(100) {
        0..30 => pick(&COMMON, draw).to_owned(),
        30..50 => pick(&NOUNS[category], draw).to_owned(),
        50..62 => pick(&ADJECTIVES, draw).to_owned(),
        _ => name(draw),
    }
}

/// A made-up proper name; there are some 200,000 of them.
fn name(draw: &mut Draw) -> String {
    (0..3).map(|_| pick(&SYLLABLES, draw)).collect()
}

fn pick<'a>(words: &[&'a str], draw: &mut Draw) -> &'a str {
    words[draw.below(words.len() as u32) as usize]
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

fn write_group(texts: &mut [Text], group: &Group, draw: &mut Draw) {
    let (original, copies) = (group.slots[0], &group.slots[1..]);
    match group.likeness {
        Likeness::Twin => texts[copies[0]] = near_copy(&texts[original], draw),
        Likeness::FarTwin => texts[copies[0]] = far_copy(&texts[original], draw),
        Likeness::Sequel => {
            let (first, second) = if draw.chance(0.5) { ("", " 2") } else { (" II", " III") };
            number_titles(texts, group, &[first, second]);
        }
        Likeness::Episode => {
            let from = 1 + draw.below(40);
            let numbers: Vec<String> =
                (from..).take(group.slots.len()).map(|n| format!(": Episode {n}")).collect();
            number_titles(texts, group, &numbers.iter().map(String::as_str).collect::<Vec<_>>());
        }
        Likeness::Remake => {
            let year = 1950 + draw.below(40);
            let remade = year + 10 + draw.below(30);
            number_titles(texts, group, &[&format!(" ({year})"), &format!(" ({remade})")]);
        }
    }
}

/// The same words for all of the group, but each title with its own ending.
fn number_titles(texts: &mut [Text], group: &Group, endings: &[&str]) {
    let original = texts[group.slots[0]].clone();
    for (&slot, ending) in group.slots.iter().zip(endings) {
        texts[slot] = original.clone();
        texts[slot].title.push_str(ending);
    }
}

/// A copy at or above [`TWIN_JACCARD`]: the same but for case and marks, or with a word
/// exchanged, or with as many exchanged as the threshold bears.
fn near_copy(original: &Text, draw: &mut Draw) -> Text {
    let shouted = Text {
        title: format!("{}!!", original.title.to_uppercase()),
        description: original.description.clone(),
    };
    let most = match draw.below(3) {
        0 => 0,
        1 => 1,
        _ => usize::MAX,
    };
    let mut copy = shouted;
    for _ in 0..most.min(40) {
        let further = exchange_word(&copy, draw);
        if original.jaccard(&further) < TWIN_JACCARD {
            break;
        }
        copy = further;
    }
    copy
}

/// A copy just below [`TWIN_JACCARD`].
fn far_copy(original: &Text, draw: &mut Draw) -> Text {
    let mut copy = original.clone();
    copy.title.push_str(" (full clip)");
    while original.jaccard(&copy) >= TWIN_JACCARD {
        copy = exchange_word(&copy, draw);
    }
    copy
}

/// Another word in the place of one of the description's.
fn exchange_word(text: &Text, draw: &mut Draw) -> Text {
    let mut words: Vec<String> = text.description.split(' ').map(str::to_owned).collect();
    let place = draw.below(words.len() as u32) as usize;
    words[place] = name(draw);
    Text { title: text.title.clone(), description: words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(title: &str, description: &str) -> Text {
        Text { title: title.into(), description: description.into() }
    }

    #[test]
    fn jaccard_is_that_of_the_folded_grams() {
        // "abc de" has abc_, bc_d, c_de; "abc df" shares the first two.
        assert_eq!(text("ABC", "de.").jaccard(&text("abc!", "df")), 0.5);
        assert_eq!(text("Café", "au lait").jaccard(&text("CAFÉ", "(au) lait!")), 1.0);
    }

    #[test]
    fn copies_lie_on_their_side_of_the_threshold() {
        let mut draw = Draw::new(5, Purpose::ItemTexts, 0, 0);
        let (mut closest_above, mut closest_below) = (1.0f64, 0.0f64);
        for n in 0..300 {
            let original = draw_text(n % 12, &mut draw);
            let near = original.jaccard(&near_copy(&original, &mut draw));
            let far = original.jaccard(&far_copy(&original, &mut draw));
            assert!(near >= TWIN_JACCARD && far < TWIN_JACCARD, "{near} {far}");
            assert!(far > 0.5, "a far twin is still recognisable: {far}");
            closest_above = closest_above.min(near);
            closest_below = closest_below.max(far);
        }
        assert!(closest_above < 0.71 && closest_below > 0.69);
    }
}

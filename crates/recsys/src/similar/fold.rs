//! What is compared of an item's text: a folded form, and the numbers in it.
//!
//! **Folding.** The fields are joined by a space and brought to compatibility form (Unicode
//! NFKC) in lower case, character by character. Letters, marks, numbers and pictographs stay
//! (accents too: "é" is not "e"); invisible format characters and variation selectors vanish;
//! each run of anything else (white space, punctuation, other symbols) is one space. There is
//! none at either end.
//!
//! **Numbers.** Every run of decimal digits, without leading zeros ("02" is "2", "s02e05" has
//! "2" and "5", "2nd" has "2"). Roman numerals too, by value ("IV" is "4"): a word of two or
//! more of the letters i, v, x that is a well-formed numeral, and a lone i, v or x at the end
//! of a field of several words ("Rocky V", but not "I, Robot"). Number words ("two") are
//! words. The numbers of an item are a multiset: order does not matter, how often does.

use rayon::prelude::*;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Items folded by one task, so that the result does not depend on threads.
const CHUNK: usize = 4_096;

/// The folded texts and the numbers of all items.
pub(super) struct Corpus {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Default)]
struct Chunk {
    text: String,
    numbers: String,
    /// Per item, where its text and its numbers end.
    ends: Vec<(usize, usize)>,
}

impl Corpus {
    pub fn fold<'a, I: AsRef<[&'a str]> + Sync>(items: &[I]) -> Corpus {
        let chunks = items
            .par_chunks(CHUNK)
            .map(|items| {
                let mut chunk = Chunk::default();
                for item in items {
                    chunk.push(item.as_ref());
                }
                chunk
            })
            .collect();
        Corpus { chunks, len: items.len() }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn text(&self, item: u32) -> &str {
        let (chunk, place) = self.place(item);
        let start = place.checked_sub(1).map_or(0, |before| chunk.ends[before].0);
        &chunk.text[start..chunk.ends[place].0]
    }

    /// The item's numbers, sorted as text, separated by spaces.
    pub fn numbers(&self, item: u32) -> &str {
        let (chunk, place) = self.place(item);
        let start = place.checked_sub(1).map_or(0, |before| chunk.ends[before].1);
        &chunk.numbers[start..chunk.ends[place].1]
    }

    /// All folded texts, in pieces.
    pub fn pieces(&self) -> impl IndexedParallelIterator<Item = &str> {
        self.chunks.par_iter().map(|chunk| chunk.text.as_str())
    }

    fn place(&self, item: u32) -> (&Chunk, usize) {
        (&self.chunks[item as usize / CHUNK], item as usize % CHUNK)
    }
}

impl Chunk {
    fn push(&mut self, fields: &[&str]) {
        let start = self.text.len();
        let mut numbers = Vec::new();
        for field in fields {
            let before = self.text.len();
            if before > start {
                self.text.push(' ');
            }
            let field_start = self.text.len();
            fold_field(field, &mut self.text);
            if self.text.len() == field_start {
                self.text.truncate(before);
            } else {
                collect_numbers(&self.text[field_start..], &mut numbers);
            }
        }
        numbers.sort_unstable();
        for (n, number) in numbers.iter().enumerate() {
            if n > 0 {
                self.numbers.push(' ');
            }
            self.numbers.push_str(number);
        }
        self.ends.push((self.text.len(), self.numbers.len()));
    }
}

/// Appends the folded field, which begins at the present end of `out`.
fn fold_field(field: &str, out: &mut String) {
    let start = out.len();
    if field.is_ascii() {
        for byte in field.bytes() {
            if byte.is_ascii_alphanumeric() {
                out.push(byte.to_ascii_lowercase() as char);
            } else {
                push_gap(out, start);
            }
        }
    } else {
        // Lower case may leave the compatibility form, so it is taken again.
        for c in field.nfkc().flat_map(char::to_lowercase).nfkc() {
            match Place::of(c) {
                Place::Kept => out.push(c),
                Place::Dropped => {}
                Place::Gap => push_gap(out, start),
            }
        }
    }
    if out.len() > start && out.ends_with(' ') {
        out.pop();
    }
}

fn push_gap(out: &mut String, start: usize) {
    if out.len() > start && !out.ends_with(' ') {
        out.push(' ');
    }
}

enum Place {
    Kept,
    Dropped,
    Gap,
}

impl Place {
    fn of(c: char) -> Place {
        if c.is_ascii() {
            return if c.is_ascii_alphanumeric() { Place::Kept } else { Place::Gap };
        }
        if matches!(c, '\u{fe00}'..='\u{fe0f}') {
            return Place::Dropped;
        }
        match c.general_category() {
            GeneralCategory::Format => Place::Dropped,
            GeneralCategory::Control => Place::Gap,
            GeneralCategory::OtherSymbol => Place::Kept,
            _ => match c.general_category_group() {
                GeneralCategoryGroup::Punctuation
                | GeneralCategoryGroup::Separator
                | GeneralCategoryGroup::Symbol => Place::Gap,
                _ => Place::Kept,
            },
        }
    }
}

fn collect_numbers(field: &str, numbers: &mut Vec<String>) {
    let mut words = field.split(' ').peekable();
    let mut first = true;
    while let Some(word) = words.next() {
        let lone_ending = !first && words.peek().is_none();
        if let Some(value) = roman(word).filter(|_| word.len() > 1 || lone_ending) {
            numbers.push(value.to_string());
        } else {
            collect_digits(word, numbers);
        }
        first = false;
    }
}

fn collect_digits(word: &str, numbers: &mut Vec<String>) {
    let runs = word.split(|c: char| !is_digit(c)).filter(|run| !run.is_empty());
    numbers.extend(runs.map(|run| {
        let significant = run.trim_start_matches('0');
        if significant.is_empty() { "0" } else { significant }.to_owned()
    }));
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || (!c.is_ascii() && c.general_category() == GeneralCategory::DecimalNumber)
}

/// The value of a well-formed numeral of the letters i, v, x: 1 to 39.
fn roman(word: &str) -> Option<u32> {
    if word.len() > 6 || !word.bytes().all(|b| matches!(b, b'i' | b'v' | b'x')) {
        return None;
    }
    let tens = word.bytes().take_while(|b| *b == b'x').count();
    let ones = ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"]
        .iter()
        .position(|ones| *ones == &word[tens..])?;
    let value = 10 * tens + ones;
    (tens <= 3 && value > 0).then_some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(fields: &[&str]) -> (String, String) {
        let corpus = Corpus::fold(&[fields]);
        (corpus.text(0).to_owned(), corpus.numbers(0).to_owned())
    }

    #[test]
    fn folding_keeps_words_and_drops_dress() {
        let cases: [(&[&str], &str); 9] = [
            (&["  The  QUICK, brown-fox!! ", ""], "the quick brown fox"),
            (&["", "...", "a"], "a"),
            (&["A", "B"], "a b"),
            (&["Café—Über", "ＦＵＬＬ　ｗｉｄｔｈ"], "café über full width"),
            (&["寿司「東京」"], "寿司 東京"),
            (&["co\u{ad}operate\u{200b}d"], "cooperated"),
            (&["I ❤\u{fe0f} 🔥 | $5 + tax"], "i ❤ 🔥 5 tax"),
            (&["ΟΔΥΣΣΕΥΣ", "İstanbul"], "οδυσσευσ i\u{307}stanbul"),
            (&["\u{0}\t\r\n"], ""),
        ];
        for (fields, folded) in cases {
            assert_eq!(fold(fields).0, folded, "{fields:?}");
        }
    }

    #[test]
    fn a_composed_and_a_decomposed_letter_are_one() {
        assert_eq!(fold(&["Cafe\u{301}"]), fold(&["CAFÉ"]));
    }

    #[test]
    fn numbers_are_digits_and_numerals() {
        let cases: [(&[&str], &str); 10] = [
            (&["S02E05", "2nd of 10"], "10 2 2 5"),
            (&["Part 002", "0"], "0 2"),
            (&["Rocky IV"], "4"),
            (&["Rocky V"], "5"),
            (&["I, Robot", "V for Vendetta"], ""),
            (&["X"], ""),
            (&["part two"], ""),
            (&["XIV and IIII and VX and XXXIX"], "14 39"),
            (&["Ⅻ monkeys"], "12"),
            (&["1984 (1956)"], "1956 1984"),
        ];
        for (fields, numbers) in cases {
            assert_eq!(fold(fields).1, numbers, "{fields:?}");
        }
    }

    #[test]
    fn every_item_keeps_its_own_text() {
        let words: Vec<String> = (0..3 * CHUNK).map(|n| format!("item {n}")).collect();
        let items: Vec<[&str; 1]> = words.iter().map(|word| [word.as_str()]).collect();
        let corpus = Corpus::fold(&items);
        for (n, word) in words.iter().enumerate() {
            assert_eq!(corpus.text(n as u32), word);
            assert_eq!(corpus.numbers(n as u32), n.to_string());
        }
    }
}

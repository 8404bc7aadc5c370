//! Words of others in our messages: quoted safely, and set beside the word that was probably meant.

/// What somebody wrote, for use in a message: in backticks, short, on one line, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown = String::from("`");
    for (index, character) in text.chars().enumerate() {
        if index == LONGEST {
            shown.push_str("...");
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    shown
}

/// The nearest of some words, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.chars().count() > 100 {
        return None;
    }
    let lower = word.to_lowercase();
    // One wrong letter of two is half of the word.
    let enough = if word.len() <= 3 { 0.5 } else { 0.6 };
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let edits = strsim::normalized_damerau_levenshtein(&lower, &candidate);
        // A common beginning counts, unless the word is too short to have one.
        let beginning = if lower.len() < 3 { 0.0 } else { strsim::jaro_winkler(&lower, &candidate) - 0.15 };
        edits.max(beginning)
    };
    known
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(score, _)| *score >= enough)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// `did you mean ...?` for the nearest word; else the words themselves, when they are few.
pub(crate) fn meant_or_listed(word: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    listed(known).map(|list| format!("it may be one of {list}"))
}

/// Words in backticks with commas between; `None` when there are none, or too many to help.
pub(crate) fn listed(known: &[&str]) -> Option<String> {
    let few = (1..=24).contains(&known.len());
    few.then(|| known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["factors", "epochs", "regularisation"];
        assert_eq!(nearest("factor", known), Some("factors"));
        assert_eq!(nearest("regularization", known), Some("regularisation"));
        assert_eq!(nearest("Epochs", known), Some("epochs"));
        assert_eq!(nearest("banana", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }

    #[test]
    fn hostile_text_is_quoted_safely() {
        assert_eq!(quoted("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        assert_eq!(quoted(&"é".repeat(500)).chars().count(), 65);
    }
}

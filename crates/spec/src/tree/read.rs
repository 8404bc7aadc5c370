//! From YAML text to a tree, within bounds.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Location, Spanned};

use super::refusal::refusal;
use super::{Entry, Node, Value};
use crate::diagnostic::{Code, Diagnostic};
use crate::words::quoted;

/// Bounds of what is read. A pipeline of a thousand steps stays below half of each.
pub(super) mod bounds {
    pub(in crate::tree) const NODES: usize = 20_000;
    /// The parser recurses, and a thread may have a stack of no more than two mebibytes.
    pub(in crate::tree) const DEPTH: usize = 24;
    pub(in crate::tree) const ANCHORS: usize = 200;
    pub(in crate::tree) const ALIASES: usize = 1_000;
}

/// Reads a file of one document. What is wrong with single nodes is added to `findings`; what stops the reading is
/// returned.
pub(crate) fn read(text: &str, findings: &mut Vec<Diagnostic>) -> Result<Node, Diagnostic> {
    let spanned: Spanned<Raw> =
        serde_yaml::from_str_with_options(text, options()).map_err(|error| refusal(text, &error))?;
    Ok(Composer { text, findings }.node(spanned))
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_nodes: bounds::NODES,
            max_events: 4 * bounds::NODES,
            max_depth: bounds::DEPTH,
            flow_nesting_limit: bounds::DEPTH,
            max_anchors: bounds::ANCHORS,
            max_aliases: bounds::ALIASES,
            max_merge_keys: bounds::ALIASES,
            max_recorded_anchor_events: 4 * bounds::NODES,
            max_recorded_anchor_bytes: crate::source::LARGEST_FILE,
            max_total_scalar_bytes: 4 * crate::source::LARGEST_FILE,
            max_documents: 2,
            max_inclusion_depth: 0,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: 4 * bounds::NODES,
            max_replay_stack_depth: bounds::DEPTH,
            max_alias_expansions_per_anchor: bounds::ALIASES,
        },
        // Found here, so that both places can be shown.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // `no`, `on` and `off` are words, 0755 and 1_000 are texts.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        emit_comments: false,
        with_snippet: false,
    }
}

/// A node as the parser hands it over.
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Mapping(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML node")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Boolean(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Integer(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Mapping(entries))
    }
}

struct Composer<'a> {
    text: &'a str,
    findings: &'a mut Vec<Diagnostic>,
}

impl Composer<'_> {
    fn node(&mut self, spanned: Spanned<Raw>) -> Node {
        let at = self.range(spanned.referenced);
        let written = self.range(spanned.defined);
        let value = match spanned.value {
            Raw::Scalar(value) => self.scalar(value, &written),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Mapping(entries) => self.mapping(entries),
        };
        Node { value, defined: (written != at).then_some(written), at, template: None }
    }

    /// A whole number beyond 64 bits comes as a rounded double; its digits stand in the source.
    fn scalar(&self, value: Value, written: &Range<usize>) -> Value {
        let Value::Float(_) = value else {
            return value;
        };
        let digits = self.text.get(written.clone()).unwrap_or_default();
        let whole = digits.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        match digits.parse::<i128>() {
            Ok(number) if whole => Value::Integer(number),
            _ => value,
        }
    }

    /// A mapping; or, when it was meant as a template, nothing that needs another word.
    fn mapping(&mut self, raw: Vec<(Spanned<Raw>, Spanned<Raw>)>) -> Value {
        if let [(key, value)] = &raw[..]
            && matches!((&key.value, &value.value), (Raw::Mapping(_), Raw::Scalar(Value::Null)))
        {
            let at = self.range(key.referenced);
            self.findings.push(
                Diagnostic::error(Code::Syntax, "a template that is not quoted is a mapping to YAML")
                    .at(at.start.saturating_sub(1)..at.end, "")
                    .help("put it in quotes: \"{{ ... }}\""),
            );
            return Value::Unknown;
        }
        Value::Mapping(self.entries(raw))
    }

    fn entries(&mut self, raw: Vec<(Spanned<Raw>, Spanned<Raw>)>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        let mut seen = std::collections::BTreeMap::new();
        for (key, value) in raw {
            let key_at = self.range(key.referenced);
            let key_defined = Some(self.range(key.defined)).filter(|defined| *defined != key_at);
            let Some(key) = self.key(&key, &key_at) else {
                continue;
            };
            if let Some(first) = seen.get(&key) {
                self.findings.push(duplicate(&key, key_at, Range::clone(first)));
                continue;
            }
            seen.insert(key.clone(), key_at.clone());
            let mut value = self.node(value);
            if value.at.is_empty() && matches!(value.value, Value::Mapping(_) | Value::List(_) | Value::Null)
            {
                value.at = key_at.clone();
            }
            entries.push(Entry { key, key_at, key_defined, value });
        }
        entries
    }

    /// A key as text: `1` and `true` may be keys too, written as they stand.
    fn key(&mut self, key: &Spanned<Raw>, at: &Range<usize>) -> Option<String> {
        match &key.value {
            Raw::Scalar(Value::Text(text)) => Some(text.clone()),
            Raw::Scalar(_) => Some(self.text.get(self.range(key.defined)).unwrap_or_default().to_owned()),
            Raw::Mapping(_) | Raw::List(_) => {
                self.findings.push(
                    Diagnostic::error(Code::Syntax, "a key must be text, not a list or a mapping")
                        .at(at.clone(), ""),
                );
                None
            }
        }
    }

    fn range(&self, location: Location) -> Range<usize> {
        range_of(self.text, location)
    }
}

fn duplicate(key: &str, second: Range<usize>, first: Range<usize>) -> Diagnostic {
    Diagnostic::error(Code::DuplicateKey, format!("{} is there twice", quoted(key)))
        .at(second, "again here")
        .also(first, "first here")
        .help("remove one of them")
}

/// The bytes that a location covers, without the white space that follows a block.
pub(super) fn range_of(text: &str, location: Location) -> Range<usize> {
    let span = location.span();
    let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) else {
        return position_of(text, location);
    };
    let start = (start as usize).min(text.len());
    let end = start.saturating_add(length as usize).min(text.len());
    let covered = text.get(start..end).unwrap_or_default();
    start..start + covered.trim_end().len()
}

/// The place of a line and column, for locations without byte offsets.
fn position_of(text: &str, location: Location) -> Range<usize> {
    let line = location.line().saturating_sub(1) as usize;
    let column = location.column().saturating_sub(1) as usize;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text[start..].split_inclusive('\n').next().unwrap_or_default();
    let inside: usize = rest.chars().take(column).map(char::len_utf8).sum();
    start + inside..start + inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Node {
        let mut findings = Vec::new();
        let node = read(text, &mut findings).unwrap_or_else(|refusal| panic!("{}", refusal.message));
        assert_eq!(findings, []);
        node
    }

    fn refused(text: &str) -> String {
        let mut findings = Vec::new();
        match read(text, &mut findings) {
            Err(refusal) => refusal.message,
            Ok(_) => findings.remove(0).message,
        }
    }

    #[test]
    fn what_other_readers_take_for_something_else_is_text_here() {
        let root = tree("[no, on, yes, 0755, 1_000, 2026-01-01, 1:30, 10%, -30%, 28d, .nan, 1e400, Null2]");
        for (node, text) in root.items().iter().zip([
            "no",
            "on",
            "yes",
            "0755",
            "1_000",
            "2026-01-01",
            "1:30",
            "10%",
            "-30%",
            "28d",
            ".nan",
            ".inf",
            "Null2",
        ]) {
            assert_eq!(node.as_text(), Some(text));
        }
    }

    #[test]
    fn numbers_truth_values_and_nothing_are_what_they_look_like() {
        let root = tree(
            "[1, -1, 0x10, 1.5, 1e3, 18446744073709551615, 99999999999999999999, true, ~, null, '1', \"\"]",
        );
        let values: Vec<Value> = root.items().iter().map(|node| node.value.clone()).collect();
        assert_eq!(
            values,
            [
                Value::Integer(1),
                Value::Integer(-1),
                Value::Integer(16),
                Value::Float(1.5),
                Value::Float(1000.0),
                Value::Integer(u64::MAX.into()),
                Value::Integer(99_999_999_999_999_999_999),
                Value::Boolean(true),
                Value::Null,
                Value::Null,
                Value::Text("1".into()),
                Value::Text(String::new()),
            ]
        );
    }

    #[test]
    fn places_are_those_of_the_text() {
        let text = "a: &x {k: 'v'}\nb: *x\nc:\n  <<: *x\n  d: |\n    two\n    lines\n\ne: 1\n";
        let root = tree(text);
        let slice = |range: &Range<usize>| &text[range.clone()];
        let value = root.at_path(&["a", "k"]).unwrap();
        assert_eq!((slice(&value.at), &value.defined), ("'v'", &None));
        let alias = root.at_path(&["b", "k"]).unwrap();
        assert_eq!((slice(&alias.at), slice(alias.defined.as_ref().unwrap())), ("*x", "'v'"));
        assert_eq!(slice(&root.at_path(&["c"]).unwrap().at), "c");
        assert_eq!(slice(&root.at_path(&["c", "k"]).unwrap().at), "*x");
        let block = root.at_path(&["c", "d"]).unwrap();
        assert_eq!(block.as_text(), Some("two\nlines\n"));
        assert_eq!(slice(&block.at), "two\n    lines");
    }

    #[test]
    fn keys_are_text_and_their_own_value_wins_over_a_merged_one() {
        let root = tree("x: &x {k: 1, l: 2}\ny: {<<: *x, k: 3}\n1: a\ntrue: b\n");
        assert_eq!(root.at_path(&["y", "k"]).unwrap().value, Value::Integer(3));
        assert_eq!(root.at_path(&["y", "l"]).unwrap().value, Value::Integer(2));
        assert_eq!(root.at_path(&["1"]).unwrap().as_text(), Some("a"));
        assert_eq!(root.at_path(&["true"]).unwrap().as_text(), Some("b"));
    }

    #[test]
    fn comments_are_never_too_many() {
        let comments = "# a comment\n".repeat(5_000);
        assert_eq!(
            tree(&format!("{comments}a:\n{comments}  - 1\n{comments}"))
                .at_path(&["a"])
                .unwrap()
                .items()
                .len(),
            1
        );
    }

    #[test]
    fn refusals_are_in_our_words() {
        for (text, message) in [
            ("a: b: c", "a `:` followed by a space starts a value, and none can start here"),
            ("a: [1, 2", "this bracket is never closed"),
            ("a: [1, 2}", "this bracket is closed by one of another kind"),
            ("a: \"x", "this quote is never closed"),
            ("a:\n\t- b", "a tab cannot indent"),
            ("a: 'x'y", "there is more text after the closing quote"),
            ("a: @x", "this character cannot begin a value"),
            ("a: %x", "this character cannot begin a value"),
            ("- a\nb: 1", "this is not indented like the list items before it"),
            ("a: |\n  x\n y", "a `key: value` is expected here"),
            ("a: ?", "a key cannot stand here"),
            ("a: \"\\q\"", "this text in double quotes has an unknown `\\` escape"),
            ("a: - b", "a list item cannot start here"),
            ("a: !x b", "YAML tags (`!name`) have no meaning here"),
            ("a: *x", "this alias names an anchor that is not defined above it"),
            ("a: &a [*a]", "this alias stands inside the very thing that it names"),
            ("<<: 5", "`<<` merges a mapping, and this is none"),
            ("%YAML 9.x\n---\na: 1", "YAML directives (`%...`) are not read"),
            ("a: 1\n---\nb: 1", "a second document begins here, and a file holds one"),
            ("[a]: 1", "a key must be text, not a list or a mapping"),
            ("a: {{ b }}", "a template that is not quoted is a mapping to YAML"),
            ("a: 1\na: 2", "`a` is there twice"),
        ] {
            assert_eq!(refused(text), message, "{text}");
        }
    }
}

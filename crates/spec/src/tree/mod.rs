//! A YAML file as a small tree in which every node knows where it stands.

mod read;
mod refusal;

use std::ops::Range;

pub(crate) use read::read;

/// A node: what it holds and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    /// Bytes of the source: a scalar's own text, an alias' `*name`, the bracket that opens a list or mapping; of one
    /// in block style its key.
    pub(crate) at: Range<usize>,
    /// Where an alias or a merged entry was written in full, when that is elsewhere.
    pub(crate) defined: Option<Range<usize>>,
    /// The text before a template in it was rendered.
    pub(crate) template: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
    /// A template that could not be rendered. It was reported; nothing more is said about it.
    Unknown,
}

/// One `key: value` of a mapping, in the order written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Range<usize>,
    /// Where a merged key was written, when that is elsewhere.
    pub(crate) key_defined: Option<Range<usize>>,
    pub(crate) value: Node,
}

impl Node {
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value below a path of keys.
    pub(crate) fn at_path(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.entry(key).map(|entry| &entry.value))
    }

    /// The tree with each of its texts put through `change`.
    pub(crate) fn map_texts(&self, change: &mut dyn FnMut(&Node) -> Node) -> Node {
        let value = match &self.value {
            Value::Text(_) => return change(self),
            Value::List(items) => Value::List(items.iter().map(|item| item.map_texts(change)).collect()),
            Value::Mapping(entries) => Value::Mapping(
                entries
                    .iter()
                    .map(|entry| Entry { value: entry.value.map_texts(change), ..entry.clone() })
                    .collect(),
            ),
            scalar => scalar.clone(),
        };
        Node { value, ..self.clone() }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a person would call it, with an article.
    pub(crate) fn described(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Boolean(_) => "a truth value",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Unknown => "unknown",
        }
    }
}

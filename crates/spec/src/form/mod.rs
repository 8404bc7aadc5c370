//! What a part of a pipeline file may look like.
//!
//! A [`Form`] is made from a type's JSON schema, which `schemars` derives from the type itself: names, prose, defaults
//! and ranges are declared once, at the field. Reading, the editor's schema, `explain` and the reference pages all go
//! by the form, so none of them can disagree with another.

mod declare;
mod editor;
mod expect;
mod leaf;
mod read;

use serde_json::Value;

pub(crate) use editor::NAME as NAME_PATTERN;
pub(crate) use expect::expectation;
pub(crate) use leaf::Leaf;
pub(crate) use read::{Reader, Use, Used, is_variable};

/// What a node may look like, and what it is for.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) prose: String,
    pub(crate) shape: Shape,
}

#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Text {
        shortest: usize,
        longest: usize,
    },
    Boolean,
    Integer {
        min: i128,
        max: i128,
    },
    Number {
        min: f64,
        max: f64,
    },
    /// One of some words.
    Word(Vec<Word>),
    /// Text with a grammar of its own.
    Leaf {
        leaf: Leaf,
        positive: bool,
        role: Role,
    },
    List {
        item: Box<Form>,
        fewest: usize,
    },
    /// Keys that the writer chooses.
    Mapping {
        keys: Keys,
        value: Box<Form>,
    },
    /// Keys that are fixed.
    Record(Vec<Field>),
    /// Told apart by whether a scalar, a list or a mapping is written.
    Either {
        scalar: Option<Box<Wrapped>>,
        list: Option<Box<Wrapped>>,
        mapping: Option<Box<Form>>,
    },
    /// Read by other means.
    Raw,
}

/// One of the words that a setting may be.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) name: String,
    pub(crate) prose: String,
}

/// A key of a record.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) form: Form,
    pub(crate) required: bool,
    /// In canonical form.
    pub(crate) default: Option<Value>,
}

/// A short way of writing: the value is put below a key, or alone into a list.
#[derive(Debug, Clone)]
pub(crate) struct Wrapped {
    pub(crate) wrap: Wrap,
    pub(crate) form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrap {
    Key(String),
    List,
    /// Nothing is put around it.
    Bare,
}

/// What a key that the writer chooses may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    Any,
    /// The name of a column.
    Column,
    /// The name of an environment variable.
    Variable,
    /// A plain lower-case name.
    Name,
}

/// What a reference must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Any,
    Table,
    Model,
    Gate,
    Evaluation,
}

impl Form {
    pub(crate) fn field(&self, key: &str) -> Option<&Field> {
        self.fields().iter().find(|field| field.key == key)
    }

    pub(crate) fn fields(&self) -> &[Field] {
        match &self.shape {
            Shape::Record(fields) => fields,
            _ => &[],
        }
    }
}

//! Reading a node by a form: out comes canonical JSON, or what is wrong with it, all at once.

use std::ops::Range;

use serde_json::{Map, Value as Json};

use super::expect::{either_expectation, expectation, integer_range, number_range, one_of};
use super::leaf::Refused;
use super::{Field, Form, Keys, Leaf, Role, Shape, Word, Wrap, Wrapped};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::reference::{ModelReference, Reference};
use crate::secrets;
use crate::tree::{Entry, Node, Value};
use crate::words::{meant_or_listed, quoted};

/// Reads nodes, gathering what is wrong with them and which steps and models they name.
pub(crate) struct Reader<'a> {
    /// The whole source, for texts as they were written.
    text: &'a str,
    pub(crate) findings: &'a mut Vec<Diagnostic>,
    pub(crate) uses: Vec<Use>,
}

/// A step's output or a model that a setting names.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) what: Used,
    pub(crate) role: Role,
    pub(crate) at: Range<usize>,
}

#[derive(Debug, Clone)]
pub(crate) enum Used {
    Output(Reference),
    Model(ModelReference),
}

/// What to say about a key that is known elsewhere.
pub(crate) type Misplaced<'a> = &'a dyn Fn(&str) -> Option<String>;

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str, findings: &'a mut Vec<Diagnostic>) -> Self {
        Self { text, findings, uses: Vec::new() }
    }

    /// Reads a node by a form. `name` is what to call it.
    pub(crate) fn read(&mut self, form: &Form, node: &Node, name: &str) -> Option<Json> {
        if node.value == Value::Unknown {
            return None;
        }
        match &form.shape {
            Shape::Text { shortest, longest } => self.text(node, name, *shortest, *longest),
            Shape::Boolean => self.boolean(node, name),
            Shape::Integer { min, max } => self.integer(node, name, *min, *max),
            Shape::Number { min, max } => self.number(node, name, *min, *max),
            Shape::Word(words) => self.word(node, name, words),
            Shape::Leaf { leaf, positive, role } => self.leaf(node, name, *leaf, *positive, *role),
            Shape::List { item, fewest } => self.list(node, name, item, *fewest),
            Shape::Mapping { keys, value } => self.mapping(node, name, *keys, value),
            Shape::Record(fields) => self.record(node, &format!("`{name}`"), fields, &|_| None),
            Shape::Either { scalar, list, mapping } => {
                self.either(node, name, scalar.as_deref(), list.as_deref(), mapping.as_deref())
            }
            Shape::Raw => Some(Json::Null),
        }
    }

    /// Reads a mapping with fixed keys; `None` when anything about it is wrong.
    pub(crate) fn record(
        &mut self,
        node: &Node,
        name: &str,
        fields: &[Field],
        misplaced: Misplaced<'_>,
    ) -> Option<Json> {
        let before = self.findings.len();
        let record = self.partial_record(node, name, fields, misplaced)?;
        let broken = node.entries().iter().any(|entry| record.get(&entry.key).is_none());
        let refused = self.findings[before..].iter().any(|finding| finding.severity == Severity::Error);
        (!refused && !broken).then_some(record)
    }

    /// Reads a mapping with fixed keys, and keeps what is right about it.
    pub(crate) fn partial_record(
        &mut self,
        node: &Node,
        name: &str,
        fields: &[Field],
        misplaced: Misplaced<'_>,
    ) -> Option<Json> {
        if node.value == Value::Unknown {
            return None;
        }
        let Value::Mapping(entries) = &node.value else {
            let keys: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
            let example = keys.first().copied().unwrap_or("key");
            self.wrong_shape(node, name, &format!("a mapping (`{example}: ...`)"));
            return None;
        };
        let mut record = Map::new();
        for entry in entries {
            match fields.iter().find(|field| field.key == entry.key) {
                None => self.unknown_key(entry, name, fields, misplaced),
                Some(field) => {
                    if let Some(value) = self.entry(&field.form, entry) {
                        record.insert(field.key.clone(), value);
                    }
                }
            }
        }
        for field in fields.iter().filter(|field| field.required && node.entry(&field.key).is_none()) {
            self.missing(node, name, field);
        }
        Some(Json::Object(record))
    }

    fn entry(&mut self, form: &Form, entry: &Entry) -> Option<Json> {
        if entry.value.value == Value::Null && !matches!(form.shape, Shape::Raw) {
            let expected = expectation(form);
            self.findings.push(
                Diagnostic::error(Code::WrongType, format!("{} is empty", quoted(&entry.key)))
                    .at(entry.key_at.clone(), format!("expected {expected}"))
                    .help("give it a value, or remove the line"),
            );
            return None;
        }
        self.read(form, &entry.value, &entry.key)
    }

    fn unknown_key(&mut self, entry: &Entry, name: &str, fields: &[Field], misplaced: Misplaced<'_>) {
        let known: Vec<&str> = fields.iter().map(|field| field.key.as_str()).collect();
        let help = misplaced(&entry.key).or_else(|| meant_or_listed(&entry.key, &known));
        let mut diagnostic =
            Diagnostic::error(Code::UnknownKey, format!("{} is not a key of {name}", quoted(&entry.key)))
                .at(entry.key_at.clone(), "")
                .maybe_help(help);
        if let Some(defined) = &entry.key_defined {
            diagnostic = diagnostic.also(defined.clone(), "merged from here");
        }
        self.findings.push(diagnostic);
    }

    fn missing(&mut self, node: &Node, name: &str, field: &Field) {
        let expected = (!matches!(field.form.shape, Shape::Raw))
            .then(|| format!("`{}` is {}", field.key, expectation(&field.form)));
        self.findings.push(
            Diagnostic::error(Code::MissingKey, format!("{name} has no `{}`", field.key))
                .at(node.at.clone(), format!("`{}` is missing", field.key))
                .maybe_help(expected),
        );
    }

    fn wrong_type(&mut self, node: &Node, name: &str, expected: &str) {
        self.wrong_shape(node, &format!("`{name}`"), expected);
    }

    /// As [`Self::wrong_type`], of what is called more than a key.
    fn wrong_shape(&mut self, node: &Node, name: &str, expected: &str) {
        let secret = self.looks_secret(node, name);
        let what = match &node.value {
            Value::Null => "is empty".to_owned(),
            Value::List(_) | Value::Mapping(_) => format!("is {}", node.described()),
            _ if secret => format!("is {} that looks like a secret", node.described()),
            _ => format!("is {}, {}", quoted(&self.as_written(node)), node.described()),
        };
        let diagnostic = Diagnostic::error(Code::WrongType, format!("{name} {what}; expected {expected}"));
        self.push(node, if secret { diagnostic.hidden() } else { diagnostic }, "");
    }

    /// Points at a node, and adds where it was defined and what its template was.
    pub(crate) fn push(&mut self, node: &Node, diagnostic: Diagnostic, label: &str) {
        let mut diagnostic = diagnostic.at(node.at.clone(), label);
        if let Some(defined) = &node.defined {
            diagnostic = diagnostic.also(defined.clone(), "defined here");
        }
        if let Some(template) = &node.template {
            let rendered = quoted(&self.as_written(node));
            diagnostic = diagnostic.help(format!("{} gives {rendered}", quoted(template)));
        }
        self.findings.push(diagnostic);
    }

    /// Whether showing a text might give a secret away.
    fn looks_secret(&self, node: &Node, name: &str) -> bool {
        node.as_text().is_some_and(|text| secrets::looks_like_one(name, text))
    }

    /// A scalar as its writer wrote it: `1.50` and `0x10`, not 1.5 and 16.
    fn as_written(&self, node: &Node) -> String {
        match &node.value {
            Value::Text(text) => text.clone(),
            Value::Null => String::new(),
            Value::Boolean(value) if node.template.is_some() => value.to_string(),
            Value::Integer(value) if node.template.is_some() => value.to_string(),
            Value::Float(value) if node.template.is_some() => value.to_string(),
            _ => {
                let range = node.defined.clone().unwrap_or_else(|| node.at.clone());
                self.text.get(range).unwrap_or_default().to_owned()
            }
        }
    }

    fn text(&mut self, node: &Node, name: &str, shortest: usize, longest: usize) -> Option<Json> {
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            // A number or truth value where text belongs is that text, as in `names: [1, 2]`.
            Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => self.as_written(node),
            Value::Null | Value::List(_) | Value::Mapping(_) | Value::Unknown => {
                self.wrong_type(node, name, "text");
                return None;
            }
        };
        let length = text.chars().count();
        let why = if length < shortest && shortest == 1 {
            format!("`{name}` is empty text")
        } else if length < shortest {
            format!("`{name}` is shorter than {shortest} characters")
        } else if length > longest {
            let plural = if longest == 1 { "" } else { "s" };
            format!("`{name}` is longer than {longest} character{plural}")
        } else {
            return Some(text.into());
        };
        self.push(node, Diagnostic::error(Code::OutOfRange, why), "");
        None
    }

    fn boolean(&mut self, node: &Node, name: &str) -> Option<Json> {
        match &node.value {
            Value::Boolean(value) => return Some((*value).into()),
            Value::Text(text) if matches!(text.to_lowercase().as_str(), "yes" | "on" | "y") => {
                let diagnostic = Diagnostic::error(
                    Code::WrongType,
                    format!("`{name}` is {}, which is text", quoted(text)),
                );
                self.push(node, diagnostic.help("write `true`"), "");
            }
            Value::Text(text) if matches!(text.to_lowercase().as_str(), "no" | "off" | "n") => {
                let diagnostic = Diagnostic::error(
                    Code::WrongType,
                    format!("`{name}` is {}, which is text", quoted(text)),
                );
                self.push(node, diagnostic.help("write `false`"), "");
            }
            _ => self.wrong_type(node, name, "`true` or `false`"),
        }
        None
    }

    fn integer(&mut self, node: &Node, name: &str, min: i128, max: i128) -> Option<Json> {
        let number = match &node.value {
            Value::Integer(number) => *number,
            // `1e3` is a whole number too.
            Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => *number as i128,
            // A template with text around it, such as "{{ a }}0", gives text.
            Value::Text(text) if node.template.is_some() && text.parse::<i64>().is_ok() => {
                text.parse::<i64>().map(i128::from).unwrap_or_default()
            }
            _ => {
                self.wrong_type(node, name, &format!("a whole number{}", integer_range(min, max)));
                return None;
            }
        };
        if number < min || number > max {
            self.out_of_range(node, name, &number.to_string(), &integer_range(min, max));
            return None;
        }
        match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => Some(number.into()),
            (_, Ok(number)) => Some(number.into()),
            _ => None,
        }
    }

    fn number(&mut self, node: &Node, name: &str, min: f64, max: f64) -> Option<Json> {
        let number = match &node.value {
            Value::Integer(number) => *number as f64,
            Value::Float(number) => *number,
            Value::Text(text) if node.template.is_some() && text.parse::<f64>().is_ok_and(f64::is_finite) => {
                text.parse::<f64>().unwrap_or_default()
            }
            Value::Text(text) if matches!(text.as_str(), ".nan" | ".inf" | "-.inf") => {
                let diagnostic =
                    Diagnostic::error(Code::OutOfRange, format!("`{name}` is not a finite number"));
                self.push(node, diagnostic, "");
                return None;
            }
            Value::Text(text) if text.ends_with('%') => {
                let diagnostic = Diagnostic::error(
                    Code::WrongType,
                    format!("`{name}` is {}, a share; expected a number", quoted(text)),
                );
                self.push(node, diagnostic.help("write it as a fraction, such as `0.1`"), "");
                return None;
            }
            _ => {
                self.wrong_type(node, name, &format!("a number{}", number_range(min, max)));
                return None;
            }
        };
        if number < min || number > max {
            self.out_of_range(node, name, &number.to_string(), &number_range(min, max));
            return None;
        }
        Some(number.into())
    }

    fn out_of_range(&mut self, node: &Node, name: &str, value: &str, range: &str) {
        let diagnostic =
            Diagnostic::error(Code::OutOfRange, format!("`{name}` is {value}; expected a number{range}"));
        self.push(node, diagnostic, "");
    }

    fn word(&mut self, node: &Node, name: &str, words: &[Word]) -> Option<Json> {
        let known: Vec<&str> = words.iter().map(|word| word.name.as_str()).collect();
        let written = match &node.value {
            Value::List(_) | Value::Mapping(_) | Value::Null => {
                self.wrong_type(node, name, &one_of(&known));
                return None;
            }
            _ => self.as_written(node),
        };
        if known.contains(&written.as_str()) {
            return Some(written.into());
        }
        let diagnostic =
            Diagnostic::error(Code::BadValue, format!("`{name}` cannot be {}", quoted(&written)))
                .maybe_help(meant_or_listed(&written, &known));
        self.push(node, diagnostic, "");
        None
    }

    fn leaf(&mut self, node: &Node, name: &str, leaf: Leaf, positive: bool, role: Role) -> Option<Json> {
        let written = match &node.value {
            Value::Text(text) => text.clone(),
            Value::Integer(_) | Value::Float(_) => self.as_written(node),
            Value::Null | Value::Boolean(_) | Value::List(_) | Value::Mapping(_) | Value::Unknown => {
                self.wrong_type(node, name, leaf.described());
                return None;
            }
        };
        let value = match leaf.read(&written) {
            Ok(value) => value,
            Err(Refused { why, help }) => {
                let name_of_secret = leaf == Leaf::Secret;
                let diagnostic = match leaf {
                    Leaf::Condition | Leaf::Select => Diagnostic::error(Code::Sql, format!("`{name}` {why}")),
                    _ if self.looks_secret(node, if name_of_secret { "" } else { name }) => {
                        Diagnostic::error(
                            Code::BadValue,
                            format!("`{name}` is a text that looks like a secret, and {why}"),
                        )
                        .hidden()
                    }
                    _ => Diagnostic::error(Code::BadValue, format!("`{name}`: {} {why}", quoted(&written))),
                };
                let help = help.filter(|_| !diagnostic.hidden);
                self.push(node, diagnostic.maybe_help(help), &format!("expected {}", leaf.described()));
                return None;
            }
        };
        if positive && value.as_u64() == Some(0) {
            let diagnostic = Diagnostic::error(
                Code::OutOfRange,
                format!("`{name}` is {}, and must be more", quoted(&written)),
            );
            self.push(node, diagnostic, "");
            return None;
        }
        self.note_use(node, leaf, role, &written);
        if let Some(warning) = secrets::warning(name, &written).filter(|_| leaf == Leaf::Source) {
            self.findings.push(warning.at(node.at.clone(), ""));
        }
        Some(value)
    }

    fn note_use(&mut self, node: &Node, leaf: Leaf, role: Role, written: &str) {
        let what = match leaf {
            Leaf::Reference => written.parse().ok().map(Used::Output),
            Leaf::Model => written.parse().ok().map(Used::Model),
            _ => None,
        };
        if let Some(what) = what {
            self.uses.push(Use { what, role, at: node.at.clone() });
        }
    }

    fn list(&mut self, node: &Node, name: &str, item: &Form, fewest: usize) -> Option<Json> {
        let Value::List(items) = &node.value else {
            let expected = expectation(item);
            self.wrong_type(node, name, &format!("a list (`[...]`), each item {expected}"));
            return None;
        };
        if items.len() < fewest {
            let diagnostic = Diagnostic::error(Code::OutOfRange, format!("`{name}` is an empty list"));
            self.push(node, diagnostic.help("name at least one"), "");
            return None;
        }
        let read: Vec<Option<Json>> = items.iter().map(|node| self.read(item, node, name)).collect();
        read.into_iter().collect::<Option<Vec<Json>>>().map(Json::Array)
    }

    fn mapping(&mut self, node: &Node, name: &str, keys: Keys, value: &Form) -> Option<Json> {
        let Value::Mapping(entries) = &node.value else {
            self.wrong_type(node, name, "a mapping (`name: ...`)");
            return None;
        };
        let mut read = Map::new();
        let mut sound = true;
        for entry in entries {
            sound &= self.key(entry, keys);
            match self.entry(value, entry) {
                Some(value) => {
                    read.insert(entry.key.clone(), value);
                }
                None => sound = false,
            }
        }
        sound.then_some(Json::Object(read))
    }

    fn key(&mut self, entry: &Entry, keys: Keys) -> bool {
        let key = entry.key.as_str();
        let refused = match keys {
            Keys::Any | Keys::Column if key.is_empty() => Some(("is empty".to_owned(), None)),
            Keys::Any | Keys::Column => None,
            Keys::Variable if is_variable(key) => None,
            Keys::Variable => Some((
                "cannot be a name here: use letters, digits and `_`, not beginning with a digit".to_owned(),
                None,
            )),
            Keys::Name => Leaf::Name.read(key).err().map(|refused| (refused.why, refused.help)),
        };
        let Some((why, help)) = refused else {
            return true;
        };
        self.findings.push(
            Diagnostic::error(Code::BadValue, format!("{} {why}", quoted(key)))
                .at(entry.key_at.clone(), "")
                .maybe_help(help),
        );
        false
    }

    fn either(
        &mut self,
        node: &Node,
        name: &str,
        scalar: Option<&Wrapped>,
        list: Option<&Wrapped>,
        mapping: Option<&Form>,
    ) -> Option<Json> {
        let chosen = match &node.value {
            Value::List(_) => list,
            Value::Mapping(_) => match mapping {
                Some(form) => return self.read(form, node, name),
                None => None,
            },
            _ => scalar,
        };
        let Some(Wrapped { wrap, form }) = chosen else {
            let expected = either_expectation(scalar, list, mapping);
            self.wrong_type(node, name, &expected);
            return None;
        };
        let value = self.read(form, node, name)?;
        Some(match wrap {
            Wrap::Bare => value,
            Wrap::List => Json::Array(vec![value]),
            Wrap::Key(key) => Json::Object(Map::from_iter([(key.clone(), value)])),
        })
    }
}

pub(crate) fn is_variable(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

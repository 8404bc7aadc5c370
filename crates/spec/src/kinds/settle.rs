//! What one setting demands of another.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::diagnostic::{Code, Diagnostic};
use crate::tree::Node;

/// A `with` whose settings fit their forms one by one, and where to report that they do not fit each other.
pub(crate) struct Settling<'a> {
    pub(crate) with: &'a Node,
    /// Where the step's name stands.
    pub(crate) step_at: Range<usize>,
    pub(crate) findings: &'a mut Vec<Diagnostic>,
    /// Whether an error was found.
    pub(crate) refused: bool,
}

impl Settling<'_> {
    /// Reads canonical JSON that fits the form of its type.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, canonical: Value) -> Option<T> {
        match serde_json::from_value(canonical) {
            Ok(settings) => Some(settings),
            Err(error) => {
                self.refused = true;
                self.findings.push(
                    Diagnostic::error(
                        Code::Internal,
                        format!("these settings passed their checks and cannot be read: {error}"),
                    )
                    .at(self.step_at.clone(), "")
                    .help("this is a fault of noctule; please report it with the pipeline"),
                );
                None
            }
        }
    }

    /// Where the value at a path of keys stands; the step's name when it is not written.
    pub(crate) fn place(&self, path: &[&str]) -> Range<usize> {
        self.with.at_path(path).map_or_else(|| self.step_at.clone(), |node| node.at.clone())
    }

    /// Where the last key of a path stands; the step's name when it is not written.
    pub(crate) fn key_place(&self, path: &[&str]) -> Range<usize> {
        let entry = path.split_last().and_then(|(last, parents)| self.with.at_path(parents)?.entry(last));
        entry.map_or_else(|| self.step_at.clone(), |entry| entry.key_at.clone())
    }

    pub(crate) fn is_written(&self, key: &str) -> bool {
        self.with.entry(key).is_some()
    }

    /// An error at the value of a path.
    pub(crate) fn refuse(&mut self, path: &[&str], code: Code, message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::error(code, message).at(self.place(path), "");
        self.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Two settings that cannot stand together.
    pub(crate) fn conflict(&mut self, one: &[&str], other: &[&str], message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::error(Code::Conflict, message)
            .at(self.key_place(one), "")
            .also(self.key_place(other), "")
            .help(help);
        self.push(diagnostic);
    }

    /// A warning at the key of a path.
    pub(crate) fn warn(&mut self, path: &[&str], message: impl Into<String>, help: &str) {
        let diagnostic = Diagnostic::warning(Code::Unused, message).at(self.key_place(path), "");
        self.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        self.refused |= diagnostic.severity == crate::diagnostic::Severity::Error;
        self.findings.push(diagnostic);
    }
}

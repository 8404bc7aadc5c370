//! What is wrong, where, and what to do: one diagnostic per finding, shown with its line and a caret.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::source::{SourceText, floor_char_boundary, showable};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The pipeline cannot be run.
    Error,
    /// It can, and probably not as meant.
    Warning,
}

/// What kind of finding it is: a fixed word to search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    FileTooLarge,
    NotUtf8,
    Empty,
    Syntax,
    TooComplex,
    UnknownKey,
    DuplicateKey,
    MissingKey,
    WrongType,
    OutOfRange,
    BadValue,
    Conflict,
    Template,
    Param,
    UnknownStep,
    UnknownOutput,
    WrongStep,
    Cycle,
    Gate,
    Publish,
    Sql,
    LooksSecret,
    Unused,
    Internal,
}

impl Code {
    pub const fn word(self) -> &'static str {
        match self {
            Self::FileTooLarge => "file-too-large",
            Self::NotUtf8 => "not-utf8",
            Self::Empty => "empty",
            Self::Syntax => "syntax",
            Self::TooComplex => "too-complex",
            Self::UnknownKey => "unknown-key",
            Self::DuplicateKey => "duplicate-key",
            Self::MissingKey => "missing-key",
            Self::WrongType => "wrong-type",
            Self::OutOfRange => "out-of-range",
            Self::BadValue => "bad-value",
            Self::Conflict => "conflict",
            Self::Template => "template",
            Self::Param => "param",
            Self::UnknownStep => "unknown-step",
            Self::UnknownOutput => "unknown-output",
            Self::WrongStep => "wrong-step",
            Self::Cycle => "cycle",
            Self::Gate => "gate",
            Self::Publish => "publish",
            Self::Sql => "sql",
            Self::LooksSecret => "looks-secret",
            Self::Unused => "unused",
            Self::Internal => "internal",
        }
    }
}

/// A place in the source, and what is to be said about it; no text for a caret alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Bytes of the text, a byte-order mark not counted.
    pub range: Range<usize>,
    pub text: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub code: Code,
    pub message: String,
    /// Where it is; `None` when it is about the whole, or about the command line.
    pub primary: Option<Label>,
    /// Places that explain it, such as the other definition.
    pub secondary: Vec<Label>,
    /// What to do, each a sentence.
    pub help: Vec<String>,
    /// Whether the line is kept out of sight, because it may hold a secret.
    pub hidden: bool,
}

/// How findings are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    /// With ANSI colours.
    Ansi,
}

impl Diagnostic {
    pub(crate) fn error(code: Code, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            help: Vec::new(),
            hidden: false,
        }
    }

    /// Shows where it is and not what stands there.
    pub(crate) fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(crate) fn warning(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    pub(crate) fn at(mut self, range: Range<usize>, text: impl Into<String>) -> Self {
        self.primary = Some(Label { range, text: text.into() });
        self
    }

    pub(crate) fn also(mut self, range: Range<usize>, text: impl Into<String>) -> Self {
        self.secondary.push(Label { range, text: text.into() });
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    pub(crate) fn maybe_help(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }

    /// The finding as people see it: message, file, line, column, the line itself with a caret, and the remedy.
    pub fn render(&self, source: &SourceText, style: Style) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str()).id(self.code.word());
        let text = source.shown();
        let mut group = match &self.primary {
            Some(primary) if self.hidden => {
                let (line, column) = source.line_and_column(primary.range.start);
                title.element(Origin::path(source.name()).line(line).char_column(column))
            }
            Some(primary) if self.has_long_line(&text) => {
                let (line, column) = source.line_and_column(primary.range.start);
                title
                    .element(Origin::path(source.name()).line(line).char_column(column))
                    .element(excerpt(&text, primary, line))
            }
            Some(primary) => title.element(self.snippet(source, &text, primary)),
            None => Group::with_title(title),
        };
        for help in &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Ansi => Renderer::styled(),
        };
        without_bare_joint(renderer.term_width(WIDTH).render(&[group]))
    }

    fn has_long_line(&self, text: &str) -> bool {
        let labels = self.primary.iter().chain(&self.secondary);
        labels
            .map(|label| line_around(text, showable(text, &label.range).start))
            .any(|line| line.len() > LONG_LINE)
    }

    /// The lines from the first to the last place that is pointed at; those between are folded.
    fn snippet<'a>(
        &'a self,
        source: &'a SourceText,
        text: &'a str,
        primary: &'a Label,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let labels = || std::iter::once(primary).chain(&self.secondary);
        let ranges: Vec<_> = labels().map(|label| showable(text, &label.range)).collect();
        let first = ranges.iter().map(|range| range.start).min().unwrap_or(0);
        let last = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        let from = text[..first].rfind('\n').map_or(0, |at| at + 1);
        let to = text[last..].find('\n').map_or(text.len(), |at| last + at + 1);
        let line = text[..from].matches('\n').count() + 1;
        let annotations = labels().zip(ranges).enumerate().map(|(index, (label, range))| {
            let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            let annotation = kind.span(range.start - from..range.end - from);
            if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
        });
        Snippet::source(&text[from..to]).line_start(line).path(source.name()).annotations(annotations)
    }
}

/// A line so long that only the part around the place is handed to the renderer.
const LONG_LINE: usize = 2_000;

/// The line that a position is in, without its end.
fn line_around(text: &str, position: usize) -> Range<usize> {
    let start = text[..position].rfind('\n').map_or(0, |at| at + 1);
    let end = text[position..].find('\n').map_or(text.len(), |at| position + at);
    start..end
}

/// The renderer joins a place and an excerpt that has no path of its own by a line of `:::` alone, which says nothing.
fn without_bare_joint(shown: String) -> String {
    let is_bare = |line: &str| {
        let mut parts = line.split('\u{1b}');
        let first = parts.next().unwrap_or_default();
        let rest = parts.map(|part| part.split_once('m').map_or("", |(_, text)| text));
        std::iter::once(first).chain(rest).collect::<String>().trim() == ":::"
    };
    if !shown.lines().any(is_bare) {
        return shown;
    }
    shown.lines().filter(|line| !is_bare(line)).collect::<Vec<_>>().join("\n")
}

/// The part of a long line around a place.
fn excerpt<'a>(
    text: &'a str,
    primary: &'a Label,
    number: usize,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    const AROUND: usize = 100;
    let place = showable(text, &primary.range);
    let line = line_around(text, place.start);
    let from = floor_char_boundary(text, place.start.saturating_sub(AROUND).max(line.start));
    let to = floor_char_boundary(text, (place.start + AROUND).min(line.end)).max(from);
    let annotation =
        AnnotationKind::Primary.span(place.start - from..place.end.min(to).max(place.start) - from);
    let annotation =
        if primary.text.is_empty() { annotation } else { annotation.label(primary.text.as_str()) };
    Snippet::source(&text[from..to]).line_start(number).annotation(annotation)
}

/// Wide enough for what people write; longer lines are cut around the caret.
const WIDTH: usize = 120;

/// Findings in the order of their places; those without a place come first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

/// More findings than this say nothing new.
const MOST_SHOWN: usize = 100;

impl Diagnostics {
    pub(crate) fn new(mut findings: Vec<Diagnostic>) -> Self {
        findings.sort_by_key(|finding| {
            (finding.primary.as_ref().map(|label| label.range.start), finding.severity)
        });
        findings.dedup();
        Self(findings)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All findings as people see them, an empty line between two, and how many they are.
    pub fn render(&self, source: &SourceText, style: Style) -> String {
        let mut text = String::new();
        for finding in self.0.iter().take(MOST_SHOWN) {
            text.push_str(&finding.render(source, style));
            text.push_str("\n\n");
        }
        if self.0.len() > MOST_SHOWN {
            text.push_str(&format!("... and {} more\n\n", self.0.len() - MOST_SHOWN));
        }
        text.push_str(&self.summary(source));
        text.push('\n');
        text
    }

    fn summary(&self, source: &SourceText) -> String {
        let errors = self.0.iter().filter(|finding| finding.severity == Severity::Error).count();
        let warnings = self.0.len() - errors;
        let count = |number: usize, what: &str| match number {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{number} {what}s")),
        };
        let counts: Vec<_> =
            [count(errors, "error"), count(warnings, "warning")].into_iter().flatten().collect();
        format!("{}: {}", source.name(), counts.join(", "))
    }
}

impl From<Vec<Diagnostic>> for Diagnostics {
    fn from(findings: Vec<Diagnostic>) -> Self {
        Self::new(findings)
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages: Vec<&str> = self.0.iter().map(|finding| finding.message.as_str()).collect();
        f.write_str(&messages.join("; "))
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_with_its_line() {
        let source = SourceText::new("p.yaml", "a: 1\r\n\tb: ünï 2\r\nc: 3\r\n");
        let start = source.shown().find('2').unwrap();
        let shown = Diagnostic::error(Code::BadValue, "no")
            .at(start..start + 1, "this")
            .also(0..1, "see here")
            .help("do better")
            .render(&source, Style::Plain);
        insta::assert_snapshot!(shown, @r"
        error[bad-value]: no
         --> p.yaml:2:9
          |
        1 | a: 1
          | - see here
        2 |     b: ünï 2
          |            ^ this
          |
          = help: do better
        ");
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let text = format!("a: {}!{}", "x".repeat(5000), "y".repeat(5000));
        let source = SourceText::new("p.yaml", text);
        let shown = Diagnostic::error(Code::BadValue, "no").at(5003..5004, "").render(&source, Style::Plain);
        assert!(shown.lines().all(|line| line.chars().count() < 160), "{shown}");
        assert!(shown.contains("x!y") && shown.contains("p.yaml:1:5004"), "{shown}");
        let coloured =
            Diagnostic::error(Code::BadValue, "no").at(5003..5004, "").render(&source, Style::Ansi);
        assert!(!shown.contains(":::") && !coloured.contains(":::"), "{coloured}");
    }
}

//! The kinds of step: one file per kind, which declares its settings, defaults, ranges, outputs and prose.
//!
//! Schema, `explain` and the reference page come from here; `crates/steps` has a file of the same name that does it.

pub mod dedup;
pub mod evaluate;
pub mod extract;
pub mod filter;
pub mod gate;
pub mod publish;
pub mod shell;
pub mod split;
pub mod train;

mod settle;

use noctule_artifacts::manifest::OutputForm;
use serde_json::Value;

use crate::form::Form;
use crate::pipeline::StepKind;

pub(crate) use settle::Settling;

/// What a kind declares about itself.
pub(crate) struct Declaration {
    /// The word that `uses` takes.
    pub(crate) name: &'static str,
    /// The version of what it computes.
    pub(crate) version: u32,
    /// One sentence.
    pub(crate) summary: &'static str,
    /// Paragraphs, in Markdown.
    pub(crate) prose: &'static str,
    pub(crate) outputs: &'static [Output],
    /// A step, as a pipeline writes it.
    pub(crate) example: &'static str,
    /// The form of `with`.
    pub(crate) form: fn() -> Form,
    /// Makes settings of canonical JSON, once it fits the form, and checks what one setting demands of another.
    pub(crate) settle: fn(Value, &mut Settling<'_>) -> Option<StepKind>,
}

/// One of a kind's outputs.
pub(crate) struct Output {
    pub(crate) name: &'static str,
    pub(crate) prose: &'static str,
}

/// All kinds, in the order in which a pipeline uses them.
pub(crate) const KINDS: [&Declaration; 9] = [
    &extract::DECLARATION,
    &filter::DECLARATION,
    &dedup::DECLARATION,
    &split::DECLARATION,
    &train::DECLARATION,
    &evaluate::DECLARATION,
    &gate::DECLARATION,
    &publish::DECLARATION,
    &shell::DECLARATION,
];

/// The kind of a name.
pub(crate) fn declaration(name: &str) -> Option<&'static Declaration> {
    KINDS.into_iter().find(|kind| kind.name == name)
}

/// The names of all kinds.
pub fn names() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().map(|kind| kind.name)
}

impl StepKind {
    /// The outputs that these settings give, with their forms.
    pub fn outputs(&self) -> Vec<(&'static str, OutputForm)> {
        use OutputForm::{Files, Model, Report, Table};
        match self {
            Self::Extract(settings) => {
                let windowed = settings.window.is_some() && settings.sql.is_none();
                let outside = windowed.then_some(("outside", Table));
                [Some(("main", Table)), Some(("rejected", Table)), outside].into_iter().flatten().collect()
            }
            Self::Filter(_) => vec![("main", Table)],
            Self::Dedup(settings) => {
                let canonical = settings.near.is_some().then_some(("canonical", Table));
                let items = settings.items.is_some().then_some(("items", Table));
                [Some(("main", Table)), canonical, items].into_iter().flatten().collect()
            }
            Self::Split(settings) => {
                let validation = settings.validation.is_some().then_some(("validation", Table));
                [Some(("train", Table)), Some(("test", Table)), validation].into_iter().flatten().collect()
            }
            Self::Train(_) => vec![("main", Model)],
            Self::Evaluate(_) => vec![("report", Report), ("users", Table)],
            Self::Gate(_) => vec![("report", Report)],
            Self::Publish(_) => vec![],
            Self::Shell(settings) => vec![(
                "main",
                match settings.output {
                    shell::Form::Files => Files,
                    shell::Form::Table => Table,
                    shell::Form::Model => Model,
                },
            )],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_can_be_made_and_every_field_has_prose() {
        for kind in KINDS {
            let form = (kind.form)();
            assert!(!form.fields().is_empty(), "{}", kind.name);
            for field in form.fields() {
                assert!(!field.form.prose.is_empty(), "{}.{}", kind.name, field.key);
            }
        }
    }

    /// A pipeline in which a step is replaced by another of its name.
    fn with_step(pipeline: &str, step: &str) -> String {
        let (head, _) = step.split_once('\n').expect("an example has more than one line");
        let mut inside = false;
        let mut text = String::new();
        for line in pipeline.lines() {
            if line.starts_with("  ") && !line.starts_with("   ") {
                inside = line.trim() == head;
            }
            if !inside {
                text.push_str(line);
                text.push('\n');
            }
        }
        step.lines().for_each(|line| text.push_str(&format!("  {line}\n")));
        text
    }

    #[test]
    fn every_example_can_be_run() {
        let nightly = include_str!("../../tests/valid/nightly.yaml");
        for kind in KINDS {
            let text = with_step(nightly, kind.example);
            let source = crate::SourceText::new(kind.name, text);
            let context = crate::Context {
                params: Default::default(),
                interval: noctule_artifacts::launch::Interval {
                    start: jiff::Timestamp::UNIX_EPOCH,
                    end: jiff::Timestamp::UNIX_EPOCH,
                },
                run: None,
                now: jiff::Timestamp::UNIX_EPOCH,
                pools: None,
            };
            if let Err(found) = crate::load(&source, &context) {
                panic!("{}", found.render(&source, crate::Style::Plain));
            }
        }
    }
}

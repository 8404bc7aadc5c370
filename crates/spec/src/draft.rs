//! A step as it was read, before it is known whether the whole makes sense.

use std::collections::BTreeMap;
use std::ops::Range;

use noctule_artifacts::StepName;
use noctule_artifacts::launch::EnvValue;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic};
use crate::form::{Form, Leaf, Reader, Use};
use crate::kinds::{self, Declaration, Settling};
use crate::pipeline::StepKind;
use crate::reference::POPULARITY;
use crate::resources::Resources;
use crate::retry::Retry;
use crate::secrets;
use crate::template::{Renderer, RunNames, is_template};
use crate::timeouts::Timeouts;
use crate::tree::{Entry, Node, Value};
use crate::words::quoted;

/// A step as it was read.
pub(crate) struct Draft {
    pub(crate) name: StepName,
    pub(crate) name_at: Range<usize>,
    pub(crate) declaration: Option<&'static Declaration>,
    /// `None` when the settings have errors; those were reported.
    pub(crate) kind: Option<StepKind>,
    /// The settings as a tree, rendered: for the places of what is found out later.
    pub(crate) with: Node,
    pub(crate) uses: Vec<Use>,
    pub(crate) needs: Vec<(String, Range<usize>)>,
    pub(crate) disabled: Option<String>,
    pub(crate) always: bool,
    pub(crate) exclusive: bool,
    pub(crate) pool: Option<String>,
    pub(crate) pool_at: Option<Range<usize>>,
    pub(crate) retry: Retry,
    pub(crate) timeouts: Timeouts,
    pub(crate) resources: Resources,
    pub(crate) env: BTreeMap<String, EnvValue>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// `defaults`, in canonical JSON of only what was written.
#[derive(Default)]
pub(crate) struct Defaults {
    pub(crate) retry: Json,
    pub(crate) timeouts: Json,
    pub(crate) resources: Json,
}

/// Reads steps.
pub(crate) struct StepReader<'a, 'r> {
    pub(crate) text: &'a str,
    pub(crate) renderer: &'r mut Renderer<'a>,
    pub(crate) defaults: &'r Defaults,
    pub(crate) form: &'r Form,
    /// The forms of the kinds that occur, each made once.
    pub(crate) forms: BTreeMap<&'static str, Form>,
    pub(crate) findings: &'r mut Vec<Diagnostic>,
}

impl StepReader<'_, '_> {
    /// Reads a step; `None` when it has no name to know it by or is no mapping.
    pub(crate) fn read(&mut self, entry: &Entry) -> Option<Draft> {
        let name = self.name(entry)?;
        if !matches!(entry.value.value, Value::Mapping(_)) {
            self.refuse(
                &entry.key_at,
                Code::WrongType,
                format!("the step {} is {}; expected a mapping", quoted(&entry.key), entry.value.described()),
                "write `uses:` and `with:` below it",
            );
            return None;
        }
        let step = self.rendered(&entry.value);
        let declaration = self.declaration(&step);
        if let Some(declaration) = declaration {
            self.forms.entry(declaration.name).or_insert_with(|| (declaration.form)());
        }
        let read = self.common(&step, &entry.key, declaration);
        let (kind, with, uses) = match declaration {
            Some(declaration) => self.settings(&step, entry, declaration),
            None => (None, step.clone(), Vec::new()),
        };
        let read = read.unwrap_or_default();
        let flag = |key: &str| read.get(key).and_then(Json::as_bool).unwrap_or(false);
        let draft = Draft {
            name,
            name_at: entry.key_at.clone(),
            declaration,
            kind,
            with,
            uses,
            needs: self.needs(&step),
            disabled: self.disabled(&step),
            always: flag("always"),
            exclusive: flag("exclusive"),
            pool: read.get("pool").and_then(Json::as_str).map(str::to_owned),
            pool_at: step.entry("pool").map(|entry| entry.value.at.clone()),
            retry: merged(&self.defaults.retry, read.get("retry")),
            timeouts: merged(&self.defaults.timeouts, read.get("timeouts")),
            resources: merged(&self.defaults.resources, read.get("resources")),
            env: read.get("env").and_then(|env| serde_json::from_value(env.clone()).ok()).unwrap_or_default(),
            labels: read
                .get("labels")
                .and_then(|map| serde_json::from_value(map.clone()).ok())
                .unwrap_or_default(),
        };
        self.check_backoff(&step, &draft);
        self.check_env(&step);
        self.check_always(&step, declaration);
        Some(draft)
    }

    fn refuse(&mut self, at: &Range<usize>, code: Code, message: String, help: &str) {
        self.findings.push(Diagnostic::error(code, message).at(at.clone(), "").help(help));
    }

    fn name(&mut self, entry: &Entry) -> Option<StepName> {
        if entry.key == POPULARITY {
            self.refuse(
                &entry.key_at,
                Code::BadValue,
                "a step cannot be called `popularity`: the word stands for the baseline".to_owned(),
                "give it another name",
            );
            return None;
        }
        if let Err(refused) = Leaf::Name.read(&entry.key) {
            self.findings.push(
                Diagnostic::error(Code::BadValue, format!("{} {}", quoted(&entry.key), refused.why))
                    .at(entry.key_at.clone(), "")
                    .maybe_help(refused.help),
            );
            return None;
        }
        entry.key.parse().ok()
    }

    /// The step with templates rendered where they are; elsewhere a template is an error.
    fn rendered(&mut self, step: &Node) -> Node {
        let entries = step.entries().iter().map(|entry| {
            let value = match entry.key.as_str() {
                "env" | "labels" => self.renderer.render(&entry.value, RunNames::Seen, self.findings),
                "with" | "retry" | "timeouts" | "resources" | "pool" | "when" => {
                    self.renderer.render(&entry.value, RunNames::Hidden, self.findings)
                }
                key => {
                    refuse_templates(&entry.value, key, self.findings);
                    entry.value.clone()
                }
            };
            Entry { value, ..entry.clone() }
        });
        Node { value: Value::Mapping(entries.collect()), ..step.clone() }
    }

    fn declaration(&self, step: &Node) -> Option<&'static Declaration> {
        step.entry("uses").and_then(|entry| entry.value.as_text()).and_then(kinds::declaration)
    }

    /// Reads what all kinds have.
    fn common(&mut self, step: &Node, name: &str, declaration: Option<&'static Declaration>) -> Option<Json> {
        let of_kind = declaration.and_then(|declaration| self.forms.get(declaration.name));
        let misplaced =
            |key: &str| of_kind?.field(key).map(|_| "it is a setting: put it under `with`".to_owned());
        let fields = self.form.fields();
        let mut reader = Reader::new(self.text, self.findings);
        reader.partial_record(step, &format!("the step `{name}`"), fields, &misplaced)
    }

    /// Reads `with`.
    fn settings(
        &mut self,
        step: &Node,
        entry: &Entry,
        declaration: &'static Declaration,
    ) -> (Option<StepKind>, Node, Vec<Use>) {
        let uses = step.entry("uses").map_or_else(|| entry.key_at.clone(), |uses| uses.value.at.clone());
        let empty = Node { value: Value::Mapping(Vec::new()), at: uses, defined: None, template: None };
        let with = step.entry("with").map_or(empty, |with| with.value.clone());
        let form = &self.forms[declaration.name];
        let misplaced =
            |key: &str| self.form.field(key).map(|_| format!("`{key}` stands beside `with`, not in it"));
        let name = format!("`{}`", declaration.name);
        let mut reader = Reader::new(self.text, self.findings);
        let canonical = reader.record(&with, &name, form.fields(), &misplaced);
        let uses = reader.uses;
        let kind = canonical.and_then(|canonical| {
            let mut settling = Settling {
                with: &with,
                step_at: entry.key_at.clone(),
                findings: self.findings,
                refused: false,
            };
            let kind = (declaration.settle)(canonical, &mut settling);
            kind.filter(|_| !settling.refused)
        });
        (kind, with, uses)
    }

    fn needs(&mut self, step: &Node) -> Vec<(String, Range<usize>)> {
        let Some(entry) = step.entry("needs") else {
            return Vec::new();
        };
        let Value::List(items) = &entry.value.value else {
            self.refuse(
                &entry.key_at,
                Code::WrongType,
                format!("`needs` is {}; expected a list of steps", entry.value.described()),
                "write `needs: [step]`",
            );
            return Vec::new();
        };
        let mut needs = Vec::new();
        for item in items {
            match item.as_text() {
                Some(name) => needs.push((name.to_owned(), item.at.clone())),
                None => self.refuse(
                    &item.at,
                    Code::WrongType,
                    format!("`needs` holds {}; expected names of steps", item.described()),
                    "write `needs: [step]`",
                ),
            }
        }
        needs
    }

    /// `when` is a truth value, or a template that gives one.
    fn disabled(&mut self, step: &Node) -> Option<String> {
        let node = &step.entry("when")?.value;
        match &node.value {
            Value::Boolean(true) | Value::Unknown => None,
            Value::Boolean(false) => Some(match &node.template {
                Some(template) => format!("`when: {}` is false", template.trim()),
                None => "`when` is false".to_owned(),
            }),
            other => {
                let shown = match other {
                    Value::Text(text) => format!("is the text {}", quoted(text)),
                    _ => format!("is {}", node.described()),
                };
                let help = match (&node.template, other) {
                    (None, Value::Text(text)) if matches!(text.as_str(), "yes" | "on" | "y") => {
                        "write `true`".to_owned()
                    }
                    (None, Value::Text(text)) if matches!(text.as_str(), "no" | "off" | "n") => {
                        "write `false`".to_owned()
                    }
                    (None, Value::Text(text)) => {
                        format!("write it as a template: \"{{{{ {} }}}}\"", short(text))
                    }
                    _ => "compare it with something, such as \"{{ params.factors > 64 }}\"".to_owned(),
                };
                self.refuse(
                    &node.at,
                    Code::WrongType,
                    format!("`when` {shown}; expected `true`, `false` or a template that gives one of them"),
                    &help,
                );
                None
            }
        }
    }

    fn check_backoff(&mut self, step: &Node, draft: &Draft) {
        let backoff = &draft.retry.backoff;
        if backoff.initial > backoff.max
            && let Some(entry) = step.entry("retry")
        {
            let message =
                format!("the first wait, {}, is longer than the longest, {}", backoff.initial, backoff.max);
            self.refuse(&entry.key_at, Code::Conflict, message, "raise `max`, or lower `initial`");
        }
    }

    fn check_env(&mut self, step: &Node) {
        for entry in step.entry("env").map(|env| env.value.entries()).unwrap_or_default() {
            if entry.key.to_uppercase().starts_with("NOCTULE_") {
                self.refuse(
                    &entry.key_at,
                    Code::BadValue,
                    format!(
                        "{} is noctule's own: variables that begin with `NOCTULE_` are set by it",
                        quoted(&entry.key)
                    ),
                    "give it another name",
                );
            }
            if let Some(warning) = entry.value.as_text().and_then(|text| secrets::warning(&entry.key, text)) {
                self.findings.push(warning.at(entry.value.at.clone(), ""));
            }
        }
    }

    /// What judges and publishes runs always and only when what it needs went well.
    fn check_always(&mut self, step: &Node, declaration: Option<&Declaration>) {
        let Some(kind) = declaration.map(|declaration| declaration.name) else {
            return;
        };
        if !matches!(kind, "evaluate" | "gate" | "publish") {
            return;
        }
        for key in ["when", "always"] {
            if let Some(entry) = step.entry(key) {
                self.refuse(
                    &entry.key_at,
                    Code::Gate,
                    format!("`{key}` never applies to `{kind}`: there is no way around the gate"),
                    "remove it; to promote by hand there is `noctule models promote`",
                );
            }
        }
    }
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// Reports every template in a node that is not rendered.
pub(crate) fn refuse_templates(node: &Node, key: &str, findings: &mut Vec<Diagnostic>) {
    match &node.value {
        Value::Text(text) if is_template(text) => findings.push(
            Diagnostic::error(Code::Template, format!("templates are not rendered in `{key}`"))
                .at(node.at.clone(), "")
                .help("write the value itself"),
        ),
        Value::List(items) => items.iter().for_each(|item| refuse_templates(item, key, findings)),
        Value::Mapping(entries) => {
            entries.iter().for_each(|entry| refuse_templates(&entry.value, key, findings))
        }
        _ => {}
    }
}

/// What a step says over what the defaults say, over what the type says.
fn merged<T: DeserializeOwned + Default>(defaults: &Json, own: Option<&Json>) -> T {
    let mut merged = match defaults {
        Json::Object(_) => defaults.clone(),
        _ => Json::Object(serde_json::Map::new()),
    };
    if let Some(own) = own {
        lay_over(&mut merged, own);
    }
    serde_json::from_value(merged).unwrap_or_default()
}

fn lay_over(under: &mut Json, over: &Json) {
    match (under, over) {
        (Json::Object(under), Json::Object(over)) => {
            for (key, value) in over {
                lay_over(under.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (under, over) => *under = over.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_step_says_only_what_differs() {
        let defaults = json!({"attempts": 5, "backoff": {"initial": 1, "max": 60}});
        let own = json!({"backoff": {"max": 120}});
        let retry: Retry = merged(&defaults, Some(&own));
        assert_eq!(retry.attempts, 5);
        assert_eq!((retry.backoff.initial.seconds(), retry.backoff.max.seconds()), (1, 120));
        assert_eq!(retry.backoff.factor, 2.0);
        assert_eq!(merged::<Retry>(&Json::Null, None), Retry::default());
    }
}

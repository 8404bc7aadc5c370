//! `{{ ... }}` in scalars: rendered after parsing, so that every position stays true.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::{Serde, Value as Rendered, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, context, filters};
use noctule_artifacts::launch::Interval;
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic};
use crate::tree::{Entry, Node, Value};
use crate::words::{listed, meant_or_listed, nearest, quoted};

/// What templates see.
pub(crate) struct Scope<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) params: &'a BTreeMap<String, Json>,
    pub(crate) interval: Interval,
    /// The zone in which `date` writes.
    pub(crate) timezone: &'a str,
    pub(crate) run: &'a str,
    /// The run's occurrence.
    pub(crate) at: Timestamp,
}

/// Whether a place may say which run it is. Where it may not, the same settings give the same fingerprint every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunNames {
    Seen,
    Hidden,
}

pub(crate) struct Renderer<'a> {
    environment: Environment<'static>,
    root: Rendered,
    params: &'a BTreeMap<String, Json>,
    /// Parameters that some template named.
    used: BTreeSet<String>,
    /// Bytes that may still be rendered in the whole file.
    left: Cell<usize>,
}

/// Instructions that one template may take, characters that it may have, bytes that all may give.
const FUEL: u64 = 2_000;
const LONGEST_TEMPLATE: usize = 4_096;
const MOST_RENDERED: usize = 4 << 20;
const MOST_ITEMS: usize = 1_000;

const ROOTS: [&str; 4] = ["params", "interval", "run", "pipeline"];
const OF_INTERVAL: [&str; 2] = ["start", "end"];
const OF_RUN: [&str; 2] = ["id", "at"];
const OF_PIPELINE: [&str; 1] = ["name"];

const FILTERS: [&str; 11] =
    ["abs", "date", "default", "float", "int", "length", "lower", "round", "string", "trim", "upper"];

impl<'a> Renderer<'a> {
    pub(crate) fn new(scope: &Scope<'a>) -> Self {
        let root = context! {
            params => Rendered::from(Serde(scope.params)),
            interval => context! {
                start => scope.interval.start.to_string(),
                end => scope.interval.end.to_string(),
            },
            run => context! { id => scope.run, at => scope.at.to_string() },
            pipeline => context! { name => scope.pipeline },
        };
        Self {
            environment: environment(scope.timezone),
            root,
            params: scope.params,
            used: BTreeSet::new(),
            left: Cell::new(MOST_RENDERED),
        }
    }

    pub(crate) fn used_params(&self) -> &BTreeSet<String> {
        &self.used
    }

    /// The node with its templates rendered. One that cannot be is reported, and its value is unknown from then on.
    pub(crate) fn render(&mut self, node: &Node, run: RunNames, findings: &mut Vec<Diagnostic>) -> Node {
        let value = match &node.value {
            Value::Text(text) if is_template(text) => {
                return match self.scalar(text, &node.at, run) {
                    Ok(value) => Node { value, template: Some(text.clone()), ..node.clone() },
                    Err(diagnostic) => {
                        let mut diagnostic = diagnostic.at(node.at.clone(), "");
                        if let Some(defined) = &node.defined {
                            diagnostic = diagnostic.also(defined.clone(), "defined here");
                        }
                        findings.push(diagnostic);
                        Node { value: Value::Unknown, ..node.clone() }
                    }
                };
            }
            Value::List(items) => {
                Value::List(items.iter().map(|item| self.render(item, run, findings)).collect())
            }
            Value::Mapping(entries) => Value::Mapping(
                entries
                    .iter()
                    .map(|entry| Entry { value: self.render(&entry.value, run, findings), ..entry.clone() })
                    .collect(),
            ),
            scalar => scalar.clone(),
        };
        Node { value, ..node.clone() }
    }

    /// What a text gives, as text.
    pub(crate) fn text(&mut self, text: &str) -> Result<String, Diagnostic> {
        match self.scalar(text, &(0..0), RunNames::Hidden)? {
            Value::Text(text) => Ok(text),
            Value::Integer(number) => Ok(number.to_string()),
            _ => Err(Diagnostic::error(Code::Template, "this template gives no text")),
        }
    }

    fn scalar(&mut self, text: &str, at: &Range<usize>, run: RunNames) -> Result<Value, Diagnostic> {
        if self.left.get() == 0 {
            // It was said once that too much is rendered.
            return Ok(Value::Unknown);
        }
        if text.contains("{%") {
            return Err(Diagnostic::error(Code::Template, "statements (`{% ... %}`) are not rendered")
                .help("write an expression, such as `{{ params.a if params.b else params.c }}`"));
        }
        if text.len() > LONGEST_TEMPLATE {
            return Err(Diagnostic::error(
                Code::TooComplex,
                format!("a text with a template is longer than {LONGEST_TEMPLATE} bytes"),
            ));
        }
        let value = match lone_expression(text) {
            Some(inner) if self.environment.compile_expression_owned(inner.to_owned()).is_ok() => {
                self.expression(inner, at, run)?
            }
            _ => self.template(text, run)?,
        };
        self.spend(&value)?;
        Ok(value)
    }

    /// A scalar that is one expression keeps the expression's type.
    fn expression(&mut self, inner: &str, at: &Range<usize>, run: RunNames) -> Result<Value, Diagnostic> {
        let expression =
            self.environment.compile_expression_owned(inner.to_owned()).map_err(|error| worded(&error))?;
        let names = expression.undeclared_variables(true);
        check_names(names, self.params, &mut self.used, run)?;
        let rendered = expression.eval(self.root.clone()).map_err(|error| worded(&error))?;
        typed(&rendered, at)
    }

    fn template(&mut self, text: &str, run: RunNames) -> Result<Value, Diagnostic> {
        let environment: &Environment<'_> = &self.environment;
        let template = environment.template_from_str(text).map_err(|error| worded(&error))?;
        check_names(template.undeclared_variables(true), self.params, &mut self.used, run)?;
        template.render(self.root.clone()).map(Value::Text).map_err(|error| worded(&error))
    }

    fn spend(&self, value: &Value) -> Result<(), Diagnostic> {
        let size = match value {
            Value::Text(text) => text.len(),
            Value::List(items) => items.len(),
            _ => 0,
        };
        let left = self.left.get().checked_sub(size).ok_or_else(|| {
            self.left.set(0);
            Diagnostic::error(
                Code::TooComplex,
                format!("templates give more than {MOST_RENDERED} bytes together"),
            )
        })?;
        self.left.set(left);
        Ok(())
    }
}

fn environment(timezone: &str) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    environment.add_filter("abs", filters::abs);
    environment.add_filter("default", filters::default);
    environment.add_filter("float", filters::float);
    environment.add_filter("int", filters::int);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("round", filters::round);
    environment.add_filter("string", filters::string);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    let zone = TimeZone::get(timezone).unwrap_or(TimeZone::UTC);
    environment.add_filter("date", move |instant: &str, format: Option<&str>| date(instant, format, &zone));
    environment
}

/// `date`: an instant as a civil date, or in another `strftime` format, in the zone of the pipeline's data.
fn date(instant: &str, format: Option<&str>, zone: &TimeZone) -> Result<String, Error> {
    let refused = |why: String| Error::new(ErrorKind::InvalidOperation, why);
    let instant: Timestamp = instant
        .parse()
        .map_err(|_| refused(format!("`date` takes an instant, and {} is none", quoted(instant))))?;
    let civil = instant.to_zoned_datetime(zone.clone());
    let format = format.unwrap_or("%Y-%m-%d");
    jiff::fmt::strtime::format(format, &civil)
        .map_err(|_| refused(format!("{} is not a date format, such as `%Y-%m-%d`", quoted(format))))
}

pub(crate) fn is_template(text: &str) -> bool {
    text.contains("{{") || (text.contains("{%") && text.contains("%}"))
}

/// The expression, when the whole text is `{{ one }}`. `{{-` trims white space, so it makes text.
fn lone_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.starts_with(['-', '+']) && !inner.ends_with(['-', '+'])).then_some(inner)
}

/// Names are checked before anything is computed: so a wrong one is named, and the nearest right one with it.
fn check_names(
    names: impl IntoIterator<Item = String>,
    params: &BTreeMap<String, Json>,
    used: &mut BTreeSet<String>,
    run: RunNames,
) -> Result<(), Diagnostic> {
    let names: BTreeSet<String> = names.into_iter().collect();
    for name in &names {
        let mut parts = name.split('.');
        let root = parts.next().unwrap_or_default();
        let member = parts.next();
        match (root, member) {
            ("params", Some(param)) => {
                used.insert(param.to_owned());
                if !params.contains_key(param) {
                    return Err(unknown_param(param, params));
                }
            }
            ("params", None) => used.extend(params.keys().cloned()),
            ("interval", member) => check_member(root, member, &OF_INTERVAL)?,
            ("run", _) if run == RunNames::Hidden => {
                return Err(Diagnostic::error(Code::Template, format!("{} is not seen here", quoted(name)))
                    .help("`run` renders only in `env` and `labels`: elsewhere it would make every run different, and nothing could be reused"));
            }
            ("run", member) => check_member(root, member, &OF_RUN)?,
            ("pipeline", member) => check_member(root, member, &OF_PIPELINE)?,
            _ => return Err(unknown_root(root, params)),
        }
    }
    Ok(())
}

fn unknown_param(param: &str, params: &BTreeMap<String, Json>) -> Diagnostic {
    let known: Vec<&str> = params.keys().map(String::as_str).collect();
    let help = match meant_or_listed(param, &known) {
        Some(help) => help,
        None => "declare it under `params:`".to_owned(),
    };
    Diagnostic::error(Code::Template, format!("there is no parameter {}", quoted(param))).help(help)
}

fn check_member(root: &str, member: Option<&str>, known: &[&str]) -> Result<(), Diagnostic> {
    match member {
        Some(member) if known.contains(&member) => Ok(()),
        Some(member) => {
            let full = format!("{root}.{member}");
            Err(Diagnostic::error(Code::Template, format!("there is no {}", quoted(&full)))
                .maybe_help(listed(known).map(|list| format!("`{root}` has {list}"))))
        }
        None => Err(Diagnostic::error(Code::Template, format!("`{root}` is not a value by itself"))
            .help(format!("write `{root}.{}`", known[0]))),
    }
}

fn unknown_root(root: &str, params: &BTreeMap<String, Json>) -> Diagnostic {
    let diagnostic = Diagnostic::error(Code::Template, format!("templates do not see {}", quoted(root)));
    if root.starts_with("secret") {
        return diagnostic.help("secrets are never rendered; pass one with `env: {NAME: {secret: name}}`");
    }
    if matches!(root, "env" | "environ") {
        return diagnostic.help("the environment is not rendered; use a parameter and `--param`");
    }
    if params.contains_key(root) {
        return diagnostic.help(format!("did you mean `params.{root}`?"));
    }
    let help = match nearest(root, ROOTS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "they see `params`, `interval`, `run` and `pipeline`".to_owned(),
    };
    diagnostic.help(help)
}

/// What went wrong in rendering, in our words; what the engine has to add stands behind them.
fn worded(error: &Error) -> Diagnostic {
    let detail = error.detail().unwrap_or_default();
    let message = match error.kind() {
        ErrorKind::SyntaxError => "this template is not an expression",
        ErrorKind::UnknownFilter => "this template uses an unknown filter",
        ErrorKind::UnknownFunction | ErrorKind::UnknownMethod | ErrorKind::UnknownTest => {
            "templates have no functions, methods or tests"
        }
        ErrorKind::UndefinedError => "this template uses a value that does not exist",
        ErrorKind::OutOfFuel => "this template computes too much",
        ErrorKind::TooManyArguments | ErrorKind::MissingArgument => {
            "a filter has the wrong number of arguments"
        }
        _ => "this template cannot be computed",
    };
    let code = if error.kind() == ErrorKind::OutOfFuel { Code::TooComplex } else { Code::Template };
    let diagnostic = Diagnostic::error(code, message);
    let filters = FILTERS.map(|name| format!("`{name}`")).join(", ");
    match error.kind() {
        ErrorKind::UnknownFilter => diagnostic.help(format!("filters are {filters}")),
        _ if detail.is_empty() => diagnostic,
        _ => diagnostic.help(detail.chars().take(200).collect::<String>()),
    }
}

/// A computed value as a node's value.
fn typed(value: &Rendered, at: &Range<usize>) -> Result<Value, Diagnostic> {
    Ok(match value.kind() {
        ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Boolean(value.is_true()),
        ValueKind::Number if value.is_integer() => match i128::try_from(value.clone()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                return Err(Diagnostic::error(
                    Code::Template,
                    "this template gives a number that is too large",
                ));
            }
        },
        ValueKind::Number => Value::Float(f64::try_from(value.clone()).unwrap_or(f64::NAN)),
        ValueKind::String => Value::Text(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Undefined => {
            return Err(Diagnostic::error(Code::Template, "this template uses a value that does not exist"));
        }
        // An iterable is what `+` makes of two lists.
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|error| worded(&error))?;
            let nodes = items.take(MOST_ITEMS + 1).map(|item| {
                typed(&item, at).map(|value| Node { value, at: at.clone(), defined: None, template: None })
            });
            let nodes: Vec<Node> = nodes.collect::<Result<_, _>>()?;
            if nodes.len() > MOST_ITEMS {
                return Err(Diagnostic::error(
                    Code::TooComplex,
                    format!("this template gives a list of more than {MOST_ITEMS} items"),
                )
                .help("keep a long list in a file that a step reads"));
            }
            Value::List(nodes)
        }
        _ => {
            return Err(Diagnostic::error(Code::Template, "this template gives a mapping")
                .help("a template gives text, a number, a truth value or a list of these"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, run: RunNames) -> Result<Value, String> {
        let params = BTreeMap::from([
            ("window".to_owned(), Json::from("28d")),
            ("factors".to_owned(), Json::from(64)),
            ("rate".to_owned(), Json::from(0.5)),
            ("full".to_owned(), Json::from(true)),
        ]);
        let scope = Scope {
            pipeline: "nightly",
            params: &params,
            interval: Interval {
                start: "2026-11-22T23:00:00Z".parse().unwrap(),
                end: "2026-11-23T23:00:00Z".parse().unwrap(),
            },
            timezone: "Europe/Berlin",
            run: "r1",
            at: "2026-11-24T01:15:00Z".parse().unwrap(),
        };
        let shown =
            |diagnostic: Diagnostic| format!("{}; {}", diagnostic.message, diagnostic.help.join("; "));
        Renderer::new(&scope).scalar(text, &(0..0), run).map_err(shown)
    }

    fn value(text: &str) -> Value {
        render(text, RunNames::Seen).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> String {
        render(text, RunNames::Hidden).expect_err(text)
    }

    #[test]
    fn a_lone_expression_keeps_its_type() {
        assert_eq!(value("{{ params.factors }}"), Value::Integer(64));
        assert_eq!(value(" {{ params.factors * 2 }} "), Value::Integer(128));
        assert_eq!(value("{{ params.rate }}"), Value::Float(0.5));
        assert_eq!(value("{{ params.full }}"), Value::Boolean(true));
        assert_eq!(value("{{ params.factors > 10 and params.full }}"), Value::Boolean(true));
        assert_eq!(value("{{ params.window }}"), Value::Text("28d".into()));
        assert_eq!(value("{{ 1 if params.full else 2 }}"), Value::Integer(1));
    }

    #[test]
    fn lists_are_lists_however_they_are_made() {
        for text in ["{{ [1, 2] }}", "{{ [1] + [2] }}"] {
            let Value::List(items) = value(text) else { panic!("{text} is no list") };
            let items: Vec<Value> = items.into_iter().map(|item| item.value).collect();
            assert_eq!(items, [Value::Integer(1), Value::Integer(2)], "{text}");
        }
        let Value::List(items) = value("{{ [1] * 1000 }}") else { panic!("it is no list") };
        assert_eq!(items.len(), 1000);
    }

    #[test]
    fn text_around_makes_text() {
        assert_eq!(value("{{ params.factors }}x{{ params.factors }}"), Value::Text("64x64".into()));
        assert_eq!(value("s3://b/{{ interval.start | date }}/"), Value::Text("s3://b/2026-11-23/".into()));
        assert_eq!(value("{{ interval.end | date('%Y/%m/%d') }}"), Value::Text("2026/11/24".into()));
        assert_eq!(value("{{ run.id }} of {{ pipeline.name }}"), Value::Text("r1 of nightly".into()));
        assert_eq!(value("{{ '}}' }}"), Value::Text("}}".into()));
    }

    #[test]
    fn wrong_names_are_named() {
        assert!(error("{{ params.windw }}").contains("no parameter `windw`; did you mean `window`?"));
        assert!(error("{{ window }}").contains("did you mean `params.window`?"));
        assert!(error("{{ parms.window }}").contains("did you mean `params`?"));
        assert!(error("x{{ secrets.token }}").contains("never rendered"));
        assert!(error("{{ interval.begin }}").contains("`interval` has `start`, `end`"));
        assert!(error("{{ interval }}").contains("write `interval.start`"));
        assert!(error("{{ run.id }}").contains("only in `env` and `labels`"));
        assert!(error("{{ env.HOME }}").contains("--param"));
        assert!(error("{{ params.window | uper }}").contains("filters are"));
        assert!(error("{{ range(3) }}").contains("`range`"));
        assert!(error("{{ params.window | date }}").contains("takes an instant"));
    }

    #[test]
    fn hostile_templates_end_soon() {
        assert!(error("{{ params. }}").contains("not an expression"));
        assert!(error("{{ params.window").contains("not an expression"));
        assert!(error("{% for x in [1] %}{% endfor %}").contains("statements"));
        assert!(error(&format!("{{{{ {} }}}}", "(".repeat(3000))).contains("not an expression"));
        assert!(error(&format!("{{{{ {} }}}}", "1".repeat(5000))).contains("longer than"));
        assert!(render("{{ 'x' * 999999999 }}", RunNames::Hidden).is_err());
        assert!(error("{{ {'a': 1} }}").contains("gives a mapping"));
        assert!(error("{{ [1] * 1001 }}").contains("more than 1000 items"));
    }
}

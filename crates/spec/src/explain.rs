//! What a kind of step is, for people: on the terminal and as a page.

use std::fmt::Write as _;

use serde_json::Value;

use crate::form::{Field, Form, Shape, Wrapped, expectation};
use crate::kinds::{Declaration, declaration, names};
use crate::words::nearest;

/// A name that is no kind of step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no step kind `{name}`; {help}")]
pub struct UnknownKind {
    name: String,
    help: String,
}

impl UnknownKind {
    fn new(name: &str) -> Self {
        let help = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "kinds are {}",
                names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        Self { name: name.chars().filter(|c| !c.is_control()).take(60).collect(), help }
    }
}

/// Settings, defaults, ranges, outputs and an example of a kind, as plain text for a terminal.
///
/// # Errors
///
/// The name is no kind; the error names the nearest.
pub fn explain(kind: &str) -> Result<String, UnknownKind> {
    let kind = declaration(kind).ok_or_else(|| UnknownKind::new(kind))?;
    let mut text = format!("{}: {}\n\n", kind.name, kind.summary);
    for paragraph in kind.prose.split("\n\n") {
        text.push_str(&wrapped(&plain(paragraph), "", WIDTH));
        text.push('\n');
    }
    text.push_str("\nSettings (under `with`)\n");
    for row in rows(&(kind.form)(), "") {
        let _ = write!(
            text,
            "\n  {}{}\n",
            row.key,
            if row.remark.is_empty() { String::new() } else { format!("  ({})", row.remark) }
        );
        text.push_str(&wrapped(&plain(&row.prose), "      ", WIDTH));
    }
    text.push_str("\nOutputs\n\n");
    if kind.outputs.is_empty() {
        text.push_str("  none\n");
    }
    for output in kind.outputs {
        let _ = write!(text, "  {}\n{}", output.name, wrapped(&plain(output.prose), "      ", WIDTH));
    }
    text.push_str("\nExample\n\n");
    for line in kind.example.lines() {
        let _ = writeln!(text, "  {line}");
    }
    Ok(text)
}

/// The reference page of a kind, in Markdown.
///
/// # Errors
///
/// The name is no kind; the error names the nearest.
pub fn reference_page(kind: &str) -> Result<String, UnknownKind> {
    let kind = declaration(kind).ok_or_else(|| UnknownKind::new(kind))?;
    let mut page = format!("{GENERATED}\n\n# `{}`\n\n{}\n\n{}\n", kind.name, kind.summary, kind.prose);
    let _ = write!(page, "\n```yaml\n{}```\n\n## Settings\n\n", kind.example);
    page.push_str(&table(&rows(&(kind.form)(), "")));
    page.push_str(&words_section(kind));
    page.push_str("\n## Outputs\n\n");
    if kind.outputs.is_empty() {
        page.push_str("None.\n");
    }
    for output in kind.outputs {
        let _ = writeln!(page, "- `{}`: {}", output.name, output.prose);
    }
    Ok(page)
}

/// The reference page of what stands around the kinds' settings: the file itself, and what every step has.
pub fn pipeline_page() -> String {
    let mut page = format!(
        "{GENERATED}\n\n# A pipeline file\n\nA YAML file of one document. Unknown and repeated keys are errors. Keys \
         that begin with `x-` are not read: a place for anchors.\n\n## Keys\n\n"
    );
    page.push_str(&table(&rows(&crate::file::pipeline_form(), "")));
    page.push_str("\n## A typed parameter\n\n");
    page.push_str(&table(&rows(&crate::file::typed_param_form(), "")));
    page.push_str("\n## Keys of every step\n\n");
    page.push_str(&table(&rows(&crate::file::step_form(), "")));
    page.push_str(TEMPLATES);
    page
}

/// The reference page of the configuration file.
pub fn config_page() -> String {
    format!(
        "{GENERATED}\n\n# The configuration file\n\nGiven as `--config FILE`; `configs/local.yaml` shows it with every default. An empty \
         file is the default. Templates are not rendered in it.\n\n{}",
        table(&rows(&crate::config::form(), ""))
    )
}

const GENERATED: &str = "<!-- Made from the declarations in crates/spec; `UPDATE=1 cargo test -p noctule-spec` makes it anew. -->";

const TEMPLATES: &str = r#"
## Templates

`{{ ... }}` is rendered inside scalars of `with`, `when`, `env`, `labels`, `retry`, `timeouts`, `resources`, `defaults`
and `alerts`. A scalar that is one expression keeps the expression's type: `"{{ params.factors }}"` is a number when the
parameter is one. Templates see

- `params.<name>`: the parameters,
- `interval.start` and `interval.end`: the instants between which the run's data lie,
- `pipeline.name`,
- `run.id` and `run.at` (the occurrence), only in `env` and `labels`.

Filters are `abs`, `date`, `default`, `float`, `int`, `length`, `lower`, `round`, `string`, `trim`, `upper`.
`{{ interval.start | date }}` is the civil date in the zone of `data`, `date("%Y/%m/%d")` another form of it. Secrets are
never rendered: `env` takes them by name, as `{secret: name}`.
"#;

const WIDTH: usize = 96;

/// One setting in a list of settings; those of nested mappings have a path for a key.
struct Row {
    key: String,
    prose: String,
    /// Type, default, whether it is required.
    kind: String,
    default: String,
    remark: String,
}

fn rows(form: &Form, path: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for field in form.fields() {
        let key = if path.is_empty() { field.key.clone() } else { format!("{path}.{}", field.key) };
        rows.push(row(field, key.clone()));
        rows.extend(nested(&field.form, &key));
    }
    rows
}

/// The settings below one, of whatever shape it is.
fn nested(form: &Form, key: &str) -> Vec<Row> {
    match &form.shape {
        Shape::Record(_) => rows(form, key),
        Shape::List { item, .. } => nested(item, &format!("{key}[]")),
        Shape::Mapping { value, .. } => nested(value, &format!("{key}.*")),
        Shape::Either { mapping: Some(mapping), .. } => nested(mapping, key),
        Shape::Either { list: Some(list), .. } => nested(&Wrapped::clone(list).form, key),
        _ => Vec::new(),
    }
}

fn row(field: &Field, key: String) -> Row {
    let kind = match &field.form.shape {
        Shape::Record(_) => "a mapping".to_owned(),
        Shape::Raw => String::new(),
        _ => expectation(&field.form),
    };
    let default = match &field.default {
        // A mapping's own defaults stand in its own rows.
        Some(Value::Object(_)) | None => String::new(),
        Some(default) => match field.form.written_default(default) {
            Value::String(text) if text.is_empty() => "empty".to_owned(),
            Value::String(text) => text,
            other => other.to_string(),
        },
    };
    let parts = [
        kind.clone(),
        if field.required { "required".to_owned() } else { String::new() },
        if default.is_empty() { String::new() } else { format!("default {default}") },
    ];
    let remark = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    Row {
        key,
        prose: field.form.prose.clone(),
        kind,
        default: if field.required { "required".to_owned() } else { default },
        remark,
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from("| key | is | default | meaning |\n|---|---|---|---|\n");
    for row in rows {
        let cell = |text: &str| text.replace('|', "\\|");
        let default = match row.default.as_str() {
            "" | "required" | "empty" => row.default.clone(),
            default => format!("`{default}`"),
        };
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            row.key,
            cell(&row.kind),
            cell(&default),
            cell(&row.prose)
        );
    }
    table
}

/// What each word of the settings that are words means.
fn words_section(kind: &Declaration) -> String {
    let mut text = String::new();
    let form = (kind.form)();
    for field in form.fields() {
        if let Shape::Word(words) = &field.form.shape
            && words.iter().any(|word| !word.prose.is_empty())
        {
            let _ = write!(text, "\n`{}` is one of\n\n", field.key);
            for word in words {
                let _ = writeln!(
                    text,
                    "- `{}`{}",
                    word.name,
                    if word.prose.is_empty() { String::new() } else { format!(": {}", word.prose) }
                );
            }
        }
    }
    text
}

/// Markdown's code marks mean nothing on a terminal.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// Text in lines of a width, each after an indent.
fn wrapped(text: &str, indent: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && indent.len() + line.chars().count() + 1 + word.chars().count() > width {
            let _ = writeln!(lines, "{indent}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        let _ = writeln!(lines, "{indent}{line}");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_explained_within_the_width() {
        for kind in names() {
            let text = explain(kind).unwrap();
            for line in text.lines() {
                assert!(line.chars().count() <= 160, "{kind}: {line}");
            }
            assert!(text.contains("Example"), "{kind}");
        }
    }

    #[test]
    fn an_unknown_kind_gets_the_nearest() {
        assert_eq!(
            explain("trian").unwrap_err().to_string(),
            "there is no step kind `trian`; did you mean `train`?"
        );
        assert!(explain("zzz").unwrap_err().to_string().contains("kinds are `extract`"));
    }

    #[test]
    fn defaults_are_shown_as_they_are_written() {
        let page = reference_page("train").unwrap();
        assert!(page.contains("| `factors` | a whole number from 1 to 2048 | `64` |"), "{page}");
        let page = reference_page("extract").unwrap();
        assert!(page.contains("| `rejected.max_share` | a share, such as `10%` or `0.1` | `1%` |"), "{page}");
        assert!(pipeline_page().contains("`30m`"));
    }
}

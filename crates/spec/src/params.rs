//! `params`: values that a pipeline names once, and that the command line may override.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic};
use crate::file::typed_param_form;
use crate::form::{Form, Reader};
use crate::secrets;
use crate::template::is_template;
use crate::tree::{Entry, Node, Value};
use crate::words::{meant_or_listed, quoted};

/// What the values of a parameter are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ParamType {
    Text,
    Integer,
    Float,
    Boolean,
    /// A list of texts, numbers or truth values. On the command line they stand between commas.
    List,
}

/// A declared parameter.
struct Declared<'a> {
    entry: &'a Entry,
    data_type: ParamType,
    default: Option<Json>,
    min: Option<f64>,
    max: Option<f64>,
    choices: Vec<Json>,
}

/// The longest text that a parameter may be, and the longest list.
const LONGEST: usize = 4_096;
const MOST_ITEMS: usize = 1_000;

/// The effective parameters: declared defaults with the overrides over them.
pub(crate) fn read(
    node: Option<&Node>,
    overrides: &BTreeMap<String, String>,
    text: &str,
    findings: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Json> {
    let entries = node.map(Node::entries).unwrap_or_default();
    let form = typed_param_form();
    let declared: Vec<Declared<'_>> =
        entries.iter().filter_map(|entry| declare(entry, &form, text, findings)).collect();
    let mut effective = BTreeMap::new();
    for param in &declared {
        let name = &param.entry.key;
        let value = match overrides.get(name) {
            Some(text) => overridden(param, text, findings),
            None => param.default.clone().or_else(|| {
                let message = format!("the parameter {} has no default, and no value is given", quoted(name));
                findings.push(
                    Diagnostic::error(Code::Param, message)
                        .at(param.entry.key_at.clone(), "")
                        .help(format!("give one with `--param {name}=...`, or add a `default`")),
                );
                None
            }),
        };
        // A refused value still has a name, so that templates do not report it again.
        effective.insert(name.clone(), value.unwrap_or_else(|| placeholder(param)));
    }
    let names: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
    for name in overrides.keys().filter(|name| !names.contains(&name.as_str())) {
        let help = meant_or_listed(name, &names).unwrap_or_else(|| "the pipeline declares none".to_owned());
        findings.push(
            Diagnostic::error(Code::Param, format!("the pipeline has no parameter {}", quoted(name)))
                .help(help),
        );
    }
    effective
}

fn placeholder(param: &Declared<'_>) -> Json {
    param.default.clone().unwrap_or_else(|| match param.data_type {
        ParamType::Text => Json::from(""),
        ParamType::Integer => Json::from(param.min.unwrap_or(1.0).ceil() as i64),
        ParamType::Float => Json::from(param.min.unwrap_or(1.0)),
        ParamType::Boolean => Json::from(false),
        ParamType::List => Json::Array(Vec::new()),
    })
}

fn declare<'a>(
    entry: &'a Entry,
    form: &Form,
    text: &str,
    findings: &mut Vec<Diagnostic>,
) -> Option<Declared<'a>> {
    if !crate::form::is_variable(&entry.key) {
        findings.push(
            Diagnostic::error(Code::BadValue, format!("{} cannot name a parameter", quoted(&entry.key)))
                .at(entry.key_at.clone(), "")
                .help(
                    "use letters, digits and `_`, not beginning with a digit: templates read `params.name`",
                ),
        );
        return None;
    }
    let node = &entry.value;
    let declared = match &node.value {
        Value::Mapping(_) => typed(entry, form, text, findings)?,
        Value::Null | Value::Unknown => {
            findings.push(
                Diagnostic::error(
                    Code::WrongType,
                    format!("the parameter {} is {}", quoted(&entry.key), node.described()),
                )
                .at(if node.value == Value::Null { entry.key_at.clone() } else { node.at.clone() }, "")
                .help("a parameter is a text, a number, a truth value, a list of these, or `{type: ..., default: ...}`"),
            );
            return None;
        }
        scalar => Declared {
            entry,
            data_type: type_of(scalar),
            default: json(scalar),
            min: None,
            max: None,
            choices: Vec::new(),
        },
    };
    if let Value::List(items) = &node.value
        && declared.default.is_none()
    {
        refuse_list(&entry.key, items.len(), node, findings);
        return None;
    }
    check_default(&declared, findings);
    Some(declared)
}

fn refuse_list(name: &str, length: usize, node: &Node, findings: &mut Vec<Diagnostic>) {
    let message = if length > MOST_ITEMS {
        format!("the parameter {} has {length} items, and may have {MOST_ITEMS}", quoted(name))
    } else {
        format!("the parameter {} holds more than texts, numbers and truth values", quoted(name))
    };
    findings.push(Diagnostic::error(Code::WrongType, message).at(node.at.clone(), ""));
}

fn typed<'a>(
    entry: &'a Entry,
    form: &Form,
    text: &str,
    findings: &mut Vec<Diagnostic>,
) -> Option<Declared<'a>> {
    let name = format!("the parameter {}", quoted(&entry.key));
    let read = Reader::new(text, findings).record(&entry.value, &name, form.fields(), &|_| None)?;
    let data_type: ParamType = serde_json::from_value(read["type"].clone()).ok()?;
    let number = |key: &str| read.get(key).and_then(Json::as_f64);
    let value = |key: &str| entry.value.entry(key).and_then(|entry| json(&entry.value.value));
    let choices = entry.value.entry("choices").map(|entry| &entry.value);
    if let Some(node) = choices
        && (node.items().is_empty() || node.items().iter().any(|item| scalar(&item.value).is_none()))
    {
        findings.push(
            Diagnostic::error(Code::WrongType, "`choices` is a list of values, and this is none")
                .at(node.at.clone(), "")
                .help("write `choices: [a, b]`"),
        );
        return None;
    }
    Some(Declared {
        entry,
        data_type,
        default: value("default"),
        min: number("min"),
        max: number("max"),
        choices: choices
            .map(|node| node.items().iter().filter_map(|item| scalar(&item.value)).collect())
            .unwrap_or_default(),
    })
}

fn check_default(param: &Declared<'_>, findings: &mut Vec<Diagnostic>) {
    let node = &param.entry.value;
    let node = node.entry("default").map_or(node, |entry| &entry.value);
    if let (Some(min), Some(max)) = (param.min, param.max)
        && min > max
    {
        let message = format!("`min` {min} is above `max` {max}");
        findings.push(Diagnostic::error(Code::OutOfRange, message).at(param.entry.key_at.clone(), ""));
    }
    let Some(default) = &param.default else {
        return;
    };
    if let Some(text) = default.as_str() {
        if is_template(text) {
            findings.push(
                Diagnostic::error(Code::Template, "templates are not rendered in `params`")
                    .at(node.at.clone(), "")
                    .help("render the value where it is used"),
            );
            return;
        }
        if let Some(warning) = secrets::warning(&param.entry.key, text) {
            findings.push(warning.at(node.at.clone(), ""));
        }
    }
    if let Err((why, help)) = fits(param, default) {
        let message = format!("the default of {} {why}", quoted(&param.entry.key));
        findings.push(Diagnostic::error(Code::Param, message).at(node.at.clone(), "").maybe_help(help));
    }
}

/// A value from the command line, read as the parameter's type.
fn overridden(param: &Declared<'_>, text: &str, findings: &mut Vec<Diagnostic>) -> Option<Json> {
    let name = &param.entry.key;
    let refused = |why: String, help: Option<String>| {
        Diagnostic::error(
            Code::Param,
            format!("`--param {name}={}`: {} {why}", shortened(text), quoted(text)),
        )
        .at(param.entry.key_at.clone(), "declared here")
        .maybe_help(help)
    };
    let value = match param.data_type {
        ParamType::Text => Ok(Json::from(text)),
        ParamType::Integer => text.parse::<i64>().map(Json::from).map_err(|_| "is not a whole number"),
        // Whole numbers stay whole, so that a default of 4 and `4` render alike.
        ParamType::Float if text.parse::<i64>().is_ok() => {
            Ok(Json::from(text.parse::<i64>().unwrap_or_default()))
        }
        ParamType::Float => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Json::from(number)),
            _ => Err("is not a number"),
        },
        ParamType::Boolean => match text {
            "true" => Ok(Json::from(true)),
            "false" => Ok(Json::from(false)),
            _ => Err("is neither `true` nor `false`"),
        },
        ParamType::List => Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()),
    };
    let checked = value.map_err(|why| (why.to_owned(), None)).and_then(|value| match fits(param, &value) {
        Ok(()) => Ok(value),
        Err(refused) => Err(refused),
    });
    match checked {
        Ok(value) => Some(value),
        Err((why, help)) => {
            findings.push(refused(why, help));
            None
        }
    }
}

fn shortened(text: &str) -> &str {
    if text.chars().count() <= 20 && !text.contains(char::is_control) { text } else { "..." }
}

type Misfit = (String, Option<String>);

/// Whether a value has the parameter's type and lies in its range.
fn fits(param: &Declared<'_>, value: &Json) -> Result<(), Misfit> {
    let right_type = match param.data_type {
        ParamType::Text => value.is_string(),
        ParamType::Integer => value.is_i64() || value.is_u64(),
        ParamType::Float => value.is_number(),
        ParamType::Boolean => value.is_boolean(),
        ParamType::List => value.is_array(),
    };
    if !right_type {
        return Err((format!("is not {}", described(param.data_type)), None));
    }
    if value.as_str().is_some_and(|text| text.len() > LONGEST) {
        return Err((format!("is longer than {LONGEST} bytes"), None));
    }
    if let Some(number) = value.as_f64() {
        if let Some(min) = param.min.filter(|min| number < *min) {
            return Err((format!("is below `min`, which is {min}"), None));
        }
        if let Some(max) = param.max.filter(|max| number > *max) {
            return Err((format!("is above `max`, which is {max}"), None));
        }
    }
    if !param.choices.is_empty() && !param.choices.contains(value) {
        let choices: Vec<String> = param
            .choices
            .iter()
            .map(|choice| choice.as_str().map_or_else(|| choice.to_string(), str::to_owned))
            .collect();
        let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return Err(("is none of its `choices`".to_owned(), meant_or_listed(&written, &choices)));
    }
    Ok(())
}

const fn described(data_type: ParamType) -> &'static str {
    match data_type {
        ParamType::Text => "text; put it in quotes",
        ParamType::Integer => "a whole number",
        ParamType::Float => "a number",
        ParamType::Boolean => "`true` or `false`",
        ParamType::List => "a list",
    }
}

fn type_of(value: &Value) -> ParamType {
    match value {
        Value::Boolean(_) => ParamType::Boolean,
        Value::Integer(_) => ParamType::Integer,
        Value::Float(_) => ParamType::Float,
        Value::List(_) => ParamType::List,
        _ => ParamType::Text,
    }
}

fn scalar(value: &Value) -> Option<Json> {
    json(value).filter(|value| !value.is_array())
}

fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Boolean(value) => Json::from(*value),
        Value::Integer(value) => {
            i64::try_from(*value).map(Json::from).or_else(|_| u64::try_from(*value).map(Json::from)).ok()?
        }
        Value::Float(value) => Json::from(*value),
        Value::Text(value) => Json::from(value.clone()),
        Value::List(items) if items.len() <= MOST_ITEMS => {
            Json::Array(items.iter().map(|item| scalar(&item.value)).collect::<Option<_>>()?)
        }
        Value::List(_) | Value::Null | Value::Mapping(_) | Value::Unknown => return None,
    })
}

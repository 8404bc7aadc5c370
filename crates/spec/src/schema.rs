//! The JSON schema of a pipeline file, for editors.

use serde_json::{Map, Value, json};

use crate::file::{pipeline_form, step_form, typed_param_form};
use crate::form::NAME_PATTERN;
use crate::kinds::{Declaration, KINDS};

/// The schema of a pipeline file (JSON schema, draft 2020-12, in the part that editors understand).
pub fn schema() -> Value {
    let mut schema = pipeline_form().editor_schema(false);
    let root = object(&mut schema);
    root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".to_owned(), "noctule pipeline".into());
    root.insert(
        "patternProperties".to_owned(),
        json!({"^x-": {"description": "A place for YAML anchors; not read."}}),
    );
    let properties = object(&mut root["properties"]);
    properties["noctule"] = json!({"const": 1, "description": "The version of this grammar."});
    set(properties, "params", "additionalProperties", param_schema());
    set(properties, "steps", "additionalProperties", json!({"$ref": "#/$defs/step"}));
    set(properties, "steps", "propertyNames", json!({"pattern": NAME_PATTERN}));
    set(properties, "steps", "type", "object".into());
    set(properties, "steps", "minProperties", 1.into());
    let mut definitions = Map::from_iter([("step".to_owned(), step_schema())]);
    for kind in KINDS {
        definitions.insert(kind.name.to_owned(), settings_schema(kind));
    }
    root.insert("$defs".to_owned(), Value::Object(definitions));
    schema
}

/// The schema as a file: pretty, with a line end.
pub fn schema_file() -> String {
    // Keys in one order, whatever order JSON maps keep in this build.
    let mut text = serde_json::to_string_pretty(&sorted(&schema())).expect("a schema has only text keys");
    text.push('\n');
    text
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        scalar => scalar.clone(),
    }
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("the schema of a record is an object")
}

fn set(properties: &mut Map<String, Value>, key: &str, keyword: &str, value: Value) {
    object(properties.get_mut(key).expect("the key is declared")).insert(keyword.to_owned(), value);
}

fn param_schema() -> Value {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let list = json!({"type": "array", "items": scalar});
    json!({"anyOf": [scalar, list, typed_param_form().editor_schema(false)]})
}

/// A step: `uses` decides what `with` may be.
fn step_schema() -> Value {
    let mut schema = step_form().editor_schema(true);
    let properties = object(&mut schema["properties"]);
    for (key, value) in [
        ("needs", json!({"type": "array", "items": {"type": "string", "pattern": NAME_PATTERN}})),
        ("when", json!({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": r"\{\{"}]})),
        ("with", json!({"type": "object"})),
    ] {
        for (keyword, value) in value.as_object().into_iter().flatten() {
            set(properties, key, keyword, value.clone());
        }
    }
    // A word is never rendered here.
    let kinds: Vec<Value> =
        KINDS.iter().map(|kind| json!({"const": kind.name, "description": kind.summary})).collect();
    properties.insert("uses".to_owned(), json!({"oneOf": kinds, "description": "The kind of step."}));
    let choices: Vec<Value> = KINDS.iter().map(|kind| choice(kind)).collect();
    object(&mut schema).insert("allOf".to_owned(), Value::Array(choices));
    schema
}

fn choice(kind: &Declaration) -> Value {
    json!({
        "if": {"properties": {"uses": {"const": kind.name}}, "required": ["uses"]},
        "then": {"properties": {"with": {"$ref": format!("#/$defs/{}", kind.name)}}, "required": ["with"]},
    })
}

fn settings_schema(kind: &Declaration) -> Value {
    let mut schema = (kind.form)().editor_schema(true);
    object(&mut schema).insert("description".to_owned(), kind.summary.into());
    schema
}

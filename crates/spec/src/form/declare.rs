//! From a type's JSON schema, as `schemars` derives it, to a form.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{Field, Form, Keys, Leaf, Role, Shape, Word, Wrap, Wrapped};

impl Form {
    /// The form of a type's canonical JSON, with what its fields' attributes say about how it is written.
    pub(crate) fn of<T: JsonSchema>() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        form(settings.into_generator().into_root_schema_for::<T>().as_value())
    }
}

fn form(schema: &Value) -> Form {
    let prose = text(schema, "description").unwrap_or_default().replace('\n', " ");
    let form = Form { prose, shape: shape(schema) };
    shorthand(schema, form)
}

/// A record or list that may also be written as one scalar.
fn shorthand(schema: &Value, form: Form) -> Form {
    let Some(key) = text(schema, "x-noctule-scalar") else {
        return form;
    };
    let prose = form.prose.clone();
    let shape = match &form.shape {
        Shape::List { item, .. } => Shape::Either {
            scalar: Some(Box::new(Wrapped { wrap: Wrap::List, form: (**item).clone() })),
            list: Some(Box::new(Wrapped { wrap: Wrap::Bare, form })),
            mapping: None,
        },
        _ => Shape::Either {
            scalar: form
                .field(key)
                .map(|field| Box::new(Wrapped { wrap: Wrap::Key(key.to_owned()), form: field.form.clone() })),
            list: None,
            mapping: Some(Box::new(form)),
        },
    };
    Form { prose, shape }
}

fn shape(schema: &Value) -> Shape {
    if let Some(present) = without_null(schema) {
        return shape(present);
    }
    match text(schema, "x-noctule") {
        Some("raw") => return Shape::Raw,
        Some("either") => return either(schema),
        Some(name) => return leaf(schema, name),
        None => {}
    }
    if schema.get("oneOf").is_some() || schema.get("enum").is_some() || schema.get("const").is_some() {
        return Shape::Word(words(schema));
    }
    match type_name(schema) {
        "boolean" => Shape::Boolean,
        "integer" => Shape::Integer {
            min: bound(schema, "minimum").unwrap_or(i64::MIN.into()),
            max: bound(schema, "maximum").unwrap_or(u64::MAX.into()),
        },
        "number" => Shape::Number {
            min: schema.get("minimum").and_then(Value::as_f64).unwrap_or(f64::NEG_INFINITY),
            max: schema.get("maximum").and_then(Value::as_f64).unwrap_or(f64::INFINITY),
        },
        "array" => Shape::List {
            item: Box::new(form(schema.get("items").unwrap_or(&Value::Null))),
            fewest: count(schema, "minItems").unwrap_or(0),
        },
        "object" => record_or_mapping(schema),
        _ => Shape::Text {
            shortest: count(schema, "minLength").unwrap_or(0),
            longest: count(schema, "maxLength").unwrap_or(usize::MAX),
        },
    }
}

/// An optional type is written as that type or null; null is never written in a pipeline.
fn without_null(schema: &Value) -> Option<&Value> {
    let is_null = |schema: &&Value| text(schema, "type") == Some("null");
    let choices = schema.get("anyOf")?.as_array()?;
    choices.iter().find(|choice| !is_null(choice))
}

fn leaf(schema: &Value, name: &str) -> Shape {
    let leaf = Leaf::ALL.iter().find(|(known, _)| *known == name).map(|(_, leaf)| *leaf);
    Shape::Leaf {
        leaf: leaf.expect("only the names of leaves stand in x-noctule; a test reads every declaration"),
        positive: schema.get("x-noctule-positive").is_some(),
        role: match text(schema, "x-noctule-role") {
            Some("table") => Role::Table,
            Some("model") => Role::Model,
            Some("gate") => Role::Gate,
            Some("evaluation") => Role::Evaluation,
            _ if leaf == Some(Leaf::Model) => Role::Model,
            _ => Role::Any,
        },
    }
}

fn either(schema: &Value) -> Shape {
    let wrapped = |key: &str| {
        schema.get(key).map(|part| {
            Box::new(Wrapped {
                wrap: Wrap::Key(text(part, "key").unwrap_or_default().to_owned()),
                form: form(part.get("value").unwrap_or(&Value::Null)),
            })
        })
    };
    Shape::Either {
        scalar: wrapped("x-noctule-scalar"),
        list: wrapped("x-noctule-list"),
        mapping: schema.get("x-noctule-mapping").map(|part| Box::new(form(part))),
    }
}

fn record_or_mapping(schema: &Value) -> Shape {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let required: Vec<&str> = array(schema, "required").filter_map(Value::as_str).collect();
        let mut fields: Vec<Field> = properties
            .iter()
            .map(|(key, schema)| Field {
                key: key.clone(),
                form: form(schema),
                required: required.contains(&key.as_str()),
                default: schema.get("default").filter(|default| !default.is_null()).cloned(),
            })
            .collect();
        // Whether JSON maps keep an order depends on who else is linked in; this order does not.
        fields.sort_by(|left, right| (!left.required, &left.key).cmp(&(!right.required, &right.key)));
        return Shape::Record(fields);
    }
    Shape::Mapping {
        keys: match text(schema, "x-noctule-keys") {
            Some("column") => Keys::Column,
            Some("variable") => Keys::Variable,
            Some("name") => Keys::Name,
            _ => Keys::Any,
        },
        value: Box::new(form(schema.get("additionalProperties").unwrap_or(&Value::Null))),
    }
}

fn words(schema: &Value) -> Vec<Word> {
    let mut words = Vec::new();
    if let Some(name) = text(schema, "const") {
        let prose = text(schema, "description").unwrap_or_default().replace('\n', " ");
        words.push(Word { name: name.to_owned(), prose });
    }
    for name in array(schema, "enum").filter_map(Value::as_str) {
        words.push(Word { name: name.to_owned(), prose: String::new() });
    }
    for choice in array(schema, "oneOf") {
        words.extend(self::words(choice));
    }
    words
}

/// The type; of an optional one the type beside null.
fn type_name(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => name,
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default()
        }
        _ => "",
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key)?.as_str()
}

fn array<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn count(schema: &Value, key: &str) -> Option<usize> {
    schema.get(key)?.as_u64().map(|count| count as usize)
}

fn bound(schema: &Value, key: &str) -> Option<i128> {
    let bound = schema.get(key)?;
    bound
        .as_i64()
        .map(i128::from)
        .or_else(|| bound.as_u64().map(i128::from))
        .or_else(|| bound.as_f64().map(|bound| bound as i128))
}

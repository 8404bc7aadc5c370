//! From a form to the JSON schema that editors complete and check by.

use serde_json::{Map, Value, json};

use super::{Form, Keys, Leaf, Shape};

/// A scalar that is rendered first may hold anything.
const TEMPLATE: &str = r"\{\{";

impl Form {
    /// The schema of what may be written. `templates` says whether `{{ }}` is rendered there.
    pub(crate) fn editor_schema(&self, templates: bool) -> Value {
        let mut schema = match self.shape_schema(templates) {
            Value::Object(map) => map,
            _ => Map::new(),
        };
        if !self.prose.is_empty() {
            schema.insert("description".to_owned(), self.prose.clone().into());
        }
        Value::Object(schema)
    }

    fn shape_schema(&self, templates: bool) -> Value {
        match &self.shape {
            Shape::Text { .. } => json!({"type": ["string", "number", "boolean"]}),
            Shape::Boolean => or_template(json!({"type": "boolean"}), templates),
            Shape::Integer { min, max } => {
                or_template(bounded("integer", *min as f64, *max as f64), templates)
            }
            Shape::Number { min, max } => or_template(bounded("number", *min, *max), templates),
            Shape::Word(words) => {
                let choices: Vec<Value> = words
                    .iter()
                    .map(|word| match word.prose.as_str() {
                        "" => json!({"const": word.name}),
                        prose => json!({"const": word.name, "description": prose}),
                    })
                    .collect();
                or_template(json!({"oneOf": choices}), templates)
            }
            Shape::Leaf { leaf, .. } => leaf_schema(*leaf, templates),
            Shape::List { item, fewest } => {
                let list =
                    json!({"type": "array", "items": item.editor_schema(templates), "minItems": fewest});
                or_template(list, templates)
            }
            Shape::Mapping { keys, value } => mapping_schema(*keys, value, templates),
            Shape::Record(_) => self.record_schema(templates),
            Shape::Either { scalar, list, mapping } => {
                let wrapped = [scalar.as_deref(), list.as_deref()].into_iter().flatten();
                let forms = wrapped.map(|wrapped| &wrapped.form).chain(mapping.as_deref());
                let choices: Vec<Value> = forms.map(|form| form.editor_schema(templates)).collect();
                json!({"anyOf": choices})
            }
            Shape::Raw => json!({}),
        }
    }

    fn record_schema(&self, templates: bool) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in self.fields() {
            let mut schema = field.form.editor_schema(templates);
            if let (Some(default), Value::Object(map)) = (&field.default, &mut schema) {
                map.insert("default".to_owned(), field.form.written_default(default));
            }
            properties.insert(field.key.clone(), schema);
            if field.required {
                required.push(field.key.clone());
            }
        }
        let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schema
    }

    /// A default as it would be written: `28d`, not a number of seconds.
    pub(crate) fn written_default(&self, canonical: &Value) -> Value {
        match (&self.shape, canonical) {
            (Shape::Leaf { leaf, .. }, _) => leaf.write(canonical).into(),
            (Shape::Record(_), Value::Object(map)) => {
                let written = map.iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| {
                    let form = self.field(key).map(|field| &field.form);
                    (key.clone(), form.map_or_else(|| value.clone(), |form| form.written_default(value)))
                });
                Value::Object(written.collect())
            }
            (Shape::Integer { .. }, _) => canonical.clone(),
            // `1` rather than `1.0`.
            (Shape::Number { .. }, Value::Number(number)) => match number.as_f64() {
                Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => (value as i64).into(),
                _ => canonical.clone(),
            },
            _ => canonical.clone(),
        }
    }
}

fn or_template(schema: Value, templates: bool) -> Value {
    if templates { json!({"anyOf": [schema, {"type": "string", "pattern": TEMPLATE}]}) } else { schema }
}

fn bounded(kind: &str, min: f64, max: f64) -> Value {
    let mut schema = json!({"type": kind});
    let bound = |value: f64| if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
    if min.is_finite() && min > i64::MIN as f64 {
        schema["minimum"] = bound(min);
    }
    if max.is_finite() && max < f64::from(u32::MAX) {
        schema["maximum"] = bound(max);
    }
    schema
}

fn mapping_schema(keys: Keys, value: &Form, templates: bool) -> Value {
    let mut schema = json!({"type": "object", "additionalProperties": value.editor_schema(templates)});
    let pattern = match keys {
        Keys::Any | Keys::Column => return schema,
        Keys::Variable => "^[A-Za-z_][A-Za-z0-9_]*$",
        Keys::Name => NAME,
    };
    schema["propertyNames"] = json!({"pattern": pattern});
    schema
}

pub(crate) const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";
const SPAN: &str = "^([0-9]+ ?[wdhms] ?)+$";
const PERCENT: &str = r"^[0-9]*\.?[0-9]+ ?%$";

fn leaf_schema(leaf: Leaf, templates: bool) -> Value {
    let text = |pattern: &str| {
        let pattern = if templates { format!("({pattern})|{TEMPLATE}") } else { pattern.to_owned() };
        json!({"type": "string", "pattern": pattern})
    };
    let number_or = |schema: Value, number: Value| json!({"anyOf": [schema, number]});
    match leaf {
        Leaf::Span => text(SPAN),
        Leaf::Share => number_or(text(PERCENT), json!({"type": "number", "minimum": 0, "maximum": 1})),
        Leaf::Change => {
            number_or(text(r"^[+-]?[0-9]*\.?[0-9]+ ?%$"), json!({"type": "number", "minimum": -1}))
        }
        Leaf::Size => number_or(
            text(r"^[0-9]*\.?[0-9]+ ?([KMGT]i|[kKMGT])?$"),
            json!({"type": "integer", "minimum": 0}),
        ),
        Leaf::Cpu => {
            number_or(text(r"^[0-9]*\.?[0-9]+m?$"), json!({"type": "number", "exclusiveMinimum": 0}))
        }
        Leaf::Cut => number_or(
            text(&format!("{SPAN}|{PERCENT}|^last$")),
            json!({"type": "number", "minimum": 0, "maximum": 1}),
        ),
        Leaf::Name | Leaf::Secret => text(NAME),
        Leaf::Reference => text(r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)?$"),
        Leaf::Model => text(r"^[a-z0-9][a-z0-9_-]*([.@][a-z0-9_-]+)?$"),
        Leaf::Metric => {
            let mut schema =
                text("^((ndcg|recall|recall_capped|precision|map|mrr|hit|coverage)@[1-9][0-9]*|mrr|auc)$");
            schema["examples"] = json!(["ndcg@20", "recall@20", "mrr", "auc", "coverage@20"]);
            schema
        }
        Leaf::Id => json!({"type": ["string", "number"]}),
        Leaf::Cron | Leaf::Timezone | Leaf::Address | Leaf::Source | Leaf::Condition | Leaf::Select => {
            json!({"type": "string"})
        }
    }
}

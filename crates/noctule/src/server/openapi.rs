//! The description of the API: what the handlers say of themselves, completed from the table of endpoints.

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use super::access::{Need, endpoint};
use super::error::ErrorDocument;

/// What stands above all paths.
pub fn head() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(components(schemas(ErrorDocument)))]
    struct Head;
    Head::openapi()
}

/// The variable parts of paths: what each is, and what it looks like.
const PARTS: &[(&str, &str, &str, &str)] = &[
    ("run", "The run's id, the beginning of one, or `last`", "^[A-Za-z0-9]{1,13}$", "last"),
    ("pipeline", "The pipeline's name", NAME, "nightly-recs"),
    ("step", "The step's name", NAME, "model"),
    ("model", "The model's name", NAME, "home-feed"),
    ("attempt", "The attempt's number, or `last`", "^([1-9][0-9]{0,8}|last)$", "last"),
    ("version", "The version's number, or `last`", "^([1-9][0-9]{0,8}|last)$", "last"),
    ("backfill", "The backfill's number", "^[1-9][0-9]{0,8}$", "1"),
];
const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";

/// The whole description.
pub fn finished(described: &utoipa::openapi::OpenApi) -> Value {
    let mut document = serde_json::to_value(described).expect("a description has only text keys");
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "noctule",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Runs, schedules, backfills and models of a noctule server.",
        "license": {"name": "Apache-2.0"},
    });
    document["components"]["securitySchemes"] = json!({
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of `noctule admin tokens add`. The role that an operation needs is its `x-noctule-role`.",
        }
    });
    document["components"]["responses"] = json!({
        "Error": {
            "description": "What went wrong, and what to do",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorDocument"}}},
        }
    });
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let Some(operation) = operation.as_object_mut() {
                complete(operation, &method.to_uppercase(), path);
            }
        }
    }
    document
}

fn complete(operation: &mut Map<String, Value>, method: &str, path: &str) {
    let need = endpoint(method, path).map_or(Need::Nothing, |endpoint| endpoint.need);
    operation.insert("operationId".to_owned(), json!(name_of(method, path)));
    let security = match need {
        Need::Nothing => json!([]),
        _ => json!([{"token": []}]),
    };
    operation.insert("security".to_owned(), security);
    if let Some(role) = need.word() {
        operation.insert("x-noctule-role".to_owned(), json!(role));
    }
    let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = parts.map(part).collect();
    if let Some(Value::Array(more)) = operation.remove("parameters") {
        parameters.extend(more.into_iter().filter(|parameter| parameter["in"] != "path"));
    }
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), json!(parameters));
    }
    if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        let error = json!({"$ref": "#/components/responses/Error"});
        for status in errors(method, path, need) {
            responses.entry(status.to_owned()).or_insert_with(|| error.clone());
        }
    }
}

/// The statuses that an answer may have beside success.
fn errors(method: &str, path: &str, need: Need) -> Vec<&'static str> {
    let mut statuses = vec!["503", "default"];
    if need != Need::Nothing {
        statuses.extend(["401", "403"]);
    }
    if path.starts_with(super::PREFIX) {
        statuses.push("400");
    }
    if path.contains('{') {
        statuses.extend(["404", "409"]);
    }
    if method == "POST" {
        statuses.extend(["408", "409", "413", "415", "422"]);
    }
    statuses
}

fn part(name: &str) -> Value {
    let known = PARTS.iter().find(|(known, ..)| *known == name);
    let (description, pattern, example) = known
        .map_or(("", "^.+$", ""), |(_, description, pattern, example)| (*description, *pattern, *example));
    json!({
        "name": name,
        "in": "path",
        "required": true,
        "description": description,
        "schema": {"type": "string", "pattern": pattern, "examples": [example]},
    })
}

/// `get-runs-run-events`: handlers of several files have the same name.
fn name_of(method: &str, path: &str) -> String {
    let path = path.strip_prefix(super::PREFIX).unwrap_or(path);
    let parts = path.split('/').filter(|part| !part.is_empty());
    let words: Vec<&str> = parts.map(|part| part.trim_matches(['{', '}'])).collect();
    format!("{}-{}", method.to_lowercase(), words.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_part_is_described() {
        for endpoint in super::super::access::ENDPOINTS {
            for part in endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            {
                assert!(PARTS.iter().any(|(name, ..)| *name == part), "{part} of {}", endpoint.path);
            }
        }
    }
}

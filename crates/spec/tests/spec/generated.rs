//! What is made from the declarations is current, and they agree with what is read. `UPDATE=1` makes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use noctule_spec::{config_page, kinds, pipeline_page, reference_page, schema, schema_file};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn check(path: PathBuf, made: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
        fs::write(&path, made).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == made, "{} is not current: run `UPDATE=1 cargo test -p noctule-spec`", path.display());
}

#[test]
fn the_schema_is_current() {
    check(root().join("configs/pipeline.schema.json"), &schema_file());
}

#[test]
fn the_reference_is_current() {
    for kind in kinds::names() {
        check(root().join(format!("docs/reference/{kind}.md")), &reference_page(kind).unwrap());
    }
    check(root().join("docs/reference/pipeline.md"), &pipeline_page());
    check(root().join("docs/reference/config.md"), &config_page());
}

#[test]
fn the_schema_has_what_editors_need() {
    let schema = schema();
    let train = &schema["$defs"]["train"];
    assert_eq!(train["additionalProperties"], Value::Bool(false));
    assert_eq!(train["properties"]["factors"]["default"], 64);
    assert!(train["properties"]["factors"]["description"].as_str().unwrap().len() > 10);
    assert_eq!(train["required"], serde_json::json!(["algorithm", "input"]));
    let text = schema_file();
    assert!(!text.contains("x-noctule"), "what only the reader needs stays out of the schema");
}

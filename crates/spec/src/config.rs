//! The configuration file: where this machine keeps things and runs things.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::alerts::SecretName;
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::draft::refuse_templates;
use crate::form::{Form, Reader};
use crate::limits::Limits;
use crate::secrets;
use crate::serve::{self, Serve};
use crate::source::SourceText;
use crate::tree::{self, Node, Value};
use crate::units::{Cpu, Size};
use crate::words::quoted;

/// Where this machine keeps things and runs things.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder of local state. Without it the nearest `.noctule/` upward from the working folder, or a new one in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub state: Option<String>,
    /// Where artifacts and models are kept: a folder, or `s3://`, `gs://`, `az://`. Without it a folder in the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub store: Option<String>,
    /// Where runs and the registry are kept: the path of an SQLite file, a `postgres://` URL, or a secret that holds
    /// one. Without it an SQLite file in the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<Database>,
    /// Where attempts run.
    #[serde(default)]
    pub launcher: LauncherKind,
    /// How many steps run side by side at most. Without it as many as the machine has cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub parallel: Option<u32>,
    /// The cores that steps share. Without it all of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// The memory that steps share. Without it most of the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub memory: Option<Size>,
    /// How many attempts of all runs may be live at a time.
    #[serde(default)]
    pub limits: Limits,
    /// Things of which there are few, such as `gpu: 4`: how many attempts of steps in that pool may be live at a time.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Slots>", extend("x-noctule-keys" = "name"))]
    pub pools: BTreeMap<String, u32>,
    /// The server.
    #[serde(default)]
    pub serve: Serve,
    /// Where the values of secrets are found, by the names that pipelines use. They are read at each use.
    #[serde(default)]
    #[schemars(extend("x-noctule-keys" = "name"))]
    pub secrets: BTreeMap<String, SecretPlace>,
}

/// Where runs and the registry are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// A path or a URL.
    Address(String),
    /// The name of a secret that holds the URL.
    Secret(String),
}

impl JsonSchema for Database {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Database".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-noctule": "either",
            "x-noctule-scalar": {"key": "address", "value": {"type": "string", "minLength": 1}},
            "x-noctule-mapping": SecretName::json_schema(generator),
        })
    }
}

/// How many slots a pool has.
struct Slots;

impl JsonSchema for Slots {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Slots".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "minimum": 1, "maximum": 100_000})
    }
}

/// Where attempts run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LauncherKind {
    /// As processes of this machine.
    #[default]
    Local,
    /// As Kubernetes Jobs.
    Kubernetes,
}

/// Where a secret's value is found: one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretPlace {
    /// An environment variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub env: Option<String>,
    /// A file; a line end at its end is no part of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub file: Option<String>,
}

/// A configuration, and what is probably not meant as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedConfig {
    pub config: Config,
    pub warnings: Vec<Diagnostic>,
}

/// Reads a configuration file. An empty one is the default.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn load(source: &SourceText) -> Result<LoadedConfig, Diagnostics> {
    let mut findings = Vec::new();
    let config = match source.checked().and_then(|text| Ok((text, tree::read(text, &mut findings)?))) {
        Ok((text, root)) => read(text, &root, &mut findings),
        Err(refusal) => {
            findings.push(refusal);
            None
        }
    };
    let diagnostics = Diagnostics::from(findings);
    match config {
        Some(config) if !diagnostics.has_errors() => {
            Ok(LoadedConfig { config, warnings: diagnostics.into_iter().collect() })
        }
        _ => Err(diagnostics),
    }
}

/// The form of the file.
pub(crate) fn form() -> Form {
    Form::of::<Config>()
}

fn read(text: &str, root: &Node, findings: &mut Vec<Diagnostic>) -> Option<Config> {
    if root.value == Value::Null {
        return Some(Config::default());
    }
    for entry in root.entries() {
        refuse_templates(&entry.value, &entry.key, findings);
    }
    let misplaced = |key: &str| match key {
        "depot" => Some("did you mean `store`?".to_owned()),
        "state_dir" => Some("did you mean `state`?".to_owned()),
        "steps" | "pipeline" | "noctule" => {
            Some("this looks like a pipeline; the configuration is another file".to_owned())
        }
        _ => None,
    };
    let read = Reader::new(text, findings).record(root, "the configuration", form().fields(), &misplaced)?;
    let config: Config = serde_json::from_value(read).ok()?;
    check_database(&config, root, findings);
    check_store(&config, root, findings);
    check_secrets(&config, root, findings);
    serve::check_access(&config.serve, root, findings);
    Some(config)
}

fn check_database(config: &Config, root: &Node, findings: &mut Vec<Diagnostic>) {
    let Some(entry) = root.entry("database") else {
        return;
    };
    match &config.database {
        Some(Database::Address(address)) => {
            if let Some((scheme, _)) = address.split_once("://")
                && !matches!(scheme, "postgres" | "postgresql" | "sqlite" | "file")
            {
                findings.push(
                    Diagnostic::error(
                        Code::BadValue,
                        format!("`database` has the scheme {}", quoted(scheme)),
                    )
                    .at(entry.value.at.clone(), "")
                    .help("write the path of an SQLite file, or a `postgres://` URL"),
                );
            }
            if let Some(warning) = secrets::warning("database", address) {
                findings.push(warning.at(entry.value.at.clone(), ""));
            }
        }
        Some(Database::Secret(name)) if !config.secrets.contains_key(name) => {
            let names: Vec<&str> = config.secrets.keys().map(String::as_str).collect();
            findings.push(
                Diagnostic::error(Code::BadValue, format!("there is no secret {}", quoted(name)))
                    .at(entry.value.at.clone(), "")
                    .help(
                        crate::words::meant_or_listed(name, &names)
                            .unwrap_or_else(|| "add it to `secrets`".to_owned()),
                    ),
            );
        }
        Some(Database::Secret(_)) | None => {}
    }
}

const STORES: [&str; 4] = ["file", "s3", "gs", "az"];

fn check_store(config: &Config, root: &Node, findings: &mut Vec<Diagnostic>) {
    let (Some(store), Some(entry)) = (&config.store, root.entry("store")) else {
        return;
    };
    if let Some((scheme, _)) = store.split_once("://")
        && !STORES.contains(&scheme)
    {
        findings.push(
            Diagnostic::error(
                Code::BadValue,
                format!("`store` has the scheme {}, which cannot be written to", quoted(scheme)),
            )
            .at(entry.value.at.clone(), "")
            .help("write a folder, or `s3://`, `gs://` or `az://`"),
        );
    }
}

fn check_secrets(config: &Config, root: &Node, findings: &mut Vec<Diagnostic>) {
    let Some(secrets) = root.entry("secrets") else {
        return;
    };
    for (name, place) in &config.secrets {
        if place.env.is_some() != place.file.is_some() {
            continue;
        }
        let message = if place.env.is_some() {
            format!("the secret {} has two places", quoted(name))
        } else {
            format!("the secret {} has no place", quoted(name))
        };
        let at =
            secrets.value.entry(name).map_or_else(|| secrets.key_at.clone(), |entry| entry.key_at.clone());
        findings.push(
            Diagnostic::error(Code::Conflict, message)
                .at(at, "")
                .help("write `env: <variable>` or `file: <path>`"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Style;

    fn read(text: &str) -> Result<Config, String> {
        let source = SourceText::new("local.yaml", text);
        load(&source).map(|loaded| loaded.config).map_err(|found| found.render(&source, Style::Plain))
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(read("").unwrap(), Config::default());
        assert_eq!(read("# nothing\n").unwrap(), Config::default());
    }

    #[test]
    fn the_configuration_of_the_house_is_read_without_a_word() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/local.yaml");
        let source = SourceText::new("local.yaml", std::fs::read(path).expect("it is part of the source"));
        let loaded = load(&source).unwrap_or_else(|found| panic!("{}", found.render(&source, Style::Plain)));
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.config.launcher, LauncherKind::Local);
    }

    #[test]
    fn all_of_it() {
        let config = read(
            "state: /var/lib/noctule\nstore: s3://bucket/prefix\ndatabase: {secret: db}\nlauncher: kubernetes\nparallel: 4\n\
             cpu: 8\nmemory: 32Gi\nsecrets:\n  db: {env: DATABASE_URL}\n  slack-token: {file: /run/secrets/slack}\n",
        )
        .unwrap();
        assert_eq!(config.database, Some(Database::Secret("db".into())));
        assert_eq!(config.parallel, Some(4));
        assert_eq!(config.secrets["db"].env.as_deref(), Some("DATABASE_URL"));
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        let shown = read(
            "depot: x\nparalel: 0\nmemory: 4GB\nlauncher: docker\nsecrets: {a: {}, B: {env: X}}\nstore: \"{{ x }}\"\n",
        )
        .unwrap_err();
        for part in [
            "did you mean `store`?",
            "did you mean `parallel`?",
            "without the `B`",
            "`launcher` cannot be `docker`",
            "did you mean `b`?",
            "templates are not rendered in `store`",
        ] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        for (text, part) in [
            ("store: ftp://x", "cannot be written to"),
            ("database: mysql://x", "`postgres://` URL"),
            ("database: {secret: db}", "there is no secret `db`"),
            ("secrets: {a: {env: X, file: y}}", "two places"),
            ("secrets: {a: {}}", "no place"),
            ("- a", "is a list"),
            ("steps: {}", "looks like a pipeline"),
        ] {
            let shown = read(text).unwrap_err();
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_warned_of_and_not_shown() {
        let source = SourceText::new("local.yaml", "database: postgres://u:hunter2@db/noctule\n");
        let loaded = load(&source).unwrap();
        let shown = Diagnostics::from(loaded.warnings).render(&source, Style::Plain);
        assert!(shown.contains("looks like a secret") && !shown.contains("hunter2"), "{shown}");
    }
}

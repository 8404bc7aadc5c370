//! The config file: where state, store and database lie, and how much of the machine may be used.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::report::Trouble;

/// What `configs/local.yaml` documents line by line. Everything has a default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder for local state instead of the nearest `.noctule`.
    pub state: Option<PathBuf>,
    /// The artifact store: a path or a URL.
    pub store: Option<String>,
    /// The database: a path or a Postgres URL.
    pub database: Option<String>,
    /// How many steps may run side by side.
    pub parallel: Option<u32>,
    /// The most threads that a step may use.
    pub threads: Option<u32>,
    #[serde(default, deserialize_with = "size")]
    pub memory: Option<u64>,
}

fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse::<noctule_spec::Size>().map(noctule_spec::Size::bytes).map_err(serde::de::Error::custom))
        .transpose()
}

impl Config {
    /// Reads the named file, or `config.yaml` in the state folder if it is there.
    pub fn load(named: Option<&Path>, state: &Path) -> Result<Self, Trouble> {
        let own = state.join("config.yaml");
        let path = match named {
            Some(path) => path,
            None if own.exists() => &own,
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Trouble::usage(format!("the config {} cannot be read: {error}", path.display())))?;
        let config: Self = serde_yaml::from_str(&text)
            .map_err(|error| Trouble::usage(format!("the config {} is not accepted: {error}", path.display())))?;
        match config.parallel {
            Some(0) => Err(Trouble::usage(format!("`parallel` in {} must be at least 1", path.display()))),
            _ => Ok(config),
        }
    }
}

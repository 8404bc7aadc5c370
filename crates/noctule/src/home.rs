//! Where state lies, and how the parts that a command needs are opened.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use noctule_artifacts::RegistryId;
use noctule_controller::{Controller, Limits, Slots};
use noctule_depot::{Depot, Options};
use noctule_launcher::local::{Config as LauncherConfig, Machine, Program};
use noctule_launcher::{LocalLauncher, Observations};
use noctule_spec::SourceText;
use noctule_spec::config::{self, Config, Database, LauncherKind};
use noctule_store::{Location, Store};

use crate::lister::Sources;
use crate::pipeline;
use crate::report::Trouble;

/// The name of the folder that holds local state.
const STATE: &str = ".noctule";

/// The places of this installation.
pub struct Home {
    pub config: Config,
    /// The file that the config was read from; `None` for the built-in one.
    pub config_file: Option<PathBuf>,
    /// The `.noctule` folder.
    pub state: PathBuf,
    pub store_address: String,
}

/// Everything that is open while runs or models are looked at or changed.
pub struct Open {
    pub controller: Controller,
    pub observations: Observations,
}

impl Home {
    /// Finds the nearest `.noctule` upward from the working folder, as git finds its own; without one it will be made
    /// here.
    pub fn find(config: Option<&Path>) -> Result<Self, Trouble> {
        let here = std::env::current_dir()
            .map_err(|error| Trouble::own(format!("the working folder cannot be told: {error}")))?;
        let nearest = here.ancestors().map(|folder| folder.join(STATE)).find(|folder| folder.is_dir());
        let found = nearest.unwrap_or_else(|| here.join(STATE));
        let (config, config_file) = load_config(config, &found)?;
        if config.launcher == LauncherKind::Kubernetes {
            return Err(Trouble::usage(
                "the config says `launcher: kubernetes`, and this noctule only runs steps as processes of this machine: \
                 write `launcher: local`",
            ));
        }
        let state = config.state.as_ref().map_or(found, PathBuf::from);
        let store_address = match &config.store {
            Some(address) => address.clone(),
            None => state.join("store").display().to_string(),
        };
        Ok(Self { config, config_file, state, store_address })
    }

    /// Whether anything was ever run here.
    pub fn exists(&self) -> bool {
        self.config.database.is_some() || self.database_file().exists()
    }

    /// The names of the pools that the config declares.
    pub fn pools(&self) -> BTreeSet<String> {
        self.config.pools.keys().cloned().collect()
    }

    /// The folder of pipelines that the server runs, which the config names from where it lies itself.
    pub fn pipelines(&self) -> Result<PathBuf, Trouble> {
        let named = self.config.serve.pipelines.as_ref().ok_or_else(|| {
            Trouble::usage(
                "the config does not say which pipelines to serve: write `serve: {pipelines: FOLDER}`, and give the file \
                 with --config",
            )
        })?;
        let beside = self.config_file.as_ref().and_then(|file| file.parent());
        Ok(beside.map_or_else(|| PathBuf::from(named), |folder| folder.join(named)))
    }

    fn database_file(&self) -> PathBuf {
        self.state.join("noctule.db")
    }

    pub fn location(&self) -> Result<Location, Trouble> {
        let text = match &self.config.database {
            None => return Ok(Location::file(self.database_file())),
            Some(Database::Address(text)) => text.clone(),
            Some(Database::Secret(name)) => self.secret(name)?,
        };
        text.parse().map_err(|error| Trouble::usage(format!("`database` in the config: {error}")))
    }

    /// The value of a secret, from where the config says it is found.
    fn secret(&self, name: &str) -> Result<String, Trouble> {
        let place = self.config.secrets.get(name);
        let found = match place.map(|place| (&place.env, &place.file)) {
            Some((Some(variable), _)) => std::env::var(variable).ok(),
            Some((_, Some(file))) => {
                std::fs::read_to_string(file).ok().map(|text| text.trim_end().to_owned())
            }
            _ => None,
        };
        found.ok_or_else(|| {
            Trouble::usage(format!("the secret `{name}` has no value where the config says that it is found"))
        })
    }

    /// Where the attempts of this machine find the secrets that their steps name.
    fn secret_places(&self) -> Vec<(OsString, OsString)> {
        let mut places = Vec::new();
        for (name, place) in &self.config.secrets {
            let variable = noctule_steps::shell::secret_variable(name);
            if let Some(value) = place.env.as_ref().and_then(std::env::var_os) {
                places.push((variable.into(), value));
            } else if let Some(file) = &place.file {
                places.push((format!("{variable}_FILE").into(), file.into()));
            }
        }
        places
    }

    pub fn depot(&self) -> Result<Depot, Trouble> {
        let mut options = Options::from_environment();
        options.cache = self.state.join("cache");
        // The folder in the state is ours to make; one that somebody names has to be there.
        options.create = self.config.store.is_none();
        Ok(Depot::open(&self.store_address, &options)?)
    }

    pub async fn store(&self) -> Result<Store, Trouble> {
        std::fs::create_dir_all(&self.state)
            .map_err(|error| Trouble::file("make the folder", &self.state, error))?;
        Ok(Store::open(&self.location()?).await?)
    }

    /// Opens the store and the depot, and makes sure that they belong together.
    pub async fn open(&self) -> Result<Open, Trouble> {
        let store = self.store().await?;
        let depot = self.depot()?;
        depot.probe().await?;
        let registry = self.claim(&store, &depot).await?;
        let (launcher, observations) = LocalLauncher::new(self.launcher(&registry, &depot)?);
        let machine = Machine::here();
        let machine = Machine {
            threads: self.config.cpu.map_or(machine.threads, |cpu| cpu.threads().clamp(1, machine.threads)),
            memory_bytes: self
                .config
                .memory
                .map_or(machine.memory_bytes, |size| size.bytes().min(machine.memory_bytes)),
        };
        let controller = Controller {
            store,
            depot,
            launcher: Arc::new(launcher),
            lister: Arc::new(Sources),
            machine,
            slots: Slots::new(Limits {
                attempts: self.config.limits.attempts,
                pools: self.config.pools.clone(),
            }),
            registry,
        };
        Ok(Open { controller, observations })
    }

    async fn claim(&self, store: &Store, depot: &Depot) -> Result<RegistryId, Trouble> {
        let ours = store.registry_id().await?;
        depot.claim(&ours).await?;
        Ok(ours)
    }

    fn launcher(&self, registry: &RegistryId, depot: &Depot) -> Result<LauncherConfig, Trouble> {
        let path = std::env::current_exe()
            .map_err(|error| Trouble::own(format!("the program's own path cannot be told: {error}")))?;
        let program = |arguments: &[&str], environment| Program {
            path: path.clone(),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment,
        };
        let store = std::path::absolute(&self.store_address)
            .ok()
            .filter(|_| !self.store_address.contains("://"))
            .map_or_else(|| self.store_address.clone(), |path| path.display().to_string());
        Ok(LauncherConfig {
            registry: registry.clone(),
            state: self.state.clone(),
            depot: depot.clone(),
            supervisor: program(&["supervise"], Vec::new()),
            attempt: program(&["step", "--store", &store], self.secret_places()),
        })
    }
}

/// Reads the named config file, or `config.yaml` in the state folder if it is there.
fn load_config(named: Option<&Path>, state: &Path) -> Result<(Config, Option<PathBuf>), Trouble> {
    let own = state.join("config.yaml");
    let path = match named {
        Some(path) => path,
        None if own.exists() => &own,
        None => return Ok((Config::default(), None)),
    };
    let (name, bytes) = pipeline::read_file("config", path)?;
    let source = SourceText::new(name, bytes);
    let loaded = config::load(&source)
        .map_err(|diagnostics| Trouble::diagnostics(diagnostics.render(&source, pipeline::style())))?;
    for warning in &loaded.warnings {
        anstream::eprintln!("{}\n", warning.render(&source, pipeline::style()));
    }
    Ok((loaded.config, Some(path.to_owned())))
}

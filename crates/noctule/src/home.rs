//! Where state lies, and how the parts that a command needs are opened.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use noctule_artifacts::RegistryId;
use noctule_controller::{Controller, Machine};
use noctule_depot::{Depot, Options};
use noctule_launcher::local::{Config as LauncherConfig, Program};
use noctule_launcher::{LocalLauncher, Observations};
use noctule_store::{Location, Store};

use crate::config::Config;
use crate::lister::Sources;
use crate::report::Trouble;

/// The name of the folder that holds local state.
const STATE: &str = ".noctule";

/// The places of this installation.
pub struct Home {
    pub config: Config,
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
        let config = Config::load(config, &found)?;
        let state = config.state.clone().unwrap_or(found);
        let store_address = match &config.store {
            Some(address) => address.clone(),
            None => state.join("store").display().to_string(),
        };
        Ok(Self { config, state, store_address })
    }

    /// Whether anything was ever run here.
    pub fn exists(&self) -> bool {
        self.config.database.is_some() || self.database_file().exists()
    }

    fn database_file(&self) -> PathBuf {
        self.state.join("noctule.db")
    }

    pub fn location(&self) -> Result<Location, Trouble> {
        match &self.config.database {
            Some(text) => text.parse().map_err(|error| Trouble::usage(format!("`database` in the config: {error}"))),
            None => Ok(Location::file(self.database_file())),
        }
    }

    pub fn depot(&self) -> Result<Depot, Trouble> {
        let mut options = Options::from_environment();
        options.cache = self.state.join("cache");
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
        let machine = noctule_launcher::local::Machine::here();
        let machine = Machine {
            threads: self.config.threads.unwrap_or(machine.threads).min(machine.threads).max(1),
            memory_bytes: self.config.memory.map_or(machine.memory_bytes, |memory| memory.min(machine.memory_bytes)),
        };
        let controller = Controller {
            store,
            depot,
            launcher: Arc::new(launcher),
            lister: Arc::new(Sources),
            machine,
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
        let program = |arguments: &[&str]| Program {
            path: path.clone(),
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: Vec::new(),
        };
        let store = std::path::absolute(&self.store_address)
            .ok()
            .filter(|_| !self.store_address.contains("://"))
            .map_or_else(|| self.store_address.clone(), |path| path.display().to_string());
        Ok(LauncherConfig {
            registry: registry.clone(),
            state: self.state.clone(),
            depot: depot.clone(),
            supervisor: program(&["supervise"]),
            attempt: program(&["step", "--store", &store]),
        })
    }
}

//! A DataFusion session that stays within a budget.

use std::sync::Arc;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::budget::Budget;
use crate::error::{Error, Result};

/// A session with the budget's memory, threads and spill folder.
pub fn session(budget: &Budget) -> Result<SessionContext> {
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![budget.folder().to_owned()]))
        .with_max_temp_directory_size(u64::MAX);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(budget.limit() as usize)))
        .with_disk_manager_builder(disk)
        .build_arc()
        .map_err(|error| Error::Query(error.strip_backtrace()))?;
    let config = SessionConfig::new()
        .with_target_partitions(budget.threads())
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(true);
    Ok(SessionContext::new_with_config_rt(config, runtime))
}

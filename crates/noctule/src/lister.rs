//! External sources, listed and looked for on behalf of the controller by the crate that reads them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use noctule_artifacts::launch::{Interval, Listing};
use noctule_controller::serve::Prober;
use noctule_controller::{ListError, SourceLister};
use noctule_spec::kinds::extract;
use noctule_steps::Class;

/// Lists sources as the step `extract` reads them, and looks whether one is there.
pub struct Sources;

#[async_trait]
impl SourceLister for Sources {
    async fn list(
        &self,
        settings: &extract::Settings,
        interval: Interval,
        timezone: &str,
    ) -> Result<BTreeMap<String, Listing>, ListError> {
        noctule_steps::list_sources(settings, interval, timezone).await.map_err(|error| ListError {
            temporary: error.class == Class::Temporary,
            message: error.to_string(),
        })
    }
}

#[async_trait]
impl Prober for Sources {
    async fn exists(&self, url: &str) -> Result<bool, ListError> {
        noctule_steps::source_exists(url).await.map_err(|error| ListError {
            temporary: error.class == Class::Temporary,
            message: error.to_string(),
        })
    }
}

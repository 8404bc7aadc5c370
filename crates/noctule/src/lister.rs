//! External sources, listed for the controller by the crate that reads them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use noctule_artifacts::launch::{Interval, Listing};
use noctule_controller::{ListError, SourceLister};
use noctule_spec::kinds::extract;
use noctule_steps::Class;

/// Lists sources as the step `extract` reads them.
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

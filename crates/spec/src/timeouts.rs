//! `timeouts`: how long each phase of an attempt may take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// How long each phase of an attempt may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Until a place to run is found. The local launcher always has one.
    #[serde(default = "defaults::queue")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub queue: Span,
    /// Until the process has begun, once placed.
    #[serde(default = "defaults::start")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub start: Span,
    /// Until the process has ended.
    #[serde(default = "defaults::run")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub run: Span,
    /// Between the request to stop and the kill.
    #[serde(default = "defaults::grace")]
    pub grace: Span,
    /// Until a killed attempt that cannot be seen gone is abandoned.
    #[serde(default = "defaults::stop")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub stop: Span,
}

mod defaults {
    use crate::units::Span;

    pub(super) fn queue() -> Span {
        Span::from_seconds(30 * 60)
    }

    pub(super) fn start() -> Span {
        Span::from_seconds(5 * 60)
    }

    pub(super) fn run() -> Span {
        Span::from_seconds(24 * 3600)
    }

    pub(super) fn grace() -> Span {
        Span::from_seconds(30)
    }

    pub(super) fn stop() -> Span {
        Span::from_seconds(10 * 60)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            queue: defaults::queue(),
            start: defaults::start(),
            run: defaults::run(),
            grace: defaults::grace(),
            stop: defaults::stop(),
        }
    }
}

//! `retry`: how often and when a failed attempt is tried again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Span;

/// How often and when a failed attempt is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts in all, the first included. Disruptions and attempts that never started have budgets of their own.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 100))]
    pub attempts: u32,
    /// How long to wait between attempts.
    #[serde(default)]
    pub backoff: Backoff,
    /// Exit codes of a command that call for another attempt as 75 (EX_TEMPFAIL) does.
    #[serde(default)]
    #[schemars(inner(range(min = 1, max = 255)))]
    pub on_exit: Vec<u8>,
    /// What the memory limit is multiplied by after an attempt that ran out of memory.
    #[serde(default = "once")]
    #[schemars(range(min = 1.0, max = 10.0))]
    pub memory_factor: f64,
}

/// How long to wait between attempts: `initial`, then each time `factor` times as long, up to `max`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The first wait.
    #[serde(default = "ten_seconds")]
    pub initial: Span,
    /// What each wait is multiplied by to give the next.
    #[serde(default = "doubled")]
    #[schemars(range(min = 1.0, max = 100.0))]
    pub factor: f64,
    /// The longest wait.
    #[serde(default = "ten_minutes")]
    #[schemars(extend("x-noctule-positive" = true))]
    pub max: Span,
}

fn three() -> u32 {
    3
}

fn once() -> f64 {
    1.0
}

fn ten_seconds() -> Span {
    Span::from_seconds(10)
}

fn doubled() -> f64 {
    2.0
}

fn ten_minutes() -> Span {
    Span::from_seconds(600)
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: ten_seconds(), factor: doubled(), max: ten_minutes() }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: three(), backoff: Backoff::default(), on_exit: Vec::new(), memory_factor: once() }
    }
}

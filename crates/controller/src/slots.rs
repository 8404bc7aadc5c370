//! How many attempts may be live at a time: of all runs, of a pipeline, of a pool.
//!
//! A slot is taken in the commit that intends an attempt, and given back in the commit of its end. An attempt that
//! finds none waits: its step stays ready, it is on the store's list of those who wait, and it asks again from time to
//! time and whenever another attempt of this process ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

/// What the configuration allows. What it does not name is not limited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Live attempts of all runs together.
    pub attempts: Option<u32>,
    /// Live attempts of the steps of each pool.
    pub pools: BTreeMap<String, u32>,
}

/// The limits, and word of slots that became free. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    limits: Arc<Limits>,
    freed: Arc<Notify>,
}

impl Slots {
    pub fn new(limits: Limits) -> Self {
        Self { limits: Arc::new(limits), freed: Arc::new(Notify::new()) }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Wakes the drives of this process that wait.
    pub(crate) fn free(&self) {
        self.freed.notify_waiters();
    }

    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }
}

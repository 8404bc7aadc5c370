//! One look at the launcher serves all drives.
//!
//! Every drive compares from time to time what should run with what does. Each of them looking for itself would cost the
//! square of their number.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use noctule_launcher::{AttemptKey, Launch, LaunchError, Launcher, Seen, Started};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How old a look may be. What a drive misses in it is waited for longer than that.
const OLD: Duration = Duration::from_secs(2);

/// A launcher whose looks are shared.
pub(crate) struct Lookout {
    launcher: Arc<dyn Launcher>,
    seen: Mutex<Option<(Instant, Vec<Seen>)>>,
}

impl Lookout {
    pub fn new(launcher: Arc<dyn Launcher>) -> Self {
        Self { launcher, seen: Mutex::new(None) }
    }
}

#[async_trait]
impl Launcher for Lookout {
    async fn start(&self, key: &AttemptKey, launch: &Launch) -> Result<Started, LaunchError> {
        self.launcher.start(key, launch).await
    }

    async fn adopt(&self, key: &AttemptKey) -> Result<bool, LaunchError> {
        self.launcher.adopt(key).await
    }

    async fn stop(&self, key: &AttemptKey, grace: Duration) -> Result<(), LaunchError> {
        self.launcher.stop(key, grace).await
    }

    async fn kill(&self, key: &AttemptKey) -> Result<(), LaunchError> {
        self.launcher.kill(key).await
    }

    async fn list(&self) -> Result<Vec<Seen>, LaunchError> {
        let mut seen = self.seen.lock().await;
        if let Some((at, seen)) = &*seen
            && at.elapsed() < OLD
        {
            return Ok(seen.clone());
        }
        let now = self.launcher.list().await?;
        *seen = Some((Instant::now(), now.clone()));
        Ok(now)
    }

    async fn forget(&self, key: &AttemptKey) -> Result<(), LaunchError> {
        self.launcher.forget(key).await
    }

    fn is_shared(&self) -> bool {
        self.launcher.is_shared()
    }

    fn log_file(&self, key: &AttemptKey) -> Option<PathBuf> {
        self.launcher.log_file(key)
    }
}

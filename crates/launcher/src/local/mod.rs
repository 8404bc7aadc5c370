//! Attempts as child processes of this machine.
//!
//! Between the launcher and each attempt stands a [supervisor]: a process of its own session that spawns the attempt,
//! watches its memory, stops it when told, and records how it ended. What passes between launcher and supervisor are
//! files in the attempt's [folder](record), so that a launcher that was killed, or another one, takes up where the
//! first left off.
//!
//! What is promised when somebody kills with SIGKILL:
//! - the orchestrator: attempts go on within their limits, and are found again with all that they reported;
//! - the attempt's main process: the supervisor ends the rest and records the signal;
//! - a supervisor: the main process dies with it, the launcher ends the rest, and the attempt counts as lost;
//! - all of them: the attempt counts as lost.

mod machine;
mod process;
mod pump;
mod record;
mod supervisor;
mod watch;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use noctule_artifacts::{RegistryId, layout};
use noctule_depot::Depot;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

use crate::launcher::{
    AttemptKey, Launch, LaunchError, Launcher, Observation, Observations, Observed, Seen, Started,
};
use record::{Cause, Exit, Folder, MARK, Order, State, StopOrder, new_mark};
use watch::{Told, bring_log, watch};

pub use machine::Machine;
pub use process::Identity;
pub use supervisor::supervise;

/// How long a supervisor may take to begin, on a machine that is busy.
const BEGIN_PATIENCE: Duration = Duration::from_secs(60);

const TOO_SLOW: &str = "its supervisor did not begin it within a minute";

/// A program and its first arguments.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    /// Variables set beside those of this process.
    pub environment: Vec<(OsString, OsString)>,
}

/// What a [`LocalLauncher`] is made of.
#[derive(Debug, Clone)]
pub struct Config {
    pub registry: RegistryId,
    /// The local folder for state; attempts have theirs in `attempts/` below it. Never one on a network file system.
    pub state: PathBuf,
    /// Where logs end up.
    pub depot: Depot,
    /// The program that calls [`supervise`] with the rest of its arguments: a folder, then a command.
    pub supervisor: Program,
    /// The program of an attempt; `--launch PATH --digest DIGEST` is appended to its arguments.
    pub attempt: Program,
}

/// Runs attempts as child processes. Dropping it ends none of them.
#[derive(Debug)]
pub struct LocalLauncher {
    config: Config,
    told: mpsc::UnboundedSender<Told>,
    observed: mpsc::UnboundedSender<Observed>,
}

impl LocalLauncher {
    /// Must be called within a tokio runtime, on which it watches.
    pub fn new(config: Config) -> (Self, Observations) {
        let (told, to_watch) = mpsc::unbounded_channel();
        let (observed, observations) = mpsc::unbounded_channel();
        tokio::spawn(watch(to_watch, observed.clone(), config.depot.clone()));
        (Self { config, told, observed }, observations)
    }

    fn attempts(&self) -> PathBuf {
        self.config.state.join("attempts")
    }

    fn tell(&self, told: Told) {
        // The watching task runs as long as `self` does, unless the runtime is being shut down.
        let _ = self.told.send(told);
    }

    fn observe(&self, key: &AttemptKey, what: Observation) {
        let _ = self.observed.send(Observed { key: key.clone(), what });
    }

    fn find(&self, key: &AttemptKey) -> Result<Option<(Folder, Order)>, LaunchError> {
        let found = Folder::find(&self.attempts(), key).and_then(|found| {
            let Some(folder) = found else { return Ok(None) };
            Ok(folder.order()?.map(|order| (folder, order)))
        });
        found.map_err(self.trouble(key, "read"))
    }

    fn trouble(&self, key: &AttemptKey, doing: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
        let (key, place) = (key.clone(), self.attempts().display().to_string());
        move |cause| LaunchError::State { key, place, doing, cause }
    }

    /// Writes the order for an attempt, or finds the one that is there.
    fn order(&self, key: &AttemptKey, launch: &Launch) -> Result<(Folder, Order), LaunchError> {
        if let Some(found) = self.find(key)? {
            return Ok(found);
        }
        let make = || {
            let folder = Folder::of(&self.attempts(), key)?;
            let place = layout::attempt_log(&key.run, &key.step, key.attempt);
            let in_store = self.config.depot.log_file(&place).map_err(io::Error::other)?;
            let order = Order {
                registry: self.config.registry.clone(),
                key: key.clone(),
                launch: launch.digest,
                log: in_store.unwrap_or_else(|| folder.own_log()),
                memory_bytes: launch.memory_bytes,
                mark: new_mark()?,
            };
            if folder.put_order(&order)? {
                return Ok((folder, order));
            }
            let there =
                folder.order()?.ok_or_else(|| io::Error::other("the order that is there is no JSON"))?;
            Ok((folder, there))
        };
        make().map_err(self.trouble(key, "written"))
    }

    fn spawn(&self, folder: &Folder, order: &Order, launch: &Launch) -> io::Result<tokio::process::Child> {
        let Config { supervisor, attempt, .. } = &self.config;
        let own_errors = std::fs::File::create(folder.supervisor_log())?;
        let mut command = tokio::process::Command::new(&supervisor.path);
        command
            .args(&supervisor.arguments)
            .arg(folder.path())
            .arg(&attempt.path)
            .args(&attempt.arguments)
            .args(["--launch", &launch.document, "--digest", &launch.digest.to_string()])
            .envs(
                supervisor.environment.iter().chain(&attempt.environment).map(|(name, value)| (name, value)),
            )
            .env(MARK, &order.mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(own_errors);
        // SAFETY: between fork and exec only one system call is made, and nothing is allocated.
        unsafe {
            // A session of its own: no signal of the terminal reaches it.
            command.pre_exec(|| rustix::process::setsid().map(drop).map_err(io::Error::from));
        }
        command.spawn()
    }

    /// Starts a supervisor and waits until it, or another one, has begun the attempt.
    async fn begin(&self, folder: &Folder, order: &Order, launch: &Launch) -> Result<bool, LaunchError> {
        let key = &order.key;
        let not_spawned = |message: String| LaunchError::NotSpawned { key: key.clone(), message };
        let mut child = self.spawn(folder, order, launch).map_err(|e| {
            not_spawned(format!("`{}` could not be started: {e}", self.config.supervisor.path.display()))
        })?;
        let stdout = child.stdout.take().expect("it was asked to be a pipe");
        let told = self.told.clone();
        let reaped = tokio::spawn(async move {
            let _ = child.wait().await;
            let _ = told.send(Told::Look);
        });
        let word = tokio::time::timeout(BEGIN_PATIENCE, first_word(stdout)).await;
        match word.as_deref() {
            Ok(supervisor::BEGUN) => return Ok(true),
            Ok(supervisor::BUSY) => return Ok(false),
            _ => {}
        }
        if word.is_err()
            && !self.close(folder, Cause::NotSpawned { message: TOO_SLOW.to_owned() }).unwrap_or(false)
        {
            // It has begun after all, or is about to: the watch will see it.
            return Ok(true);
        }
        // The last errors are written by the time it has ended.
        let _ = tokio::time::timeout(Duration::from_secs(1), reaped).await;
        let errors = crate::log::last_lines(&folder.supervisor_log(), 5).unwrap_or_default().join("; ");
        let said =
            if errors.is_empty() { "it said nothing".to_owned() } else { format!("it said: {errors}") };
        Err(not_spawned(format!("its supervisor did not begin it; {said}")))
    }

    /// Closes an attempt that no supervisor has begun, so that none ever will. `false` when one has, or is at it.
    fn close(&self, folder: &Folder, cause: Cause) -> io::Result<bool> {
        let Some(_lock) = folder.lock()? else { return Ok(false) };
        if folder.began()?.is_some() || folder.exit()?.is_some() {
            return Ok(false);
        }
        folder.put_exit(&Exit { cause, peak_bytes: None })?;
        Ok(true)
    }

    /// Removes what is kept about ended attempts that nobody needs any more. Returns how many there were.
    pub fn sweep(&self, is_needed: impl Fn(&AttemptKey) -> bool) -> io::Result<usize> {
        let mut removed = 0;
        for folder in Folder::all(&self.attempts())? {
            let Some(order) = folder.order()? else { continue };
            if order.registry == self.config.registry
                && !is_needed(&order.key)
                && matches!(folder.state(&order)?, State::Ended(_))
            {
                folder.remove()?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

async fn first_word(stdout: tokio::process::ChildStdout) -> String {
    // A test harness may print lines of its own before.
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if [supervisor::BEGUN, supervisor::BUSY].contains(&line.as_str()) {
            return line;
        }
    }
    String::new()
}

#[async_trait]
impl Launcher for LocalLauncher {
    async fn start(&self, key: &AttemptKey, launch: &Launch) -> Result<Started, LaunchError> {
        let (folder, order) = self.order(key, launch)?;
        if order.registry != self.config.registry || order.launch != launch.digest {
            let (found, wanted) = (order.launch, launch.digest);
            return Err(LaunchError::Taken { key: key.clone(), found, wanted });
        }
        let state = folder.state(&order).map_err(self.trouble(key, "read"))?;
        let was_begun = match &state {
            State::NotBegun => !self.begin(&folder, &order, launch).await?,
            _ => true,
        };
        let handle = folder.began().map_err(self.trouble(key, "read"))?.map(|supervisor| supervisor.handle());
        self.tell(Told::Watch(folder, order));
        Ok(match (was_begun, handle) {
            (false, Some(handle)) => Started::Begun { handle },
            (_, handle) => Started::AlreadyThere { handle },
        })
    }

    async fn adopt(&self, key: &AttemptKey) -> Result<bool, LaunchError> {
        let Some((folder, order)) = self.find(key)? else { return Ok(false) };
        if order.registry != self.config.registry {
            return Ok(false);
        }
        self.tell(Told::Watch(folder, order));
        Ok(true)
    }

    async fn stop(&self, key: &AttemptKey, grace: Duration) -> Result<(), LaunchError> {
        let Some((folder, order)) = self.find(key)? else {
            self.observe(key, Observation::Gone);
            return Ok(());
        };
        let carry_out = || {
            if matches!(folder.state(&order)?, State::NotBegun) && self.close(&folder, Cause::Stopped)? {
                return Ok(());
            }
            let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            // A longer grace than was given before would take back what was promised.
            let shorter = folder.stop_order()?.is_none_or(|before| grace_ms < before.grace_ms);
            if shorter { folder.put_stop_order(&StopOrder { grace_ms }) } else { Ok(()) }
        };
        carry_out().map_err(self.trouble(key, "written"))?;
        self.tell(Told::Watch(folder, order));
        self.tell(Told::Stopping(key.clone(), grace));
        Ok(())
    }

    async fn kill(&self, key: &AttemptKey) -> Result<(), LaunchError> {
        self.stop(key, Duration::ZERO).await
    }

    async fn list(&self) -> Result<Vec<Seen>, LaunchError> {
        let mut found = Vec::new();
        let nameless =
            |cause: io::Error| LaunchError::NotListed { place: self.attempts().display().to_string(), cause };
        for folder in Folder::all(&self.attempts()).map_err(nameless)? {
            let Some(order) = folder.order().map_err(nameless)? else { continue };
            if order.registry == self.config.registry {
                let state = folder.state(&order).map_err(nameless)?.seen();
                found.push(Seen { key: order.key, launch: order.launch, state });
            }
        }
        Ok(found)
    }

    async fn forget(&self, key: &AttemptKey) -> Result<(), LaunchError> {
        let Some((folder, order)) = self.find(key)? else { return Ok(()) };
        let state = folder.state(&order).map_err(self.trouble(key, "read"))?;
        if matches!(state, State::Running(_) | State::Orphaned(_)) {
            let cause = io::Error::other("it is still running");
            return Err(self.trouble(key, "removed")(cause));
        }
        // Who learns of the end from a list may be here before the log is in the store.
        bring_log(&folder, &order, &self.config.depot).await;
        folder.remove().map_err(self.trouble(key, "removed"))
    }

    fn log_file(&self, key: &AttemptKey) -> Option<PathBuf> {
        self.find(key).ok().flatten().map(|(_, order)| order.log)
    }
}

/// Whether a folder can hold the state of attempts: it needs hard links, and locks that other processes see.
pub fn check_state_folder(state: &Path) -> io::Result<()> {
    let folder = Folder::at(state.join("attempts").join(format!("probe-{}", new_mark()?)));
    let checked = (|| {
        std::fs::create_dir_all(folder.path())?;
        let probe = folder.path().join("a");
        std::fs::write(&probe, "")?;
        std::fs::hard_link(&probe, folder.path().join("b"))?;
        let first = folder.lock()?;
        if first.is_none() || folder.lock()?.is_some() {
            return Err(io::Error::other("its file system does not lock files: use a local disk"));
        }
        Ok(())
    })();
    let _ = std::fs::remove_dir_all(folder.path());
    checked
}

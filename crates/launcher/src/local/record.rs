//! What is kept on disk about each attempt, so that any process can find it again.
//!
//! An attempt has a folder: `<state>/attempts/<boot>/<run>/<step>/<attempt>/`. The boot is part of the path because
//! whatever ran under another boot is gone, and so none of these files need to survive a power cut.
//!
//! | file | written by | means |
//! |---|---|---|
//! | `order.json` | the launcher, into a free place | the attempt is to be started |
//! | `lock` | the supervisor, locked as long as it lives | at most one supervisor |
//! | `began.json` | the supervisor, before it spawns anything | the attempt was begun, and never is again |
//! | `stop.json` | a launcher | the attempt is to end |
//! | `reports` | the supervisor | the step's reports, line by line |
//! | `exit.json` | the supervisor, when no process is left | how the attempt ended |
//! | `log`, `brought` | the supervisor; a launcher | the log, of a store that is no folder; and that it is there |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use noctule_artifacts::{Digest, RegistryId};
use noctule_engine::Evidence;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::process::{Identity, boot, with_environment};
use crate::launcher::{AttemptKey, SeenState};

/// The variable by which every process of an attempt is known, even one whose supervisor is gone.
pub(crate) const MARK: &str = "NOCTULE_ATTEMPT_MARK";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub registry: RegistryId,
    pub key: AttemptKey,
    pub launch: Digest,
    pub log: PathBuf,
    pub memory_bytes: Option<u64>,
    /// The value of [`MARK`].
    pub mark: String,
}

impl Order {
    pub fn mark_entry(&self) -> String {
        format!("{MARK}={}", self.mark)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopOrder {
    /// Zero ends it by force at once.
    pub grace_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub cause: Cause,
    pub peak_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    Exited { code: i32 },
    Signalled { signal: i32 },
    MemoryLimit { limit_bytes: Option<u64>, peak_bytes: Option<u64> },
    NotSpawned { message: String },
    Stopped,
    Lost,
}

impl Cause {
    pub fn evidence(&self) -> Evidence {
        match self.clone() {
            Cause::Exited { code } => Evidence::Exited { code },
            Cause::Signalled { signal } => Evidence::Signalled { signal },
            Cause::MemoryLimit { limit_bytes, peak_bytes } => {
                Evidence::MemoryLimit { limit_bytes, peak_bytes }
            }
            Cause::NotSpawned { message } => Evidence::NotSpawned { message },
            Cause::Stopped => Evidence::StopRequested,
            Cause::Lost => Evidence::Lost,
        }
    }
}

/// The folder of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder of an attempt of this boot.
    pub fn of(attempts: &Path, key: &AttemptKey) -> io::Result<Self> {
        Ok(Self(attempts.join(boot()?).join(Self::below(key))))
    }

    fn below(key: &AttemptKey) -> PathBuf {
        [key.run.as_str(), key.step.as_str(), &key.attempt.to_string()].iter().collect()
    }

    /// The folder of an attempt, of this boot or an earlier one.
    pub fn find(attempts: &Path, key: &AttemptKey) -> io::Result<Option<Self>> {
        let here = Self::of(attempts, key)?;
        if here.order()?.is_some() {
            return Ok(Some(here));
        }
        for other in folders_in(attempts)? {
            let there = Self(other.join(Self::below(key)));
            if there.order()?.is_some() {
                return Ok(Some(there));
            }
        }
        Ok(None)
    }

    /// The folders of all attempts, of this boot and of earlier ones.
    pub fn all(attempts: &Path) -> io::Result<Vec<Self>> {
        let mut level = vec![attempts.to_owned()];
        for _ in ["boot", "run", "step", "attempt"] {
            let mut next = Vec::new();
            for folder in level {
                next.extend(folders_in(&folder)?);
            }
            level = next;
        }
        level.sort();
        Ok(level.into_iter().map(Self).collect())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn reports(&self) -> PathBuf {
        self.file("reports")
    }

    pub fn own_log(&self) -> PathBuf {
        self.file("log")
    }

    /// Whether the log was brought to a store that is no folder of this machine.
    pub fn log_is_brought(&self) -> bool {
        self.file("brought").exists()
    }

    pub fn note_log_brought(&self) {
        // Without the note it is brought once more.
        let _ = fs::write(self.file("brought"), "");
    }

    pub fn supervisor_log(&self) -> PathBuf {
        self.file("supervisor.log")
    }

    /// Writes the order into a free place. `false` when one is there.
    pub fn put_order(&self, order: &Order) -> io::Result<bool> {
        fs::create_dir_all(&self.0)?;
        let temporary = self.write_temporary("order", order)?;
        let put = fs::hard_link(&temporary, self.file("order.json"));
        fs::remove_file(&temporary)?;
        match put {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        }
    }

    pub fn order(&self) -> io::Result<Option<Order>> {
        self.read("order.json")
    }

    /// Takes the lock that a supervisor holds as long as it lives; `None` when another has it.
    pub fn lock(&self) -> io::Result<Option<File>> {
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(self.file("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }

    pub fn began(&self) -> io::Result<Option<Identity>> {
        self.read("began.json")
    }

    /// Only for who holds the lock.
    pub fn put_began(&self, supervisor: &Identity) -> io::Result<()> {
        self.put("began", supervisor)
    }

    pub fn stop_order(&self) -> io::Result<Option<StopOrder>> {
        self.read("stop.json")
    }

    pub fn put_stop_order(&self, order: &StopOrder) -> io::Result<()> {
        self.put("stop", order)
    }

    pub fn exit(&self) -> io::Result<Option<Exit>> {
        self.read("exit.json")
    }

    pub fn put_exit(&self, exit: &Exit) -> io::Result<()> {
        self.put("exit", exit)
    }

    /// Takes room on the disk for the last record, which has to be written when the attempt may have filled it.
    pub fn reserve_space(&self) -> io::Result<()> {
        fs::write(self.file("reserved"), [0; 8192])
    }

    pub fn release_space(&self) {
        let _ = fs::remove_file(self.file("reserved"));
    }

    /// What the files and the process table say of the attempt together.
    pub fn state(&self, order: &Order) -> io::Result<State> {
        if let Some(exit) = self.exit()? {
            return Ok(State::Ended(exit));
        }
        let Some(supervisor) = self.began()? else { return Ok(State::NotBegun) };
        if supervisor.is_alive() {
            return Ok(State::Running(supervisor));
        }
        // It may have written its last record between the two looks.
        if let Some(exit) = self.exit()? {
            return Ok(State::Ended(exit));
        }
        let is_here = supervisor.boot == boot()?;
        if is_here && !with_environment(&order.mark_entry())?.is_empty() {
            return Ok(State::Orphaned(supervisor));
        }
        Ok(State::Ended(Exit { cause: self.cause_without_record()?, peak_bytes: None }))
    }

    /// How an attempt ended whose supervisor left no record.
    fn cause_without_record(&self) -> io::Result<Cause> {
        Ok(if self.stop_order()?.is_some() { Cause::Stopped } else { Cause::Lost })
    }

    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        // Step, run and boot, as far as nothing else is in them.
        let mut at = self.0.as_path();
        for _ in 0..3 {
            match at.parent() {
                Some(parent) if fs::remove_dir(parent).is_ok() => at = parent,
                _ => break,
            }
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.file(name)) {
            // Every file is renamed into its place whole; what is no JSON was cut by a power failure.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn put<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        let temporary = self.write_temporary(name, value)?;
        fs::rename(temporary, self.file(&format!("{name}.json")))
    }

    fn write_temporary<T: Serialize>(&self, name: &str, value: &T) -> io::Result<PathBuf> {
        let path = self.file(&format!("{name}.{}.new", new_mark()?));
        let written =
            File::create_new(&path).and_then(|mut file| file.write_all(&serde_json::to_vec(value)?));
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.map(|()| path)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    NotBegun,
    Running(Identity),
    /// The supervisor is gone without a word, and some of the attempt's processes are not.
    Orphaned(Identity),
    Ended(Exit),
}

impl State {
    pub fn seen(&self) -> SeenState {
        match self {
            State::NotBegun => SeenState::NotBegun,
            State::Running(supervisor) | State::Orphaned(supervisor) => {
                SeenState::Running { handle: supervisor.handle() }
            }
            State::Ended(exit) => SeenState::Ended { evidence: exit.cause.evidence() },
        }
    }
}

/// A text that no other process bears.
pub(crate) fn new_mark() -> io::Result<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(text.trim().to_owned())
}

fn folders_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(e),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use noctule_artifacts::{AttemptNumber, RunId};

    fn order() -> Order {
        let key = AttemptKey {
            run: RunId::from_random(1),
            step: "train".parse().unwrap(),
            attempt: AttemptNumber(1),
        };
        Order {
            registry: RegistryId::from_random(1),
            key,
            launch: Digest::of(b"launch"),
            log: "log".into(),
            memory_bytes: None,
            mark: new_mark().unwrap(),
        }
    }

    #[test]
    fn the_first_order_stands_and_is_found_under_any_boot() {
        let state = tempfile::tempdir().unwrap();
        let first = order();
        let folder = Folder::of(state.path(), &first.key).unwrap();
        assert!(folder.put_order(&first).unwrap());
        assert!(!folder.put_order(&order()).unwrap());
        assert_eq!(folder.order().unwrap(), Some(first.clone()));

        fs::rename(state.path().join(boot().unwrap()), state.path().join("an-earlier-boot")).unwrap();
        let found = Folder::find(state.path(), &first.key).unwrap().unwrap();
        assert_eq!(found.order().unwrap(), Some(first.clone()));
        assert_eq!(Folder::all(state.path()).unwrap(), std::slice::from_ref(&found));
        found.remove().unwrap();
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
        assert_eq!(Folder::find(state.path(), &first.key).unwrap(), None);
    }

    #[test]
    fn an_attempt_of_an_earlier_boot_is_lost_or_as_recorded() {
        let state = tempfile::tempdir().unwrap();
        let order = order();
        let folder = Folder::of(state.path(), &order.key).unwrap();
        folder.put_order(&order).unwrap();
        assert_eq!(folder.state(&order).unwrap(), State::NotBegun);
        folder.put_began(&Identity { pid: std::process::id(), start_time: 1, boot: "gone".into() }).unwrap();
        let lost = Exit { cause: Cause::Lost, peak_bytes: None };
        assert_eq!(folder.state(&order).unwrap(), State::Ended(lost));
        let exit = Exit { cause: Cause::Exited { code: 65 }, peak_bytes: Some(7) };
        folder.put_exit(&exit).unwrap();
        assert_eq!(folder.state(&order).unwrap(), State::Ended(exit));
    }
}

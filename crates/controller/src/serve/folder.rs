//! The folder of pipelines: looked at from time to time, since not every file system tells of changes.
//!
//! A file is known by its name, size, time of change and the path that its links lead to, so that a mount that swaps a
//! link of the whole folder, as Git-synced ones do, is seen to have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use noctule_artifacts::launch::Interval;
use noctule_artifacts::{Digest, PipelineName};
use noctule_spec::{Context, SourceText, Style};
use noctule_store::{Store, StoreError};
use tokio::sync::Semaphore;

use super::agenda::Desk;
use super::catalogue::{Catalogue, Entry, Problem, Read, Refused, Version};
use super::locked;

/// A larger file is no pipeline, and not read.
const LARGEST: u64 = 1 << 20;
/// A change that is being written is waited for until two looks see the same.
const SETTLE: Duration = Duration::from_millis(300);
const LOOKS: usize = 6;
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a folder showed at one look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Look(BTreeMap<String, Stamp>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    size: u64,
    changed: Option<SystemTime>,
    is_file: bool,
}

/// How pipelines of a folder are read. Clones share what they know.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub path: PathBuf,
    /// The names of the pools that the configuration declares.
    pools: BTreeSet<String>,
    /// Taken by whoever looks: one who does not come back is not joined by others.
    looking: Arc<Semaphore>,
    /// What files came to, by name, with the digest of their bytes: a change of one is no change of a thousand.
    known: Arc<Mutex<BTreeMap<String, (Digest, Read)>>>,
}

impl Folder {
    pub fn new(path: PathBuf, pools: BTreeSet<String>) -> Self {
        Self { path, pools, looking: Arc::new(Semaphore::new(1)), known: Arc::default() }
    }

    /// Looks at the folder; what is being changed is looked at again until it rests.
    pub async fn look(&self, last: Option<&Look>) -> std::io::Result<Look> {
        let mut seen = self.glance().await?;
        for _ in 0..LOOKS {
            if last.is_none_or(|last| *last == seen) {
                break;
            }
            tokio::time::sleep(SETTLE).await;
            let again = self.glance().await?;
            if again == seen {
                break;
            }
            seen = again;
        }
        Ok(seen)
    }

    async fn glance(&self) -> std::io::Result<Look> {
        let path = self.path.clone();
        self.aside(move || glance(&path)).await?
    }

    /// Reads all files of a look.
    pub async fn read(&self, look: &Look, now: Timestamp) -> std::io::Result<Vec<Read>> {
        let (folder, look) = (self.clone(), look.clone());
        self.aside(move || {
            locked(&folder.known).retain(|file, _| look.0.contains_key(file));
            look.0.iter().map(|(file, stamp)| folder.read_one(file, stamp, now)).collect()
        })
        .await
    }

    /// Does something to files where it holds up nobody: a mount may hang.
    async fn aside<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<T> {
        let hangs = |what| std::io::Error::new(std::io::ErrorKind::TimedOut, what);
        let place = self.looking.clone().try_acquire_owned();
        let place = place.map_err(|_| hangs("an earlier look has not come back: does the mount hang?"))?;
        let looked = tokio::task::spawn_blocking(move || {
            let _place = place;
            look()
        });
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(looked) => looked.map_err(std::io::Error::other),
            Err(_) => Err(hangs("it gives no answer: does the mount hang?")),
        }
    }

    fn read_one(&self, file: &str, stamp: &Stamp, now: Timestamp) -> Read {
        let bytes = match text_of(file, stamp) {
            Ok(bytes) => bytes,
            Err(text) => {
                let outcome = Err(Refused { pipeline: None, text: format!("{file}: {text}") });
                return Read { file: file.to_owned(), outcome };
            }
        };
        let digest = Digest::of(&bytes);
        if let Some((known, read)) = locked(&self.known).get(file)
            && *known == digest
        {
            return read.clone();
        }
        let outcome = self.check(file, bytes, now).map(Arc::new);
        let read = Read { file: file.to_owned(), outcome };
        locked(&self.known).insert(file.to_owned(), (digest, read.clone()));
        read
    }

    /// Checks a text; one that is accepted is a version.
    pub fn check(&self, file: &str, bytes: Vec<u8>, now: Timestamp) -> Result<Version, Refused> {
        let source = SourceText::new(file.to_owned(), bytes.clone());
        let context = Context {
            params: BTreeMap::new(),
            interval: Interval { start: now, end: now },
            run: None,
            now,
            pools: Some(self.pools.clone()),
        };
        let loaded = noctule_spec::load(&source, &context).map_err(|diagnostics| Refused {
            pipeline: named(&bytes),
            text: diagnostics.render(&source, Style::Plain),
        })?;
        let digest = Digest::of(&bytes).to_string();
        let text = String::from_utf8(bytes).expect("what is not UTF-8 is refused by the check");
        Ok(Version { pipeline: loaded.pipeline, file: file.to_owned(), text, digest, loaded: now })
    }
}

fn glance(folder: &Path) -> std::io::Result<Look> {
    let folder = folder.canonicalize()?;
    let mut look = BTreeMap::new();
    for entry in std::fs::read_dir(&folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_pipeline = [".yaml", ".yml"].iter().any(|ending| name.ends_with(ending));
        // Editors and mounts keep files of their own under names that begin with a dot.
        if !is_pipeline || name.starts_with('.') {
            continue;
        }
        // A link that leads nowhere is there, and cannot be read.
        let path = entry.path().canonicalize().unwrap_or_else(|_| entry.path());
        let data = std::fs::metadata(&path).ok();
        if data.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            continue;
        }
        let stamp = Stamp {
            size: data.as_ref().map_or(0, std::fs::Metadata::len),
            changed: data.as_ref().and_then(|data| data.modified().ok()),
            is_file: data.is_some_and(|data| data.is_file()),
            path,
        };
        look.insert(name, stamp);
    }
    Ok(Look(look))
}

fn text_of(file: &str, stamp: &Stamp) -> Result<Vec<u8>, String> {
    if !stamp.is_file {
        return Err(match stamp.path.exists() {
            true => "it is no regular file, and is not read".to_owned(),
            false => "it is a link that leads nowhere".to_owned(),
        });
    }
    let too_large = || format!("it is larger than {} KiB, which no pipeline is", LARGEST >> 10);
    if stamp.size > LARGEST {
        return Err(too_large());
    }
    let failed = |error: std::io::Error| format!("`{file}` cannot be read: {error}");
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(&stamp.path).map_err(failed)?;
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(too_large());
    }
    Ok(bytes)
}

/// The name in a text that cannot be read as a whole, so that its trouble can be told of the pipeline.
fn named(bytes: &[u8]) -> Option<PipelineName> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("pipeline:"))?;
    let value = line.split('#').next()?.trim().trim_matches(['"', '\'']);
    value.parse().ok()
}

impl Folder {
    /// The versions that held when somebody last led. One that this program no longer accepts holds no longer.
    pub async fn recall(&self, store: &Store, now: Timestamp) -> Result<Catalogue, StoreError> {
        let mut held = Catalogue::default();
        for row in store.pipelines().await? {
            let Some(good) = row.good else { continue };
            let problem = row.broken.map(|broken| Problem {
                file: broken.file,
                text: broken.error,
                since: broken.since,
            });
            match self.check(&good.file, good.text, now) {
                Ok(version) => {
                    let version = Arc::new(Version { loaded: good.loaded, ..version });
                    held.entries.insert(good.pipeline, Entry { version, problem, gone: false });
                }
                Err(refused) => {
                    let text = format!(
                        "the last version of `{}` that was accepted no longer is:\n{}",
                        good.pipeline, refused.text
                    );
                    held.problems.push(Problem { file: good.file, text, since: now });
                }
            }
        }
        Ok(held)
    }
}

/// Keeps in the store what holds, and what is wrong with which file.
pub(crate) async fn keep(under: Desk<'_>, catalogue: &Catalogue, now: Timestamp) -> Result<(), StoreError> {
    let (store, lease) = (under.store, Some(under.lease));
    let rows = store.pipelines().await?;
    let mut wrong: BTreeMap<&str, (Option<&PipelineName>, &str)> = BTreeMap::new();
    for (name, entry) in &catalogue.entries {
        if let Some(problem) = &entry.problem {
            wrong.insert(&problem.file, (Some(name), &problem.text));
        }
    }
    for problem in &catalogue.problems {
        wrong.entry(&problem.file).or_insert((None, &problem.text));
    }
    for (name, entry) in &catalogue.entries {
        let version = &entry.version;
        let kept = rows.iter().filter_map(|row| row.good.as_ref()).find(|good| good.pipeline == *name);
        let is_kept =
            kept.is_some_and(|good| good.file == version.file && good.digest.to_string() == version.digest);
        if !is_kept {
            store.put_pipeline(name, &version.file, version.text.as_bytes(), version.loaded, lease).await?;
        }
    }
    for good in rows.iter().filter_map(|row| row.good.as_ref()) {
        // One that this program no longer accepts is kept for one that does.
        let is_told_of = catalogue.problems.iter().any(|problem| problem.file == good.file);
        if !catalogue.entries.contains_key(&good.pipeline) && !is_told_of {
            store.remove_pipeline(&good.pipeline, lease).await?;
        }
    }
    for broken in rows.iter().filter_map(|row| row.broken.as_ref()) {
        if !wrong.contains_key(broken.file.as_str()) {
            store.forget_broken_file(&broken.file, lease).await?;
        }
    }
    for (file, (name, text)) in wrong {
        let known = rows
            .iter()
            .filter_map(|row| row.broken.as_ref())
            .any(|broken| broken.file == file && broken.error == text && broken.pipeline.as_ref() == name);
        if !known {
            store.pipeline_failed(file, name, text, now, lease).await?;
        }
    }
    Ok(())
}

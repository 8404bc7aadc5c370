//! Downloaded files by their digest, within a size, safe beside other processes.
//!
//! A reader never gets the cached file itself but a hard link in a working folder of its own process, so that
//! bringing the cache back to its size cannot take a file away from under it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use noctule_artifacts::Digest;

use crate::error::{Error, Result};
use crate::hashing::{Content, hash_file};
use crate::scratch::{self, Scratch, loose_file};

#[derive(Debug)]
pub(crate) struct Cache {
    root: PathBuf,
    limit: u64,
    session: OnceLock<Arc<Scratch>>,
    verified: Mutex<HashMap<Stamp, Content>>,
}

/// What changes when the file of a path is written to or replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Cache {
    pub fn new(root: &Path, limit: u64) -> Self {
        Self { root: root.to_owned(), limit, session: OnceLock::new(), verified: Mutex::default() }
    }

    fn trouble(&self, doing: &str) -> impl FnOnce(io::Error) -> Error {
        let (place, doing) = (self.root.display().to_string(), doing.to_owned());
        move |cause| Error::from_io(place, doing, cause)
    }

    fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    fn object(&self, digest: Digest) -> PathBuf {
        let text = digest.to_string();
        let hex = text.trim_start_matches("sha256:");
        self.objects().join(&hex[..2]).join(hex)
    }

    /// The working folder of this process; the first use also removes those of processes that are gone.
    pub fn session(&self) -> Result<Arc<Scratch>> {
        if let Some(session) = self.session.get() {
            return Ok(session.clone());
        }
        self.sweep()?;
        let made = Arc::new(Scratch::new(&self.sessions()).map_err(self.trouble("making a working folder"))?);
        Ok(self.session.get_or_init(|| made).clone())
    }

    fn sessions(&self) -> PathBuf {
        self.root.join("in-use")
    }

    /// Removes the working folders of processes that are gone.
    pub fn sweep(&self) -> Result<usize> {
        scratch::sweep(&self.sessions()).map_err(self.trouble("sweeping the cache"))
    }

    /// A free path to download to.
    pub fn incoming(&self) -> Result<PathBuf> {
        Ok(loose_file(self.session()?.path()))
    }

    /// The local file with this content, if the cache has it undamaged.
    pub fn get(&self, content: Content) -> Result<Option<PathBuf>> {
        let object = self.object(content.sha256);
        let used = self.session()?.path().join(object.file_name().unwrap_or_default());
        if !used.exists() {
            match fs::hard_link(&object, &used) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(self.trouble("linking a cached file")(e)),
            }
        }
        match self.content_of(&used) {
            Ok(found) if found == content => {
                note_use(&object);
                Ok(Some(used))
            }
            Ok(_) => {
                let _ = fs::remove_file(&used);
                let _ = fs::remove_file(&object);
                Ok(None)
            }
            Err(e) => Err(self.trouble("reading a cached file")(e)),
        }
    }

    /// Takes in a finished, verified download, and brings the cache back to its size.
    pub fn keep(&self, incoming: &Path, content: Content) -> Result<PathBuf> {
        let trouble = || self.trouble("keeping a download");
        let object = self.object(content.sha256);
        fs::create_dir_all(object.parent().unwrap_or(&self.root)).map_err(trouble())?;
        let used = self.session()?.path().join(object.file_name().unwrap_or_default());
        fs::rename(incoming, &used).map_err(trouble())?;
        match fs::hard_link(&used, &object) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(trouble()(e)),
            _ => {}
        }
        self.shrink().map_err(self.trouble("bringing the cache back to its size"))?;
        Ok(used)
    }

    /// Removes the files used longest ago until the cache is within its size.
    fn shrink(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for folder in fs::read_dir(self.objects())? {
            for file in fs::read_dir(folder?.path())? {
                let file = file?;
                if let Ok(meta) = file.metadata() {
                    files.push((meta.modified()?, meta.len(), file.path()));
                }
            }
        }
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        files.sort();
        for (_, size, path) in files {
            if total <= self.limit {
                break;
            }
            let _ = fs::remove_file(path);
            total -= size;
        }
        Ok(())
    }

    /// Size and digest of a local file, hashed once per process as long as the file does not change.
    pub fn content_of(&self, path: &Path) -> io::Result<Content> {
        let stamp = Stamp::of(path)?;
        let known = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = known().get(&stamp) {
            return Ok(*content);
        }
        let content = hash_file(path)?;
        if Stamp::of(path)? == stamp {
            known().insert(stamp, content);
        }
        Ok(content)
    }
}

/// Eviction goes by the time of the last use, to the hour. A failure only makes the file go earlier.
fn note_use(object: &Path) {
    let used = fs::metadata(object).and_then(|meta| meta.modified());
    let is_recent = used.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < Duration::from_secs(3600)));
    if !is_recent {
        let _ = fs::File::open(object).and_then(|file| file.set_modified(SystemTime::now()));
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            changed: (meta.mtime(), meta.mtime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bring(cache: &Cache, bytes: &[u8]) -> (PathBuf, Content) {
        let content = Content { size: bytes.len() as u64, sha256: Digest::of(bytes) };
        let incoming = cache.incoming().unwrap();
        fs::write(&incoming, bytes).unwrap();
        (cache.keep(&incoming, content).unwrap(), content)
    }

    #[test]
    fn the_oldest_goes_first_and_what_is_in_use_stays_readable() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::new(root.path(), 10);
        let (first, first_content) = bring(&cache, b"123456");
        let old = SystemTime::now() - Duration::from_secs(60);
        fs::File::open(&first).unwrap().set_modified(old).unwrap();
        let (second, second_content) = bring(&cache, b"abcdef");
        assert_eq!(fs::read(&first).unwrap(), b"123456");
        assert_eq!(fs::read(&second).unwrap(), b"abcdef");
        drop(cache);
        assert!(!first.exists(), "the working folder goes with its process");

        let next = Cache::new(root.path(), 10);
        assert_eq!(next.get(first_content).unwrap(), None);
        assert!(next.get(second_content).unwrap().is_some());
    }

    #[test]
    fn a_damaged_cached_file_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        let (_, content) = bring(&Cache::new(root.path(), 100), b"good");
        let next = Cache::new(root.path(), 100);
        fs::write(next.object(content.sha256), b"evil").unwrap();
        assert_eq!(next.get(content).unwrap(), None);
        assert!(!next.object(content.sha256).exists());
    }
}

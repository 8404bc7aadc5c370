//! Working folders that vanish with the process that made them, however it ends.
//!
//! Each folder has a lock file beside it that its process holds locked. The kernel releases the lock of a process
//! that was killed, so a later process knows a left-over from a folder in use.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const LOCK: &str = "lock";
const LOOSE: &str = "loose-";

/// A folder of this process alone, removed on drop.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Scratch {
    pub fn new(parent: &Path) -> io::Result<Self> {
        fs::create_dir_all(parent)?;
        loop {
            let name = random_name();
            let lock_path = parent.join(format!("{name}.{LOCK}"));
            let lock = OpenOptions::new().create_new(true).write(true).open(&lock_path)?;
            lock.lock()?;
            // A sweep may have taken the file in the instant before it was locked.
            if lock.metadata()?.nlink() == 0 {
                continue;
            }
            let folder = parent.join(name);
            fs::create_dir(&folder)?;
            return Ok(Self { folder, lock_path, _lock: lock });
        }
    }

    pub fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// The path of a file that is not there yet, for something small to be written and then renamed away.
pub(crate) fn loose_file(parent: &Path) -> PathBuf {
    parent.join(format!("{LOOSE}{}", random_name()))
}

/// Removes the folders of processes that are gone, and loose files older than a day. Returns how many.
pub(crate) fn sweep(parent: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(&format!(".{LOCK}")) {
            removed += usize::from(sweep_one(&path)?);
        } else if name.starts_with(LOOSE) && is_old(&path) {
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed += usize::from(gone.is_ok());
        }
    }
    Ok(removed)
}

fn sweep_one(lock_path: &Path) -> io::Result<bool> {
    let lock = match File::open(lock_path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if lock.try_lock().is_err() {
        return Ok(false);
    }
    match fs::remove_dir_all(lock_path.with_extension("")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::remove_file(lock_path)?;
    Ok(true)
}

fn is_old(path: &Path) -> bool {
    let Ok(modified) = path.symlink_metadata().and_then(|meta| meta.modified()) else { return false };
    SystemTime::now().duration_since(modified).is_ok_and(|age| age > Duration::from_secs(24 * 3600))
}

pub(crate) fn random_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_left_overs_and_spares_what_is_in_use() {
        let parent = tempfile::tempdir().unwrap();
        let mine = Scratch::new(parent.path()).unwrap();
        fs::write(mine.path().join("x"), "x").unwrap();
        // What a killed process leaves: a folder and a lock file that nobody holds.
        fs::create_dir(parent.path().join("dead")).unwrap();
        fs::write(parent.path().join("dead/y"), "y").unwrap();
        fs::write(parent.path().join("dead.lock"), "").unwrap();
        fs::write(loose_file(parent.path()), "young").unwrap();

        assert_eq!(sweep(parent.path()).unwrap(), 1);
        assert!(mine.path().join("x").exists());
        assert!(!parent.path().join("dead").exists());
        drop(mine);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "the young loose file alone is left");
        assert_eq!(sweep(&parent.path().join("absent")).unwrap(), 0);
    }
}

//! A store that is a folder. Every write is whole or absent, on disk when it is reported, and safe beside other
//! processes: a temporary file, fsync, rename, fsync of the folder, and a file lock where a condition is checked.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use noctule_artifacts::Digest;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::depot::{Listed, Tag};
use crate::error::{Error, Result};
use crate::hashing::{Content, copy_hashing, hash_file};
use crate::scratch::{self, loose_file};

const SCRATCH: &str = ".scratch";
const LOCK: &str = ".lock";

#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: Arc<PathBuf>,
}

impl Folder {
    /// Opens the folder; with `create`, makes it when it is absent.
    pub fn open(root: &Path, create: bool) -> Result<Self> {
        let shown = root.display().to_string();
        if create {
            fs::create_dir_all(root).map_err(|e| Error::from_io(&shown, "making the store", e))?;
        }
        let real = fs::canonicalize(root).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => Error::NoStore { store: shown.clone(), cause: cause.to_string() },
            _ => Error::from_io(&shown, "opening the store", cause),
        })?;
        if !real.is_dir() {
            return Err(Error::NoStore { store: shown, cause: "it is not a folder".into() });
        }
        Ok(Self { root: Arc::new(real) })
    }

    /// Where temporary files go: on the file system of the store, so that they can be renamed into it.
    pub fn scratch(&self) -> PathBuf {
        self.root.join(SCRATCH)
    }

    pub fn full(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn trouble(&self, doing: &str, path: &str, cause: io::Error) -> Error {
        match cause.kind() {
            io::ErrorKind::NotFound => Error::NotFound { store: self.shown(), path: path.to_owned() },
            _ => Error::from_io(self.shown(), format!("{doing} `{path}`"), cause),
        }
    }

    pub fn shown(&self) -> String {
        self.root.display().to_string()
    }

    /// Runs blocking file work on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        path: &str,
        work: impl FnOnce(&Folder, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (folder, full) = (self.clone(), self.full(path));
        let done = tokio::task::spawn_blocking(move || work(&folder, &full)).await;
        done.unwrap_or_else(|panic| Err(io::Error::other(panic))).map_err(|e| self.trouble(doing, path, e))
    }

    pub async fn read(&self, path: &str) -> Result<(Bytes, Tag)> {
        let bytes = self.blocking("reading", path, |_, full| fs::read(full)).await?;
        let tag = Tag::Content(Digest::of(&bytes));
        Ok((bytes.into(), tag))
    }

    pub async fn stat(&self, path: &str) -> Result<Option<u64>> {
        self.blocking("looking for", path, |_, full| match fs::metadata(full) {
            Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
            Ok(_) => Ok(None),
            Err(e) if is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        })
        .await
    }

    /// Puts a file that must not be there yet. Returns whether it was put.
    pub async fn put_new(&self, path: &str, bytes: Bytes) -> Result<bool> {
        self.blocking("writing", path, move |folder, full| {
            let temporary = folder.write_loose(&bytes)?;
            let put = settle(&temporary, full, Existing::Kept);
            if !matches!(put, Ok(true)) {
                let _ = fs::remove_file(&temporary);
            }
            put
        })
        .await
    }

    /// Puts a file in place of whatever is there.
    pub async fn put_over(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.blocking("writing", path, move |folder, full| folder.overwrite(full, &bytes)).await
    }

    /// Replaces a file whose content still is what `tag` says. Returns whether it was replaced.
    pub async fn replace_if(&self, path: &str, tag: Digest, bytes: Bytes) -> Result<bool> {
        self.blocking("replacing", path, move |folder, full| {
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.full(LOCK))?;
            lock.lock()?;
            match fs::read(full) {
                Ok(current) if Digest::of(&current) == tag => {}
                Ok(_) => return Ok(false),
                Err(e) if is_absent(&e) => return Ok(false),
                Err(e) => return Err(e),
            }
            folder.overwrite(full, &bytes)?;
            Ok(true)
        })
        .await
    }

    /// Moves a finished file of the scratch folder to its place, which must be free. Returns what the file holds.
    pub async fn settle_file(&self, from: &Path, path: &str) -> Result<Content> {
        // Through another name somebody could still write to it.
        if fs::metadata(from).is_ok_and(|meta| meta.nlink() > 1) {
            return self.copy_file(from, path).await;
        }
        let from = from.to_owned();
        let settled = self
            .blocking("writing", path, move |_, full| {
                File::open(&from)?.sync_all()?;
                let content = hash_file(&from)?;
                Ok((content, settle(&from, full, Existing::Kept)?))
            })
            .await?;
        match settled {
            (content, true) => Ok(content),
            (ours, false) => self.same_or_conflict(path, ours).await,
        }
    }

    /// Copies a file from anywhere to its place, which must be free or hold the same.
    pub async fn copy_file(&self, from: &Path, path: &str) -> Result<Content> {
        let from = from.to_owned();
        let copied = self
            .blocking("writing", path, move |folder, full| {
                let temporary = folder.loose()?;
                let copy = || {
                    let mut to = File::create_new(&temporary)?;
                    let content = copy_hashing(&mut File::open(&from)?, &mut to)?;
                    to.sync_all()?;
                    Ok((content, settle(&temporary, full, Existing::Kept)?))
                };
                let copied = copy();
                if !matches!(copied, Ok((_, true))) {
                    let _ = fs::remove_file(&temporary);
                }
                copied
            })
            .await?;
        match copied {
            (content, true) => Ok(content),
            (ours, false) => self.same_or_conflict(path, ours).await,
        }
    }

    pub async fn hash(&self, path: &str) -> Result<Content> {
        self.blocking("reading", path, |_, full| hash_file(full)).await
    }

    async fn same_or_conflict(&self, path: &str, ours: Content) -> Result<Content> {
        let theirs = self.hash(path).await?;
        if theirs == ours {
            return Ok(ours);
        }
        Err(Error::Conflict { path: path.to_owned(), theirs: theirs.sha256, ours: ours.sha256 })
    }

    /// Every file below a prefix, in the order of the paths.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let prefix = prefix.to_owned();
        self.blocking("listing", &prefix, |folder, full| {
            let mut found = Vec::new();
            folder.walk(full, &mut found)?;
            found.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(found)
        })
        .await
    }

    fn walk(&self, at: &Path, found: &mut Vec<Listed>) -> io::Result<()> {
        let entries = match fs::read_dir(at) {
            Ok(entries) => entries,
            Err(e) if is_absent(&e) => return Ok(()),
            Err(e) => return Err(e),
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if at == self.root.as_path() && entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // What vanishes while it is listed was deleted by another process.
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                Err(e) if is_absent(&e) => continue,
                Err(e) => return Err(e),
            };
            if meta.is_dir() {
                self.walk(&path, found)?;
            } else if meta.is_file()
                && let Some(name) = path.strip_prefix(self.root.as_path()).ok().and_then(Path::to_str)
            {
                let modified = meta.modified()?.try_into().unwrap_or(Timestamp::UNIX_EPOCH);
                found.push(Listed { path: name.to_owned(), size: meta.len(), modified });
            }
        }
        Ok(())
    }

    pub async fn delete(&self, path: &str) -> Result<()> {
        self.blocking("deleting", path, |_, full| match fs::remove_file(full) {
            Ok(()) => sync_folder(full.parent().unwrap_or(full)),
            Err(e) if is_absent(&e) => Ok(()),
            Err(e) => Err(e),
        })
        .await
    }

    /// Deletes all below a prefix: it is renamed away first, so that no reader finds half of it.
    pub async fn delete_prefix(&self, prefix: &str) -> Result<()> {
        self.blocking("deleting", prefix, |folder, full| {
            let doomed = folder.loose()?;
            match fs::rename(full, &doomed) {
                Ok(()) => {}
                Err(e) if is_absent(&e) => return Ok(()),
                Err(e) => return Err(e),
            }
            let parent = full.parent().unwrap_or(full);
            sync_folder(parent)?;
            let removed = fs::remove_dir_all(&doomed);
            folder.prune_empty(parent);
            removed
        })
        .await
    }

    /// Removes folders that have become empty, upwards; a folder in use is not empty and stays.
    fn prune_empty(&self, from: &Path) {
        let mut at = from;
        while at != self.root.as_path() && at.starts_with(self.root.as_path()) && fs::remove_dir(at).is_ok() {
            let Some(parent) = at.parent() else { return };
            at = parent;
        }
    }

    pub fn sweep_scratch(&self) -> Result<usize> {
        scratch::sweep(&self.scratch()).map_err(|e| self.trouble("sweeping", SCRATCH, e))
    }

    fn loose(&self) -> io::Result<PathBuf> {
        let scratch = self.scratch();
        fs::create_dir_all(&scratch)?;
        Ok(loose_file(&scratch))
    }

    fn write_loose(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let temporary = self.loose()?;
        let written = File::create_new(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(temporary)
    }

    fn overwrite(&self, full: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.write_loose(bytes)?;
        let put = settle(&temporary, full, Existing::Replaced);
        if put.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        put.map(drop)
    }
}

#[derive(Clone, Copy)]
enum Existing {
    Kept,
    Replaced,
}

/// Renames a synced file into its place and syncs the folder. `false` when the place was taken and is kept.
fn settle(from: &Path, to: &Path, existing: Existing) -> io::Result<bool> {
    let parent = to.parent().unwrap_or_else(|| Path::new("/"));
    let mut tries = 0;
    let moved = loop {
        make_folders(parent)?;
        let moved = match existing {
            Existing::Replaced => fs::rename(from, to).map(|()| true),
            Existing::Kept => rename_new(from, to),
        };
        match moved {
            // A sweep removed the empty folder in between.
            Err(e) if e.kind() == io::ErrorKind::NotFound && tries < 10 && from.exists() => tries += 1,
            other => break other?,
        }
    };
    // Also when the place was taken: "it is there" must hold after a power cut, whoever put it.
    sync_folder(parent)?;
    Ok(moved)
}

fn rename_new(from: &Path, to: &Path) -> io::Result<bool> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        // File systems without the flag have hard links, which never replace either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e),
        },
        Err(other) => Err(other.into()),
    }
}

/// Makes the missing folders of a path, each on disk before the next.
fn make_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_folders(parent)?;
        match fs::create_dir(path) {
            Ok(()) => sync_folder(parent)?,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        // Emptied and removed by a sweep meanwhile: there is nothing left to make durable.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The regular files below a folder as (name relative to it, path), in order. Links and special files are refused.
pub(crate) fn regular_files(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let link = "it is a link or a special file, and only regular files can be kept";
    if !fs::symlink_metadata(root).is_ok_and(|meta| meta.is_dir()) {
        return Err(Error::BadName {
            name: root.display().to_string(),
            rule: "the output's folder was taken away",
        });
    }
    let mut found = Vec::new();
    let mut open = vec![(String::new(), root.to_owned())];
    while let Some((name, path)) = open.pop() {
        let reading = |e| Error::from_io(path.display().to_string(), "reading the folder", e);
        for entry in fs::read_dir(&path).map_err(reading)? {
            let entry = entry.map_err(reading)?;
            let file_name = entry.file_name();
            let text = OsStr::to_str(&file_name).ok_or_else(|| Error::BadName {
                name: file_name.to_string_lossy().into_owned(),
                rule: "it is not UTF-8",
            })?;
            let below = if name.is_empty() { text.to_owned() } else { format!("{name}/{text}") };
            let kind = entry.file_type().map_err(reading)?;
            if kind.is_dir() {
                open.push((below, entry.path()));
            } else if kind.is_file() {
                found.push((below, entry.path()));
            } else {
                return Err(Error::BadName { name: below, rule: link });
            }
        }
    }
    found.sort();
    Ok(found)
}

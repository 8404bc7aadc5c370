//! The reading side: manifests, and files checked against them.

use std::path::PathBuf;

use noctule_artifacts::Digest;
use noctule_artifacts::manifest::{FileEntry, Manifest};

use crate::depot::{Depot, PlaceOf};
use crate::error::{Error, Result};
use crate::hashing::Content;
use crate::names::check_path;
use crate::sweep::expired_marker;

/// A file that [`Depot::verify`] did not find as the manifest states it.
#[derive(Debug)]
pub struct Fault {
    pub file: String,
    /// [`Error::Missing`], [`Error::Damaged`] or [`Error::Expired`].
    pub error: Error,
}

/// Where a file of an artifact lies in the store: below the manifest's own prefix, or where an earlier attempt put it.
pub fn file_path(manifest: &Manifest, manifest_path: &str, entry: &FileEntry) -> String {
    match manifest.record.elsewhere.get(&entry.name) {
        Some(path) => path.clone(),
        None => format!("{}{}", folder_of(manifest_path), entry.name),
    }
}

/// The prefix that a file lies in, with its `/`.
pub(crate) fn folder_of(path: &str) -> &str {
    &path[..path.rfind('/').map_or(0, |slash| slash + 1)]
}

fn stated(entry: &FileEntry) -> Content {
    Content { size: entry.size, sha256: entry.sha256 }
}

impl Depot {
    /// Reads the manifest of an artifact.
    pub async fn manifest(&self, path: &str) -> Result<Manifest> {
        let bytes = self.read(path).await?;
        let unreadable = |cause: String| Error::Unreadable { path: path.to_owned(), cause };
        let manifest = Manifest::from_json(&bytes).map_err(|e| unreadable(e.to_string()))?;
        for elsewhere in manifest.record.elsewhere.values() {
            check_path(elsewhere).map_err(|e| unreadable(e.to_string()))?;
        }
        Ok(manifest)
    }

    /// Reads the manifest of an artifact that is known by its digest.
    pub async fn manifest_with(&self, path: &str, digest: Digest) -> Result<Manifest> {
        let manifest = self.manifest(path).await?;
        match manifest.digest() {
            found if found == digest => Ok(manifest),
            found => Err(Error::Damaged {
                path: path.to_owned(),
                artifact: path.to_owned(),
                expected: digest.to_string(),
                found: found.to_string(),
            }),
        }
    }

    /// Whether a committed manifest stands at this path: what decides that an attempt succeeded.
    pub async fn committed(&self, manifest_path: &str) -> Result<Option<Manifest>> {
        match self.manifest(manifest_path).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A local path of a file of an artifact, checked for size and SHA-256. In a folder store it is the file itself,
    /// never to be written to; of any other store it is a cached copy, there as long as a clone of this depot lives.
    pub async fn fetch(
        &self,
        manifest: &Manifest,
        manifest_path: &str,
        entry: &FileEntry,
    ) -> Result<PathBuf> {
        self.fetch_at(&file_path(manifest, manifest_path, entry), entry, manifest_path).await
    }

    /// As [`fetch`](Self::fetch), of a file whose path in the store is known.
    pub(crate) async fn fetch_at(&self, path: &str, entry: &FileEntry, artifact: &str) -> Result<PathBuf> {
        check_path(path)?;
        self.check_size(path, entry, artifact).await?;
        let fetched = match self.place() {
            PlaceOf::Folder(folder) => self.check_local(folder.full(path)).await,
            PlaceOf::Bucket(_) => self.download(path, entry).await,
        };
        let (local, found) = match fetched {
            Ok(fetched) => fetched,
            Err(e) if e.is_not_found() => return Err(self.gone(path, artifact).await),
            Err(e) => return Err(e),
        };
        match found == stated(entry) {
            true => Ok(local),
            false => Err(damaged(path, artifact, entry.sha256.to_string(), found.sha256.to_string())),
        }
    }

    /// Checks that a file is there in its size; cheap, and enough to decide on reuse.
    pub(crate) async fn check_size(&self, path: &str, entry: &FileEntry, artifact: &str) -> Result<()> {
        match self.stat(path).await? {
            Some(size) if size == entry.size => Ok(()),
            Some(size) => {
                Err(damaged(path, artifact, format!("{} bytes", entry.size), format!("{size} bytes")))
            }
            None => Err(self.gone(path, artifact).await),
        }
    }

    /// Says why a file is not there: swept on purpose, or lost.
    async fn gone(&self, path: &str, artifact: &str) -> Error {
        let (path, artifact) = (path.to_owned(), artifact.to_owned());
        let marked = match expired_marker(&path) {
            Some(marker) => self.stat(&marker).await,
            None => Ok(None),
        };
        match marked {
            Ok(Some(_)) => Error::Expired { path, artifact },
            Ok(None) => Error::Missing { path, artifact },
            Err(e) => e,
        }
    }

    async fn check_local(&self, local: PathBuf) -> Result<(PathBuf, Content)> {
        let depot = self.clone();
        let hashed = tokio::task::spawn_blocking(move || {
            let content = depot.cache().content_of(&local);
            content.map(|content| (local, content))
        });
        match hashed.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
            Ok(checked) => Ok(checked),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::NotFound { store: self.shown(), path: String::new() })
            }
            Err(e) => Err(Error::from_io(self.shown(), "checking a file", e)),
        }
    }

    async fn download(&self, path: &str, entry: &FileEntry) -> Result<(PathBuf, Content)> {
        let PlaceOf::Bucket(bucket) = self.place() else {
            unreachable!("a folder's files are read in place")
        };
        let wanted = stated(entry);
        let (depot, cache) = (self.clone(), |e| Error::from_io("the cache folder", "downloading", e));
        let cached = tokio::task::spawn_blocking(move || depot.cache().get(wanted)).await;
        if let Some(local) = cached.unwrap_or_else(|panic| Err(cache(std::io::Error::other(panic))))? {
            return Ok((local, wanted));
        }
        let incoming = self.cache().incoming()?;
        let mut file = tokio::fs::File::create_new(&incoming).await.map_err(cache)?;
        let arrived = bucket.download(path, &mut file).await;
        match arrived {
            Ok(found) if found == wanted => Ok((self.cache().keep(&incoming, found)?, found)),
            other => {
                let _ = std::fs::remove_file(&incoming);
                other.map(|found| (incoming, found))
            }
        }
    }

    /// Whether every file of an artifact is there in its size: what a reuse asks.
    pub async fn is_whole(&self, manifest: &Manifest, manifest_path: &str) -> Result<bool> {
        for entry in &manifest.identity.files {
            match self.check_size(&file_path(manifest, manifest_path, entry), entry, manifest_path).await {
                Ok(()) => {}
                Err(Error::Missing { .. } | Error::Damaged { .. } | Error::Expired { .. }) => {
                    return Ok(false);
                }
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Reads every file of an artifact and compares it with the manifest. An error is one of the store; what is
    /// wrong with the files is in the answer.
    pub async fn verify(&self, manifest: &Manifest, manifest_path: &str) -> Result<Vec<Fault>> {
        let files = manifest.identity.files.iter();
        let files: Vec<_> = files.map(|entry| (file_path(manifest, manifest_path, entry), entry)).collect();
        self.verify_files(files, manifest_path).await
    }

    pub(crate) async fn verify_files(
        &self,
        files: Vec<(String, &FileEntry)>,
        artifact: &str,
    ) -> Result<Vec<Fault>> {
        let mut faults = Vec::new();
        for (path, entry) in files {
            match self.read_through(&path, entry, artifact).await {
                Ok(()) => {}
                Err(error @ (Error::Missing { .. } | Error::Damaged { .. } | Error::Expired { .. })) => {
                    faults.push(Fault { file: entry.name.clone(), error })
                }
                Err(e) => return Err(e),
            }
        }
        Ok(faults)
    }

    /// Reads a file from the store itself, whatever the cache holds.
    async fn read_through(&self, path: &str, entry: &FileEntry, artifact: &str) -> Result<()> {
        check_path(path)?;
        self.check_size(path, entry, artifact).await?;
        let found = match self.place() {
            PlaceOf::Folder(folder) => folder.hash(path).await,
            PlaceOf::Bucket(bucket) => bucket.hash(path).await,
        };
        match found {
            Ok(found) if found == stated(entry) => Ok(()),
            Ok(found) => Err(damaged(path, artifact, entry.sha256.to_string(), found.sha256.to_string())),
            Err(e) if e.is_not_found() => Err(self.gone(path, artifact).await),
            Err(e) => Err(e),
        }
    }
}

fn damaged(path: &str, artifact: &str, expected: String, found: String) -> Error {
    Error::Damaged { path: path.to_owned(), artifact: artifact.to_owned(), expected, found }
}

//! A store and the few operations everything else is made of.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use noctule_artifacts::{Digest, RegistryId, layout};
use serde::{Deserialize, Serialize};

use crate::address::{self, Options, Place};
use crate::bucket::Bucket;
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::folder::Folder;
use crate::names::{check_path, check_prefix};
use crate::scratch::random_name;

/// A store of artifacts and models. Cloning is cheap, and all clones share one cache.
#[derive(Clone, Debug)]
pub struct Depot {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    place: PlaceOf,
    cache: Cache,
}

#[derive(Debug)]
pub(crate) enum PlaceOf {
    Folder(Folder),
    Bucket(Bucket),
}

/// A file that a listing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    pub size: u64,
    pub modified: Timestamp,
}

/// What a file was when it was read; [`Depot::replace_if`] replaces it only while it still is that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    #[doc(hidden)]
    Content(Digest),
    #[doc(hidden)]
    Object { e_tag: Option<String>, version: Option<String> },
}

/// What became of a write that asked for a free place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// The file was written.
    Created,
    /// The place was taken, by the same bytes: an earlier try of this very write, or a twin of it.
    Same,
    /// The place was taken, by these other bytes.
    Other(Bytes),
}

/// What became of a conditional replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replace {
    Replaced,
    /// The file is no longer what the tag says; nothing was written.
    Changed,
}

/// What a registry's claim on a store found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The store was nobody's and is now this registry's.
    Made,
    /// It was this registry's already.
    Ours,
}

#[derive(Serialize, Deserialize)]
struct RegistryObject {
    format: u32,
    registry: RegistryId,
}

impl Depot {
    /// Opens a store by its address: a folder's path, `file://`, `s3://`, `gs://`, `az://`, or `memory://`, which is
    /// empty and gone with the last clone. Nothing is sent yet; [`probe`](Self::probe) finds out whether it works.
    pub fn open(address: &str, options: &Options) -> Result<Self> {
        let place = match address::open(address, options)? {
            Place::Folder(folder) => PlaceOf::Folder(folder),
            Place::Bucket(bucket) => PlaceOf::Bucket(bucket),
        };
        let cache = Cache::new(&options.cache, options.cache_bytes);
        Ok(Self { inner: Arc::new(Inner { place, cache }) })
    }

    pub(crate) fn place(&self) -> &PlaceOf {
        &self.inner.place
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    /// The address as it is shown to people.
    pub fn shown(&self) -> String {
        match self.place() {
            PlaceOf::Folder(folder) => folder.shown(),
            PlaceOf::Bucket(bucket) => bucket.shown().to_owned(),
        }
    }

    /// Where a file lies, or would lie, on this machine; `None` unless the store is a folder.
    pub fn local_path(&self, path: &str) -> Result<Option<PathBuf>> {
        check_path(path)?;
        Ok(match self.place() {
            PlaceOf::Folder(folder) => Some(folder.full(path)),
            PlaceOf::Bucket(_) => None,
        })
    }

    pub async fn read(&self, path: &str) -> Result<Bytes> {
        Ok(self.read_tagged(path).await?.0)
    }

    /// Reads a file with what a later [`replace_if`](Self::replace_if) needs.
    pub async fn read_tagged(&self, path: &str) -> Result<(Bytes, Tag)> {
        check_path(path)?;
        match self.place() {
            PlaceOf::Folder(folder) => folder.read(path).await,
            PlaceOf::Bucket(bucket) => bucket.read(path).await,
        }
    }

    /// The size of a file; `None` when it is not there.
    pub async fn stat(&self, path: &str) -> Result<Option<u64>> {
        check_path(path)?;
        match self.place() {
            PlaceOf::Folder(folder) => folder.stat(path).await,
            PlaceOf::Bucket(bucket) => bucket.stat(path).await,
        }
    }

    /// Writes a file only if its place is free.
    ///
    /// A store may do a write and lose the answer, and the repeated request then finds the place taken: so a taken
    /// place is read, and the same bytes in it are told from others.
    pub async fn put_new(&self, path: &str, bytes: impl Into<Bytes>) -> Result<Put> {
        check_path(path)?;
        let bytes = bytes.into();
        for _ in 0..20 {
            let put = match self.place() {
                PlaceOf::Folder(folder) => folder.put_new(path, bytes.clone()).await?,
                PlaceOf::Bucket(bucket) => bucket.put_new(path, bytes.clone()).await?,
            };
            if put {
                return Ok(Put::Created);
            }
            match self.read(path).await {
                Ok(there) if there == bytes => return Ok(Put::Same),
                Ok(there) => return Ok(Put::Other(there)),
                // S3 also says "taken" while another write is under way that may yet fail.
                Err(e) if e.is_not_found() => tokio::time::sleep(short_pause()).await,
                Err(e) => return Err(e),
            }
        }
        Err(Error::Away {
            store: self.shown(),
            doing: format!("writing `{path}`"),
            cause: "the place is said to be taken, and nothing is there".into(),
        })
    }

    /// Replaces a file only while it still is what `tag` says.
    ///
    /// As with [`put_new`](Self::put_new) the answer to a write may be lost, so `Replaced` means that the file now
    /// holds these bytes. Where it matters who wrote them, the bytes have to say so.
    pub async fn replace_if(&self, path: &str, tag: &Tag, bytes: impl Into<Bytes>) -> Result<Replace> {
        check_path(path)?;
        let bytes = bytes.into();
        let replaced = match (self.place(), tag) {
            (PlaceOf::Folder(folder), Tag::Content(digest)) => {
                folder.replace_if(path, *digest, bytes.clone()).await?
            }
            (PlaceOf::Bucket(bucket), Tag::Object { e_tag, version }) => {
                bucket.replace_if(path, e_tag.clone(), version.clone(), bytes.clone()).await?
            }
            // A tag of another store says nothing about this one.
            _ => false,
        };
        if replaced {
            return Ok(Replace::Replaced);
        }
        // As in `put_new`: the write may have been done and its answer lost.
        match self.read(path).await {
            Ok(there) if there == bytes => Ok(Replace::Replaced),
            Ok(_) => Ok(Replace::Changed),
            Err(e) if e.is_not_found() => Ok(Replace::Changed),
            Err(e) => Err(e),
        }
    }

    /// Every file below a prefix (which ends in `/`, or is empty), in the order of the paths.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        check_prefix(prefix)?;
        match self.place() {
            PlaceOf::Folder(folder) => folder.list(prefix).await,
            PlaceOf::Bucket(bucket) => bucket.list(prefix).await,
        }
    }

    /// Deletes a file; one that is not there is none to delete.
    pub async fn delete(&self, path: &str) -> Result<()> {
        check_path(path)?;
        match self.place() {
            PlaceOf::Folder(folder) => folder.delete(path).await,
            PlaceOf::Bucket(bucket) => bucket.delete(path).await,
        }
    }

    /// Which registry the store belongs to; `None` when it is still nobody's.
    pub async fn registry(&self) -> Result<Option<RegistryId>> {
        match self.read(layout::registry_object()).await {
            Ok(bytes) => Ok(Some(read_registry(&bytes)?)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes the store this registry's, or finds that it is. That of another is refused.
    pub async fn claim(&self, ours: &RegistryId) -> Result<Claim> {
        let object = RegistryObject { format: 1, registry: ours.clone() };
        let mut bytes = serde_json::to_vec_pretty(&object).expect("it has only text keys");
        bytes.push(b'\n');
        match self.put_new(layout::registry_object(), bytes).await? {
            Put::Created => Ok(Claim::Made),
            Put::Same => Ok(Claim::Ours),
            Put::Other(there) => match read_registry(&there)? {
                found if found == *ours => Ok(Claim::Ours),
                found => Err(Error::OtherRegistry { store: self.shown(), found, ours: ours.clone() }),
            },
        }
    }

    /// Checks that the store keeps what is written, that a taken place is refused, and that a replacement is refused
    /// once the file has changed. Without these an artifact or an alias could be overwritten unseen.
    pub async fn probe(&self) -> Result<()> {
        let path = format!("probes/{}", random_name());
        let checked = self.probe_at(&path).await;
        let cleaned = self.delete(&path).await;
        checked.and(cleaned)
    }

    async fn probe_at(&self, path: &str) -> Result<()> {
        let unsuitable = |reason: &str| Error::Unsuitable {
            store: self.shown(),
            reason: reason.to_owned(),
            remedy: "use a store with conditional writes (S3, Google Cloud Storage, Azure, MinIO, R2, or a folder on a local disk)",
        };
        if self.put_new(path, "one").await? != Put::Created {
            return Err(unsuitable("it says that a place is taken which was never used"));
        }
        if self.put_new(path, "two").await? != Put::Other("one".into()) {
            return Err(unsuitable("it has no put-if-absent: a second writer overwrote the first"));
        }
        let (_, first) = self.read_tagged(path).await?;
        if first == (Tag::Object { e_tag: None, version: None }) {
            return Err(unsuitable("it gives its objects neither ETag nor version"));
        }
        if self.replace_if(path, &first, "three").await? != Replace::Replaced {
            return Err(unsuitable("it refuses to replace an object that nobody changed"));
        }
        if self.replace_if(path, &first, "four").await? != Replace::Changed {
            return Err(unsuitable(
                "it has no conditional replace: a change of another writer was overwritten",
            ));
        }
        if self.read(path).await? != "three" {
            return Err(unsuitable("it does not give back what was written last"));
        }
        if !self.list("probes/").await?.iter().any(|listed| listed.path == path) {
            return Err(unsuitable("its listing leaves out an object that was just written"));
        }
        Ok(())
    }
}

fn read_registry(bytes: &[u8]) -> Result<RegistryId> {
    let object: RegistryObject = serde_json::from_slice(bytes).map_err(|e| Error::Unreadable {
        path: layout::registry_object().to_owned(),
        cause: format!("it does not say which registry the store belongs to ({e})"),
    })?;
    Ok(object.registry)
}

pub(crate) fn short_pause() -> std::time::Duration {
    std::time::Duration::from_millis(rand::random_range(5..60))
}

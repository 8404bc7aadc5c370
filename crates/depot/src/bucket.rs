//! A store behind object_store: S3, Google Cloud Storage, Azure, or memory in tests.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

use crate::depot::{Listed, Tag};
use crate::error::{Error, Result};
use crate::hashing::{Content, Hasher};

/// Parts of an upload, and the size up to which a file is put whole.
const PART: usize = 8 << 20;
/// How many parts or requests are under way at once.
const WIDTH: usize = 4;
/// No store takes more parts than this of one object.
const MAX_PARTS: u64 = 9_000;

#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    root: Key,
    shown: String,
}

impl Bucket {
    pub fn new(store: Arc<dyn ObjectStore>, root: Key, shown: String) -> Self {
        Self { store, root, shown }
    }

    pub fn shown(&self) -> &str {
        &self.shown
    }

    fn key(&self, path: &str) -> Result<Key> {
        let full =
            if self.root.as_ref().is_empty() { path.to_owned() } else { format!("{}/{path}", self.root) };
        Key::parse(full).map_err(|_| Error::BadName {
            name: path.to_owned(),
            rule: "object stores cannot keep this name",
        })
    }

    fn trouble(&self, doing: &str, path: &str, cause: object_store::Error) -> Error {
        Error::from_store(&self.shown, path, doing, cause)
    }

    /// A write that finds nothing means that the bucket itself is absent.
    fn write_trouble(&self, path: &str, cause: object_store::Error) -> Error {
        match self.trouble("writing", path, cause) {
            Error::NotFound { store, .. } => {
                Error::NoStore { store, cause: "the bucket was not found".into() }
            }
            other => other,
        }
    }

    pub async fn read(&self, path: &str) -> Result<(Bytes, Tag)> {
        let key = self.key(path)?;
        let got = self.store.get(&key).await.map_err(|e| self.trouble("reading", path, e))?;
        let tag = Tag::Object { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
        let bytes = got.bytes().await.map_err(|e| self.trouble("reading", path, e))?;
        Ok((bytes, tag))
    }

    pub async fn stat(&self, path: &str) -> Result<Option<u64>> {
        match self.store.head(&self.key(path)?).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.trouble("looking for", path, e)),
        }
    }

    pub async fn put_new(&self, path: &str, bytes: Bytes) -> Result<bool> {
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&self.key(path)?, bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(e) => Err(self.write_trouble(path, e)),
        }
    }

    pub async fn replace_if(
        &self,
        path: &str,
        e_tag: Option<String>,
        version: Option<String>,
        bytes: Bytes,
    ) -> Result<bool> {
        let options = PutOptions::from(PutMode::Update(UpdateVersion { e_tag, version }));
        match self.store.put_opts(&self.key(path)?, bytes.into(), options).await {
            Ok(_) => Ok(true),
            Err(
                object_store::Error::Precondition { .. }
                | object_store::Error::AlreadyExists { .. }
                | object_store::Error::NotModified { .. },
            ) => Ok(false),
            Err(e) => Err(self.write_trouble(path, e)),
        }
    }

    /// Uploads a local file and returns what it holds, hashed from the very bytes that were sent.
    pub async fn upload(&self, from: &Path, path: &str) -> Result<Content> {
        let key = self.key(path)?;
        let local = |e| Error::from_io(from.display().to_string(), "reading the file", e);
        let file = std::fs::File::open(from).map_err(local)?;
        let size = file.metadata().map_err(local)?.len();
        let mut pieces = Pieces { file, hasher: Hasher::default(), part: part_size(size) };
        let first;
        (pieces, first) = pieces.next().await.map_err(local)?;
        if (first.len() as u64) >= size {
            self.store.put(&key, first.into()).await.map_err(|e| self.write_trouble(path, e))?;
            return Ok(pieces.hasher.finish());
        }
        let mut upload = self.store.put_multipart(&key).await.map_err(|e| self.write_trouble(path, e))?;
        match self.send_parts(&mut *upload, pieces, first, from, path).await {
            Ok(content) => Ok(content),
            Err(error) => {
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        mut pieces: Pieces,
        first: Bytes,
        from: &Path,
        path: &str,
    ) -> Result<Content> {
        let mut under_way = FuturesUnordered::new();
        let mut piece = first;
        while !piece.is_empty() {
            under_way.push(upload.put_part(piece.into()));
            if under_way.len() >= WIDTH {
                under_way.next().await.transpose().map_err(|e| self.write_trouble(path, e))?;
            }
            (pieces, piece) = pieces
                .next()
                .await
                .map_err(|e| Error::from_io(from.display().to_string(), "reading the file", e))?;
        }
        under_way.try_collect::<()>().await.map_err(|e| self.write_trouble(path, e))?;
        upload.complete().await.map_err(|e| self.write_trouble(path, e))?;
        Ok(pieces.hasher.finish())
    }

    /// Streams an object into a local file and returns what arrived.
    pub async fn download(&self, path: &str, to: &mut tokio::fs::File) -> Result<Content> {
        use tokio::io::AsyncWriteExt;
        let got = self.store.get(&self.key(path)?).await.map_err(|e| self.trouble("reading", path, e))?;
        let mut stream = got.into_stream();
        let mut hasher = Hasher::default();
        let local = |e| Error::from_io("the cache folder", format!("downloading `{path}`"), e);
        while let Some(bytes) = stream.try_next().await.map_err(|e| self.trouble("reading", path, e))? {
            hasher.update(&bytes);
            to.write_all(&bytes).await.map_err(local)?;
        }
        to.flush().await.map_err(local)?;
        Ok(hasher.finish())
    }

    /// Reads an object and returns what it holds, keeping nothing.
    pub async fn hash(&self, path: &str) -> Result<Content> {
        let got = self.store.get(&self.key(path)?).await.map_err(|e| self.trouble("reading", path, e))?;
        let mut stream = got.into_stream();
        let mut hasher = Hasher::default();
        while let Some(bytes) = stream.try_next().await.map_err(|e| self.trouble("reading", path, e))? {
            hasher.update(&bytes);
        }
        Ok(hasher.finish())
    }

    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let key = match prefix.trim_end_matches('/') {
            "" => self.root.clone(),
            path => self.key(path)?,
        };
        let below_root = |key: &Key| {
            let text = key.as_ref().strip_prefix(self.root.as_ref())?;
            Some(text.trim_start_matches('/').to_owned())
        };
        let mut found: Vec<Listed> = self
            .store
            .list(Some(&key))
            .try_filter_map(|meta| async move {
                let modified = Timestamp::from_millisecond(meta.last_modified.timestamp_millis())
                    .unwrap_or(Timestamp::UNIX_EPOCH);
                Ok(below_root(&meta.location).map(|path| Listed { path, size: meta.size, modified }))
            })
            .try_collect()
            .await
            .map_err(|e| self.trouble("listing", prefix, e))?;
        found.retain(|listed| !listed.path.starts_with('.'));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    pub async fn delete(&self, path: &str) -> Result<()> {
        match self.store.delete(&self.key(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.trouble("deleting", path, e)),
        }
    }

    /// Deletes all below a prefix; what makes files visible goes first, so that no reader finds half an artifact.
    pub async fn delete_prefix(&self, prefix: &str, visible_first: &[&str]) -> Result<()> {
        let mut paths: Vec<String> = self.list(prefix).await?.into_iter().map(|listed| listed.path).collect();
        paths.retain(|path| path.starts_with(prefix));
        let is_visible =
            |path: &String| visible_first.iter().any(|name| path.rsplit('/').next() == Some(name));
        let (visible, rest): (Vec<String>, Vec<String>) = paths.into_iter().partition(is_visible);
        for paths in [visible, rest] {
            futures::stream::iter(paths)
                .map(|path| async move { self.delete(&path).await })
                .buffer_unordered(4 * WIDTH)
                .try_collect::<()>()
                .await?;
        }
        Ok(())
    }
}

fn part_size(size: u64) -> usize {
    let needed = size.div_ceil(MAX_PARTS);
    // Whole mebibytes: some stores want all parts of one size, and all want at least five.
    PART.max((needed.div_ceil(1 << 20) << 20) as usize)
}

/// A local file, read and hashed piece by piece away from the async threads.
struct Pieces {
    file: std::fs::File,
    hasher: Hasher,
    part: usize,
}

impl Pieces {
    /// The next piece; empty at the end.
    async fn next(self) -> io::Result<(Self, Bytes)> {
        let Pieces { mut file, mut hasher, part } = self;
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::new();
            (&mut file).take(part as u64).read_to_end(&mut piece)?;
            hasher.update(&piece);
            Ok((Pieces { file, hasher, part }, Bytes::from(piece)))
        });
        read.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stay_within_what_stores_take() {
        assert_eq!(part_size(0), PART);
        let huge = 5 << 40;
        assert!(huge / part_size(huge) as u64 <= MAX_PARTS);
        assert_eq!(part_size(huge) % (1 << 20), 0);
    }
}

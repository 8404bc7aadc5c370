//! Published versions, alias pointers and promotion records.

use std::path::PathBuf;

use noctule_artifacts::manifest::{FileEntry, Manifest};
use noctule_artifacts::version::{AliasPointer, PromotionRecord, VersionError, VersionManifest};
use noctule_artifacts::{ModelName, VersionNumber, layout};
use serde::{Deserialize, Serialize};

use crate::depot::{Depot, PlaceOf, Put, Replace, short_pause};
use crate::error::{Error, Result};
use crate::fetch::{Fault, file_path};
use crate::names::check_path;

/// The object by which one artifact takes a version number for itself before any of its files is copied.
const RESERVED: &str = "reserved.json";

/// A version that stands in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    pub version: VersionManifest,
    /// Whether an earlier try had published it before.
    pub already: bool,
}

/// What became of an alias pointer.
#[derive(Debug, Clone, PartialEq)]
pub enum Pointed {
    Written,
    /// The same pointer was there already.
    Same,
    /// A pointer of a higher sequence is there, and stays.
    Newer(AliasPointer),
}

#[derive(Serialize, Deserialize)]
struct Reserved {
    digest: noctule_artifacts::Digest,
}

/// Where a file of a published version lies in the store.
fn version_file(model: &ModelName, version: VersionNumber, entry: &FileEntry) -> String {
    format!("{}{}", layout::version_prefix(model, version), entry.name)
}

/// Whether two manifests publish the same. A second try differs in its time, and in its gate when the alias had moved
/// and the candidate was judged again; what is there stays.
fn same_version(a: &VersionManifest, b: &VersionManifest) -> bool {
    VersionManifest { created: b.created, gate: b.gate, ..a.clone() } == *b
}

impl Depot {
    /// Copies the files of a model artifact, each checked, into the version that `version` names, and writes the
    /// version's manifest last. Repeating it is the same as doing it once.
    pub async fn publish(
        &self,
        model: &Manifest,
        manifest_path: &str,
        version: VersionManifest,
    ) -> Result<Published> {
        self.reserve(&version).await?;
        for entry in &version.files {
            let from = self.fetch_at(&file_path(model, manifest_path, entry), entry, manifest_path).await?;
            self.bring_in(&from, &version, entry).await?;
        }
        self.put_version(version).await
    }

    /// Takes the version number for this artifact, before anything is copied.
    pub(crate) async fn reserve(&self, version: &VersionManifest) -> Result<()> {
        let path = format!("{}{RESERVED}", layout::version_prefix(&version.model, version.version));
        for entry in &version.files {
            check_path(&version_file(&version.model, version.version, entry))?;
        }
        let reserved = Reserved { digest: version.digest };
        let bytes = serde_json::to_vec(&reserved).expect("it has only text keys");
        match self.put_new(&path, bytes).await? {
            Put::Created | Put::Same => Ok(()),
            Put::Other(there) => {
                let theirs: Reserved = serde_json::from_slice(&there)
                    .map_err(|e| Error::Unreadable { path: path.clone(), cause: e.to_string() })?;
                Err(Error::Conflict { path, theirs: theirs.digest, ours: version.digest })
            }
        }
    }

    /// Puts a local file into a reserved version.
    pub(crate) async fn bring_in(
        &self,
        from: &std::path::Path,
        version: &VersionManifest,
        entry: &FileEntry,
    ) -> Result<()> {
        let path = version_file(&version.model, version.version, entry);
        let content = match self.place() {
            PlaceOf::Folder(folder) => folder.copy_file(from, &path).await?,
            PlaceOf::Bucket(bucket) => bucket.upload(from, &path).await?,
        };
        if (content.size, content.sha256) == (entry.size, entry.sha256) {
            return Ok(());
        }
        Err(Error::Damaged {
            path: from.display().to_string(),
            artifact: path,
            expected: entry.sha256.to_string(),
            found: content.sha256.to_string(),
        })
    }

    /// Writes a version's manifest, which makes the version visible.
    pub(crate) async fn put_version(&self, version: VersionManifest) -> Result<Published> {
        let path = layout::version_manifest(&version.model, version.version);
        match self.put_new(&path, version.to_json()).await? {
            Put::Created => Ok(Published { version, already: false }),
            Put::Same => Ok(Published { version, already: true }),
            Put::Other(_) => {
                let there = self.version(&version.model, version.version).await?;
                match same_version(&there, &version) {
                    true => Ok(Published { version: there, already: true }),
                    false => Err(Error::Conflict { path, theirs: there.digest, ours: version.digest }),
                }
            }
        }
    }

    pub async fn version(&self, model: &ModelName, version: VersionNumber) -> Result<VersionManifest> {
        let path = layout::version_manifest(model, version);
        let manifest = parsed(&path, VersionManifest::from_json(&self.read(&path).await?))?;
        for entry in &manifest.files {
            check_path(&version_file(model, version, entry))?;
        }
        if (&manifest.model, manifest.version) != (model, version) {
            let cause = format!("it is the manifest of {} version {}", manifest.model, manifest.version);
            return Err(Error::Unreadable { path, cause });
        }
        Ok(manifest)
    }

    /// The numbers of the versions of a model whose manifests stand, in order.
    pub async fn versions(&self, model: &ModelName) -> Result<Vec<VersionNumber>> {
        let prefix = format!("models/{model}/versions/");
        let mut found: Vec<VersionNumber> = Vec::new();
        for listed in self.list(&prefix).await? {
            if let Some(number) = listed.path[prefix.len()..].strip_suffix("/version.json")
                && let Ok(number) = number.parse()
            {
                found.push(number);
            }
        }
        found.sort();
        Ok(found)
    }

    /// The names of the models that have anything in the store, in order.
    pub async fn models(&self) -> Result<Vec<ModelName>> {
        let listed = self.list("models/").await?;
        let mut names: Vec<ModelName> =
            listed.iter().filter_map(|l| l.path.split('/').nth(1)?.parse().ok()).collect();
        names.dedup();
        Ok(names)
    }

    /// A local path of a file of a published version, checked as in [`fetch`](Self::fetch).
    pub async fn fetch_version(&self, version: &VersionManifest, entry: &FileEntry) -> Result<PathBuf> {
        let artifact = layout::version_manifest(&version.model, version.version);
        self.fetch_at(&version_file(&version.model, version.version, entry), entry, &artifact).await
    }

    /// Reads every file of a published version and compares it with the version's manifest.
    pub async fn verify_version(&self, version: &VersionManifest) -> Result<Vec<Fault>> {
        let artifact = layout::version_manifest(&version.model, version.version);
        let files = version.files.iter();
        let files: Vec<_> =
            files.map(|entry| (version_file(&version.model, version.version, entry), entry)).collect();
        self.verify_files(files, &artifact).await
    }

    /// Writes an alias pointer, unless one of a higher sequence is there.
    pub async fn point(&self, pointer: &AliasPointer) -> Result<Pointed> {
        let path = layout::alias_pointer(&pointer.model, &pointer.alias);
        for _ in 0..100 {
            let (bytes, tag) = match self.read_tagged(&path).await {
                Ok(read) => read,
                Err(e) if e.is_not_found() => match self.put_new(&path, pointer.to_json()).await? {
                    Put::Created => return Ok(Pointed::Written),
                    Put::Same => return Ok(Pointed::Same),
                    Put::Other(_) => continue,
                },
                Err(e) => return Err(e),
            };
            let there = parsed(&path, AliasPointer::from_json(&bytes))?;
            if there == *pointer {
                return Ok(Pointed::Same);
            }
            if there.sequence >= pointer.sequence {
                return Ok(Pointed::Newer(there));
            }
            match self.replace_if(&path, &tag, pointer.to_json()).await? {
                Replace::Replaced => return Ok(Pointed::Written),
                Replace::Changed => tokio::time::sleep(short_pause()).await,
            }
        }
        Err(Error::Away {
            store: self.shown(),
            doing: format!("writing `{path}`"),
            cause: "other writers kept changing it".into(),
        })
    }

    /// Where an alias points; `None` when it has no pointer.
    pub async fn pointer(
        &self,
        model: &ModelName,
        alias: &noctule_artifacts::AliasName,
    ) -> Result<Option<AliasPointer>> {
        let path = layout::alias_pointer(model, alias);
        match self.read(&path).await {
            Ok(bytes) => parsed(&path, AliasPointer::from_json(&bytes)).map(Some),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Keeps a promotion's record beside the versions. One that is there already has to be the same.
    pub async fn record_promotion(&self, record: &PromotionRecord) -> Result<()> {
        let path = layout::promotion_record(&record.model, record.sequence);
        let bytes = record.to_json();
        let ours = noctule_artifacts::Digest::of(&bytes);
        match self.put_new(&path, bytes).await? {
            Put::Created | Put::Same => Ok(()),
            Put::Other(there) => {
                Err(Error::Conflict { path, theirs: noctule_artifacts::Digest::of(&there), ours })
            }
        }
    }

    /// The promotion records of a model, in the order of their sequence.
    pub async fn promotions(&self, model: &ModelName) -> Result<Vec<PromotionRecord>> {
        let mut records = Vec::new();
        for listed in self.list(&format!("models/{model}/promotions/")).await? {
            let bytes = self.read(&listed.path).await?;
            records.push(parsed(&listed.path, PromotionRecord::from_json(&bytes))?);
        }
        records.sort_by_key(|record| record.sequence);
        Ok(records)
    }
}

fn parsed<T>(path: &str, result: Result<T, VersionError>) -> Result<T> {
    result.map_err(|e| Error::Unreadable { path: path.to_owned(), cause: e.to_string() })
}

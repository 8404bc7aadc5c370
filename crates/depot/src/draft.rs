//! The writing side: an attempt's output in the making, and its commit.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use noctule_artifacts::manifest::{FORMAT, FileEntry, Identity, Manifest, Outcome, Output, Record};
use noctule_artifacts::{Digest, OutputName, layout};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::depot::{Depot, PlaceOf, Put};
use crate::error::{Error, Result};
use crate::fetch::file_path;
use crate::folder::regular_files;
use crate::names::{check_path, check_prefix};
use crate::scratch::{Scratch, random_name};

/// The object by which the first of several processes of one attempt takes the plain file names for itself.
const FIRST: &str = "first.json";

/// How many files are brought to the store at once.
const WIDTH: usize = 4;

/// The files of one attempt before they are an artifact. Dropping it leaves nothing visible behind.
///
/// Files are written to a local folder, on the store's own file system when the store is a folder, so that the commit
/// renames them into place.
#[derive(Debug)]
pub struct Draft {
    depot: Depot,
    prefix: String,
    scratch: DraftFolder,
    rows: BTreeMap<String, u64>,
    created: BTreeMap<String, OutputName>,
    folders: Vec<OutputName>,
    taken_over: BTreeMap<String, TakenOver>,
}

#[derive(Debug)]
enum DraftFolder {
    Own(Scratch),
    InCache(PathBuf, #[expect(dead_code, reason = "keeps the working folder alive")] Arc<Scratch>),
}

#[derive(Debug)]
struct TakenOver {
    entry: FileEntry,
    path: String,
    artifact: String,
}

/// What the artifact is, beside its files.
#[derive(Debug, Clone, PartialEq)]
pub struct Contents {
    pub kind: String,
    pub outcome: Outcome,
    pub outputs: BTreeMap<OutputName, Output>,
    pub facts: BTreeMap<String, Value>,
}

/// A draft that has become an artifact.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// Path of the manifest in the store.
    pub path: String,
    pub manifest: Manifest,
    pub digest: Digest,
    /// Whether another process of this attempt had committed the same result before.
    pub already: bool,
}

#[derive(Serialize, Deserialize)]
struct First {
    draft: String,
}

impl Depot {
    /// Begins the output of an attempt; `prefix` is its own, as [`layout::attempt_prefix`] spells it.
    pub fn draft(&self, prefix: &str) -> Result<Draft> {
        check_prefix(prefix)?;
        let making = |e| Error::from_io(self.shown(), "making a working folder", e);
        let scratch = match self.place() {
            PlaceOf::Folder(folder) => {
                let _ = folder.sweep_scratch();
                DraftFolder::Own(Scratch::new(&folder.scratch()).map_err(making)?)
            }
            PlaceOf::Bucket(_) => {
                let session = self.cache().session()?;
                let folder = session.path().join(format!("draft-{}", random_name()));
                DraftFolder::InCache(folder, session)
            }
        };
        let draft = Draft {
            depot: self.clone(),
            prefix: prefix.to_owned(),
            scratch,
            rows: BTreeMap::new(),
            created: BTreeMap::new(),
            folders: Vec::new(),
            taken_over: BTreeMap::new(),
        };
        draft.make_folder(&draft.files_root())?;
        Ok(draft)
    }
}

impl Draft {
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    fn root(&self) -> &Path {
        match &self.scratch {
            DraftFolder::Own(scratch) => scratch.path(),
            DraftFolder::InCache(path, _) => path,
        }
    }

    fn files_root(&self) -> PathBuf {
        self.root().join("files")
    }

    fn make_folder(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path)
            .map_err(|e| Error::from_io(path.display().to_string(), "making a working folder", e))
    }

    /// A folder for what is no output, such as spill files. It goes with the draft.
    pub fn spill_folder(&self) -> Result<PathBuf> {
        let path = self.root().join("spill");
        self.make_folder(&path)?;
        Ok(path)
    }

    /// A path to write one file of an output to; `name` may hold folders. The manifest names it `<output>/<name>`.
    /// Its folder exists, the file does not; it has to be there, closed, when the draft is committed.
    pub fn create(&mut self, output: &OutputName, name: &str) -> Result<PathBuf> {
        let full = self.full_name(output, name)?;
        if self.created.contains_key(&full) || self.taken_over.contains_key(&full) {
            return Err(Error::BadName { name: full, rule: "the draft already has a file of this name" });
        }
        let path = self.files_root().join(&full);
        if let Some(folder) = path.parent() {
            self.make_folder(folder)?;
        }
        self.created.insert(full, output.clone());
        Ok(path)
    }

    /// States how many rows a table file has. `name` is as in [`create`](Self::create).
    pub fn set_rows(&mut self, output: &OutputName, name: &str, rows: u64) {
        self.rows.insert(format!("{output}/{name}"), rows);
    }

    /// A folder whose files, whatever their names, all become files of the output at commit: for foreign commands.
    pub fn folder(&mut self, output: &OutputName) -> Result<PathBuf> {
        let path = self.files_root().join(output.as_str());
        self.make_folder(&path)?;
        if !self.folders.contains(output) {
            self.folders.push(output.clone());
        }
        Ok(path)
    }

    /// Makes a file of an earlier artifact part of this one without copying it. That it is still there is checked at
    /// commit.
    pub fn take_over(&mut self, entry: &FileEntry, from: &Manifest, manifest_path: &str) -> Result<()> {
        if self.created.contains_key(&entry.name) || self.taken_over.contains_key(&entry.name) {
            let rule = "the draft already has a file of this name";
            return Err(Error::BadName { name: entry.name.clone(), rule });
        }
        let path = file_path(from, manifest_path, entry);
        check_path(&path)?;
        let taken = TakenOver { entry: entry.clone(), path, artifact: manifest_path.to_owned() };
        self.taken_over.insert(entry.name.clone(), taken);
        Ok(())
    }

    fn full_name(&self, output: &OutputName, name: &str) -> Result<String> {
        let full = format!("{output}/{name}");
        check_path(&format!("{}{full}", self.prefix))?;
        Ok(full)
    }

    /// Makes the draft an artifact: the files first, the manifest last and only into a free place.
    ///
    /// `record.elsewhere` is filled in here; the rest is as given. When the attempt is committed already by another
    /// process with the same result, that is success; with another result it is [`Error::Conflict`], and the one that
    /// is there stands.
    pub async fn commit(self, contents: Contents, mut record: Record) -> Result<Committed> {
        let mut entries = Vec::new();
        for taken in self.taken_over.values() {
            self.depot.check_size(&taken.path, &taken.entry, &taken.artifact).await?;
            record.elsewhere.insert(taken.entry.name.clone(), taken.path.clone());
            entries.push(taken.entry.clone());
        }
        let files = self.local_files()?;
        if !files.is_empty() {
            let home = self.home().await?;
            let placed: Vec<FileEntry> = futures::stream::iter(files)
                .map(|(name, (output, local))| self.place(&home, name, output, local))
                .buffered(WIDTH)
                .try_collect()
                .await?;
            if home != self.prefix {
                record.elsewhere.extend(placed.iter().map(|f| (f.name.clone(), format!("{home}{}", f.name))));
            }
            entries.extend(placed);
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let Contents { kind, outcome, outputs, facts } = contents;
        let identity = Identity { kind, outcome, files: entries, outputs, facts };
        self.put_manifest(Manifest { format: FORMAT, identity, record }).await
    }

    /// Brings one file to its place in the store.
    async fn place(&self, home: &str, name: String, output: OutputName, local: PathBuf) -> Result<FileEntry> {
        let path = format!("{home}{name}");
        let content = match self.depot.place() {
            PlaceOf::Folder(folder) => folder.settle_file(&local, &path).await?,
            PlaceOf::Bucket(bucket) => bucket.upload(&local, &path).await?,
        };
        let rows = self.rows.get(&name).copied();
        Ok(FileEntry { output, name, size: content.size, sha256: content.sha256, rows })
    }

    /// The files that were created or found in the draft's folders: name, output, local path.
    fn local_files(&self) -> Result<BTreeMap<String, (OutputName, PathBuf)>> {
        let root = self.files_root();
        let mut files = BTreeMap::new();
        for (name, output) in &self.created {
            let path = root.join(name);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_file() => {}
                Ok(_) => {
                    return Err(Error::BadName { name: name.clone(), rule: "it is not a regular file" });
                }
                Err(e) => return Err(Error::from_io(path.display().to_string(), "looking for an output", e)),
            }
            files.insert(name.clone(), (output.clone(), path));
        }
        for output in &self.folders {
            for (name, path) in regular_files(&root.join(output.as_str()))? {
                files.insert(self.full_name(output, &name)?, (output.clone(), path));
            }
        }
        Ok(files)
    }

    /// The prefix for this draft's files. Of two processes of one attempt (or of a dead one and its twin) the second
    /// writes beside the first, never over its files.
    async fn home(&self) -> Result<String> {
        let draft = random_name();
        let claim = serde_json::to_vec(&First { draft: draft.clone() }).expect("it has only text keys");
        Ok(match self.depot.put_new(&format!("{}{FIRST}", self.prefix), claim).await? {
            Put::Created | Put::Same => self.prefix.clone(),
            Put::Other(_) => format!("{}again-{draft}/", self.prefix),
        })
    }

    async fn put_manifest(&self, manifest: Manifest) -> Result<Committed> {
        let path = format!("{}{}", self.prefix, layout::MANIFEST);
        let digest = manifest.digest();
        match self.depot.put_new(&path, manifest.to_json()).await? {
            Put::Created => Ok(Committed { path, manifest, digest, already: false }),
            Put::Same => Ok(Committed { path, manifest, digest, already: true }),
            Put::Other(_) => {
                let manifest = self.depot.manifest(&path).await?;
                match manifest.digest() {
                    theirs if theirs == digest => Ok(Committed { path, manifest, digest, already: true }),
                    theirs => Err(Error::Conflict { path, theirs, ours: digest }),
                }
            }
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let DraftFolder::InCache(path, _) = &self.scratch {
            let _ = fs::remove_dir_all(path);
        }
    }
}

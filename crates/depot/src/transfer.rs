//! Logs, and versions carried between stores as folders.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use noctule_artifacts::manifest::is_inside;
use noctule_artifacts::version::VersionManifest;

use crate::depot::{Depot, PlaceOf};
use crate::error::{Error, Result};
use crate::hashing::{copy_hashing, hash_file};
use crate::models::Published;
use crate::names::check_path;

/// The name of the version's manifest in an exported folder.
const MANIFEST: &str = "version.json";

impl Depot {
    /// Where an attempt's log is written while it runs. In a folder store that is its place in the store, whose folder
    /// is made here; for any other store `None`: write it somewhere and [`upload_log`](Self::upload_log) it.
    pub fn log_file(&self, path: &str) -> Result<Option<PathBuf>> {
        let Some(local) = self.local_path(path)? else { return Ok(None) };
        if let Some(folder) = local.parent() {
            fs::create_dir_all(folder)
                .map_err(|e| Error::from_io(self.shown(), "making the log's folder", e))?;
        }
        Ok(Some(local))
    }

    /// Puts a log into the store, over an earlier state of it. In a folder store the log is there already.
    pub async fn upload_log(&self, path: &str, local: &Path) -> Result<()> {
        check_path(path)?;
        match self.place() {
            PlaceOf::Folder(folder) if folder.full(path) == local => Ok(()),
            PlaceOf::Folder(folder) => {
                let bytes = fs::read(local)
                    .map_err(|e| Error::from_io(local.display().to_string(), "reading the log", e))?;
                folder.put_over(path, bytes.into()).await
            }
            PlaceOf::Bucket(bucket) => bucket.upload(local, path).await.map(drop),
        }
    }

    /// Writes a published version to a folder that is absent or empty: every file checked, the manifest last.
    pub async fn export_version(&self, version: &VersionManifest, folder: &Path) -> Result<()> {
        let place = folder.display().to_string();
        let trouble = |doing: &str| {
            let (place, doing) = (place.clone(), doing.to_owned());
            move |e| Error::from_io(place, doing, e)
        };
        fs::create_dir_all(folder).map_err(trouble("making the folder"))?;
        if fs::read_dir(folder).map_err(trouble("reading the folder"))?.next().is_some() {
            return Err(Error::BadName { name: place, rule: "the folder to export to has to be empty" });
        }
        for entry in &version.files {
            let from = self.fetch_version(version, entry).await?;
            let to = folder.join(&entry.name);
            fs::create_dir_all(to.parent().unwrap_or(folder)).map_err(trouble("making the folder"))?;
            let mut out = File::create_new(&to).map_err(trouble("exporting"))?;
            let mut source = File::open(&from).map_err(trouble("exporting"))?;
            let copied = copy_hashing(&mut source, &mut out).map_err(trouble("exporting"))?;
            out.sync_all().map_err(trouble("exporting"))?;
            if copied.sha256 != entry.sha256 {
                return Err(Error::Damaged {
                    path: entry.name.clone(),
                    artifact: place,
                    expected: entry.sha256.to_string(),
                    found: copied.sha256.to_string(),
                });
            }
        }
        let mut manifest = File::create_new(folder.join(MANIFEST)).map_err(trouble("exporting"))?;
        manifest
            .write_all(&version.to_json())
            .and_then(|()| manifest.sync_all())
            .map_err(trouble("exporting"))
    }

    /// Publishes the files of an exported folder as `version`, which names the same files under this registry's own
    /// number. Read the folder with [`read_export`] first.
    pub async fn import_version(&self, folder: &Path, version: VersionManifest) -> Result<Published> {
        self.reserve(&version).await?;
        for entry in &version.files {
            self.bring_in(&folder.join(&entry.name), &version, entry).await?;
        }
        self.put_version(version).await
    }
}

/// Reads an exported folder and checks every file in it.
pub fn read_export(folder: &Path) -> Result<VersionManifest> {
    let path = folder.join(MANIFEST);
    let shown = path.display().to_string();
    let bytes = fs::read(&path).map_err(|e| Error::from_io(&shown, "reading an exported version", e))?;
    let unreadable = |cause: String| Error::Unreadable { path: shown.clone(), cause };
    let version = VersionManifest::from_json(&bytes).map_err(|e| unreadable(e.to_string()))?;
    for entry in &version.files {
        if !is_inside(&entry.name) {
            return Err(unreadable(format!("it names the file `{}`, which leaves the folder", entry.name)));
        }
        let (path, artifact) = (entry.name.clone(), shown.clone());
        let found = match hash_file(&folder.join(&entry.name)) {
            Ok(found) => found,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::Missing { path, artifact });
            }
            Err(e) => return Err(Error::from_io(&shown, format!("reading `{path}`"), e)),
        };
        if (found.size, found.sha256) != (entry.size, entry.sha256) {
            let (expected, found) = (entry.sha256.to_string(), found.sha256.to_string());
            return Err(Error::Damaged { path, artifact, expected, found });
        }
    }
    Ok(version)
}

//! Addresses of stores, and what else is needed to open one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use object_store::path::Path as Key;
use url::Url;

use crate::bucket::Bucket;
use crate::error::{Error, Result, chain};
use crate::folder::Folder;
use crate::remote;

/// What opening a store may depend on. Nothing is read from the process's environment after this was made.
#[derive(Clone)]
pub struct Options {
    /// Whether the folder of a file store is made when it is absent.
    pub create: bool,
    /// Variables that may hold credentials and settings: `AWS_*`, `GOOGLE_*`, `AZURE_*` and their companions.
    pub environment: Vec<(String, String)>,
    /// Where files of a remote store are kept after their download, by their digest.
    pub cache: PathBuf,
    /// The size that the cache is brought back to after each download.
    pub cache_bytes: u64,
    /// For how long a failing request is repeated before the store counts as away.
    pub patience: Duration,
}

impl Options {
    /// Takes credentials from the environment, and keeps the cache in the user's cache folder.
    pub fn from_environment() -> Self {
        let environment: Vec<_> = std::env::vars().filter(|(name, _)| remote::is_setting(name)).collect();
        let cache = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
            .unwrap_or_else(std::env::temp_dir)
            .join("noctule");
        Self { create: false, environment, cache, cache_bytes: 20 << 30, patience: Duration::from_secs(60) }
    }
}

/// Values may be credentials, so only the names are shown.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("Options")
            .field("create", &self.create)
            .field("environment", &names)
            .field("cache", &self.cache)
            .field("cache_bytes", &self.cache_bytes)
            .field("patience", &self.patience)
            .finish()
    }
}

pub(crate) enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

pub(crate) fn open(address: &str, options: &Options) -> Result<Place> {
    let bad = |rule: String| Error::BadAddress { address: address.to_owned(), rule };
    if address.is_empty() {
        return Err(bad("it is empty".into()));
    }
    if !address.contains("://") {
        return Ok(Place::Folder(Folder::open(Path::new(address), options.create)?));
    }
    let url = Url::parse(address).map_err(|e| bad(e.to_string()))?;
    if url.password().is_some() {
        // Not repeated: it holds a secret.
        let address = format!("{}://…", url.scheme());
        let rule = "credentials belong in the environment, not in the address".into();
        return Err(Error::BadAddress { address, rule });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it has a `?` or `#` part".into()));
    }
    if url.scheme() == "file" {
        let path = url.to_file_path().map_err(|()| bad("write `file:///absolute/path`".into()))?;
        return Ok(Place::Folder(Folder::open(&path, options.create)?));
    }
    let root = Key::from_url_path(url.path()).map_err(|e| bad(chain(&e)))?;
    let store = remote::open(&url, &options.environment, options.patience).ok_or_else(|| {
        bad("a store is a folder, or an address that begins with `file://`, `s3://`, `gs://` or `az://`"
            .into())
    })?;
    let store = store.map_err(|error| match remote::lacks_credentials(&error) {
        true => Error::no_credentials(address),
        false => bad(chain(&error)),
    })?;
    Ok(Place::Bucket(Bucket::new(store, root, address.trim_end_matches('/').to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_addresses_are_refused_and_secrets_not_repeated() {
        let options = Options { environment: vec![], ..Options::from_environment() };
        for bad in ["", "ftp://x/y", "s3://", "s3://b/p?x=1", "file://relative/x", "://", "s3://b/a/../b//c"]
        {
            match open(bad, &options) {
                Err(Error::BadAddress { .. }) => {}
                Err(other) => panic!("{bad}: {other}"),
                Ok(_) => assert_eq!(bad, "s3://b/a/../b//c", "url parsing folds the dots"),
            }
        }
        let error = open("s3://key:s3cr3t@bucket/x", &options).err().unwrap();
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
        let debug =
            format!("{:?}", Options { environment: vec![("AWS_KEY".into(), "s3cr3t".into())], ..options });
        assert!(!debug.contains("s3cr3t"));
    }

    #[test]
    fn an_absent_folder_is_made_only_when_asked() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        let mut options = Options::from_environment();
        assert!(matches!(open(path.to_str().unwrap(), &options), Err(Error::NoStore { .. })));
        options.create = true;
        open(path.to_str().unwrap(), &options).unwrap();
        assert!(path.is_dir());
        std::fs::write(home.path().join("file"), "").unwrap();
        assert!(open(home.path().join("file").to_str().unwrap(), &options).is_err());
    }
}

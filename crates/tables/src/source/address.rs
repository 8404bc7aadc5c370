//! Where a source is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use url::Url;

use crate::source::error::SourceError;

/// Where a source is: on this machine, in an object store, behind HTTP, or made up.
#[derive(Debug, Clone)]
pub enum Address {
    /// An absolute path, perhaps with wildcards.
    Local(PathBuf),
    /// A prefix or an object of a store, perhaps with wildcards.
    Remote(Url),
    Demo(noctule_demo::Address),
}

impl Address {
    /// Reads a path or a URL; a relative path is taken from `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, SourceError> {
        let refused = |rule: String| SourceError::Address { address: text.to_owned(), rule };
        if text.trim().is_empty() {
            return Err(refused("it is empty".to_owned()));
        }
        if text.starts_with("demo:") {
            let address = noctule_demo::Address::parse(text).map_err(|error| refused(error.to_string()))?;
            if address.table.is_none() {
                return Err(refused("it names no table: add `/events`, `/items` or `/users`".to_owned()));
            }
            return Ok(Self::Demo(address));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Local(folder.join(text)));
        };
        match scheme {
            "file" => {
                // A path may hold wildcards and signs that a URL would encode: plain ones are taken as they are.
                let path = match Url::parse(text).ok().and_then(|url| url.to_file_path().ok()) {
                    Some(path) if text.contains('%') => path,
                    _ => PathBuf::from(rest),
                };
                if path.is_absolute() {
                    Ok(Self::Local(path))
                } else {
                    Err(refused("a `file://` address needs three slashes: `file:///folder/name`".to_owned()))
                }
            }
            "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss" | "http" | "https" => {
                Url::parse(text).map(Self::Remote).map_err(|error| refused(error.to_string()))
            }
            _ => Err(refused(format!("`{scheme}://` is none of demo, file, s3, gs, az, http and https"))),
        }
    }
}

/// What reading a source from elsewhere depends on. Nothing is read from the process's environment after this was made.
#[derive(Clone, Default)]
pub struct Access {
    /// Variables that may hold credentials and settings: `AWS_*`, `GOOGLE_*`, `AZURE_*`.
    pub environment: Vec<(String, String)>,
}

impl Access {
    pub fn from_environment() -> Self {
        let is_setting =
            |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
        Self { environment: std::env::vars().filter(|(name, _)| is_setting(name)).collect() }
    }

    /// The store behind a URL, and the path in it.
    pub(crate) fn store(&self, url: &Url) -> Result<(Arc<dyn ObjectStore>, ObjectPath), SourceError> {
        let mut options: Vec<(String, String)> =
            self.environment.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        if url.scheme() == "http" {
            options.push(("allow_http".to_owned(), "true".to_owned()));
        }
        let (store, path) = object_store::parse_url_opts(url, options)
            .map_err(|error| SourceError::Address { address: url.to_string(), rule: error.to_string() })?;
        Ok((Arc::from(store), path))
    }
}

/// Whether a path or URL has wildcards.
pub(crate) fn has_wildcards(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let folder = Path::new("/work");
        let local = |text| match Address::parse(text, folder).unwrap() {
            Address::Local(path) => path.display().to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(local("data/x.csv"), "/work/data/x.csv");
        assert_eq!(local("/data/x.csv"), "/data/x.csv");
        assert_eq!(local("file:///data/day=*/x.csv"), "/data/day=*/x.csv");
        assert!(matches!(Address::parse("s3://bucket/x", folder), Ok(Address::Remote(_))));
        assert!(matches!(Address::parse("demo://shop/events", folder), Ok(Address::Demo(_))));
        for bad in ["", "ftp://x/y", "demo://shop", "demo://shop/evens", "file://x"] {
            assert!(matches!(Address::parse(bad, folder), Err(SourceError::Address { .. })), "{bad}");
        }
    }
}

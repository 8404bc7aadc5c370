//! Where a source is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use noctule_depot::remote;
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use url::Url;

use crate::source::error::SourceError;
use crate::source::web::{is_web, page};

/// A failing request to an object store is repeated for so long; a step has retries of its own.
const PATIENCE: Duration = Duration::from_secs(20);

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
        let refused = |rule: &str| SourceError::Address { address: text.to_owned(), rule: rule.to_owned() };
        if text.trim().is_empty() {
            return Err(refused("it is empty"));
        }
        if text.starts_with("demo:") {
            let address = noctule_demo::Address::parse(text).map_err(|error| refused(&error.to_string()))?;
            if address.table.is_none() {
                return Err(refused("it names no table: add `/events`, `/items` or `/users`"));
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
                    Err(refused("a `file://` address needs three slashes: `file:///folder/name`"))
                }
            }
            "http" | "https" => {
                let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(refused(
                        "a name and a password in it are not used: take an address that is signed in its query",
                    ));
                }
                Ok(Self::Remote(url))
            }
            "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss" => {
                // Of a name in an object store these are no marks of a URL: one is a wildcard, both may be meant.
                let text = text.replace('?', "%3F").replace('#', "%23");
                let url = Url::parse(&text).map_err(|error| refused(&error.to_string()))?;
                if url.host_str().is_none_or(str::is_empty) {
                    return Err(refused("it names no bucket or container"));
                }
                if url.password().is_some() {
                    return Err(refused("credentials belong in the environment, not in the address"));
                }
                Ok(Self::Remote(url))
            }
            _ => Err(refused(&format!("`{scheme}://` is none of demo, file, s3, gs, az, http and https"))),
        }
    }
}

/// What reading a source from elsewhere depends on. Nothing is read from the process's environment after this was made.
#[derive(Clone, Default)]
pub struct Access {
    /// Variables that may hold credentials and settings: `AWS_*`, `GOOGLE_*`, `AZURE_*` and their companions.
    pub environment: Vec<(String, String)>,
}

impl Access {
    pub fn from_environment() -> Self {
        Self { environment: std::env::vars().filter(|(name, _)| remote::is_setting(name)).collect() }
    }

    /// The store behind a URL, and the path in it.
    pub(crate) fn store(&self, url: &Url) -> Result<(Arc<dyn ObjectStore>, ObjectPath), SourceError> {
        if is_web(url) {
            return Ok((page(url)?, ObjectPath::default()));
        }
        let refused = |rule: String| SourceError::Address { address: url.to_string(), rule };
        let path = ObjectPath::from_url_path(url.path()).map_err(|error| refused(error.to_string()))?;
        let opened = remote::open(url, &self.environment, PATIENCE)
            .ok_or_else(|| refused(format!("`{}://` is no object store", url.scheme())))?;
        let store = opened.map_err(|error| match remote::lacks_credentials(&error) {
            true => SourceError::from_store(url.as_str(), error),
            false => refused(error.to_string()),
        })?;
        Ok((store, path))
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
        for bad in ["", "ftp://x/y", "demo://shop", "demo://shop/evens", "file://x", "https://", "gs://"] {
            assert!(matches!(Address::parse(bad, folder), Err(SourceError::Address { .. })), "{bad}");
        }
        for secret in ["https://ann:s3cret@host/x", "s3://key:s3cret@bucket/x", "ftp://ann:s3cret@host/x"] {
            let error = Address::parse(secret, folder).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn marks_of_a_url_are_part_of_a_name_in_an_object_store() {
        let access = Access { environment: vec![("AWS_SKIP_SIGNATURE".into(), "true".into())] };
        let Ok(Address::Remote(url)) = Address::parse("s3://bucket/day=?/a#1.csv", Path::new("/")) else {
            panic!("it is an address")
        };
        let (_, path) = access.store(&url).unwrap();
        assert_eq!(path.as_ref(), "day=?/a#1.csv");
    }
}

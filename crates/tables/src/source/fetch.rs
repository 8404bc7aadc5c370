//! Bringing a listed object onto this machine, as it was listed.

use std::io::Write;
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use noctule_artifacts::address;
use noctule_artifacts::launch::SourceObject;
use object_store::{GetOptions, ObjectStore};
use url::Url;

use crate::source::address::Access;
use crate::source::error::SourceError;
use crate::source::list::{condition, is_listed, local_tag};

/// A listed object on this machine. A copy of a remote one goes when this is dropped.
///
/// Its address is as people may see it: what signs a request was used, and is forgotten.
pub struct Fetched {
    content: Content,
    object: SourceObject,
    copy: Option<tempfile::NamedTempFile>,
}

/// What an object is on this machine.
pub(crate) enum Content {
    File(PathBuf),
    /// A day of the synthetic product.
    Demo {
        shop: noctule_demo::Shop,
        table: noctule_demo::Table,
        day: jiff::civil::Date,
    },
}

impl Fetched {
    /// Fetches an object into `folder`, or finds a local one where it is.
    ///
    /// # Errors
    /// [`SourceError::Changed`] when it is not what was listed.
    pub async fn get(object: &SourceObject, folder: &Path, access: &Access) -> Result<Self, SourceError> {
        if object.url.starts_with("demo:") {
            let content = demo(object)?;
            return Ok(Self { content, object: object.clone(), copy: None });
        }
        let url = Url::parse(&object.url)
            .map_err(|error| SourceError::Address { address: object.url.clone(), rule: error.to_string() })?;
        if url.scheme() == "file" {
            let path =
                url.to_file_path().map_err(|()| SourceError::Missing { address: object.url.clone() })?;
            let fetched = Self { content: Content::File(path), object: object.clone(), copy: None };
            fetched.still_the_same()?;
            return Ok(fetched);
        }
        let copy = download(&url, object, folder, access).await?;
        let object = SourceObject { url: address::shown(&object.url), ..object.clone() };
        Ok(Self { content: Content::File(copy.path().to_owned()), object, copy: Some(copy) })
    }

    /// A file that this process wrote, under a name for messages.
    pub fn made_here(path: &Path, name: &str) -> Result<Self, SourceError> {
        let meta = std::fs::metadata(path).map_err(|error| SourceError::from_io(name, error))?;
        let object = SourceObject {
            url: name.to_owned(),
            size: meta.len(),
            tag: local_tag(&meta),
            partition: String::new(),
        };
        Ok(Self { content: Content::File(path.to_owned()), object, copy: None })
    }

    /// Looks again after reading: a local file may have changed under the reader.
    ///
    /// # Errors
    /// [`SourceError::Changed`].
    pub fn still_the_same(&self) -> Result<(), SourceError> {
        let (Content::File(path), None) = (&self.content, &self.copy) else { return Ok(()) };
        let meta = std::fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => changed(&self.object, "gone".to_owned()),
            _ => SourceError::from_io(&self.object.url, error),
        })?;
        if local_tag(&meta) == self.object.tag {
            return Ok(());
        }
        Err(changed(&self.object, format!("{} bytes, written at another moment", meta.len())))
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    pub fn object(&self) -> &SourceObject {
        &self.object
    }
}

fn changed(object: &SourceObject, found: String) -> SourceError {
    let listed = format!("{} bytes", object.size);
    SourceError::Changed { object: object.url.clone(), listed, found }
}

fn demo(object: &SourceObject) -> Result<Content, SourceError> {
    let refused = |rule: String| SourceError::Address { address: object.url.clone(), rule };
    let (address, day) = object.url.split_once('#').ok_or_else(|| refused("it names no day".to_owned()))?;
    let day = day.parse().map_err(|error: jiff::Error| refused(error.to_string()))?;
    let address = noctule_demo::Address::parse(address).map_err(|error| refused(error.to_string()))?;
    let table = address.table.ok_or_else(|| refused("it names no table".to_owned()))?;
    let shop = noctule_demo::Shop::new(address.settings).map_err(|error| refused(error.to_string()))?;
    let identity = noctule_artifacts::Digest::of(shop.partition_identity(table, day).as_bytes()).to_string();
    if identity != object.tag {
        let (object, listed) = (object.url.clone(), "the shop of another noctule".to_owned());
        return Err(SourceError::Changed { object, listed, found: "this one's".to_owned() });
    }
    Ok(Content::Demo { shop, table, day })
}

async fn download(
    url: &Url,
    object: &SourceObject,
    folder: &Path,
    access: &Access,
) -> Result<tempfile::NamedTempFile, SourceError> {
    let failed = |error: object_store::Error| match error {
        object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. } => {
            SourceError::Changed {
                object: object.url.clone(),
                listed: object.tag.clone(),
                found: "another".to_owned(),
            }
        }
        other => SourceError::from_store(&object.url, other),
    };
    let (store, path) = access.store(url)?;
    let options = GetOptions { if_match: condition(object), ..GetOptions::default() };
    let response = store.get_opts(&path, options).await.map_err(failed)?;
    // A server may ignore the condition: what it says of its answer has to agree.
    if !is_listed(object, &response.meta) {
        let found = response.meta.e_tag.as_deref().unwrap_or("another").to_owned();
        return Err(SourceError::Changed { object: object.url.clone(), listed: object.tag.clone(), found });
    }
    let full = |error: std::io::Error| SourceError::from_io(&folder.display().to_string(), error);
    let mut copy = tempfile::NamedTempFile::new_in(folder).map_err(full)?;
    let mut bytes = response.into_stream();
    while let Some(piece) = bytes.try_next().await.map_err(failed)? {
        copy.write_all(&piece).map_err(full)?;
    }
    copy.flush().map_err(full)?;
    Ok(copy)
}

//! Listing a source once.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::launch::{Interval, Listing, SourceObject};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStoreExt};
use url::Url;

use crate::source::address::{Access, Address, has_wildcards};
use crate::source::error::SourceError;
use crate::source::partition::Partition;
use crate::source::web::{is_web, look};

/// Which partitions of a source are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those that have a part of the span before the interval's end.
    Window(SignedDuration),
    /// The newest that ends at or before the interval's end.
    Latest,
    All,
}

/// Lists the objects of a source that belong to an interval, in the order of their partitions and names.
///
/// Folders `key=value` in a path are partitions; those that are dated, in civil time of `zone`, are pruned. Names that
/// begin with `_` or `.` are no data.
///
/// # Errors
/// There is nothing at the address; it cannot be reached or may not be read.
pub async fn list(
    address: &Address,
    wanted: Wanted,
    interval: Interval,
    zone: &TimeZone,
    access: &Access,
) -> Result<Listing, SourceError> {
    let mut objects = match address {
        Address::Demo(demo) => return list_demo(demo, wanted, interval),
        Address::Local(path) => list_local(path)?,
        Address::Remote(url) if is_web(url) => vec![web_object(url).await?],
        Address::Remote(url) => list_remote(url, access).await?,
    };
    prune(&mut objects, wanted, interval, zone);
    objects.sort_by(|a, b| (&a.partition, &a.url).cmp(&(&b.partition, &b.url)));
    Ok(Listing { objects })
}

/// Whether there is something at an address, data or not: a file such as `_SUCCESS` says that a partition is whole.
///
/// # Errors
/// It cannot be reached or may not be read.
pub async fn exists(address: &Address, access: &Access) -> Result<bool, SourceError> {
    let found = match address {
        // Every day of the synthetic product is there.
        Address::Demo(_) => return Ok(true),
        Address::Local(path) => {
            return path
                .try_exists()
                .map_err(|error| SourceError::from_io(&path.display().to_string(), error));
        }
        Address::Remote(url) if is_web(url) => look(url).await,
        Address::Remote(url) => {
            let (store, path) = access.store(url)?;
            store.head(&path).await.map_err(|error| SourceError::from_store(url.as_str(), error))
        }
    };
    match found {
        Ok(_) => Ok(true),
        Err(SourceError::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn prune(objects: &mut Vec<SourceObject>, wanted: Wanted, interval: Interval, zone: &TimeZone) {
    let end = interval.end;
    let spans: BTreeMap<String, Option<(Timestamp, Timestamp)>> = objects
        .iter()
        .map(|object| (object.partition.clone(), Partition::of_key(&object.partition).span(zone)))
        .collect();
    match wanted {
        Wanted::All => {}
        Wanted::Window(window) => {
            let start = end.checked_sub(window).unwrap_or(Timestamp::MIN);
            objects.retain(|object| {
                spans[&object.partition].is_none_or(|(begins, ends)| begins < end && ends > start)
            });
        }
        Wanted::Latest => {
            let newest = spans.values().flatten().filter(|(_, ends)| *ends <= end).max();
            let newest = newest.copied();
            objects.retain(|object| match spans[&object.partition] {
                Some(span) => Some(span) == newest,
                None => true,
            });
        }
    }
}

fn list_demo(
    address: &noctule_demo::Address,
    wanted: Wanted,
    interval: Interval,
) -> Result<Listing, SourceError> {
    let table = address.table.expect("an address was parsed with its table");
    let shown = address.to_string();
    let shop = noctule_demo::Shop::new(address.settings.clone())
        .map_err(|error| SourceError::Address { address: shown.clone(), rule: error.to_string() })?;
    let utc = TimeZone::UTC;
    let last = interval.end.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(interval.end);
    let last = utc.to_datetime(last).date();
    let first = match wanted {
        _ if table.is_snapshot() => {
            // A snapshot of a day that has not ended is not there yet.
            let whole = utc.to_datetime(interval.end).date().yesterday();
            let day = whole
                .map_err(|error| SourceError::Address { address: shown.clone(), rule: error.to_string() })?;
            let object = demo_object(&shop, address, table, day);
            return Ok(Listing { objects: vec![object] });
        }
        Wanted::Window(window) => {
            let start = interval.end.checked_sub(window).unwrap_or(Timestamp::MIN);
            utc.to_datetime(start).date()
        }
        Wanted::Latest => last,
        Wanted::All => return Err(SourceError::Endless { address: shown }),
    };
    let days = first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last);
    Ok(Listing { objects: days.map(|day| demo_object(&shop, address, table, day)).collect() })
}

fn demo_object(
    shop: &noctule_demo::Shop,
    address: &noctule_demo::Address,
    table: noctule_demo::Table,
    day: jiff::civil::Date,
) -> SourceObject {
    let identity = shop.partition_identity(table, day);
    SourceObject {
        url: format!("{address}#{day}"),
        size: 0,
        tag: noctule_artifacts::Digest::of(identity.as_bytes()).to_string(),
        partition: format!("date={day}"),
    }
}

/// What changes when a local file changes: its inode, time of change and size.
pub(crate) fn local_tag(meta: &Metadata) -> String {
    format!("{:x}-{:x}.{:x}-{:x}", meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len())
}

fn local_object(path: &Path, below: &Path) -> Result<SourceObject, SourceError> {
    let shown = path.display().to_string();
    let meta = std::fs::metadata(path).map_err(|error| SourceError::from_io(&shown, error))?;
    let url = Url::from_file_path(path).map_err(|()| SourceError::Address {
        address: shown.clone(),
        rule: "it is not absolute".to_owned(),
    })?;
    let relative = path.strip_prefix(below).unwrap_or(path).to_string_lossy().into_owned();
    let partition = Partition::of_path(&relative).key;
    Ok(SourceObject { url: url.to_string(), size: meta.len(), tag: local_tag(&meta), partition })
}

fn list_local(path: &Path) -> Result<Vec<SourceObject>, SourceError> {
    let shown = path.display().to_string();
    let exists = path.try_exists().map_err(|error| SourceError::from_io(&shown, error))?;
    let mut files = Vec::new();
    // A name that exists is taken as it is, even when it has a sign that would be a wildcard.
    let below = if exists {
        collect(path, &mut files)?;
        path.to_owned()
    } else if has_wildcards(&shown) {
        let matches = glob::glob(&shown)
            .map_err(|error| SourceError::Address { address: shown.clone(), rule: error.to_string() })?;
        for found in matches {
            let found = found.map_err(|error| {
                let place = error.path().display().to_string();
                SourceError::from_io(&place, error.into())
            })?;
            collect(&found, &mut files)?;
        }
        PathBuf::from("/")
    } else {
        return Err(SourceError::Missing { address: shown });
    };
    if files.is_empty() {
        return Err(SourceError::Missing { address: shown });
    }
    files.sort();
    files.dedup();
    // Of a single file the folders that hold it may be partitions.
    let below = if path.is_file() { PathBuf::from("/") } else { below };
    files.iter().map(|file| local_object(file, &below)).collect()
}

/// All data files at or below a path.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let failed = |error| SourceError::from_io(&path.display().to_string(), error);
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !is_hidden(&entry.file_name().to_string_lossy()) {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

fn is_hidden(name: &str) -> bool {
    // `_x=1` is a partition, `_SUCCESS` is not.
    name.starts_with('.') || name.starts_with('_') && !name.contains('=')
}

/// What changes when a stored object changes.
fn remote_tag(meta: &ObjectMeta) -> String {
    match &meta.e_tag {
        Some(tag) => format!("{ETAG}{tag}"),
        None => dated_tag(meta),
    }
}

const ETAG: &str = "etag ";
const UNKNOWN: &str = "seen at ";

/// To the second: the header of an answer has no finer date than that.
fn dated_tag(meta: &ObjectMeta) -> String {
    format!("{} bytes of {}", meta.size, meta.last_modified.timestamp())
}

/// The ETag that an object is asked for by. A weak one only says that two contents mean the same, and no server takes
/// it for a condition.
pub(crate) fn condition(object: &SourceObject) -> Option<String> {
    let tag = object.tag.strip_prefix(ETAG)?;
    (!tag.starts_with("W/")).then(|| tag.to_owned())
}

/// Whether an object is the one that was listed under a tag.
pub(crate) fn is_listed(object: &SourceObject, meta: &ObjectMeta) -> bool {
    let known = if object.tag.starts_with(ETAG) {
        meta.e_tag.is_none() || object.tag == remote_tag(meta)
    } else {
        object.tag.starts_with(UNKNOWN) || object.tag == dated_tag(meta)
    };
    known && meta.size == object.size
}

async fn web_object(url: &Url) -> Result<SourceObject, SourceError> {
    let meta = look(url).await?;
    let tag = match meta.e_tag.is_none() && meta.last_modified.timestamp() == 0 {
        // Nothing tells this content from another of the same size: it is never taken for one that was read before.
        true => format!("{UNKNOWN}{}", Timestamp::now()),
        false => remote_tag(&meta),
    };
    let path = ObjectPath::from_url_path(url.path()).unwrap_or_default();
    Ok(SourceObject {
        url: url.to_string(),
        size: meta.size,
        tag,
        partition: Partition::of_path(path.as_ref()).key,
    })
}

fn remote_object(root: &Url, meta: &ObjectMeta) -> SourceObject {
    let mut url = root.clone();
    // A percent sign of the name itself must not be read as the beginning of an encoded one.
    url.set_path(&meta.location.as_ref().replace('%', "%25"));
    SourceObject {
        url: url.to_string(),
        size: meta.size,
        tag: remote_tag(meta),
        partition: Partition::of_path(meta.location.as_ref()).key,
    }
}

async fn list_remote(url: &Url, access: &Access) -> Result<Vec<SourceObject>, SourceError> {
    let (store, path) = access.store(url)?;
    let failed = |error| SourceError::from_store(url.as_str(), error);
    let wildcards = has_wildcards(path.as_ref());
    let fixed: Vec<_> = path.parts().take_while(|part| !has_wildcards(part.as_ref())).collect();
    let prefix: ObjectPath = fixed.into_iter().collect();
    let pattern = glob::Pattern::new(path.as_ref())
        .map_err(|error| SourceError::Address { address: url.to_string(), rule: error.to_string() })?;
    let mut found: Vec<ObjectMeta> = store.list(Some(&prefix)).try_collect().await.map_err(failed)?;
    found.retain(|meta| {
        let below = meta.location.as_ref().strip_prefix(prefix.as_ref()).unwrap_or_default();
        !below.split('/').any(is_hidden) && (!wildcards || matches(&pattern, meta.location.as_ref()))
    });
    if found.is_empty() && !wildcards {
        // Some stores list only what lies below a prefix, not the object of that name.
        found.push(store.head(&path).await.map_err(failed)?);
    }
    if found.is_empty() {
        return Err(SourceError::Missing { address: url.to_string() });
    }
    for meta in found.iter_mut().filter(|meta| meta.e_tag.is_none()) {
        // Some stores name the ETag only of an object that is asked for.
        *meta = store.head(&meta.location).await.map_err(failed)?;
    }
    Ok(found.iter().map(|meta| remote_object(url, meta)).collect())
}

/// Whether a path, or a folder that it lies in, matches.
fn matches(pattern: &glob::Pattern, path: &str) -> bool {
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    std::iter::successors(Some(path), |path| path.rsplit_once('/').map(|(folder, _)| folder))
        .any(|path| pattern.matches_with(path, options))
}

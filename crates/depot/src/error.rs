//! What can go wrong with a store, each with what happened, to what, and what to do.

use std::io;

use noctule_artifacts::{Digest, RegistryId};

use crate::remote;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the store `{store}` could not be reached while {doing}: {cause}")]
    Away { store: String, doing: String, cause: String },
    #[error(
        "there is no store at `{store}` ({cause}): check the address, and make the folder or bucket first"
    )]
    NoStore { store: String, cause: String },
    #[error("`{path}` is not in the store `{store}`")]
    NotFound { store: String, path: String },
    #[error(
        "no permission while {doing} in `{place}` ({cause}): give this user or these credentials the right to read, write, list and delete there"
    )]
    PermissionDenied { place: String, doing: String, cause: String },
    #[error(
        "the store `{store}` needs credentials, and there are none in the environment nor does this machine's cloud give \
         any: set {variables}"
    )]
    NoCredentials { store: String, variables: &'static str },
    #[error(
        "no space is left while {doing} in `{place}`: free some there, then try again; with a little space `noctule prune` \
         frees more"
    )]
    DiskFull { place: String, doing: String },
    #[error("the store `{store}` cannot hold artifacts: {reason}; {remedy}")]
    Unsuitable { store: String, reason: String, remedy: &'static str },
    #[error(
        "the store `{store}` belongs to registry {found}, and this is registry {ours}: use a store prefix of its own, or the state that goes with this store"
    )]
    OtherRegistry { store: String, found: RegistryId, ours: RegistryId },
    #[error("`{address}` is not the address of a store: {rule}")]
    BadAddress { address: String, rule: String },
    #[error("`{name}` cannot name a file in the store: {rule}")]
    BadName { name: String, rule: &'static str },
    #[error(
        "`{path}`, a file of the artifact `{artifact}`, is missing from the store: restore it from a copy, or run the step again"
    )]
    Missing { path: String, artifact: String },
    #[error(
        "`{path}`, a file of the artifact `{artifact}`, is damaged ({found} where the manifest says {expected}): restore it from a copy, or run the step again"
    )]
    Damaged { path: String, artifact: String, expected: String, found: String },
    #[error(
        "the artifact `{artifact}` has expired: its file `{path}` was swept because no run needed it any more; run the step again"
    )]
    Expired { path: String, artifact: String },
    #[error(
        "`{path}` already holds another result ({theirs}, and this one is {ours}): what is there stays, and this one is discarded"
    )]
    Conflict { path: String, theirs: Digest, ours: Digest },
    #[error("`{path}` cannot be used: {cause}")]
    Unreadable { path: String, cause: String },
    #[error("{doing} in `{place}` failed: {cause}")]
    Io { place: String, doing: String, cause: io::Error },
}

/// What kind of trouble an [`Error`] is: enough to choose an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Trying again later can help: exit code 75 of an attempt.
    Temporary,
    /// What is stored is not what it should be: exit code 65.
    BadData,
    /// An address, a right or a setting is wrong: exit code 78.
    BadConfig,
    /// Anything else: exit code 1.
    Other,
}

impl Error {
    pub fn trouble(&self) -> Trouble {
        match self {
            Error::Away { .. } | Error::DiskFull { .. } => Trouble::Temporary,
            Error::NotFound { .. }
            | Error::Missing { .. }
            | Error::Damaged { .. }
            | Error::Expired { .. }
            | Error::Unreadable { .. } => Trouble::BadData,
            Error::NoStore { .. }
            | Error::PermissionDenied { .. }
            | Error::NoCredentials { .. }
            | Error::Unsuitable { .. }
            | Error::OtherRegistry { .. }
            | Error::BadAddress { .. }
            | Error::BadName { .. } => Trouble::BadConfig,
            Error::Conflict { .. } | Error::Io { .. } => Trouble::Other,
        }
    }

    pub(crate) fn no_credentials(store: &str) -> Self {
        let scheme = store.split("://").next().unwrap_or_default();
        Error::NoCredentials { store: store.to_owned(), variables: remote::credentials_of(scheme) }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::NotFound { .. })
    }

    /// Says what an error of the local file system means for a store or a scratch folder.
    pub(crate) fn from_io(place: impl Into<String>, doing: impl Into<String>, cause: io::Error) -> Self {
        let (place, doing) = (place.into(), doing.into());
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { place, doing },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::PermissionDenied { place, doing, cause: cause.to_string() }
            }
            io::ErrorKind::StaleNetworkFileHandle
            | io::ErrorKind::TimedOut
            | io::ErrorKind::HostUnreachable => Error::Away { store: place, doing, cause: cause.to_string() },
            _ => Error::Io { place, doing, cause },
        }
    }

    /// Says what an error of an object store means.
    pub(crate) fn from_store(store: &str, path: &str, doing: &str, cause: object_store::Error) -> Self {
        use object_store::Error as E;
        if remote::lacks_credentials(&cause) {
            return Error::no_credentials(store);
        }
        let (store, doing) = (store.to_owned(), format!("{doing} `{path}`"));
        match cause {
            E::NotFound { .. } => Error::NotFound { store, path: path.to_owned() },
            E::PermissionDenied { source, .. } | E::Unauthenticated { source, .. } => {
                Error::PermissionDenied { place: store, doing, cause: chain(source.as_ref()) }
            }
            E::NotImplemented { .. } | E::NotSupported { .. } => Error::Unsuitable {
                store,
                reason: cause.to_string(),
                remedy: "use a store that has conditional writes, and do not switch them off",
            },
            E::InvalidPath { source } => Error::BadAddress { address: path.to_owned(), rule: chain(&source) },
            E::UnknownConfigurationKey { .. } => {
                Error::BadAddress { address: store, rule: cause.to_string() }
            }
            other => Error::Away { store, doing, cause: chain(&other) },
        }
    }
}

/// An error with the causes that its own text does not already contain.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

//! Format 1 of what is told about an attempt.

use jiff::SignedDuration;
use noctule_artifacts::{Digest, VersionNumber};
use noctule_engine::{event, failure};
use serde::{Deserialize, Serialize};

/// Declares enums that have the same variants as living ones, and the two ways between them. A living variant that has
/// no record does not compile.
macro_rules! words {
    ($($record:ident = $living:path { $($word:ident),* $(,)? })*) => { $(
        #[derive(Debug, Serialize, Deserialize)]
        pub enum $record { $($word),* }

        impl From<$living> for $record {
            fn from(living: $living) -> Self {
                use $living as Living;
                match living { $(Living::$word => Self::$word),* }
            }
        }

        impl From<$record> for $living {
            fn from(record: $record) -> Self {
                match record { $($record::$word => Self::$word),* }
            }
        }
    )* };
}

words! {
    Disruption = failure::Disruption { Evicted, Preempted, Tainted, NodeLost, StatusUnknown, Other }
    WaitingReason = failure::WaitingReason { ImagePull, Config, InvalidImageName, ImageNeverPull, Other }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactRef {
    manifest: String,
    digest: Digest,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Handle {
    Process { pid: u32, start_time: u64, boot_id: String },
    Job { namespace: String, name: String, uid: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Phase {
    Queued { reason: Option<String> },
    Starting { waiting: Option<Waiting> },
    Running,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    reason: WaitingReason,
    message: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Publication {
    Promoted { version: VersionNumber, from: Option<VersionNumber>, sequence: u64 },
    Unchanged { version: VersionNumber },
    Registered { version: VersionNumber },
    Pinned { version: VersionNumber, to: VersionNumber },
    Moved { version: VersionNumber, expected: Option<VersionNumber>, found: Option<VersionNumber> },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Evidence {
    Exited { code: i32 },
    Signalled { signal: i32 },
    MemoryLimit { limit_bytes: Option<u64>, peak_bytes: Option<u64> },
    Disrupted { by: Disruption },
    EphemeralStorage { message: String },
    NotSpawned { message: String },
    StillWaiting { waiting: Waiting },
    NotPlaced { reason: String },
    Rejected { message: String },
    Unpreparable { message: String },
    Unreachable { message: String },
    TimedOut { limit: SignedDuration },
    Lost,
    StopRequested,
}

impl From<event::ArtifactRef> for ArtifactRef {
    fn from(living: event::ArtifactRef) -> Self {
        let event::ArtifactRef { manifest, digest } = living;
        Self { manifest, digest }
    }
}

impl From<ArtifactRef> for event::ArtifactRef {
    fn from(record: ArtifactRef) -> Self {
        let ArtifactRef { manifest, digest } = record;
        Self { manifest, digest }
    }
}

impl From<event::Handle> for Handle {
    fn from(living: event::Handle) -> Self {
        match living {
            event::Handle::Process { pid, start_time, boot_id } => Self::Process { pid, start_time, boot_id },
            event::Handle::Job { namespace, name, uid } => Self::Job { namespace, name, uid },
        }
    }
}

impl From<Handle> for event::Handle {
    fn from(record: Handle) -> Self {
        match record {
            Handle::Process { pid, start_time, boot_id } => Self::Process { pid, start_time, boot_id },
            Handle::Job { namespace, name, uid } => Self::Job { namespace, name, uid },
        }
    }
}

impl From<event::Phase> for Phase {
    fn from(living: event::Phase) -> Self {
        match living {
            event::Phase::Queued { reason } => Self::Queued { reason },
            event::Phase::Starting { waiting } => Self::Starting { waiting: waiting.map(Into::into) },
            event::Phase::Running => Self::Running,
        }
    }
}

impl From<Phase> for event::Phase {
    fn from(record: Phase) -> Self {
        match record {
            Phase::Queued { reason } => Self::Queued { reason },
            Phase::Starting { waiting } => Self::Starting { waiting: waiting.map(Into::into) },
            Phase::Running => Self::Running,
        }
    }
}

impl From<failure::Waiting> for Waiting {
    fn from(living: failure::Waiting) -> Self {
        let failure::Waiting { reason, message } = living;
        Self { reason: reason.into(), message }
    }
}

impl From<Waiting> for failure::Waiting {
    fn from(record: Waiting) -> Self {
        let Waiting { reason, message } = record;
        Self { reason: reason.into(), message }
    }
}

impl From<event::Publication> for Publication {
    fn from(living: event::Publication) -> Self {
        use event::Publication as Living;
        match living {
            Living::Promoted { version, from, sequence } => Self::Promoted { version, from, sequence },
            Living::Unchanged { version } => Self::Unchanged { version },
            Living::Registered { version } => Self::Registered { version },
            Living::Pinned { version, to } => Self::Pinned { version, to },
            Living::Moved { version, expected, found } => Self::Moved { version, expected, found },
        }
    }
}

impl From<Publication> for event::Publication {
    fn from(record: Publication) -> Self {
        match record {
            Publication::Promoted { version, from, sequence } => Self::Promoted { version, from, sequence },
            Publication::Unchanged { version } => Self::Unchanged { version },
            Publication::Registered { version } => Self::Registered { version },
            Publication::Pinned { version, to } => Self::Pinned { version, to },
            Publication::Moved { version, expected, found } => Self::Moved { version, expected, found },
        }
    }
}

impl From<failure::Evidence> for Evidence {
    fn from(living: failure::Evidence) -> Self {
        use failure::Evidence as Living;
        match living {
            Living::Exited { code } => Self::Exited { code },
            Living::Signalled { signal } => Self::Signalled { signal },
            Living::MemoryLimit { limit_bytes, peak_bytes } => Self::MemoryLimit { limit_bytes, peak_bytes },
            Living::Disrupted(by) => Self::Disrupted { by: by.into() },
            Living::EphemeralStorage { message } => Self::EphemeralStorage { message },
            Living::NotSpawned { message } => Self::NotSpawned { message },
            Living::StillWaiting(waiting) => Self::StillWaiting { waiting: waiting.into() },
            Living::NotPlaced { reason } => Self::NotPlaced { reason },
            Living::Rejected { message } => Self::Rejected { message },
            Living::Unpreparable { message } => Self::Unpreparable { message },
            Living::Unreachable { message } => Self::Unreachable { message },
            Living::TimedOut { limit } => Self::TimedOut { limit },
            Living::Lost => Self::Lost,
            Living::StopRequested => Self::StopRequested,
        }
    }
}

impl From<Evidence> for failure::Evidence {
    fn from(record: Evidence) -> Self {
        match record {
            Evidence::Exited { code } => Self::Exited { code },
            Evidence::Signalled { signal } => Self::Signalled { signal },
            Evidence::MemoryLimit { limit_bytes, peak_bytes } => {
                Self::MemoryLimit { limit_bytes, peak_bytes }
            }
            Evidence::Disrupted { by } => Self::Disrupted(by.into()),
            Evidence::EphemeralStorage { message } => Self::EphemeralStorage { message },
            Evidence::NotSpawned { message } => Self::NotSpawned { message },
            Evidence::StillWaiting { waiting } => Self::StillWaiting(waiting.into()),
            Evidence::NotPlaced { reason } => Self::NotPlaced { reason },
            Evidence::Rejected { message } => Self::Rejected { message },
            Evidence::Unpreparable { message } => Self::Unpreparable { message },
            Evidence::Unreachable { message } => Self::Unreachable { message },
            Evidence::TimedOut { limit } => Self::TimedOut { limit },
            Evidence::Lost => Self::Lost,
            Evidence::StopRequested => Self::StopRequested,
        }
    }
}

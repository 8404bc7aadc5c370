//! What must survive a restart, in SQLite or Postgres.
//!
//! The log of every run ([`log`]), the list of runs ([`runs`]), the index of artifacts and its sweep ([`artifacts`],
//! [`sweep`]), the registry's rows ([`registry`]), messages that wait to be sent ([`outbox`]) and leases ([`lease`]).
//! For a server also its [`pipelines`], [`schedules`] with their [`occurrences`] and [`backfills`], the [`slots`] of live
//! attempts, [`tokens`], the [`audit`] table and the users that were erased ([`erasure`]). What keeps all this well:
//! [`rebuild`], [`backup`], [`retention`].
//! What belongs together is committed together: that a publishing step succeeded, the promotion's row, and the message
//! that moves the pointer are one transaction ([`Store::publish`]).
//!
//! It knows no rule of its own: the engine says what an event means, the registry what may be promoted. It keeps the
//! outbox's payloads as opaque bytes. The two databases share one schema and one code path; what differs between them
//! stands in `session.rs`.

pub mod artifacts;
pub mod audit;
pub mod backfills;
pub mod backup;
pub mod erasure;
mod error;
mod file_system;
pub mod lease;
mod location;
pub mod log;
mod migrations;
pub mod occurrences;
pub mod outbox;
pub mod pipelines;
pub mod rebuild;
pub mod record;
pub mod registry;
pub mod retention;
mod row;
pub mod runs;
pub mod schedules;
mod session;
pub mod slots;
pub mod sweep;
pub mod tokens;

use std::sync::Arc;

use noctule_artifacts::RegistryId;

pub use artifacts::{ArtifactState, IndexedArtifact, NewArtifact};
pub use audit::{AuditEntry, AuditFilter, AuditRow, Via};
pub use backfills::{
    BackfillId, BackfillInterval, BackfillOrder, BackfillProgress, BackfillRow, BackfillState, NewBackfill,
};
pub use backup::{BackedUp, Restored, restore};
pub use erasure::ErasedUser;
pub use error::StoreError;
pub use lease::{Acquired, Lease};
pub use location::Location;
pub use log::{Change, Effects, Logged, NewRun, Position};
pub use occurrences::{
    Fate, Going, NewOccurrence, OccurrenceCursor, OccurrenceFilter, OccurrenceKind, OccurrenceRow,
    OccurrenceStage, OccurrenceState, Skip,
};
pub use outbox::{Message, Waiting};
pub use pipelines::{BrokenPipeline, GoodPipeline, PipelineRow};
pub use rebuild::{Difference, Rebuilt};
pub use registry::{ByHand, ModelRow, Publishing, Reserve};
pub use retention::Expired;
pub use runs::{Note, RunCursor, RunFilter, RunRow};
pub use schedules::{Advance, Pause, ScheduleRow, Watermark};
pub use slots::{Limit, NoSlot, Pool, SlotLimits, SlotRow, SlotWaiter, SlotWish, TakeSlot};
pub use sweep::{Reference, Tombstone};
pub use tokens::{ClearToken, TokenRole, TokenRow};

use row::Fields;
use session::Database;

/// An open store. Clones share its connections.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
}

impl Store {
    /// Opens the database, makes it when there is none, and brings its tables to this program's schema.
    pub async fn open(location: &Location) -> Result<Self, StoreError> {
        let database = Database::connect(location).await?;
        migrations::migrate(&database).await?;
        Ok(Self { database: Arc::new(database) })
    }

    /// The registry that this database is.
    pub async fn registry_id(&self) -> Result<RegistryId, StoreError> {
        let mut session = self.database.read("read the registry's id").await?;
        let row = session.one(sqlx::query("SELECT id FROM registry")).await?;
        Fields::of(&row, session.place()).parsed("id")
    }

    /// Takes over the identity of a registry whose database was lost, so that this one may write to its store. Only an
    /// empty database can.
    pub async fn adopt_registry(&self, id: &RegistryId) -> Result<(), StoreError> {
        let mut session = self.database.write("adopt a registry").await?;
        let row = session
            .one(sqlx::query(
                "SELECT id, (SELECT COUNT(*) FROM runs) + (SELECT COUNT(*) FROM models) AS used FROM registry",
            ))
            .await?;
        let fields = Fields::of(&row, session.place());
        let same = fields.parsed::<RegistryId>("id")? == *id;
        if fields.integer("used")? > 0 && !same {
            return Err(StoreError::InUse);
        }
        session.execute(sqlx::query("UPDATE registry SET id = $1").bind(id.to_string())).await?;
        session.commit().await
    }

    /// Where the database lies, without its password.
    pub fn place(&self) -> &str {
        &self.database.place
    }

    /// Ends all connections, after which a SQLite database is one file again.
    pub async fn close(self) {
        self.database.close().await;
    }
}

/// A number for a column. Numbers beyond the column's range do not come about by counting.
fn column(number: u64) -> i64 {
    i64::try_from(number).expect("a count that began at 0 fits 63 bits")
}

/// A text for a column, at most so many characters of it. Postgres has no place for a NUL.
fn shown(text: &str, longest: usize) -> String {
    text.chars().take(longest).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

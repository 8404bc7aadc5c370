//! What people, tokens and the server itself did.

use jiff::Timestamp;
use noctule_controller::Controller;
use noctule_store::{AuditFilter, AuditRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::Trouble;

/// One page of the table, the latest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditDocument {
    pub audit: Vec<AuditEntryDocument>,
    /// Ask for entries before this number for the next page; `null` on the last.
    pub next: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AuditEntryDocument {
    pub id: u64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// A person, or the name of a token.
    pub who: String,
    /// `cli`, `api` or `server`.
    pub via: String,
    #[schema(example = "run.cancel")]
    pub action: String,
    pub about: String,
    pub why: Option<String>,
    /// What came of it.
    #[schema(example = "done")]
    pub outcome: String,
}

pub async fn gather(controller: &Controller, filter: AuditFilter) -> Result<AuditDocument, Trouble> {
    let limit = filter.limit.unwrap_or(100);
    let filter = AuditFilter { limit: Some(limit.saturating_add(1)), ..filter };
    let mut rows = controller.store.audits(&filter).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id);
    Ok(AuditDocument { audit: rows.into_iter().map(document).collect(), next })
}

fn document(AuditRow { id, entry }: AuditRow) -> AuditEntryDocument {
    AuditEntryDocument {
        id,
        at: entry.at,
        who: entry.who,
        via: entry.via.word().to_owned(),
        action: entry.action,
        about: entry.about,
        why: entry.why,
        outcome: entry.outcome,
    }
}

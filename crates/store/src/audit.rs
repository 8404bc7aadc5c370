//! What people, tokens and the server itself did, in order.

use jiff::Timestamp;

use crate::error::StoreError;
use crate::row::Fields;
use crate::session::asked;
use crate::{Store, column, shown};

/// By what way something was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Cli,
    Api,
    /// Nobody asked: the server did it by itself.
    Server,
}

/// Something that was done, or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// A person, or the name of a token.
    pub who: String,
    pub via: Via,
    /// What was asked for, such as `run.cancel`.
    pub action: String,
    /// To what, such as a run's id or `home-feed@champion`.
    pub about: String,
    pub why: Option<String>,
    /// What came of it, such as `done` or the text of a refusal.
    pub outcome: String,
}

/// An entry under its number, which only rises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    pub id: u64,
    pub entry: AuditEntry,
}

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub who: Option<String>,
    pub action: Option<String>,
    pub about: Option<String>,
    /// Only those with a lower number: the next page of a list.
    pub before: Option<u64>,
    /// At most so many; all when `None`.
    pub limit: Option<u32>,
}

impl Via {
    pub const ALL: [Self; 3] = [Self::Cli, Self::Api, Self::Server];

    pub fn word(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Server => "server",
        }
    }
}

impl Store {
    /// Writes down what was done, and says under which number.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<u64, StoreError> {
        let mut session = self.database.write("write into the audit table").await?;
        let id = session.next("audit").await?;
        session
            .execute(
                sqlx::query(
                    "INSERT INTO audit (id, at, who, via, action, about, why, outcome) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .bind(id)
                .bind(entry.at.as_microsecond())
                .bind(shown(&entry.who, 200))
                .bind(entry.via.word())
                .bind(shown(&entry.action, 100))
                .bind(shown(&entry.about, 500))
                .bind(entry.why.as_ref().map(|why| shown(why, 2000)))
                .bind(shown(&entry.outcome, 2000)),
            )
            .await?;
        session.commit().await?;
        Ok(u64::try_from(id).expect("counters begin at 1"))
    }

    /// Says what came of something that was written down before it was tried, so that a crash in between leaves a
    /// trace of the attempt. Nothing else of an entry ever changes.
    pub async fn audit_outcome(&self, id: u64, outcome: &str) -> Result<(), StoreError> {
        let mut session = self.database.write("write into the audit table").await?;
        session
            .execute(
                sqlx::query("UPDATE audit SET outcome = $2 WHERE id = $1")
                    .bind(column(id))
                    .bind(shown(outcome, 2000)),
            )
            .await?;
        session.commit().await
    }

    /// What was done, the latest first.
    pub async fn audits(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        let mut session = self.database.read("read the audit table").await?;
        let text = format!(
            "SELECT id, at, who, via, action, about, why, outcome FROM audit WHERE {} AND {} AND {} AND {} \
             ORDER BY id DESC LIMIT $5",
            asked(filter.who.is_some(), "who = $1", &["$1"]),
            asked(filter.action.is_some(), "action = $2", &["$2"]),
            asked(filter.about.is_some(), "about = $3", &["$3"]),
            asked(filter.before.is_some(), "id < $4", &["$4"]),
        );
        let rows = session
            .all(
                sqlx::query(sqlx::AssertSqlSafe(text))
                    .bind(filter.who.as_ref().map(|who| shown(who, 200)))
                    .bind(filter.action.as_ref().map(|action| shown(action, 100)))
                    .bind(filter.about.as_ref().map(|about| shown(about, 500)))
                    .bind(filter.before.map(|id| i64::try_from(id).unwrap_or(i64::MAX)))
                    .bind(filter.limit.map_or(i64::MAX, i64::from)),
            )
            .await?;
        rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect()
    }
}

fn read(fields: &Fields<'_>) -> Result<AuditRow, StoreError> {
    let via = fields.text("via")?;
    let entry = AuditEntry {
        at: fields.instant("at")?,
        who: fields.text("who")?,
        via: Via::ALL
            .into_iter()
            .find(|known| known.word() == via)
            .ok_or_else(|| fields.corrupt("via", format_args!("`{via}` is no way")))?,
        action: fields.text("action")?,
        about: fields.text("about")?,
        why: fields.optional_text("why")?,
        outcome: fields.text("outcome")?,
    };
    Ok(AuditRow { id: fields.count("id")?, entry })
}

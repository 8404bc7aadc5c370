//! Messages that wait to be sent: committed with the fact they tell of, sent afterwards, at least once.
//!
//! Times are the database's, so that senders on different machines agree on what is due.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::StoreError;
use crate::row::Fields;
use crate::session::Session;
use crate::{Store, column, shown};

/// A message that is to be sent. The payload is the sender's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Which sender it is for, such as `pointer`.
    pub kind: String,
    /// What it is about, for people, such as `home-feed@champion`.
    pub about: String,
    pub payload: Vec<u8>,
}

/// A message that has not been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub id: u64,
    pub message: Message,
    pub created: Timestamp,
    /// When it may be claimed next.
    pub due: Timestamp,
    /// How often it has been claimed.
    pub tries: u32,
    pub last_error: Option<String>,
}

macro_rules! select_outbox {
    ($rest:expr) => {
        concat!("SELECT id, kind, about, payload, created, due, tries, last_error FROM outbox ", $rest)
    };
}

impl Store {
    /// Puts messages into the outbox by themselves. Those that tell of a change go with it, in [`Effects`](crate::Effects).
    pub async fn put_messages(&self, messages: &[Message]) -> Result<(), StoreError> {
        let mut session = self.database.write("put a message into the outbox").await?;
        put(&mut session, messages).await?;
        session.commit().await
    }

    /// Takes messages of a kind that are due, the oldest first. Nobody else gets them for `patience`; whoever has
    /// neither settled nor failed them by then, because it died, may have sent them or not.
    pub async fn claim_messages(
        &self,
        kind: &str,
        patience: Duration,
        limit: u32,
    ) -> Result<Vec<Waiting>, StoreError> {
        let mut session = self.database.write("take messages from the outbox").await?;
        let now = session.clock().await?;
        let rows = session
            .all(
                sqlx::query(select_outbox!("WHERE kind = $1 AND due <= $2 ORDER BY id LIMIT $3"))
                    .bind(kind)
                    .bind(now)
                    .bind(i64::from(limit)),
            )
            .await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut waiting = read(&Fields::of(row, session.place()))?;
            session
                .execute(
                    sqlx::query("UPDATE outbox SET due = $2, tries = tries + 1 WHERE id = $1")
                        .bind(column(waiting.id))
                        .bind(after(now, patience)),
                )
                .await?;
            waiting.tries += 1;
            claimed.push(waiting);
        }
        session.commit().await?;
        Ok(claimed)
    }

    /// Records that a message was sent.
    pub async fn settle_message(&self, id: u64) -> Result<(), StoreError> {
        let mut session = self.database.write("record that a message was sent").await?;
        session.execute(sqlx::query("DELETE FROM outbox WHERE id = $1").bind(column(id))).await?;
        session.commit().await
    }

    /// Records why a message could not be sent, and when to try again.
    pub async fn fail_message(&self, id: u64, error: &str, again_in: Duration) -> Result<(), StoreError> {
        let mut session = self.database.write("record that a message was not sent").await?;
        let now = session.clock().await?;
        session
            .execute(
                sqlx::query("UPDATE outbox SET last_error = $2, due = $3 WHERE id = $1")
                    .bind(column(id))
                    .bind(shown(error, 2000))
                    .bind(after(now, again_in)),
            )
            .await?;
        session.commit().await
    }

    /// All messages that wait, the oldest first.
    pub async fn waiting_messages(&self) -> Result<Vec<Waiting>, StoreError> {
        let mut session = self.database.read("read the outbox").await?;
        let rows = session.all(sqlx::query(select_outbox!("ORDER BY id"))).await?;
        rows.iter().map(|row| read(&Fields::of(row, session.place()))).collect()
    }
}

pub(crate) async fn put(session: &mut Session<'_>, messages: &[Message]) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let now = session.clock().await?;
    for message in messages {
        let id = session.next("outbox").await?;
        session
            .execute(
                sqlx::query(
                    "INSERT INTO outbox (id, kind, about, payload, created, due, tries) \
                     VALUES ($1, $2, $3, $4, $5, $5, 0)",
                )
                .bind(id)
                .bind(message.kind.as_str())
                .bind(shown(&message.about, 2000))
                .bind(message.payload.as_slice())
                .bind(now),
            )
            .await?;
    }
    Ok(())
}

/// An instant of the database's clock so much later.
pub(crate) fn after(now: i64, pause: Duration) -> i64 {
    now.saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX))
}

fn read(fields: &Fields<'_>) -> Result<Waiting, StoreError> {
    Ok(Waiting {
        id: fields.count("id")?,
        message: Message {
            kind: fields.text("kind")?,
            about: fields.text("about")?,
            payload: fields.bytes("payload")?,
        },
        created: fields.instant("created")?,
        due: fields.instant("due")?,
        tries: fields.small("tries")?,
        last_error: fields.optional_text("last_error")?,
    })
}

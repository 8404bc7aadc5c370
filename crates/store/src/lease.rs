//! Leases: who drives what, until when, by the database's clock.
//!
//! A lease carries a token that rises with every change of holder. A write that gives its token fails once somebody
//! else has taken over, however late it arrives.

use std::time::Duration;

use crate::error::StoreError;
use crate::outbox::after;
use crate::row::Fields;
use crate::session::Session;
use crate::{Store, column};

/// A lease that is held here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub name: String,
    pub holder: String,
    /// The fence: higher than that of every holder before.
    pub token: u64,
}

/// What asking for a lease came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    Held(Lease),
    /// Somebody else has it, for so long unless they renew it.
    Taken {
        by: Lease,
        runs_out_in: Duration,
    },
}

impl Store {
    /// Takes a lease that nobody holds, or whose holder has not renewed it in time.
    ///
    /// `holder` says who asks, in words that a person and a reconciler can check, such as host, pid and start time.
    pub async fn acquire(&self, name: &str, holder: &str, lasting: Duration) -> Result<Acquired, StoreError> {
        let mut session = self.database.write("take a lease").await?;
        let now = session.clock().await?;
        let present = find(&mut session, name).await?;
        let mut token = 1;
        if let Some((by, expires)) = present {
            if expires > now {
                let left = u64::try_from(expires - now).expect("the lease ends later");
                return Ok(Acquired::Taken { by, runs_out_in: Duration::from_micros(left) });
            }
            token = by.token + 1;
        }
        session
            .execute(
                sqlx::query(
                    "INSERT INTO leases (name, holder, token, expires) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (name) DO UPDATE SET holder = $2, token = $3, expires = $4",
                )
                .bind(name)
                .bind(holder)
                .bind(column(token))
                .bind(after(now, lasting)),
            )
            .await?;
        session.commit().await?;
        Ok(Acquired::Held(Lease { name: name.to_owned(), holder: holder.to_owned(), token }))
    }

    /// The heartbeat. It also works for a lease that has run out and that nobody took meanwhile.
    pub async fn renew(&self, lease: &Lease, lasting: Duration) -> Result<(), StoreError> {
        let mut session = self.database.write("renew a lease").await?;
        check(&mut session, lease).await?;
        let now = session.clock().await?;
        set_end(&mut session, lease, after(now, lasting)).await?;
        session.commit().await
    }

    /// Gives a lease back. One that was lost meanwhile is left to its new holder.
    pub async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut session = self.database.write("give a lease back").await?;
        set_end(&mut session, lease, 0).await?;
        session.commit().await
    }

    /// Who holds a lease, and how long it still runs.
    pub async fn holder(&self, name: &str) -> Result<Option<(Lease, Duration)>, StoreError> {
        // The clock is read in the same transaction; SQLite's and Postgres' clocks need no write lock.
        let mut session = self.database.read("look who holds a lease").await?;
        let now = session.clock().await?;
        Ok(find(&mut session, name).await?.and_then(|(lease, expires)| {
            let left = u64::try_from(expires - now).ok().filter(|left| *left > 0)?;
            Some((lease, Duration::from_micros(left)))
        }))
    }
}

/// Refuses a write under a lease that somebody else has taken over.
pub(crate) async fn check(session: &mut Session<'_>, lease: &Lease) -> Result<(), StoreError> {
    let now = find(session, &lease.name).await?.map_or(0, |(present, _)| present.token);
    if now != lease.token {
        return Err(StoreError::LeaseLost { name: lease.name.clone(), ours: lease.token, now });
    }
    Ok(())
}

/// The same, where working under a lease is the caller's choice.
pub(crate) async fn check_given(session: &mut Session<'_>, lease: Option<&Lease>) -> Result<(), StoreError> {
    match lease {
        Some(lease) => check(session, lease).await,
        None => Ok(()),
    }
}

async fn set_end(session: &mut Session<'_>, lease: &Lease, expires: i64) -> Result<(), StoreError> {
    session
        .execute(
            sqlx::query("UPDATE leases SET expires = $3 WHERE name = $1 AND token = $2")
                .bind(lease.name.as_str())
                .bind(column(lease.token))
                .bind(expires),
        )
        .await
        .map(drop)
}

async fn find(session: &mut Session<'_>, name: &str) -> Result<Option<(Lease, i64)>, StoreError> {
    let row = session
        .optional(sqlx::query("SELECT holder, token, expires FROM leases WHERE name = $1").bind(name))
        .await?;
    row.map(|row| {
        let fields = Fields::of(&row, session.place());
        let lease =
            Lease { name: name.to_owned(), holder: fields.text("holder")?, token: fields.count("token")? };
        Ok((lease, fields.integer("expires")?))
    })
    .transpose()
}

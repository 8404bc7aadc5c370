//! The leader's seat: of all servers on one database, one leads.
//!
//! The seat is a lease by the database's clock. Who has it renews it well before it runs out; who cannot renew it in
//! time steps down by its own clock, before anybody else can have it. What a leader writes it writes under the lease's
//! token, so that one that was frozen and wakes up writes nothing.

use std::time::Duration;

use noctule_store::{Acquired, Lease, Store, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::error::StartError;
use crate::holder::{Bearer, is_dead};

const NAME: &str = "leader";
pub(super) const TTL: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(3);
/// Who has not been able to renew for so long steps down.
const TOO_LONG: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_secs(1);

/// Who leads, as far as this server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reign {
    Nobody,
    Ours(Lease),
    Theirs(String),
}

/// Keeps asking for the seat, and keeps it, until `stop` says so; then gives it back.
pub(crate) async fn keep(
    store: Store,
    bearer: Bearer,
    reign: watch::Sender<Reign>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let asked = Instant::now();
        let mut taking = std::pin::pin!(take(&store, &bearer));
        let taken = tokio::select! {
            taken = &mut taking => taken,
            () = told(&mut stop) => {
                // What was asked for may be granted all the same.
                if let Ok(Ok(Acquired::Held(lease))) = tokio::time::timeout(PAUSE * 5, taking).await {
                    give_back(&store, &lease).await;
                }
                return;
            }
        };
        let wait = match taken {
            Ok(Acquired::Held(lease)) => {
                reign.send_replace(Reign::Ours(lease.clone()));
                let stopped = hold(&store, &lease, asked, &mut stop).await;
                reign.send_replace(Reign::Nobody);
                if stopped {
                    give_back(&store, &lease).await;
                    return;
                }
                PAUSE
            }
            Ok(Acquired::Taken { by, runs_out_in }) => {
                let theirs = Reign::Theirs(by.holder);
                reign.send_if_modified(|now| std::mem::replace(now, theirs.clone()) != theirs);
                runs_out_in.min(PAUSE)
            }
            Err(error) => {
                tracing::warn!(%error, "the leader's lease cannot be asked for");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = told(&mut stop) => return,
        }
    }
}

/// Waits until it is to stop.
async fn told(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Whoever could say so is gone: there is nothing left to keep the seat for.
    }
}

/// Holds the lease for as long as it can be renewed. `true` when it was told to stop.
async fn hold(store: &Store, lease: &Lease, mut renewed: Instant, stop: &mut watch::Receiver<bool>) -> bool {
    let mut next = renewed + RENEW;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = told(stop) => return true,
        }
        let asked = Instant::now();
        let left = TOO_LONG.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(left, store.renew(lease, TTL)).await {
            Ok(Ok(())) => {
                renewed = asked;
                next = asked + RENEW;
            }
            Ok(Err(error @ StoreError::LeaseLost { .. })) => {
                tracing::warn!(%error, "another server leads");
                return false;
            }
            Ok(Err(error)) if renewed.elapsed() < TOO_LONG => {
                tracing::warn!(%error, "the leader's lease cannot be renewed; trying again");
                next = Instant::now() + PAUSE / 2;
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the leader's lease could not be renewed in time: stepping down");
                return false;
            }
        }
    }
}

/// Takes the lease, also from a holder that is known to be dead.
async fn take(store: &Store, bearer: &Bearer) -> Result<Acquired, StoreError> {
    let taken = store.acquire(NAME, &bearer.text, TTL).await?;
    let Acquired::Taken { by, .. } = &taken else { return Ok(taken) };
    if by.holder != bearer.text && !is_dead(&by.holder) {
        return Ok(taken);
    }
    store.release(by).await?;
    store.acquire(NAME, &bearer.text, TTL).await
}

async fn give_back(store: &Store, lease: &Lease) {
    match tokio::time::timeout(PAUSE * 5, store.release(lease)).await {
        Ok(Ok(())) => {}
        _ => tracing::warn!("the leader's lease was not given back and has to run out"),
    }
}

/// Makes sure that nobody else leads, where two servers may not be. A lease that is left over from a server that
/// nobody can look at is waited for.
pub(crate) async fn alone(store: &Store, bearer: &Bearer, why: &'static str) -> Result<(), StartError> {
    let begun = Instant::now();
    let mut first: Option<(Lease, Instant)> = None;
    loop {
        match take(store, bearer).await? {
            Acquired::Held(lease) => {
                store.release(&lease).await?;
                return Ok(());
            }
            Acquired::Taken { by, runs_out_in } => {
                // One that lasts longer than it could when it was first seen has been renewed: somebody is there.
                let ends = Instant::now() + runs_out_in;
                let (_, first_end) = first.get_or_insert_with(|| (by.clone(), ends));
                let renewed = ends > *first_end + PAUSE;
                if renewed || begun.elapsed() > 2 * TTL {
                    return Err(StartError::AnotherServer { holder: by.holder, why });
                }
                tokio::time::sleep(runs_out_in.min(PAUSE / 2)).await;
            }
        }
    }
}

//! Going round until the run has ended: what is told, what is seen, what the clock says.

use std::time::Duration;

use jiff::Timestamp;
use noctule_engine::{Command, Event, Evidence};
use noctule_launcher::{AttemptKey, SeenState};
use noctule_store::Effects;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::commit::patiently;
use super::{BEAT, Cancel, Drive, Ears, Ended, GRACE, LEASE, LISTEN, Over, Wish};
use crate::ask::{self, Asked};
use crate::error::ControllerError;
use crate::outbox;
use crate::watch::Seen;

impl Drive {
    /// Goes round until the run has ended.
    pub async fn to_end(self, cancels: mpsc::UnboundedReceiver<Cancel>) -> Result<Ended, ControllerError> {
        match self.go(Ears::Cancels(cancels)).await? {
            Over::Ended(ended) => Ok(*ended),
            Over::Left => unreachable!("only a server lets go of a run"),
        }
    }

    /// Goes round until the run has ended or is let go of.
    pub(crate) async fn go(mut self, mut ears: Ears) -> Result<Over, ControllerError> {
        let mut beat = tokio::time::interval_at(Instant::now() + BEAT, BEAT);
        let mut listen = tokio::time::interval(LISTEN);
        let mut again = tokio::time::interval(LISTEN);
        // What was missed while the store was away is not made up for.
        for timer in [&mut beat, &mut listen, &mut again] {
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            self.obey_all().await?;
            if self.run.ended().is_some() {
                return self.finish().await;
            }
            let wake = self.run.next_wake();
            let (waits, slots) = (!self.parked.is_empty(), self.controller.slots.clone());
            tokio::select! {
                biased;
                Some(wish) = ears.hear() => match wish {
                    Wish::Leave => return self.leave().await,
                    Wish::Ask { asked, reply } => self.hear(asked, reply).await?,
                },
                Some(observed) = self.observations.recv() => self.observe(observed).await?,
                () = sleep_until(wake) => self.record(Event::Woken, Effects::default()).await?,
                _ = beat.tick() => self.beat().await?,
                _ = listen.tick(), if self.listens => self.listen().await?,
                () = slots.freed(), if waits => self.try_parked().await?,
                _ = again.tick(), if waits => self.try_parked().await?,
            }
        }
    }

    async fn finish(mut self) -> Result<Over, ControllerError> {
        self.deliver().await;
        let status = self.run.status();
        self.controller.store.release(&self.lease).await?;
        self.watch.tell(Seen::Ended { status });
        Ok(Over::Ended(Box::new(Ended { run: self.run, status, owed: self.owed })))
    }

    async fn leave(self) -> Result<Over, ControllerError> {
        self.controller.store.release(&self.lease).await?;
        Ok(Over::Left)
    }

    async fn obey_all(&mut self) -> Result<(), ControllerError> {
        while let Some(command) = self.pending.pop_front() {
            self.obey(command).await?;
        }
        Ok(())
    }

    /// Somebody asks something of the run. What cannot be is answered, and changes nothing.
    async fn hear(
        &mut self,
        asked: Asked,
        reply: Option<tokio::sync::oneshot::Sender<Result<(), ControllerError>>>,
    ) -> Result<(), ControllerError> {
        let heard = match self.take_ask(asked.clone()).await {
            Err(error) if error.is_refusal() => Err(error),
            other => {
                other?;
                Ok(())
            }
        };
        match (reply, heard) {
            (Some(reply), heard) => {
                // Whoever asked may have gone away.
                let _ = reply.send(heard);
                Ok(())
            }
            (None, Ok(())) => Ok(()),
            (None, Err(error)) => {
                let text = format!("{} was asked for by {}, and cannot be: {error}", asked.word(), asked.by);
                self.note(None, text).await
            }
        }
    }

    /// Looks whether somebody asks something of this run through the store.
    async fn listen(&mut self) -> Result<(), ControllerError> {
        let kind = ask::kind(&self.position.run);
        let store = &self.controller.store;
        // To look takes no turn from those who write.
        let claimed = match store.waiting_messages().await {
            Ok(waiting) if waiting.iter().any(|waiting| waiting.message.kind == kind) => {
                store.claim_messages(&kind, LEASE, 8).await
            }
            Ok(_) => return Ok(()),
            Err(error) => Err(error),
        };
        let claimed = match claimed {
            Err(error) if error.is_temporary() => return Ok(()),
            other => other?,
        };
        for waiting in claimed {
            match Asked::read(&waiting.message.payload) {
                Ok(asked) => self.hear(asked, None).await?,
                Err(cause) => {
                    let text = format!("something was asked of this run and cannot be read ({cause})");
                    self.note(None, text).await?;
                }
            }
            self.controller.store.settle_message(waiting.id).await?;
        }
        Ok(())
    }

    async fn beat(&mut self) -> Result<(), ControllerError> {
        let asked = Instant::now();
        match self.controller.store.renew(&self.lease, LEASE).await {
            Err(error) if error.is_temporary() => tracing::warn!(%error, "the store is away"),
            other => {
                other?;
                self.renewed = asked;
            }
        }
        // A signal may have been lost: what was asked to end, and has not, is asked again.
        let again = self.run.outstanding().into_iter();
        self.pending
            .extend(again.filter(|command| matches!(command, Command::Stop { .. } | Command::Kill { .. })));
        self.reconcile().await
    }

    /// What a driver was about to do when it was held up may be somebody else's to do by now.
    pub(super) async fn make_sure_of_lease(&mut self) -> Result<(), ControllerError> {
        if self.renewed.elapsed() < LEASE / 2 {
            return Ok(());
        }
        let (store, lease, asked) = (self.controller.store.clone(), self.lease.clone(), Instant::now());
        patiently(|| async { Ok(store.renew(&lease, LEASE).await?) }).await?;
        self.renewed = asked;
        Ok(())
    }

    /// Watches what an earlier driver started.
    pub(super) async fn adopt(&mut self) -> Result<(), ControllerError> {
        for key in self.live() {
            self.controller.launcher.adopt(&key).await?;
        }
        self.reconcile().await
    }

    /// The attempts that should be live.
    fn live(&self) -> Vec<AttemptKey> {
        let live = self.run.steps().iter().filter_map(|step| Some((step, step.live()?)));
        live.map(|(step, live)| self.key(&step.plan().name, live.number)).collect()
    }

    /// Compares what should be live with what is, and closes the difference.
    async fn reconcile(&mut self) -> Result<(), ControllerError> {
        let live = self.live();
        if live.is_empty() {
            return Ok(());
        }
        let seen = self.controller.launcher.list().await?;
        for key in live {
            let Some(live) = self.run.step(&key.step).and_then(|step| step.live()) else { continue };
            // What has not been started is waited for by its own command.
            if live.handle.is_none() {
                continue;
            }
            match seen.iter().find(|seen| seen.key == key).map(|seen| &seen.state) {
                Some(SeenState::Running { .. }) => drop(self.missing.remove(&key)),
                Some(SeenState::Ended { evidence }) => self.ended(key, evidence.clone(), None).await?,
                Some(SeenState::NotBegun) | None => {
                    let since = *self.missing.entry(key.clone()).or_insert_with(Instant::now);
                    if since.elapsed() >= GRACE {
                        self.missing.remove(&key);
                        self.ended(key, Evidence::Lost, None).await?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn deliver(&mut self) {
        match outbox::deliver(&self.controller.store, &self.controller.depot).await {
            Ok(owed) => self.owed = owed,
            Err(error) => tracing::warn!(%error, "the outbox could not be read"),
        }
    }
}

async fn sleep_until(wake: Option<Timestamp>) {
    match wake {
        None => std::future::pending().await,
        Some(at) => {
            let wait = Timestamp::now().duration_until(at);
            tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
        }
    }
}

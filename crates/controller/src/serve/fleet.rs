//! The drives of a server: a task for each run, and what reaches it.
//!
//! Nothing that one drive waits for holds up another. What the launcher sees is handed to the drive of its run; what
//! reaches none is let go of, since every drive looks for itself what has become of its attempts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use noctule_artifacts::{PipelineName, RunId};
use noctule_engine::StepState;
use noctule_launcher::{Observations, Observed};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::locked;
use super::lookout::Lookout;
use super::status::{LiveRun, Tally, Trouble};
use crate::Controller;
use crate::ask::Asked;
use crate::drive::{Ears, Over, Wish};
use crate::error::ControllerError;
use crate::holder::Bearer;
use crate::watch::{Seen, Watch};

/// How long a run is left alone that could not be driven; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How many sentences about runs wait for whoever looks on.
const TOLD: usize = 1024;

/// Something that happened in a run that this server drives.
#[derive(Debug, Clone)]
pub struct Happened {
    pub run: RunId,
    pub pipeline: PipelineName,
    pub seen: Seen,
}

/// The drives of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct Fleet(Arc<Inner>);

struct Inner {
    controller: Controller,
    bearer: Bearer,
    driven: Mutex<BTreeMap<RunId, Driven>>,
    troubled: Mutex<BTreeMap<RunId, Troubled>>,
    tally: Arc<Mutex<Tally>>,
    /// Wakes the loop: a run has ended, or is free.
    nudge: Arc<Notify>,
    emptied: Notify,
    happened: broadcast::Sender<Happened>,
}

struct Driven {
    pipeline: PipelineName,
    since: Timestamp,
    wishes: mpsc::UnboundedSender<Wish>,
    observed: mpsc::UnboundedSender<Observed>,
    task: AbortHandle,
}

/// A run that could not be driven.
struct Troubled {
    trouble: Trouble,
    pause: Duration,
    again: Instant,
}

/// How a drive's task came to its end.
enum Outcome {
    Over(Result<Over, ControllerError>),
    Aborted,
    Panicked(String),
}

impl Fleet {
    pub fn new(controller: Controller, bearer: Bearer, tally: Arc<Mutex<Tally>>, nudge: Arc<Notify>) -> Self {
        let launcher = Arc::new(Lookout::new(controller.launcher.clone()));
        Self(Arc::new(Inner {
            controller: Controller { launcher, ..controller },
            bearer,
            driven: Mutex::default(),
            troubled: Mutex::default(),
            tally,
            nudge,
            emptied: Notify::new(),
            happened: broadcast::channel(TOLD).0,
        }))
    }

    pub fn happenings(&self) -> broadcast::Receiver<Happened> {
        self.0.happened.subscribe()
    }

    /// Hands what the launcher sees to the drives, for as long as it sees anything.
    pub async fn route(self, mut observations: Observations) {
        while let Some(observed) = observations.recv().await {
            if let Some(driven) = locked(&self.0.driven).get(&observed.key.run) {
                // A drive that is coming to its end hears nothing any more.
                let _ = driven.observed.send(observed);
            }
        }
    }

    /// Whether a run may be taken up now: it is not driven here, and is not left alone after trouble.
    pub fn may_take_up(&self, run: &RunId) -> bool {
        let rests = locked(&self.0.troubled).get(run).is_some_and(|troubled| troubled.again > Instant::now());
        !rests && !locked(&self.0.driven).contains_key(run)
    }

    /// Drives a run in a task of its own.
    pub fn take_up(&self, run: &RunId, pipeline: &PipelineName) {
        let mut all = locked(&self.0.driven);
        if all.contains_key(run) {
            return;
        }
        let (wishes, to_hear) = mpsc::unbounded_channel();
        let (observed, observations) = mpsc::unbounded_channel();
        let drive = tokio::spawn(self.clone().drive(run.clone(), pipeline.clone(), to_hear, observations));
        let task = drive.abort_handle();
        let driven = Driven { pipeline: pipeline.clone(), since: Timestamp::now(), wishes, observed, task };
        all.insert(run.clone(), driven);
        drop(all);
        let (fleet, run) = (self.clone(), run.clone());
        tokio::spawn(async move {
            let outcome = match drive.await {
                Ok(result) => Outcome::Over(result),
                Err(error) if error.is_cancelled() => Outcome::Aborted,
                Err(error) => Outcome::Panicked(error.to_string()),
            };
            fleet.over(&run, outcome);
        });
    }

    async fn drive(
        self,
        run: RunId,
        pipeline: PipelineName,
        wishes: mpsc::UnboundedReceiver<Wish>,
        observations: Observations,
    ) -> Result<Over, ControllerError> {
        let watch = self.watch(run.clone(), pipeline);
        let Inner { controller, bearer, .. } = &*self.0;
        let mut drive = controller.open_as(&bearer.leading(), &run, None, observations, watch).await?;
        drive.listens_not();
        drive.go(Ears::Wishes(wishes)).await
    }

    fn watch(&self, run: RunId, pipeline: PipelineName) -> Watch {
        let (tally, happened) = (self.0.tally.clone(), self.0.happened.clone());
        Watch::by(move |seen| {
            match &seen {
                Seen::Step { state: StepState::Ended(end), .. } => {
                    let key = (pipeline.clone(), end.word());
                    *locked(&tally).steps_ended.entry(key).or_default() += 1;
                }
                Seen::Ended { status } => {
                    let key = (pipeline.clone(), status.word());
                    *locked(&tally).runs_ended.entry(key).or_default() += 1;
                }
                _ => {}
            }
            // Nobody need look on.
            let _ = happened.send(Happened { run: run.clone(), pipeline: pipeline.clone(), seen });
        })
    }

    fn over(&self, run: &RunId, outcome: Outcome) {
        let mut passes = false;
        let what = match outcome {
            Outcome::Over(Ok(_)) | Outcome::Aborted => None,
            Outcome::Over(Err(error)) if error.is_loss() => {
                tracing::info!(%run, %error, "somebody else drives the run");
                None
            }
            Outcome::Over(Err(error)) => {
                passes = error.is_temporary();
                Some(error.to_string())
            }
            Outcome::Panicked(what) => Some(format!("its drive failed by a fault of noctule's own: {what}")),
        };
        match what {
            None => drop(locked(&self.0.troubled).remove(run)),
            Some(what) => self.leave_alone(run, what, passes),
        }
        let mut all = locked(&self.0.driven);
        all.remove(run);
        if all.is_empty() {
            self.0.emptied.notify_waiters();
        }
        drop(all);
        self.0.nudge.notify_one();
    }

    /// `passes`: the trouble is the store's, and not the run's.
    fn leave_alone(&self, run: &RunId, what: String, passes: bool) {
        tracing::warn!(%run, error = what, "the run cannot be driven for now");
        let mut troubled = locked(&self.0.troubled);
        let earlier = troubled.get(run);
        let pause = match earlier {
            Some(earlier) if !passes => (earlier.pause * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        let since = earlier.map_or_else(Timestamp::now, |earlier| earlier.trouble.since);
        let trouble = Trouble { what, since };
        troubled.insert(run.clone(), Troubled { trouble, pause, again: Instant::now() + pause });
    }

    /// Asks something of a run that is driven here; `None` when it is not.
    pub fn ask(&self, run: &RunId, asked: Asked) -> Option<oneshot::Receiver<Result<(), ControllerError>>> {
        let (reply, answer) = oneshot::channel();
        let all = locked(&self.0.driven);
        all.get(run)?.wishes.send(Wish::Ask { asked, reply: Some(reply) }).ok()?;
        Some(answer)
    }

    /// Hands over something that was asked through the store. `false` when the run is not driven here any more.
    pub fn hand(&self, run: &RunId, letter: &[u8]) -> bool {
        match Asked::read(letter) {
            Ok(asked) => self.tell(run, asked),
            Err(cause) => {
                tracing::warn!(%run, cause, "something was asked of the run and cannot be read");
                true
            }
        }
    }

    /// Asks something of a run and waits for no answer. `false` when the run is not driven here.
    pub fn tell(&self, run: &RunId, asked: Asked) -> bool {
        let wish = Wish::Ask { asked, reply: None };
        locked(&self.0.driven).get(run).is_some_and(|driven| driven.wishes.send(wish).is_ok())
    }

    pub fn bearer(&self) -> &Bearer {
        &self.0.bearer
    }

    /// Lets go of all runs as they stand: attempts go on. Those that cannot let go in time are dropped.
    pub async fn leave(&self, patience: Duration) {
        for driven in locked(&self.0.driven).values() {
            let _ = driven.wishes.send(Wish::Leave);
        }
        if tokio::time::timeout(patience, self.empty()).await.is_err() {
            self.drop_all().await;
        }
    }

    /// Drops all drives at once, without any further effect.
    pub async fn drop_all(&self) {
        for driven in locked(&self.0.driven).values() {
            driven.task.abort();
        }
        self.empty().await;
        locked(&self.0.troubled).clear();
    }

    async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            tokio::pin!(emptied);
            // From now on no word of it is missed.
            emptied.as_mut().enable();
            if locked(&self.0.driven).is_empty() {
                return;
            }
            emptied.await;
        }
    }

    pub fn live(&self) -> Vec<LiveRun> {
        let all = locked(&self.0.driven);
        all.iter()
            .map(|(run, driven)| LiveRun {
                run: run.clone(),
                pipeline: driven.pipeline.clone(),
                since: driven.since,
            })
            .collect()
    }

    pub fn drives(&self, run: &RunId) -> bool {
        locked(&self.0.driven).contains_key(run)
    }

    /// What is wrong with a run that has ended is of no interest any more.
    pub fn forget_trouble_of_all_but(&self, live: &BTreeSet<&RunId>) {
        locked(&self.0.troubled).retain(|run, _| live.contains(run));
    }

    pub fn troubled(&self) -> BTreeMap<RunId, Trouble> {
        let troubled = locked(&self.0.troubled);
        troubled.iter().map(|(run, troubled)| (run.clone(), troubled.trouble.clone())).collect()
    }
}

//! Where requests are made: of runs, of schedules.
//!
//! A request is a commit. It is checked, written into the audit table and into the store, and whoever drives the run or
//! leads acts on it. So a desk works in any process: beside the server's loop, in a server that stands by, and on the
//! command line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use noctule_artifacts::{PipelineName, RunId, StepName};
use noctule_store::{AuditEntry, GoodPipeline, ScheduleRow};
use rand::Rng as _;
use tokio::sync::Notify;

use super::error::RequestError;
use super::fleet::Fleet;
use super::who::Who;
use crate::Controller;
use crate::ask::{Ask, Asked};
use crate::definition::{Definition, PROGRAM, Refused};
use crate::drive::{self, Beginning};
use crate::error::ControllerError;
use crate::holder::Bearer;
use crate::plan::run_plan;

/// Nobody reads a longer name or reason.
const LONGEST: usize = 2000;
/// How long a driver may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where requests are made. Clones share it.
#[derive(Clone)]
pub struct Desk {
    pub(super) controller: Controller,
    /// How many steps of a run go side by side.
    pub(super) parallel: u32,
    /// The drives of this process, when it is a server.
    pub(super) fleet: Option<Fleet>,
    /// Wakes the loop.
    pub(super) nudge: Arc<Notify>,
}

/// A run that somebody wants.
#[derive(Debug, Clone)]
pub struct Trigger {
    pub pipeline: PipelineName,
    pub params: BTreeMap<String, String>,
    /// The occurrence; now, when it is not given.
    pub at: Option<Timestamp>,
}

/// What became of something that was asked of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It is in the run's log.
    Written,
    /// Whoever drives the run has been told, and has yet to act on it.
    Told { driver: String },
}

impl Desk {
    /// A desk in a process that is no server.
    pub fn new(controller: Controller, parallel: u32) -> Self {
        Self { controller, parallel, fleet: None, nudge: Arc::default() }
    }

    /// Begins a run of a pipeline as it was last loaded. The leader drives it.
    pub async fn trigger(&self, wish: &Trigger, who: &Who) -> Result<RunId, RequestError> {
        self.audited("run.trigger", wish.pipeline.as_str(), who, self.begin(wish, who)).await
    }

    async fn begin(&self, wish: &Trigger, who: &Who) -> Result<RunId, RequestError> {
        let good = self.pipeline(&wish.pipeline).await?;
        let at = wish.at.unwrap_or_else(Timestamp::now);
        let definition = Definition {
            by: Some(who.name.clone()),
            why: who.why.clone(),
            ..self.definition(good, wish.params.clone(), at)
        };
        let (id, beginning) = beginning(&definition, self.parallel)?;
        self.controller.begin(beginning).await?;
        self.nudge.notify_one();
        Ok(id)
    }

    pub(super) fn definition(
        &self,
        good: GoodPipeline,
        params: BTreeMap<String, String>,
        at: Timestamp,
    ) -> Definition {
        let text = String::from_utf8_lossy(&good.text).into_owned();
        Definition::new(good.file, text, params, at, PROGRAM)
    }

    /// A pipeline as it was last loaded.
    pub(super) async fn pipeline(&self, name: &PipelineName) -> Result<GoodPipeline, RequestError> {
        let rows = self.controller.store.pipelines().await?;
        let mut known = Vec::new();
        for good in rows.into_iter().filter_map(|row| row.good) {
            if good.pipeline == *name {
                return Ok(good);
            }
            known.push(good.pipeline.to_string());
        }
        Err(RequestError::NoSuchPipeline { name: name.to_string(), known })
    }

    /// Asks a run to end: in order, or at once.
    pub async fn cancel(&self, run: &RunId, at_once: bool, who: &Who) -> Result<Sent, RequestError> {
        self.ask("run.cancel", run, Ask::Cancel { at_once }, who).await
    }

    /// Tries again what of a run did not finish.
    pub async fn resume(&self, run: &RunId, who: &Who) -> Result<Sent, RequestError> {
        self.ask("run.resume", run, Ask::Resume, who).await
    }

    /// Runs a step of a run that has ended once more, and all that follow it.
    pub async fn rerun(&self, run: &RunId, step: &StepName, who: &Who) -> Result<Sent, RequestError> {
        self.ask("run.rerun", run, Ask::Rerun { step: step.clone() }, who).await
    }

    /// Says that a failed step is not to count, which needs a reason.
    pub async fn ignore(&self, run: &RunId, step: &StepName, who: &Who) -> Result<Sent, RequestError> {
        if who.why.as_ref().is_none_or(|why| why.trim().is_empty()) {
            return Err(RequestError::NoReason { what: "ignoring a failure" });
        }
        self.ask("run.ignore", run, Ask::Ignore { step: step.clone() }, who).await
    }

    async fn ask(
        &self,
        action: &'static str,
        run: &RunId,
        ask: Ask,
        who: &Who,
    ) -> Result<Sent, RequestError> {
        let asked = Asked::new(ask, who.name.clone(), who.why.clone());
        self.audited(action, run.as_str(), who, self.send(run, asked)).await
    }

    pub(super) async fn send(&self, run: &RunId, asked: Asked) -> Result<Sent, RequestError> {
        self.controller.store.run(run).await?;
        if let Some(answer) = self.fleet.as_ref().and_then(|fleet| fleet.ask(run, asked.clone())) {
            match tokio::time::timeout(PATIENCE, answer).await {
                Ok(Ok(answer)) => return answer.map(|()| Sent::Written).map_err(Into::into),
                // Its drive came to its end before it heard.
                Ok(Err(_)) => {}
                Err(_) => return Ok(Sent::Told { driver: "this server".to_owned() }),
            }
        }
        match self.controller.write_ask(&Bearer::process(), run, asked.clone()).await {
            Ok(()) => {
                self.nudge.notify_one();
                Ok(Sent::Written)
            }
            Err(ControllerError::Driven { holder, .. }) => {
                drive::ask(&self.controller, run, &asked).await?;
                self.nudge.notify_one();
                Ok(Sent::Told { driver: holder })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Lets a schedule begin nothing until it is resumed.
    pub async fn pause(&self, pipeline: &PipelineName, who: &Who) -> Result<(), RequestError> {
        let paused = async {
            self.scheduled(pipeline).await?;
            let (by, why) = (who.name.as_str(), who.why.as_deref());
            match self.controller.store.pause_schedule(pipeline, by, why, Timestamp::now()).await? {
                true => Ok(()),
                false => Err(RequestError::ScheduleIs { pipeline: pipeline.clone(), state: "paused" }),
            }
        };
        self.audited("schedule.pause", pipeline.as_str(), who, paused).await
    }

    /// Lets a paused schedule go on.
    pub async fn resume_schedule(&self, pipeline: &PipelineName, who: &Who) -> Result<(), RequestError> {
        let resumed = async {
            self.scheduled(pipeline).await?;
            match self.controller.store.resume_schedule(pipeline).await? {
                true => Ok(()),
                false => Err(RequestError::ScheduleIs { pipeline: pipeline.clone(), state: "going on" }),
            }
        };
        let done = self.audited("schedule.resume", pipeline.as_str(), who, resumed).await;
        self.nudge.notify_one();
        done
    }

    async fn scheduled(&self, pipeline: &PipelineName) -> Result<ScheduleRow, RequestError> {
        let good = self.pipeline(pipeline).await?;
        let definition = self.definition(good, BTreeMap::new(), Timestamp::now());
        let (_, loaded) = definition.resolve(None).map_err(|refused| refusal(refused, &definition))?;
        match loaded.pipeline.schedule {
            Some(_) => Ok(self.controller.store.schedule(pipeline).await?),
            None => Err(RequestError::NoSchedule { pipeline: pipeline.clone() }),
        }
    }

    /// Does something, and keeps who wanted it and what came of it.
    pub(super) async fn audited<T: Said>(
        &self,
        action: &'static str,
        about: &str,
        who: &Who,
        deed: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        for (what, text) in [("the name of who asks", Some(&who.name)), ("the reason", who.why.as_ref())] {
            if text.is_some_and(|text| text.len() > LONGEST) {
                return Err(RequestError::TooLong { what, most: LONGEST });
            }
        }
        let entry = AuditEntry {
            at: Timestamp::now(),
            who: who.name.clone(),
            via: who.via,
            action: action.to_owned(),
            about: about.to_owned(),
            why: who.why.clone(),
            outcome: "begun".to_owned(),
        };
        let store = &self.controller.store;
        let id = store.audit(&entry).await?;
        let done = deed.await;
        let outcome = match &done {
            Ok(done) => done.said(),
            Err(error) => format!("refused: {error}"),
        };
        if let Err(error) = store.audit_outcome(id, &outcome).await {
            tracing::warn!(%error, action, about, "the outcome is missing from the audit table");
        }
        done
    }
}

/// What the audit table says about something that was done.
pub(super) trait Said {
    fn said(&self) -> String;
}

impl Said for () {
    fn said(&self) -> String {
        "done".to_owned()
    }
}

impl Said for RunId {
    fn said(&self) -> String {
        format!("began {self}")
    }
}

impl Said for Sent {
    fn said(&self) -> String {
        match self {
            Self::Written => "done".to_owned(),
            Self::Told { driver } => format!("told {driver}"),
        }
    }
}

/// A new run of a definition, under a random id.
pub(super) fn beginning(
    definition: &Definition,
    parallel: u32,
) -> Result<(RunId, Beginning<'_>), RequestError> {
    let mut random = rand::rng();
    let id = RunId::from_random((u128::from(random.next_u64()) << 64) | u128::from(random.next_u64()));
    let (interval, loaded) =
        definition.resolve(Some(id.clone())).map_err(|refused| refusal(refused, definition))?;
    let plan = run_plan(&loaded.pipeline, id.clone(), random.next_u64(), parallel.max(1), interval);
    Ok((id, Beginning { definition, plan, occurrence: None, under: None }))
}

pub(super) fn refusal(refused: Refused, definition: &Definition) -> RequestError {
    match refused {
        Refused::Pipeline(diagnostics) => RequestError::Pipeline {
            diagnostics: diagnostics.render(&definition.source(), noctule_spec::Style::Plain),
        },
        Refused::Interval(why) => RequestError::Interval(why),
    }
}

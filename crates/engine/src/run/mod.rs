//! The state machine: events in, commands out.

mod answer;
mod attempt;
mod outcome;
mod request;
mod settle;
mod timer;

use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, StepName};

use crate::command::Command;
use crate::event::Event;
use crate::plan::{PlanError, RunPlan};
use crate::status::{End, Rejection, RunStatus, StopReason};
use crate::step::{Asked, Stage, StepRun};

/// A run: the fold of its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    plan: RunPlan,
    /// As `plan.steps`, in the same order.
    steps: Vec<StepRun>,
    cancel: Option<Cancel>,
    created: Timestamp,
    /// Time as the events told it; it never goes back, even if a clock did.
    now: Timestamp,
    ended: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
struct Cancel {
    asked: Asked,
    at_once: bool,
}

/// An event that cannot have happened to this run. The run is as it was before.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IllegalEvent {
    #[error("the log does not begin with a `RunCreated`, but with {0}")]
    NoBeginning(&'static str),
    #[error("a run is created once")]
    CreatedTwice,
    #[error("the run's plan cannot be run: {0}")]
    Plan(#[from] PlanError),
    #[error("`{event}` names the step `{step}`, which the plan does not have")]
    UnknownStep { event: &'static str, step: StepName },
    #[error("`{event}` is about attempt {attempt} of `{step}`, and the last one given out is {given}")]
    UnknownAttempt { event: &'static str, step: StepName, attempt: AttemptNumber, given: u32 },
    /// What somebody asked for cannot be; the reason says what to do instead.
    #[error("`{step}` cannot {wish}: {reason}")]
    Refused { step: StepName, wish: &'static str, reason: String },
    #[error("`{event}` of attempt {attempt} of `{step}` is not possible while {reason}")]
    Impossible { event: &'static str, step: StepName, attempt: AttemptNumber, reason: &'static str },
}

impl Run {
    /// Begins a run.
    pub fn begin(at: Timestamp, plan: RunPlan) -> Result<(Run, Vec<Command>), IllegalEvent> {
        plan.check()?;
        let steps = plan.steps.iter().cloned().map(StepRun::new).collect();
        let mut run = Run { plan, steps, cancel: None, created: at, now: at, ended: None };
        let mut commands = Vec::new();
        run.settle(&mut commands);
        Ok((run, commands))
    }

    /// Folds a whole log. What is still to be done then is [`outstanding`](Self::outstanding).
    pub fn fold<'a>(
        events: impl IntoIterator<Item = (Timestamp, &'a Event)>,
    ) -> Result<Option<Run>, IllegalEvent> {
        let mut run: Option<Run> = None;
        for (at, event) in events {
            match (&mut run, event) {
                (None, Event::RunCreated { plan }) => run = Some(Run::begin(at, (**plan).clone())?.0),
                (None, other) => return Err(IllegalEvent::NoBeginning(other.name())),
                (Some(run), event) => {
                    run.apply(at, event)?;
                }
            }
        }
        Ok(run)
    }

    /// Takes an event in and says what is to be done about it.
    ///
    /// A fact about a superseded attempt, or one that is told twice, is legal and changes nothing.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<Vec<Command>, IllegalEvent> {
        let mut commands = Vec::new();
        let now = self.now.max(at);
        let before = self.now;
        self.now = now;
        if let Err(illegal) = self.take(event, &mut commands) {
            self.now = before;
            return Err(illegal);
        }
        self.settle(&mut commands);
        Ok(commands)
    }

    fn take(&mut self, event: &Event, commands: &mut Vec<Command>) -> Result<(), IllegalEvent> {
        match event {
            Event::RunCreated { .. } => Err(IllegalEvent::CreatedTwice),
            Event::CancelRequested { by, at_once, why } => {
                self.cancel(Asked { by: by.clone(), why: why.clone() }, *at_once, commands);
                Ok(())
            }
            Event::Resumed { .. } => {
                self.resume();
                Ok(())
            }
            Event::Rerun { step, .. } => {
                let i = self.index(event, step)?;
                self.rerun(i)
            }
            Event::Ignored { step, by, why } => {
                let i = self.index(event, step)?;
                self.ignore(i, Asked { by: by.clone(), why: Some(why.clone()) })
            }
            Event::Woken => {
                self.wake(commands);
                Ok(())
            }
            Event::Noted { step, .. } => match step {
                Some(step) => self.index(event, step).map(drop),
                None => Ok(()),
            },
            fact => {
                let (step, attempt) = fact.attempt().expect("every other event is about an attempt");
                self.take_fact(fact, step, attempt, commands)
            }
        }
    }

    fn take_fact(
        &mut self,
        fact: &Event,
        step: &StepName,
        attempt: AttemptNumber,
        commands: &mut Vec<Command>,
    ) -> Result<(), IllegalEvent> {
        let i = self.index(fact, step)?;
        let given = self.steps[i].given;
        if attempt.0 > given || attempt.0 == 0 {
            return Err(IllegalEvent::UnknownAttempt {
                event: fact.name(),
                step: step.clone(),
                attempt,
                given,
            });
        }
        if attempt.0 < given {
            self.take_stale(i, fact, attempt);
            return Ok(());
        }
        match &self.steps[i].stage {
            Stage::Preparing => self.take_answer(i, fact, commands),
            Stage::Live(_) => self.take_of_live(i, fact, commands),
            // The attempt has ended: whatever is told about it comes late.
            Stage::Waiting { .. } | Stage::Ready | Stage::Ended(_) => {
                self.take_stale(i, fact, attempt);
                Ok(())
            }
        }
    }

    /// The one thing that a late fact can still tell: that an abandoned attempt is gone after all.
    fn take_stale(&mut self, i: usize, fact: &Event, attempt: AttemptNumber) {
        if let Event::AttemptGone { .. } | Event::AttemptFailed { .. } | Event::AttemptSucceeded { .. } = fact
        {
            let abandoned = |a: &&mut crate::step::Attempt| a.number == attempt && a.abandoned;
            if let Some(record) = self.steps[i].attempts.iter_mut().find(abandoned) {
                record.abandoned = false;
            }
        }
    }

    fn index(&self, event: &Event, step: &StepName) -> Result<usize, IllegalEvent> {
        self.position(step)
            .ok_or_else(|| IllegalEvent::UnknownStep { event: event.name(), step: step.clone() })
    }

    fn position(&self, step: &StepName) -> Option<usize> {
        self.steps.iter().position(|s| s.plan.name == *step)
    }

    fn impossible(&self, i: usize, event: &Event, reason: &'static str) -> IllegalEvent {
        let step = self.steps[i].plan.name.clone();
        IllegalEvent::Impossible { event: event.name(), step, attempt: self.steps[i].number(), reason }
    }

    /// When the engine next wants a [`Event::Woken`], unless something else happens first.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.steps.iter().filter_map(StepRun::wake).min()
    }

    /// The commands that the present state still calls for, whether or not they were given before.
    pub fn outstanding(&self) -> Vec<Command> {
        self.steps.iter().filter_map(|step| self.outstanding_for(step)).collect()
    }

    fn outstanding_for(&self, step: &StepRun) -> Option<Command> {
        let (name, attempt) = (step.plan.name.clone(), step.number());
        match &step.stage {
            Stage::Preparing => Some(Command::Prepare { step: name, attempt, fresh: step.fresh }),
            Stage::Live(live) => match &live.stopping {
                None if live.started => None,
                None => Some(Command::Start { step: name, attempt, launch: live.launch }),
                Some(stopping) if stopping.killed.is_some() => Some(Command::Kill { step: name, attempt }),
                Some(_) => Some(Command::Stop { step: name, attempt, grace: step.plan.timeouts.grace }),
            },
            Stage::Waiting { .. } | Stage::Ready | Stage::Ended(_) => None,
        }
    }

    pub fn plan(&self) -> &RunPlan {
        &self.plan
    }

    /// The steps in the order of the plan.
    pub fn steps(&self) -> &[StepRun] {
        &self.steps
    }

    pub fn step(&self, name: &StepName) -> Option<&StepRun> {
        self.position(name).map(|i| &self.steps[i])
    }

    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// When the last step ended, if the run has ended.
    pub fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    /// Who asked for the run to end.
    pub fn cancelled_by(&self) -> Option<&str> {
        self.cancel.as_ref().map(|cancel| cancel.asked.by.as_str())
    }

    /// Why the run was asked to end.
    pub fn cancelled_why(&self) -> Option<&str> {
        self.cancel.as_ref().and_then(|cancel| cancel.asked.why.as_deref())
    }

    pub fn status(&self) -> RunStatus {
        if self.steps.iter().all(|step| step.ended_as().is_some()) {
            return self.final_status();
        }
        let untouched =
            |step: &StepRun| step.attempts.is_empty() && step.reused_from.is_none() && step.ended.is_none();
        match &self.cancel {
            Some(_) => RunStatus::Stopping,
            None if self.steps.iter().all(untouched) => RunStatus::Queued,
            None => RunStatus::Running,
        }
    }

    /// What a person asked for comes first, then trouble, then the reasons to publish nothing.
    fn final_status(&self) -> RunStatus {
        let ends = || self.steps.iter().filter_map(StepRun::ended_as);
        let stopped = |wanted: StopReason| ends().any(|end| *end == End::Stopped(wanted));
        if ends().any(|end| matches!(end, End::Cancelled)) {
            return RunStatus::Cancelled;
        }
        if ends().any(|end| matches!(end, End::Failed(_))) {
            return RunStatus::Failed;
        }
        if stopped(StopReason::DataStop) {
            return RunStatus::DataStop;
        }
        for rejection in [Rejection::Fail, Rejection::Inconclusive] {
            if stopped(StopReason::GateRejected(rejection)) {
                return RunStatus::GateRejected(rejection);
            }
        }
        let held = ends().find_map(|end| match end {
            End::Stopped(StopReason::Held(held)) => Some(*held),
            _ => None,
        });
        held.map_or(RunStatus::Succeeded, RunStatus::Held)
    }
}

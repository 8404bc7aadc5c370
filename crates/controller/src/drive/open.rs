//! Beginning a run, and taking one up that has begun.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use noctule_artifacts::RunId;
use noctule_engine::{Command, Event, Run, RunPlan, RunStatus};
use noctule_launcher::Observations;
use noctule_spec::Pipeline;
use noctule_store::{Acquired, Change, Effects, Lease, Logged, NewRun, Position};

use tokio::time::Instant;

use super::{Drive, LEASE};
use crate::Controller;
use crate::ask::{Ask, Asked};
use crate::definition::{Definition, PROGRAM, lease_name};
use crate::error::ControllerError;
use crate::holder::Bearer;
use crate::watch::Watch;

/// A run that is to be.
pub(crate) struct Beginning<'a> {
    pub definition: &'a Definition,
    pub plan: RunPlan,
    /// The occurrence that it answers.
    pub occurrence: Option<String>,
    /// The lease under which it may be begun: the leader's.
    pub under: Option<&'a Lease>,
}

/// Where the engine stands after a run's first event.
struct Begun {
    run: Run,
    commands: Vec<Command>,
    last: u64,
    definition: Definition,
}

/// A run with everything that drives it.
struct Taken {
    definition: Definition,
    pipeline: Pipeline,
    run: Run,
    commands: Vec<Command>,
    last: u64,
    lease: Lease,
}

impl Controller {
    /// Begins a run and drives it.
    pub async fn create(
        &self,
        definition: &Definition,
        pipeline: Pipeline,
        plan: RunPlan,
        observations: Observations,
        watch: Watch,
    ) -> Result<Drive, ControllerError> {
        let lease = self.take_lease(&plan.run, &Bearer::process()).await?;
        let beginning = Beginning { definition, plan, occurrence: None, under: None };
        match self.write_beginning(beginning).await {
            Ok(Begun { run, commands, last, definition }) => {
                let taken = Taken { definition, pipeline, run, commands, last, lease };
                Ok(self.drive(taken, observations, watch))
            }
            Err(error) => Err(self.let_go(&lease, error).await),
        }
    }

    /// Begins a run that nobody drives yet: whoever looks for such runs takes it up.
    pub(crate) async fn begin(&self, beginning: Beginning<'_>) -> Result<(), ControllerError> {
        self.write_beginning(beginning).await.map(drop)
    }

    async fn write_beginning(&self, beginning: Beginning<'_>) -> Result<Begun, ControllerError> {
        let Beginning { definition, plan, occurrence, under } = beginning;
        let (id, at) = (plan.run.clone(), Timestamp::now());
        let (run, commands) = Run::begin(at, plan.clone())
            .map_err(|cause| ControllerError::Illegal { run: id.clone(), cause })?;
        let definition = Definition { share: Some(self.machine.into()), ..definition.clone() };
        let new = NewRun {
            run: id,
            pipeline: plan.pipeline.clone(),
            interval: plan.interval,
            occurrence,
            lease: under.cloned(),
            definition: definition.to_json(),
        };
        let change = Change::new(at, vec![Event::RunCreated { plan: Box::new(plan) }], run.status());
        let last = self.store.create_run(&new, &change).await?;
        Ok(Begun { run, commands, last, definition })
    }

    /// Takes up a run that has begun: one whose driver is gone, or one of which something is asked.
    pub async fn open(
        &self,
        id: &RunId,
        asked: Option<Asked>,
        observations: Observations,
        watch: Watch,
    ) -> Result<Drive, ControllerError> {
        self.open_as(&Bearer::process(), id, asked, observations, watch).await
    }

    pub(crate) async fn open_as(
        &self,
        bearer: &Bearer,
        id: &RunId,
        asked: Option<Asked>,
        observations: Observations,
        watch: Watch,
    ) -> Result<Drive, ControllerError> {
        let definition = Definition::from_json(id, &self.store.definition(id).await?)?;
        let lease = self.take_lease(id, bearer).await?;
        match self.take_up(id, definition, &lease).await {
            Ok((taken, log)) => {
                let mut drive = self.drive(taken, observations, watch);
                match drive.set_out(asked, &log).await {
                    Ok(()) => Ok(drive),
                    Err(error) => Err(self.let_go(&lease, error).await),
                }
            }
            Err(error) => Err(self.let_go(&lease, error).await),
        }
    }

    async fn take_up(
        &self,
        id: &RunId,
        definition: Definition,
        lease: &Lease,
    ) -> Result<(Taken, Vec<Logged>), ControllerError> {
        let log = self.store.load(id).await?;
        let run = fold(id, &log)?;
        let loaded = definition.load(run.plan().interval, Some(id.clone())).map_err(|diagnostics| {
            let diagnostics = diagnostics.render(&definition.source(), noctule_spec::Style::Plain);
            ControllerError::Pipeline { run: id.clone(), diagnostics }
        })?;
        let taken = Taken {
            definition,
            pipeline: loaded.pipeline,
            commands: run.outstanding(),
            run,
            last: log.last().map_or(0, |logged| logged.sequence),
            lease: lease.clone(),
        };
        Ok((taken, log))
    }

    fn drive(&self, taken: Taken, observations: Observations, watch: Watch) -> Drive {
        let Taken { definition, pipeline, run, commands, last, lease } = taken;
        let mut controller = self.clone();
        if let Some(share) = definition.share {
            controller.machine = share.within(self.machine);
        }
        let position = Position { run: run.plan().run.clone(), after: last, lease: Some(lease.clone()) };
        Drive {
            controller,
            definition,
            pipeline,
            run,
            position,
            lease,
            renewed: Instant::now(),
            observations,
            pending: commands.into(),
            watch,
            missing: BTreeMap::new(),
            parked: BTreeMap::new(),
            told_cut: BTreeSet::new(),
            listens: true,
            owed: Vec::new(),
            after_event: None,
        }
    }

    /// A run's state, and the number of its last event.
    pub async fn fold(&self, id: &RunId) -> Result<(u64, Run), ControllerError> {
        let log = self.store.load(id).await?;
        Ok((log.last().map_or(0, |logged| logged.sequence), fold(id, &log)?))
    }

    /// Writes something that is asked of a run into its log, when nobody drives the run. It is acted upon by whoever
    /// takes the run up.
    pub(crate) async fn write_ask(
        &self,
        bearer: &Bearer,
        id: &RunId,
        asked: Asked,
    ) -> Result<(), ControllerError> {
        let lease = self.take_lease(id, bearer).await?;
        let written = self.write_ask_under(&lease, id, asked).await;
        let released = self.store.release(&lease).await;
        written.and(released.map_err(Into::into))
    }

    async fn write_ask_under(&self, lease: &Lease, id: &RunId, asked: Asked) -> Result<(), ControllerError> {
        let (after, mut run) = self.fold(id).await?;
        check(&run, &asked)?;
        let (at, event) = (Timestamp::now(), asked.event());
        run.apply(at, &event).map_err(|cause| ControllerError::Refused { run: id.clone(), cause })?;
        let position = Position { run: id.clone(), after, lease: Some(lease.clone()) };
        self.store.commit(&position, &Change::new(at, vec![event], run.status())).await?;
        Ok(())
    }

    /// Takes the lease on a run, also from a driver that is dead.
    async fn take_lease(&self, id: &RunId, bearer: &Bearer) -> Result<Lease, ControllerError> {
        let name = lease_name(id);
        for _ in 0..2 {
            match self.store.acquire(&name, &bearer.text, LEASE).await? {
                Acquired::Held(lease) => return Ok(lease),
                Acquired::Taken { by, .. } if bearer.overrides(&by.holder) => {
                    self.store.release(&by).await?;
                }
                Acquired::Taken { by, .. } => {
                    return Err(ControllerError::Driven { run: id.clone(), holder: by.holder });
                }
            }
        }
        Err(ControllerError::Driven { run: id.clone(), holder: "another noctule".to_owned() })
    }

    /// Gives a lease back after trouble, which is what is told of.
    async fn let_go(&self, lease: &Lease, trouble: ControllerError) -> ControllerError {
        if let Err(error) = self.store.release(lease).await {
            tracing::debug!(%error, "a lease was not given back and has to run out");
        }
        trouble
    }
}

impl Drive {
    /// Writes down what is asked, and looks what became of the attempts meanwhile.
    async fn set_out(&mut self, asked: Option<Asked>, log: &[Logged]) -> Result<(), ControllerError> {
        if let Some(asked) = asked {
            check(&self.run, &asked)?;
            // Going on is what it does anyway, as long as it has not ended and nobody wants it to.
            let goes_on = self.run.ended().is_none() && self.run.cancelled_by().is_none();
            if asked.ask != Ask::Resume || !goes_on {
                self.take_ask(asked).await?;
            }
        }
        self.note_program(log).await?;
        self.adopt().await
    }

    /// A run that another version of the program began says so.
    async fn note_program(&mut self, log: &[Logged]) -> Result<(), ControllerError> {
        let began = &self.definition.program;
        if *began == PROGRAM || self.run.ended().is_some() {
            return Ok(());
        }
        let said = format!("noctule {PROGRAM} goes on with this run, which noctule {began} began");
        let is_said = |logged: &Logged| matches!(&logged.event, Event::Noted { text, .. } if *text == said);
        // After a way through several versions and back, the last word counts.
        let about_programs = |logged: &&Logged| matches!(&logged.event, Event::Noted { step: None, text } if text.ends_with(&format!("which noctule {began} began")));
        match log.iter().rev().find(about_programs) {
            Some(logged) if is_said(logged) => Ok(()),
            _ => self.note(None, said).await,
        }
    }

    pub(super) async fn take_ask(&mut self, asked: Asked) -> Result<(), ControllerError> {
        check(&self.run, &asked)?;
        self.record(asked.event(), Effects::default()).await.map_err(|error| match error {
            ControllerError::Illegal { run, cause } => ControllerError::Refused { run, cause },
            other => other,
        })
    }
}

fn fold(id: &RunId, log: &[Logged]) -> Result<Run, ControllerError> {
    Run::fold(log.iter().map(|logged| (logged.at, &logged.event)))
        .map_err(|cause| ControllerError::Illegal { run: id.clone(), cause })?
        .ok_or_else(|| ControllerError::NoBeginning { run: id.clone() })
}

/// What the engine would take in and do nothing about.
fn check(run: &Run, asked: &Asked) -> Result<(), ControllerError> {
    let nothing = || ControllerError::NothingLeft {
        run: run.plan().run.clone(),
        status: run.status().word().to_owned(),
    };
    match asked.ask {
        Ask::Resume if run.status() == RunStatus::Succeeded => Err(nothing()),
        Ask::Cancel { .. } if run.status().is_terminal() => Err(ControllerError::HasEnded {
            run: run.plan().run.clone(),
            status: run.status().word().to_owned(),
        }),
        _ => Ok(()),
    }
}

//! The loop around the engine, as small as it can be: append, apply, obey. It may be killed between any two of these.

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{AttemptNumber, Digest, Outcome, RunId, StepName, VersionNumber};
use noctule_engine::{ArtifactRef, Command, Event, Evidence, Handle, Phase, Role, Run, StepRun};
use rand::RngExt as _;

use crate::check;
use crate::fate::Fate;
use crate::night::Stage;
use crate::world::{Key, Pointed};

/// How long the log may say that something runs which does not, before it is lost.
const LOST_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What a killed controller forgets.
pub struct Controller {
    pub run: Run,
    /// Answers to `Prepare` that are being worked out.
    pub preparing: Vec<(Timestamp, Event)>,
}

/// The controller was killed.
pub struct Killed;

impl Controller {
    pub fn begin(stage: &mut Stage) -> Result<Self, Killed> {
        let plan = stage.plan.clone();
        let (run, commands) = Run::begin(stage.now, plan.clone()).expect("the plan is sound");
        stage.log.push((stage.now, Event::RunCreated { plan: Box::new(plan) }));
        let mut controller = Self { run, preparing: Vec::new() };
        controller.obey(stage, commands)?;
        Ok(controller)
    }

    /// Folds the log, does what is still to be done, and looks at what really runs.
    pub fn restart(stage: &mut Stage) -> Result<Self, Killed> {
        let log = stage.log.iter().map(|(at, event)| (*at, event));
        let run = Run::fold(log).expect("the log folds").expect("it has a beginning");
        let mut controller = Self { run, preparing: Vec::new() };
        let commands = controller.run.outstanding();
        controller.obey(stage, commands)?;
        controller.reconcile(stage)?;
        Ok(controller)
    }

    pub fn next_wake(&self) -> Option<Timestamp> {
        let answers = self.preparing.iter().map(|(at, _)| *at).min();
        self.run.next_wake().into_iter().chain(answers).min()
    }

    /// Sees to answers and timers that are due.
    pub fn turn(&mut self, stage: &mut Stage) -> Result<(), Killed> {
        while let Some(i) = self.preparing.iter().position(|(at, _)| *at <= stage.now) {
            let (_, event) = self.preparing.remove(i);
            self.tell(stage, event)?;
        }
        if self.run.next_wake().is_some_and(|at| at <= stage.now) {
            self.tell(stage, Event::Woken)?;
        }
        Ok(())
    }

    /// Appends an event, applies it, and obeys.
    pub fn tell(&mut self, stage: &mut Stage, event: Event) -> Result<(), Killed> {
        stage.may_be_killed("before an append")?;
        let before = self.run.clone();
        // The registry's decision and the event are one transaction.
        let event = self.decide(stage, event);
        let commands = match self.run.apply(stage.now, &event) {
            Ok(commands) => commands,
            Err(illegal) => {
                stage.violate(format!("the loop did something illegal: {illegal}"));
                return Ok(());
            }
        };
        stage.tell(&event);
        if let Event::Rerun { .. } = event {
            stage.world.reruns += 1;
        }
        stage.log.push((stage.now, event.clone()));
        if let Err(rule) = check::after(&before, &self.run, &event, &commands, &stage.world, stage.now) {
            stage.violate(rule);
        }
        stage.may_be_killed("after an append")?;
        self.obey(stage, commands)
    }

    fn decide(&self, stage: &mut Stage, event: Event) -> Event {
        let Event::AttemptSucceeded { step, attempt, artifact, outcome, publication: None } = &event else {
            return event;
        };
        let run_step = self.run.step(step).expect("a step of the plan");
        let Role::Publish { alias, .. } = &run_step.plan().role else { return event };
        if run_step.live().is_none_or(|live| live.number != *attempt) {
            return event;
        }
        let pointed = stage.world.compared.get(&(step.clone(), attempt.0));
        let compared = pointed.and_then(|pointed| *pointed.get(alias)?);
        Event::AttemptSucceeded {
            step: step.clone(),
            attempt: *attempt,
            artifact: artifact.clone(),
            outcome: *outcome,
            publication: Some(stage.world.publish(alias, compared)),
        }
    }

    /// What a candidate is compared with: the aliases as they are when the evaluation is prepared, and for gate and
    /// publication those of the very artifact they read.
    fn compared(&self, stage: &Stage, role: &Role) -> Pointed {
        let read = match role {
            Role::Plain => return Pointed::new(),
            Role::Evaluate => return stage.world.pointed(),
            Role::Gate { evaluation } => evaluation,
            Role::Publish { gate, .. } => gate,
        };
        let made = self.run.step(read).and_then(|step| step.artifact());
        let mut known = stage.world.compared.iter();
        let found = known.find(|(key, _)| made == Some(&artifact(key)));
        found.map(|(_, pointed)| pointed.clone()).unwrap_or_default()
    }

    fn obey(&mut self, stage: &mut Stage, commands: Vec<Command>) -> Result<(), Killed> {
        for command in commands {
            stage.may_be_killed("before an effect")?;
            match command {
                Command::Prepare { step, attempt, fresh } => self.prepare(stage, step, attempt, fresh),
                Command::Start { step, attempt, .. } => self.start(stage, step, attempt)?,
                Command::Stop { step, attempt, .. } => self.signal(stage, (step, attempt.0), false)?,
                Command::Kill { step, attempt } => self.signal(stage, (step, attempt.0), true)?,
                Command::Abandon { step, attempt } => {
                    stage.say(format!("{step}/{attempt} cannot be seen gone and is abandoned"));
                }
            }
        }
        Ok(())
    }

    /// What is to be told once the inputs are resolved.
    fn prepare(&mut self, stage: &mut Stage, step: StepName, attempt: AttemptNumber, fresh: bool) {
        let role = self.run.step(&step).expect("a step of the plan").plan().role.clone();
        let publishes = matches!(role, Role::Publish { .. });
        let key = (step.clone(), attempt.0);
        let compared = self.compared(stage, &role);
        stage.world.compared.insert(key.clone(), compared);
        if let Role::Publish { gate, .. } = &role
            && let Some(report) = self.run.step(gate).and_then(StepRun::artifact)
        {
            stage.world.passed_by.insert(key.clone(), report.clone());
        }
        let event = match stage.rng.random_range(0..100) {
            0..4 if !stage.fair() => Event::AttemptFailed {
                step,
                attempt,
                evidence: Evidence::Unreachable { message: "connection refused".into() },
                message: None,
            },
            4..6 if !stage.fair() => Event::AttemptFailed {
                step,
                attempt,
                evidence: Evidence::Unpreparable { message: "no such file".into() },
                message: None,
            },
            // Only what compares with nothing can be taken over: the alias may point elsewhere now.
            6..14 if role == Role::Plain && !fresh => {
                let artifact = artifact(&key);
                stage.world.manifests.insert(key, Outcome::Ok);
                Event::StepReused {
                    step,
                    attempt,
                    artifact,
                    outcome: Outcome::Ok,
                    from: RunId::from_random(1),
                }
            }
            6..10 if publishes => Event::AlreadyPublished { step, attempt, version: VersionNumber(1) },
            _ => {
                let launch = Digest::of(format!("{step}/{attempt}").as_bytes());
                Event::AttemptIntended { step, attempt, launch }
            }
        };
        let wait = SignedDuration::from_secs(stage.rng.random_range(0..5));
        self.preparing.push((stage.now + wait, event));
    }

    fn start(&mut self, stage: &mut Stage, step: StepName, attempt: AttemptNumber) -> Result<(), Killed> {
        let key: Key = (step.clone(), attempt.0);
        if !check::was_intended(&stage.log, &key) {
            stage.violate(format!("{step}/{attempt} was started and never intended"));
        }
        let fair = stage.fair();
        if !fair && !stage.world.attempts.contains_key(&key) && stage.rng.random_bool(0.03) {
            let evidence = Evidence::NotSpawned { message: "resource temporarily unavailable".into() };
            return self.tell(stage, Event::AttemptFailed { step, attempt, evidence, message: None });
        }
        let plan = self.run.step(&step).expect("a step of the plan").plan().clone();
        let fate = Fate::random(&mut stage.rng, fair);
        stage.world.start(stage.now, &plan, key, fate, &mut stage.rng);
        if let Err(rule) = check::processes(&self.run, &stage.world) {
            stage.violate(rule);
        }
        stage.may_be_killed("after a start")?;
        let handle =
            Handle::Job { namespace: "recs".into(), name: format!("{step}-{attempt}"), uid: "u".into() };
        self.tell(stage, Event::AttemptStarted { step, attempt, handle })
    }

    fn signal(&mut self, stage: &mut Stage, key: Key, force: bool) -> Result<(), Killed> {
        stage.world.signal(stage.now, &key, force);
        if stage.world.attempts.contains_key(&key) {
            return Ok(());
        }
        // It never began, and so it is gone.
        let (step, attempt) = key;
        self.tell(stage, Event::AttemptGone { step, attempt: AttemptNumber(attempt) })
    }

    /// Looks at every attempt that the log says is live, and at the abandoned ones; what was asked to end and still
    /// runs is asked again.
    pub fn reconcile(&mut self, stage: &mut Stage) -> Result<(), Killed> {
        let keys: Vec<Key> = self
            .run
            .steps()
            .iter()
            .flat_map(|step| {
                let name = step.plan().name.clone();
                let open = |attempt: &&noctule_engine::Attempt| attempt.ended.is_none() || attempt.abandoned;
                step.attempts().iter().filter(open).map(move |attempt| (name.clone(), attempt.number.0))
            })
            .collect();
        for key in keys {
            self.look(stage, &key)?;
        }
        // A signal may have been lost on its way to a silent node.
        let outstanding = self.run.outstanding().into_iter();
        let signals = outstanding.filter(|c| matches!(c, Command::Stop { .. } | Command::Kill { .. }));
        self.obey(stage, signals.collect())
    }

    /// Looks at one attempt: first for its manifest, then for whatever became of it.
    pub fn look(&mut self, stage: &mut Stage, key: &Key) -> Result<(), Killed> {
        let Some(step) = self.run.step(&key.0) else { return Ok(()) };
        let Some(event) = seen(step, key, stage) else { return Ok(()) };
        self.tell(stage, event)
    }
}

fn seen(run_step: &StepRun, key: &Key, stage: &Stage) -> Option<Event> {
    let (step, attempt) = (key.0.clone(), AttemptNumber(key.1));
    let record = run_step.attempts().iter().find(|record| record.number == attempt)?;
    let live = run_step.live().is_some_and(|live| live.number == attempt);
    if !live && !record.abandoned {
        return None;
    }
    if let Some(outcome) = stage.world.manifests.get(key).filter(|_| live) {
        let outcome = *outcome;
        return Some(Event::AttemptSucceeded {
            step,
            attempt,
            artifact: artifact(key),
            outcome,
            publication: None,
        });
    }
    let Some(real) = stage.world.attempts.get(key) else {
        let overdue = stage.now.duration_since(record.intended) > LOST_AFTER;
        let lost = live && record.handle.is_some() && overdue;
        return lost.then_some(Event::AttemptFailed {
            step,
            attempt,
            evidence: Evidence::Lost,
            message: None,
        });
    };
    match real.seen_gone(stage.now) {
        Some(_) if !live => Some(Event::AttemptGone { step, attempt }),
        Some(evidence) => {
            Some(Event::AttemptFailed { step, attempt, evidence: evidence.clone(), message: None })
        }
        None if real.runs() && live && differs(run_step.phase(), &real.phase) => {
            Some(Event::AttemptObserved { step, attempt, phase: real.phase.clone() })
        }
        None => None,
    }
}

fn differs(known: Option<&Phase>, real: &Phase) -> bool {
    known.is_some_and(|known| known != real)
}

pub fn artifact(key: &Key) -> ArtifactRef {
    let path = format!("{}/{}", key.0, key.1);
    ArtifactRef { digest: Digest::of(path.as_bytes()), manifest: path }
}

//! A run with short words for its events and commands.

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::launch::Interval;
use noctule_artifacts::{AttemptNumber, Digest, Outcome, RunId, StepName, VersionNumber};
use noctule_engine::plan::{Backoff, RetryPolicy, Timeouts};
use noctule_engine::{
    ArtifactRef, Command, Event, Evidence, Handle, IllegalEvent, Phase, Publication, Role, Run, RunPlan,
    StepPlan,
};

pub fn name(text: &str) -> StepName {
    text.parse().expect("a step name")
}

pub fn seconds(n: i64) -> SignedDuration {
    SignedDuration::from_secs(n)
}

/// A step that needs and reads those after the `<`, such as `c < a b`.
pub fn step(text: &str) -> StepPlan {
    let mut words = text.split_whitespace();
    let own = words.next().expect("a step has a name");
    let needs: Vec<StepName> = words.filter(|word| *word != "<").map(name).collect();
    StepPlan {
        name: name(own),
        kind: "shell".into(),
        reads: needs.clone(),
        needs,
        disabled: None,
        always: false,
        exclusive: false,
        retry: RetryPolicy {
            attempts: 2,
            backoff: Backoff { initial: seconds(8), factor: 2.0, max: seconds(60) },
            on_exit: [42].into(),
        },
        timeouts: Timeouts {
            queue: seconds(1800),
            start: seconds(300),
            run: seconds(3600),
            grace: seconds(30),
            stop: seconds(600),
        },
        role: Role::Plain,
    }
}

pub fn plan(parallel: u32, steps: Vec<StepPlan>) -> RunPlan {
    RunPlan {
        run: RunId::from_random(1),
        pipeline: "nightly".parse().unwrap(),
        seed: 7,
        parallel,
        interval: Interval { start: Timestamp::UNIX_EPOCH, end: Timestamp::UNIX_EPOCH + seconds(86_400) },
        steps,
    }
}

/// `quality -> gate -> publish`, and what leads there.
pub fn publishing() -> Vec<StepPlan> {
    vec![
        step("model"),
        StepPlan { role: Role::Evaluate, ..step("quality < model") },
        StepPlan { role: Role::Gate { evaluation: name("quality") }, ..step("gate < quality") },
        StepPlan {
            role: Role::Publish {
                gate: name("gate"),
                model: "home-feed".parse().unwrap(),
                alias: "champion".parse().unwrap(),
            },
            ..step("publish < model gate")
        },
    ]
}

/// A second alias, past the same gate.
pub fn second_publish() -> StepPlan {
    StepPlan {
        role: Role::Publish {
            gate: name("gate"),
            model: "home-feed".parse().unwrap(),
            alias: "reference".parse().unwrap(),
        },
        ..step("second < model gate")
    }
}

pub struct Rig {
    pub run: Run,
    pub now: Timestamp,
    pub log: Vec<(Timestamp, Event)>,
}

impl Rig {
    pub fn begin(plan: RunPlan) -> (Rig, Vec<String>) {
        let now = Timestamp::UNIX_EPOCH + seconds(1_000_000);
        let (run, commands) = Run::begin(now, plan.clone()).expect("the plan is sound");
        let log = vec![(now, Event::RunCreated { plan: Box::new(plan) })];
        (Rig { run, now, log }, words(&commands))
    }

    /// A second passes and the event happens.
    pub fn tell(&mut self, event: Event) -> Vec<String> {
        self.try_tell(event).expect("the event is legal")
    }

    pub fn try_tell(&mut self, event: Event) -> Result<Vec<String>, IllegalEvent> {
        self.now += seconds(1);
        let commands = self.run.apply(self.now, &event)?;
        self.log.push((self.now, event));
        assert_eq!(self.fold(), self.run, "the state is the fold of its events");
        Ok(words(&commands))
    }

    pub fn fold(&self) -> Run {
        Run::fold(self.log.iter().map(|(at, event)| (*at, event)))
            .expect("a log folds")
            .expect("it has begun")
    }

    /// Lets time pass to the next wake-up, which has to exist.
    pub fn wake(&mut self) -> Vec<String> {
        self.now = self.run.next_wake().expect("it wants to be woken").max(self.now);
        let commands = self.run.apply(self.now, &Event::Woken).expect("legal");
        self.log.push((self.now, Event::Woken));
        assert!(self.run.next_wake().is_none_or(|wake| wake > self.now), "a due timer was left");
        words(&commands)
    }

    fn given(&self, step: &str) -> AttemptNumber {
        let commands = self.run.outstanding();
        let outstanding = commands.iter().find(|c| c.attempt().0.as_str() == step).map(|c| c.attempt().1);
        let last = || self.run.step(&name(step)).and_then(|s| s.attempts().last()).map(|a| a.number);
        outstanding.or_else(last).expect("the step has an attempt")
    }

    pub fn intend(&mut self, step: &str) -> Vec<String> {
        let attempt = self.given(step);
        self.tell(Event::AttemptIntended { step: name(step), attempt, launch: Digest::of(step.as_bytes()) })
    }

    pub fn start(&mut self, step: &str) -> Vec<String> {
        let attempt = self.given(step);
        let handle = Handle::Process { pid: 1, start_time: 2, boot_id: "b".into() };
        self.tell(Event::AttemptStarted { step: name(step), attempt, handle })
    }

    pub fn observe(&mut self, step: &str, phase: Phase) -> Vec<String> {
        let attempt = self.given(step);
        self.tell(Event::AttemptObserved { step: name(step), attempt, phase })
    }

    /// From prepared to running.
    pub fn launch(&mut self, step: &str) {
        self.intend(step);
        self.start(step);
    }

    pub fn succeed(&mut self, step: &str) -> Vec<String> {
        let publication = matches!(self.run.step(&name(step)).unwrap().plan().role, Role::Publish { .. })
            .then_some(Publication::Promoted { version: VersionNumber(1), from: None, sequence: 1 });
        self.commit(step, Outcome::Ok, publication)
    }

    pub fn commit(&mut self, step: &str, outcome: Outcome, publication: Option<Publication>) -> Vec<String> {
        let attempt = self.given(step);
        let artifact = artifact(step, attempt);
        self.tell(Event::AttemptSucceeded { step: name(step), attempt, artifact, outcome, publication })
    }

    pub fn complete(&mut self, step: &str) -> Vec<String> {
        self.launch(step);
        self.succeed(step)
    }

    pub fn fail(&mut self, step: &str, evidence: Evidence) -> Vec<String> {
        let attempt = self.given(step);
        self.tell(Event::AttemptFailed { step: name(step), attempt, evidence, message: None })
    }

    pub fn gone(&mut self, step: &str) -> Vec<String> {
        let attempt = self.given(step);
        self.tell(Event::AttemptGone { step: name(step), attempt })
    }

    pub fn cancel(&mut self, at_once: bool) -> Vec<String> {
        self.tell(Event::CancelRequested { by: "ann".into(), at_once, why: None })
    }

    pub fn resume(&mut self) -> Vec<String> {
        self.tell(Event::Resumed { by: "ann".into(), why: None })
    }

    pub fn try_rerun(&mut self, step: &str) -> Result<Vec<String>, IllegalEvent> {
        self.try_tell(Event::Rerun { step: name(step), by: "ann".into(), why: Some("odd figures".into()) })
    }

    pub fn rerun(&mut self, step: &str) -> Vec<String> {
        self.try_rerun(step).expect("it may run again")
    }

    pub fn try_ignore(&mut self, step: &str) -> Result<Vec<String>, IllegalEvent> {
        self.try_tell(Event::Ignored { step: name(step), by: "ann".into(), why: "a flaky audit".into() })
    }

    pub fn ignore(&mut self, step: &str) -> Vec<String> {
        self.try_ignore(step).expect("it may be ignored")
    }

    /// An artifact of an earlier run is taken over.
    pub fn reuse(&mut self, step: &str) -> Result<Vec<String>, IllegalEvent> {
        let attempt = self.given(step);
        let artifact = artifact(step, attempt);
        let from = RunId::from_random(9);
        self.try_tell(Event::StepReused { step: name(step), attempt, artifact, outcome: Outcome::Ok, from })
    }

    /// Every step with how it stands.
    pub fn states(&self) -> Vec<String> {
        self.run.steps().iter().map(|s| format!("{} {}", s.plan().name, s.state())).collect()
    }

    pub fn status(&self) -> String {
        self.run.status().to_string()
    }
}

pub fn artifact(step: &str, attempt: AttemptNumber) -> ArtifactRef {
    ArtifactRef {
        manifest: format!("runs/r/{step}/{attempt}/manifest.json"),
        digest: Digest::of(format!("{step}{attempt}").as_bytes()),
    }
}

fn words(commands: &[Command]) -> Vec<String> {
    commands
        .iter()
        .map(|command| {
            let (step, attempt) = command.attempt();
            let verb = match command {
                Command::Prepare { fresh: true, .. } => "prepare fresh",
                Command::Prepare { fresh: false, .. } => "prepare",
                Command::Start { .. } => "start",
                Command::Stop { .. } => "stop",
                Command::Kill { .. } => "kill",
                Command::Abandon { .. } => "abandon",
            };
            format!("{verb} {step}/{attempt}")
        })
        .collect()
}

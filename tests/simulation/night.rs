//! One night: the order in which things happen, told as a story.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::AliasName;
use noctule_engine::{Event, RunPlan};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::controller::{Controller, Killed};
use crate::world::World;
use crate::{check, pipeline};

pub struct Night {
    pub story: String,
    pub status: String,
    pub violation: Option<String>,
}

/// Everything that outlives the controller, and the narrator.
pub struct Stage {
    pub now: Timestamp,
    pub rng: ChaCha8Rng,
    pub plan: RunPlan,
    pub log: Vec<(Timestamp, Event)>,
    pub world: World,
    begin: Timestamp,
    story: String,
    violation: Option<String>,
    kills_left: u32,
}

/// After this the world has no ill will left, so that every run must end.
const ILL_WILL: SignedDuration = SignedDuration::from_hours(24);
const PATIENCE: SignedDuration = SignedDuration::from_hours(24 * 30);
/// No night of a few steps needs more, so the loop must be going round without getting anywhere.
const MOST_EVENTS: usize = 5000;
const RECONCILE: SignedDuration = SignedDuration::from_mins(10);

pub fn play(seed: u64) -> Night {
    let mut stage = Stage::new(seed);
    let mut controller = match Controller::begin(&mut stage) {
        Ok(controller) => controller,
        Err(Killed) => stage.restart(),
    };
    let mut people = People::random(&mut stage);
    let mut next_look = stage.now + RECONCILE;
    while stage.violation.is_none() {
        let over = controller.run.status().is_terminal();
        let wish = if over { people.want_more(&controller, &mut stage) } else { None };
        if over && wish.is_none() {
            break;
        }
        if stage.now.duration_since(stage.begin) > PATIENCE || stage.log.len() > MOST_EVENTS {
            stage.violate("the run does not end".to_owned());
            break;
        }
        let told = match wish {
            Some(wish) => controller.tell(&mut stage, wish),
            None => go_on(&mut stage, &mut controller, &mut people, &mut next_look),
        };
        if told.is_err() {
            controller = stage.restart();
            next_look = stage.now + RECONCILE;
        }
    }
    let status = controller.run.status().to_string();
    if stage.violation.is_none()
        && let Err(rule) = check::whole_log(&stage.log, &controller.run)
    {
        stage.violate(rule);
    }
    stage.say(format!("the run is {status}"));
    Night { story: stage.story, status, violation: stage.violation }
}

/// Goes on to the next moment at which anything happens.
fn go_on(
    stage: &mut Stage,
    controller: &mut Controller,
    people: &mut People,
    next_look: &mut Timestamp,
) -> Result<(), Killed> {
    let moments = [controller.next_wake(), stage.world.next_due(), people.next(), Some(*next_look)];
    let next = moments.into_iter().flatten().min().expect("the next look is always there");
    stage.now = stage.now.max(next);
    for key in stage.world.advance(stage.now) {
        // Watches are hints: some never come.
        if !stage.rng.random_bool(0.1) {
            controller.look(stage, &key)?;
        }
    }
    people.act(stage, controller)?;
    if stage.now >= *next_look {
        *next_look = stage.now + RECONCILE;
        controller.reconcile(stage)?;
    }
    controller.turn(stage)
}

/// What people do to the run and to the alias, and when.
struct People {
    cancels: Vec<(Timestamp, bool)>,
    moves: Vec<Timestamp>,
    pins: Vec<Timestamp>,
    resumes: u32,
}

impl People {
    fn random(stage: &mut Stage) -> Self {
        let contested = stage.rng.random_bool(0.15);
        let mut some = |share: f64, most: usize| -> Vec<Timestamp> {
            let mut times = Vec::new();
            while times.len() < most && stage.rng.random_bool(share) {
                let after = SignedDuration::from_secs(stage.rng.random_range(1..12_000));
                times.push(stage.begin + after);
            }
            times.sort_unstable_by(|a, b| b.cmp(a));
            times
        };
        let moves = if contested { some(0.98, 60) } else { some(0.5, 4) };
        let pins = some(0.15, 2);
        let cancels = some(0.25, 3);
        let cancels = cancels.into_iter().map(|at| (at, stage.rng.random_bool(0.4))).collect();
        Self { cancels, moves, pins, resumes: stage.rng.random_range(0..3) }
    }

    fn next(&self) -> Option<Timestamp> {
        let cancel = self.cancels.last().map(|(at, _)| *at);
        [cancel, self.moves.last().copied(), self.pins.last().copied()].into_iter().flatten().min()
    }

    fn act(&mut self, stage: &mut Stage, controller: &mut Controller) -> Result<(), Killed> {
        while self.moves.pop_if(|at| *at <= stage.now).is_some() {
            let alias = stage.some_alias();
            let version = stage.world.move_alias(&alias);
            stage.say(format!("somebody else moves {alias} to version {version}"));
        }
        while self.pins.pop_if(|at| *at <= stage.now).is_some() {
            let name = stage.some_alias();
            let alias = stage.world.aliases.get_mut(&name).expect("it was just found");
            alias.pinned = !alias.pinned;
            let done = if alias.pinned { "pins" } else { "unpins" };
            stage.say(format!("somebody {done} {name}"));
        }
        while let Some((_, at_once)) = self.cancels.pop_if(|(at, _)| *at <= stage.now) {
            controller.tell(stage, Event::CancelRequested { by: "ann".into(), at_once, why: None })?;
        }
        Ok(())
    }

    /// What somebody wants of a run that has ended: that it is taken up again, that a step runs once more, or that a
    /// failure is not to count.
    fn want_more(&mut self, controller: &Controller, stage: &mut Stage) -> Option<Event> {
        let run = &controller.run;
        let resume = Event::Resumed { by: "ann".into(), why: None };
        let step = run.steps()[stage.rng.random_range(0..run.steps().len())].plan().name.clone();
        let wish = match stage.rng.random_range(0..10) {
            0..3 => Event::Rerun { step, by: "ann".into(), why: None },
            3..6 => Event::Ignored { step, by: "ann".into(), why: "it is known".into() },
            _ => resume.clone(),
        };
        // What is refused is not done; she resumes the run instead.
        let refused = run.clone().apply(stage.now, &wish).is_err();
        let wish = if refused { resume } else { wish };
        let vain =
            matches!(wish, Event::Resumed { .. }) && run.status() == noctule_engine::RunStatus::Succeeded;
        if self.resumes == 0 || vain {
            return None;
        }
        self.resumes -= 1;
        stage.now += SignedDuration::from_secs(stage.rng.random_range(1..3000));
        stage.say(format!("the run is {}, and ann wants more of it", run.status()));
        Some(wish)
    }
}

impl Stage {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plan = pipeline::random(&mut rng);
        let now = Timestamp::from_second(1_795_000_000).expect("a time in 2026");
        let mut stage = Self {
            now,
            kills_left: rng.random_range(0..8),
            rng,
            plan,
            log: Vec::new(),
            world: World::new(),
            begin: now,
            story: String::new(),
            violation: None,
        };
        let steps: Vec<String> = stage
            .plan
            .steps
            .iter()
            .map(|step| {
                let needs: Vec<&str> = step.needs.iter().map(|name| name.as_str()).collect();
                format!("{} <- [{}]", step.name, needs.join(" "))
            })
            .collect();
        stage.say(format!("night {seed}: parallel {}, {}", stage.plan.parallel, steps.join(", ")));
        stage
    }

    /// Whether the world has run out of ill will.
    pub fn fair(&self) -> bool {
        self.now.duration_since(self.begin) > ILL_WILL
    }

    fn some_alias(&mut self) -> AliasName {
        let nth = self.rng.random_range(0..self.world.aliases.len());
        self.world.aliases.keys().nth(nth).expect("it is in range").clone()
    }

    pub fn say(&mut self, what: String) {
        let seconds = self.now.duration_since(self.begin).as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        writeln!(self.story, "{hours:4}:{minutes:02}:{seconds:02}  {what}").expect("text takes text");
    }

    pub fn tell(&mut self, event: &Event) {
        let about = event.attempt().map(|(step, attempt)| format!(" {step}/{attempt}")).unwrap_or_default();
        let detail = match event {
            Event::AttemptFailed { evidence, .. } => format!(": {evidence:?}"),
            Event::AttemptObserved { phase, .. } => format!(": {phase:?}"),
            Event::AttemptSucceeded { outcome, publication: None, .. } => format!(": {outcome:?}"),
            Event::AttemptSucceeded { publication: Some(publication), .. } => format!(": {publication:?}"),
            Event::CancelRequested { at_once: true, .. } => ": at once".to_owned(),
            _ => String::new(),
        };
        self.say(format!("{}{about}{detail}", event.name()));
    }

    pub fn violate(&mut self, rule: String) {
        self.say(format!("BROKEN: {rule}"));
        self.violation.get_or_insert(rule);
    }

    pub fn may_be_killed(&mut self, when: &str) -> Result<(), Killed> {
        if self.kills_left == 0 || self.fair() || !self.rng.random_bool(0.03) {
            return Ok(());
        }
        self.kills_left -= 1;
        let power = self.rng.random_bool(0.3);
        self.say(format!(
            "the controller is killed {when}{}",
            if power { ", and all processes" } else { "" }
        ));
        if power {
            self.world.power_cut(self.now);
        }
        Err(Killed)
    }

    /// Somebody starts it again, as often as it takes.
    fn restart(&mut self) -> Controller {
        loop {
            self.now += SignedDuration::from_secs(self.rng.random_range(1..1200));
            self.world.advance(self.now);
            self.say("the controller is started".to_owned());
            if let Ok(controller) = Controller::restart(self) {
                return controller;
            }
        }
    }
}

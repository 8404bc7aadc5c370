//! Random events in any order: duplicates, stale facts, nonsense.

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{AttemptNumber, Digest, Outcome, RunId, StepName, VersionNumber};
use noctule_engine::failure::{Disruption, Waiting, WaitingReason};
use noctule_engine::{
    Command, End, Event, Evidence, Handle, Phase, Publication, Role, Run, RunPlan, StepPlan, StepState,
};
use proptest::prelude::*;

use crate::rig::{artifact, name, plan, publishing, second_publish, seconds, step};

fn any_plan() -> impl Strategy<Value = RunPlan> {
    let steps = prop::collection::vec((any::<u16>(), 0..8u8), 1..6);
    (steps, 1..4u32, any::<bool>()).prop_map(|(shapes, parallel, publishes)| {
        let mut steps: Vec<StepPlan> = Vec::new();
        for (i, (needs, flags)) in shapes.into_iter().enumerate() {
            let needs: Vec<StepName> =
                (0..i).filter(|j| needs >> j & 1 == 1).map(|j| steps[j].name.clone()).collect();
            steps.push(StepPlan {
                reads: if flags & 4 == 0 { needs.clone() } else { vec![] },
                needs,
                always: flags & 3 == 1,
                exclusive: flags & 3 == 2,
                disabled: (flags == 7).then(|| "off".to_owned()),
                ..step(&format!("s{i}"))
            });
        }
        if publishes {
            let tidy = StepPlan { always: true, reads: vec![], ..step("tidy < gate publish") };
            steps.extend(publishing().into_iter().chain([second_publish(), tidy]));
        }
        plan(parallel, steps)
    })
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    prop_oneof![
        prop::sample::select(vec![0, 1, 42, 65, 75, 78, 137]).prop_map(|code| Evidence::Exited { code }),
        Just(Evidence::Signalled { signal: 9 }),
        Just(Evidence::MemoryLimit { limit_bytes: Some(1), peak_bytes: Some(2) }),
        Just(Evidence::Disrupted(Disruption::Evicted)),
        Just(Evidence::NotSpawned { message: "no such file".into() }),
        Just(Evidence::Unreachable { message: "refused".into() }),
        Just(Evidence::Lost),
        Just(Evidence::StopRequested),
    ]
}

fn any_phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Queued { reason: None }),
        Just(Phase::Starting { waiting: None }),
        Just(Phase::Starting {
            waiting: Some(Waiting { reason: WaitingReason::ImageNeverPull, message: "x".into() })
        }),
        Just(Phase::Running),
    ]
}

/// An event without its step and number.
#[derive(Debug, Clone)]
enum Shape {
    Reused(Outcome),
    Published,
    Intended(u8),
    Started(bool),
    Observed(Phase),
    Succeeded(Outcome, Option<Publication>),
    Failed(Evidence),
    Gone,
    Cancel(bool),
    Woken,
    Resumed,
    Rerun,
    Ignored,
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![3 => Just(Outcome::Ok), 1 => Just(Outcome::DataStop), 1 => Just(Outcome::GateInconclusive)]
}

fn any_publication() -> impl Strategy<Value = Option<Publication>> {
    let v = VersionNumber(1);
    prop::sample::select(vec![
        None,
        None,
        Some(Publication::Promoted { version: v, from: None, sequence: 1 }),
        Some(Publication::Pinned { version: v, to: v }),
        Some(Publication::Moved { version: v, expected: None, found: Some(v) }),
    ])
}

fn any_shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        2 => any_outcome().prop_map(Shape::Reused),
        1 => Just(Shape::Published),
        6 => (0..3u8).prop_map(Shape::Intended),
        4 => any::<bool>().prop_map(Shape::Started),
        2 => any_phase().prop_map(Shape::Observed),
        4 => (any_outcome(), any_publication()).prop_map(|(o, p)| Shape::Succeeded(o, p)),
        4 => any_evidence().prop_map(Shape::Failed),
        3 => Just(Shape::Gone),
        1 => any::<bool>().prop_map(Shape::Cancel),
        5 => Just(Shape::Woken),
        1 => Just(Shape::Resumed),
        2 => Just(Shape::Rerun),
        1 => Just(Shape::Ignored),
    ]
}

/// What a random event is made of: how much time passes, what happens, and to which attempt.
#[derive(Debug, Clone)]
struct Roll {
    seconds: i64,
    shape: Shape,
    step: u8,
    attempt: Option<u8>,
}

fn any_roll() -> impl Strategy<Value = Roll> {
    let pass = prop::sample::select(vec![-5, 0, 1, 40, 400, 4000]);
    (pass, any_shape(), any::<u8>(), prop::option::weighted(0.3, 0..5u8))
        .prop_map(|(seconds, shape, step, attempt)| Roll { seconds, shape, step, attempt })
}

fn event_of(run: &Run, roll: &Roll) -> Event {
    let index = usize::from(roll.step) % (run.steps().len() + 1);
    let (step, given) = match run.steps().get(index) {
        Some(step) => (step.plan().name.clone(), last_given(run, index)),
        None => (name("nobody"), 0),
    };
    let attempt = AttemptNumber(roll.attempt.map_or(given, u32::from));
    match roll.shape.clone() {
        Shape::Reused(outcome) => Event::StepReused {
            artifact: artifact("reused", attempt),
            step,
            attempt,
            outcome,
            from: RunId::from_random(3),
        },
        Shape::Published => Event::AlreadyPublished { step, attempt, version: VersionNumber(1) },
        Shape::Intended(launch) => Event::AttemptIntended { step, attempt, launch: Digest::of(&[launch]) },
        Shape::Started(true) => Event::AttemptStarted {
            step,
            attempt,
            handle: Handle::Process { pid: 1, start_time: 1, boot_id: "b".into() },
        },
        Shape::Started(false) => Event::AttemptStarted {
            step,
            attempt,
            handle: Handle::Job { namespace: "n".into(), name: "j".into(), uid: "u".into() },
        },
        Shape::Observed(phase) => Event::AttemptObserved { step, attempt, phase },
        Shape::Succeeded(outcome, publication) => Event::AttemptSucceeded {
            artifact: artifact(step.as_str(), attempt),
            step,
            attempt,
            outcome,
            publication,
        },
        Shape::Failed(evidence) => Event::AttemptFailed { step, attempt, evidence, message: None },
        Shape::Gone => Event::AttemptGone { step, attempt },
        Shape::Cancel(at_once) => Event::CancelRequested { by: "chaos".into(), at_once, why: None },
        Shape::Woken => Event::Woken,
        Shape::Resumed => Event::Resumed { by: "chaos".into(), why: None },
        Shape::Rerun => Event::Rerun { step, by: "chaos".into(), why: None },
        Shape::Ignored => Event::Ignored { step, by: "chaos".into(), why: "chaos".into() },
    }
}

fn last_given(run: &Run, index: usize) -> u32 {
    let step = &run.steps()[index];
    let prepared = run
        .outstanding()
        .iter()
        .find(|command| *command.attempt().0 == step.plan().name)
        .map(|command| command.attempt().1.0);
    prepared.or(step.attempts().last().map(|a| a.number.0)).unwrap_or(0)
}

fn terminal(run: &Run) -> Vec<bool> {
    run.steps().iter().map(|step| step.state().is_terminal()).collect()
}

/// Whether the event may set ended steps back: what people ask for, or an alias that moved.
fn may_set_back(event: &Event) -> bool {
    matches!(
        event,
        Event::Resumed { .. }
            | Event::Rerun { .. }
            | Event::Ignored { .. }
            | Event::AttemptSucceeded { publication: Some(Publication::Moved { .. }), .. }
    )
}

fn check(run: &Run, before: &[bool], event: &Event, commands: &[Command]) {
    let live = run.steps().iter().filter(|step| step.live().is_some()).count();
    assert!(live <= run.plan().parallel as usize, "{live} live attempts");
    for (step, was) in run.steps().iter().zip(before) {
        assert!(!was || step.state().is_terminal() || may_set_back(event), "{} came back", step.plan().name);
    }
    for command in commands {
        if let Command::Start { step, .. } | Command::Prepare { step, .. } = command {
            let step = run.step(step).expect("commands name steps of the plan");
            for needed in &step.plan().needs {
                let needed = run.step(needed).expect("needs are steps of the plan");
                assert!(needed.state().is_terminal(), "{} began too early", step.plan().name);
                let ignored = matches!(needed.state(), StepState::Ended(End::Ignored(_)));
                let reads = step.plan().reads.contains(&needed.plan().name);
                assert!(!(ignored && reads), "{} reads what is not there", step.plan().name);
            }
        }
    }
    assert_eq!(run.status().is_terminal(), run.ended().is_some());
    assert_eq!(run.status().is_terminal(), terminal(run).iter().all(|t| *t));
    if run.status().is_terminal() {
        assert!(run.next_wake().is_none() && run.outstanding().is_empty());
    }
}

/// Steps that are to run in any case, until they have.
#[derive(Default)]
struct Fresh(Vec<StepName>);

impl Fresh {
    fn check(&mut self, before: &Run, run: &Run, event: &Event, commands: &[Command]) {
        if let Event::Rerun { step, .. } = event {
            self.0.push(step.clone());
        }
        for command in commands {
            if let Command::Prepare { step, fresh, .. } = command {
                assert_eq!(*fresh, self.0.contains(step), "{step}");
            }
        }
        self.0.retain(|name| {
            let step = run.step(name).expect("a step of the plan");
            let taken_over = step.reused_from().is_some();
            assert!(!taken_over, "{name} was to run, and something was taken over");
            let was = before.step(name).expect("a step of the plan");
            let ran = match event {
                Event::AttemptSucceeded { step, attempt, .. } => {
                    step == name && was.live().is_some_and(|live| live.number == *attempt)
                }
                Event::AlreadyPublished { step: of, .. } => {
                    of == name && step.publication() != was.publication()
                }
                _ => false,
            };
            !ran
        });
    }
}

/// A driver that does as it is told and lets every attempt succeed; the run has to end.
fn drive_to_the_end(run: &mut Run, mut now: Timestamp) {
    for _ in 0..2000 {
        if run.status().is_terminal() {
            return;
        }
        let answers: Vec<Event> = run.steps().iter().filter_map(|step| fair_answer(run, step)).collect();
        if answers.is_empty() {
            now = run.next_wake().expect("a run that has not ended waits for something").max(now);
            run.apply(now, &Event::Woken).expect("waking is legal");
        }
        for event in answers {
            now += SignedDuration::from_millis(10);
            run.apply(now, &event).expect("a fair answer is legal");
        }
    }
    panic!("the run does not end: {:?}", run.status());
}

fn fair_answer(run: &Run, step: &noctule_engine::StepRun) -> Option<Event> {
    let name = step.plan().name.clone();
    let command = run.outstanding().into_iter().find(|command| *command.attempt().0 == name);
    match (command, step.live()) {
        (Some(Command::Prepare { step, attempt, .. }), _) => {
            Some(Event::AttemptIntended { launch: Digest::of(b"fair"), step, attempt })
        }
        (Some(Command::Stop { step, attempt, .. } | Command::Kill { step, attempt }), _) => {
            Some(Event::AttemptGone { step, attempt })
        }
        (_, Some(attempt)) => {
            let publication = matches!(step.plan().role, Role::Publish { .. })
                .then_some(Publication::Promoted { version: VersionNumber(1), from: None, sequence: 1 });
            Some(Event::AttemptSucceeded {
                artifact: artifact(name.as_str(), attempt.number),
                step: name,
                attempt: attempt.number,
                outcome: Outcome::Ok,
                publication,
            })
        }
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_shakes_it(plan in any_plan(), rolls in prop::collection::vec(any_roll(), 0..120)) {
        let mut now = Timestamp::UNIX_EPOCH + seconds(1_000_000);
        let (mut run, _) = Run::begin(now, plan.clone()).unwrap();
        let mut log = vec![(now, Event::RunCreated { plan: Box::new(plan) })];
        // A clock may be set back; the run's time is not.
        let mut latest = now;
        let mut fresh = Fresh::default();
        for roll in &rolls {
            now += seconds(roll.seconds);
            let event = event_of(&run, roll);
            let (before, ended) = (run.clone(), terminal(&run));
            match run.apply(now, &event) {
                Ok(commands) => {
                    latest = latest.max(now);
                    check(&run, &ended, &event, &commands);
                    fresh.check(&before, &run, &event, &commands);
                    if event == Event::Woken {
                        prop_assert!(run.next_wake().is_none_or(|wake| wake > latest));
                    }
                    log.push((now, event));
                }
                Err(_) => prop_assert_eq!(&before, &run),
            }
        }
        let folded = Run::fold(log.iter().map(|(at, event)| (*at, event))).unwrap().unwrap();
        prop_assert_eq!(&folded, &run);
        drive_to_the_end(&mut run, latest.max(now));
        prop_assert!(run.steps().iter().all(|step| matches!(step.state(), StepState::Ended(_))));
    }

    #[test]
    fn every_prefix_of_a_log_resumes(plan in any_plan(), rolls in prop::collection::vec(any_roll(), 0..40)) {
        let mut now = Timestamp::UNIX_EPOCH + seconds(1_000_000);
        let (mut run, _) = Run::begin(now, plan.clone()).unwrap();
        let mut log = vec![(now, Event::RunCreated { plan: Box::new(plan) })];
        for roll in &rolls {
            now += seconds(roll.seconds.max(0));
            let event = event_of(&run, roll);
            if run.apply(now, &event).is_ok() {
                log.push((now, event));
            }
        }
        for length in 1..=log.len() {
            let prefix = log[..length].iter().map(|(at, event)| (*at, event));
            let mut run = Run::fold(prefix).unwrap().unwrap();
            drive_to_the_end(&mut run, now);
        }
    }
}

//! The rules, and whether the run and the world keep them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use noctule_artifacts::Outcome;
use noctule_engine::{
    Attempt, AttemptResult, Command, End, Event, FailureClass, Publication, Role, Run, StepRun, StepState,
};

use crate::controller::artifact;
use crate::world::{Key, World};

/// What must hold after every event.
pub fn after(
    before: &Run,
    run: &Run,
    event: &Event,
    commands: &[Command],
    world: &World,
    now: Timestamp,
) -> Result<(), String> {
    places(run)?;
    for (was, is) in before.steps().iter().zip(run.steps()) {
        ended_stays_ended(was, is, event)?;
        ended_means_gone(was, is, world, now)?;
        done_has_a_manifest(is, world)?;
        none_is_forgotten(is)?;
    }
    commands_are_in_order(run, commands)?;
    a_rerun_begins_no_other(before, run, event)?;
    promotion_is_earned(before, event, world)
}

fn places(run: &Run) -> Result<(), String> {
    let live = run.steps().iter().filter(|step| step.live().is_some()).count();
    match live > run.plan().parallel as usize {
        true => Err(format!("{live} attempts are live, {} are allowed", run.plan().parallel)),
        false => Ok(()),
    }
}

fn ended_stays_ended(was: &StepRun, is: &StepRun, event: &Event) -> Result<(), String> {
    let set_back = matches!(
        event,
        Event::Resumed { .. }
            | Event::Rerun { .. }
            | Event::Ignored { .. }
            | Event::AttemptSucceeded { publication: Some(Publication::Moved { .. }), .. }
    );
    let name = &was.plan().name;
    match (was.state(), is.state()) {
        (StepState::Ended(end), state) if !state.is_terminal() && !set_back => {
            Err(format!("`{name}` was {end} and is {state}"))
        }
        (StepState::Ended(End::Done), state)
            if matches!(event, Event::Resumed { .. })
                && !state.is_terminal()
                && !matches!(was.plan().role, Role::Evaluate | Role::Gate { .. }) =>
        {
            Err(format!("`{name}` was done, and a resume began it again"))
        }
        (StepState::Ended(end), state)
            if matches!(event, Event::Ignored { .. })
                && !state.is_terminal()
                && !matches!(end, End::Skipped(_)) =>
        {
            Err(format!("`{name}` was {end}, and began again because a failure was ignored"))
        }
        _ => Ok(()),
    }
}

fn ended_means_gone(was: &StepRun, is: &StepRun, world: &World, now: Timestamp) -> Result<(), String> {
    let ended = matches!(
        is.state(),
        StepState::Ended(End::Cancelled | End::Failed(FailureClass::TimedOut | FailureClass::NeverStarted))
    );
    if was.state().is_terminal() || !ended {
        return Ok(());
    }
    // One that has committed may take its time to exit.
    let unfinished =
        |attempt: &&Attempt| !attempt.abandoned && attempt.result != Some(AttemptResult::Succeeded);
    for attempt in is.attempts().iter().filter(unfinished) {
        let key = (is.plan().name.clone(), attempt.number.0);
        if world.attempts.get(&key).is_some_and(|real| real.seen_gone(now).is_none()) {
            return Err(format!("`{}` is {} and its attempt {} still runs", key.0, is.state(), key.1));
        }
    }
    Ok(())
}

fn done_has_a_manifest(step: &StepRun, world: &World) -> Result<(), String> {
    if step.state() != StepState::Ended(End::Done) {
        return Ok(());
    }
    let name = &step.plan().name;
    let found = |key: &&Key| key.0 == *name && Some(&artifact(key)) == step.artifact();
    match world.manifests.keys().any(|key| found(&key)) {
        true => Ok(()),
        false => Err(format!("`{name}` is done, and its artifact was never committed")),
    }
}

fn commands_are_in_order(run: &Run, commands: &[Command]) -> Result<(), String> {
    for command in commands {
        let (Command::Prepare { step, .. } | Command::Start { step, .. }) = command else { continue };
        let step = run.step(step).ok_or_else(|| format!("there is no step `{step}`"))?;
        for needed in &step.plan().needs {
            let ready = run.step(needed).is_some_and(|needed| needed.state().is_terminal());
            if !ready {
                return Err(format!("`{}` began before `{needed}` had ended", step.plan().name));
            }
        }
    }
    Ok(())
}

/// A step that runs again takes along what follows it, and nothing beside; a publication that was held, its judges too.
fn a_rerun_begins_no_other(before: &Run, run: &Run, event: &Event) -> Result<(), String> {
    let Event::Rerun { step: again, .. } = event else { return Ok(()) };
    let mut following = vec![again];
    for step in run.steps() {
        if step.plan().needs.iter().any(|need| following.contains(&need)) {
            following.push(&step.plan().name);
        }
    }
    for (was, is) in before.steps().iter().zip(run.steps()) {
        let name = &is.plan().name;
        let judges = matches!(is.plan().role, Role::Evaluate | Role::Gate { .. });
        if !following.contains(&name) && !judges && was.state() != is.state() {
            return Err(format!(
                "`{name}` was {}, and is {} after `{again}` was to run again",
                was.state(),
                is.state()
            ));
        }
        if following.contains(&name) && is.state() == was.state() && is.state().word() == "done" {
            return Err(format!("`{name}` follows `{again}` and stays done"));
        }
    }
    Ok(())
}

/// An alias moves once in a run, and once more for each time that somebody has a step run again; past a gate that passed, over the version that the gate compared with.
fn promotion_is_earned(before: &Run, event: &Event, world: &World) -> Result<(), String> {
    let Event::AttemptSucceeded { step, attempt, publication: Some(Publication::Promoted { .. }), .. } =
        event
    else {
        return Ok(());
    };
    let Some(Role::Publish { alias, .. }) = before.step(step).map(|step| &step.plan().role) else {
        return Err(format!("`{step}` promoted and publishes nothing"));
    };
    let report = world.passed_by.get(&(step.clone(), attempt.0));
    let mut outcomes = world.manifests.iter().filter(|(key, _)| report == Some(&artifact(key)));
    if !outcomes.any(|(_, outcome)| *outcome == Outcome::Ok) {
        return Err(format!("`{step}` promoted past a gate that had not passed"));
    }
    let all: Vec<_> = world.promotions.iter().filter(|promotion| promotion.alias == *alias).collect();
    match all.last() {
        Some(_) if all.len() > 1 + world.reruns => Err(format!("one run promoted {} times", all.len())),
        Some(last) if last.over == last.compared => Ok(()),
        _ => Err("the alias was moved over a version that the gate never saw".to_owned()),
    }
}

/// An attempt that is neither live nor closed is one that nobody would ever look at again.
fn none_is_forgotten(step: &StepRun) -> Result<(), String> {
    let live = step.live().map(|attempt| attempt.number);
    let open = |attempt: &&Attempt| attempt.ended.is_none() && Some(attempt.number) != live;
    match step.attempts().iter().find(open) {
        Some(attempt) => Err(format!("attempt {} of `{}` is forgotten", attempt.number, step.plan().name)),
        None => Ok(()),
    }
}

/// What must hold of the processes that really run, right after one was started.
pub fn processes(run: &Run, world: &World) -> Result<(), String> {
    for step in run.steps().iter().filter(|step| step.plan().exclusive) {
        let name = &step.plan().name;
        // One that has committed has nothing left to do, and may take its time to exit.
        let at_work = |key: &Key| key.0 == *name && !world.manifests.contains_key(key);
        let running = world.attempts.iter().filter(|(key, real)| at_work(key) && real.runs()).count();
        if running > 1 {
            return Err(format!("`{name}` is exclusive, and {running} of its attempts run"));
        }
    }
    Ok(())
}

pub fn was_intended(log: &[(Timestamp, Event)], key: &Key) -> bool {
    log.iter().any(|(_, event)| {
        matches!(event, Event::AttemptIntended { step, attempt, .. } if *step == key.0 && attempt.0 == key.1)
    })
}

/// What must hold of the whole log when the night is over.
pub fn whole_log(log: &[(Timestamp, Event)], run: &Run) -> Result<(), String> {
    let fold = |length: usize| Run::fold(log[..length].iter().map(|(at, event)| (*at, event)));
    for length in 1..log.len() {
        fold(length).map_err(|illegal| format!("the first {length} events do not fold: {illegal}"))?;
    }
    let mut moved = BTreeMap::new();
    for (_, event) in log {
        match event {
            Event::Resumed { .. } | Event::Rerun { .. } => moved.clear(),
            Event::AttemptSucceeded { step, publication: Some(Publication::Moved { .. }), .. } => {
                *moved.entry(step).or_insert(0) += 1;
            }
            _ => {}
        }
        if moved.values().any(|times| *times > 3) {
            return Err("evaluate, gate and publish ran again more than twice".to_owned());
        }
    }
    match fold(log.len()) {
        Ok(Some(folded)) if folded == *run => Ok(()),
        _ => Err("the log does not fold to the run".to_owned()),
    }
}

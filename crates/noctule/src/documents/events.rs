//! What happened to a run, event by event, with what each made of its step.

use jiff::Timestamp;
use noctule_artifacts::{RunId, StepName};
use noctule_controller::{Controller, ControllerError, words};
use noctule_engine::{Event, Publication, Run};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::report::Trouble;

/// A part of a run's log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventsDocument {
    #[schema(value_type = String)]
    pub run: RunId,
    /// How the run stands now.
    #[schema(example = "running")]
    pub status: String,
    pub events: Vec<EventDocument>,
    /// The number of the last event listed; ask for those after it.
    pub last: u64,
    /// There are more than these.
    pub more: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventDocument {
    pub sequence: u64,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(example = "AttemptSucceeded")]
    pub event: String,
    #[schema(value_type = Option<String>)]
    pub step: Option<StepName>,
    pub attempt: Option<u32>,
    /// Who asked for it, and why.
    pub by: Option<String>,
    pub why: Option<String>,
    /// What it says, for people.
    pub text: Option<String>,
    /// Steps whose state it changed.
    pub states: Vec<StepStateDocument>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepStateDocument {
    #[schema(value_type = String)]
    pub step: StepName,
    #[schema(example = "done")]
    pub state: String,
    pub attempt: u32,
    /// What is worth saying about it, such as why it was skipped.
    pub why: Option<String>,
}

pub async fn gather(
    controller: &Controller,
    id: &RunId,
    after: u64,
    limit: usize,
) -> Result<EventsDocument, Trouble> {
    let log = controller.store.load(id).await?;
    let mut run: Option<Run> = None;
    let (mut events, mut last, mut more) = (Vec::new(), after, false);
    for logged in &log {
        let before = run.clone();
        let next = match run.take() {
            None => Run::fold([(logged.at, &logged.event)]).map(|run| run.expect("there is an event")),
            Some(mut run) => run.apply(logged.at, &logged.event).map(|_| run),
        };
        let next = next.map_err(|cause| ControllerError::Illegal { run: id.clone(), cause })?;
        if logged.sequence > after {
            match events.len() < limit {
                true => {
                    events.push(document(logged.sequence, logged.at, &logged.event, before.as_ref(), &next));
                    last = logged.sequence;
                }
                false => more = true,
            }
        }
        run = Some(next);
    }
    let run = run.ok_or_else(|| ControllerError::NoBeginning { run: id.clone() })?;
    Ok(EventsDocument { run: id.clone(), status: run.status().word().to_owned(), events, last, more })
}

fn document(sequence: u64, at: Timestamp, event: &Event, before: Option<&Run>, after: &Run) -> EventDocument {
    let attempt = event.attempt();
    let (mut step, mut by, mut why) = (attempt.map(|(step, _)| step.clone()), None, None);
    match event {
        Event::CancelRequested { by: who, why: reason, .. } | Event::Resumed { by: who, why: reason } => {
            (by, why) = (Some(who.clone()), reason.clone());
        }
        Event::Rerun { step: which, by: who, why: reason } => {
            (step, by, why) = (Some(which.clone()), Some(who.clone()), reason.clone());
        }
        Event::Ignored { step: which, by: who, why: reason } => {
            (step, by, why) = (Some(which.clone()), Some(who.clone()), Some(reason.clone()));
        }
        Event::Noted { step: which, .. } => step = which.clone(),
        _ => {}
    }
    EventDocument {
        sequence,
        at,
        event: event.name().to_owned(),
        step,
        attempt: attempt.map(|(_, number)| number.0),
        by,
        why,
        text: text(event),
        states: changed(before, after),
    }
}

fn text(event: &Event) -> Option<String> {
    match event {
        Event::StepReused { from, .. } => Some(format!("unchanged since run {from}")),
        Event::AttemptSucceeded { publication, .. } => {
            publication.as_ref().map(|publication: &Publication| words::of_publication(publication))
        }
        Event::AttemptFailed { evidence, message, .. } => {
            Some(message.clone().unwrap_or_else(|| words::of_evidence(evidence)))
        }
        Event::Noted { text, .. } => Some(text.clone()),
        _ => None,
    }
}

fn changed(before: Option<&Run>, after: &Run) -> Vec<StepStateDocument> {
    let mut states = Vec::new();
    for (at, step) in after.steps().iter().enumerate() {
        let old = before.and_then(|run| run.steps().get(at));
        let same = old.is_some_and(|old| old.state() == step.state() && old.retry_at() == step.retry_at());
        if !same {
            states.push(StepStateDocument {
                step: step.plan().name.clone(),
                state: step.state().word().to_owned(),
                attempt: step.attempts().last().map_or(1, |attempt| attempt.number.0),
                why: words::of_step(step),
            });
        }
    }
    states
}

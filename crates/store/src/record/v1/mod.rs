//! Format 1 of the log: JSON, one object per event, whose only key is the event's name.

mod attempt;
mod plan;

use noctule_artifacts::{AttemptNumber, Digest, Outcome, RunId, StepName, VersionNumber};
use noctule_engine as engine;
use serde::{Deserialize, Serialize};

use attempt::{ArtifactRef, Evidence, Handle, Phase, Publication};
use plan::RunPlan;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Event {
    RunCreated {
        plan: RunPlan,
    },
    StepReused {
        step: StepName,
        attempt: AttemptNumber,
        artifact: ArtifactRef,
        outcome: Outcome,
        from: RunId,
    },
    AlreadyPublished {
        step: StepName,
        attempt: AttemptNumber,
        version: VersionNumber,
    },
    AttemptIntended {
        step: StepName,
        attempt: AttemptNumber,
        launch: Digest,
    },
    AttemptStarted {
        step: StepName,
        attempt: AttemptNumber,
        handle: Handle,
    },
    AttemptObserved {
        step: StepName,
        attempt: AttemptNumber,
        phase: Phase,
    },
    AttemptSucceeded {
        step: StepName,
        attempt: AttemptNumber,
        artifact: ArtifactRef,
        outcome: Outcome,
        publication: Option<Publication>,
    },
    AttemptFailed {
        step: StepName,
        attempt: AttemptNumber,
        evidence: Evidence,
        message: Option<String>,
    },
    AttemptGone {
        step: StepName,
        attempt: AttemptNumber,
    },
    CancelRequested {
        by: String,
        at_once: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    Woken,
    Resumed {
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    Rerun {
        step: StepName,
        by: String,
        why: Option<String>,
    },
    Ignored {
        step: StepName,
        by: String,
        why: String,
    },
    Noted {
        step: Option<StepName>,
        text: String,
    },
}

impl From<&engine::Event> for Event {
    fn from(event: &engine::Event) -> Self {
        match event.clone() {
            engine::Event::RunCreated { plan } => Self::RunCreated { plan: (*plan).into() },
            engine::Event::StepReused { step, attempt, artifact, outcome, from } => {
                Self::StepReused { step, attempt, artifact: artifact.into(), outcome, from }
            }
            engine::Event::AlreadyPublished { step, attempt, version } => {
                Self::AlreadyPublished { step, attempt, version }
            }
            engine::Event::AttemptIntended { step, attempt, launch } => {
                Self::AttemptIntended { step, attempt, launch }
            }
            engine::Event::AttemptStarted { step, attempt, handle } => {
                Self::AttemptStarted { step, attempt, handle: handle.into() }
            }
            engine::Event::AttemptObserved { step, attempt, phase } => {
                Self::AttemptObserved { step, attempt, phase: phase.into() }
            }
            engine::Event::AttemptSucceeded { step, attempt, artifact, outcome, publication } => {
                let publication = publication.map(Into::into);
                Self::AttemptSucceeded { step, attempt, artifact: artifact.into(), outcome, publication }
            }
            engine::Event::AttemptFailed { step, attempt, evidence, message } => {
                Self::AttemptFailed { step, attempt, evidence: evidence.into(), message }
            }
            engine::Event::AttemptGone { step, attempt } => Self::AttemptGone { step, attempt },
            engine::Event::CancelRequested { by, at_once, why } => Self::CancelRequested { by, at_once, why },
            engine::Event::Woken => Self::Woken,
            engine::Event::Resumed { by, why } => Self::Resumed { by, why },
            engine::Event::Rerun { step, by, why } => Self::Rerun { step, by, why },
            engine::Event::Ignored { step, by, why } => Self::Ignored { step, by, why },
            engine::Event::Noted { step, text } => Self::Noted { step, text },
        }
    }
}

impl From<Event> for engine::Event {
    fn from(event: Event) -> Self {
        match event {
            Event::RunCreated { plan } => Self::RunCreated { plan: Box::new(plan.into()) },
            Event::StepReused { step, attempt, artifact, outcome, from } => {
                Self::StepReused { step, attempt, artifact: artifact.into(), outcome, from }
            }
            Event::AlreadyPublished { step, attempt, version } => {
                Self::AlreadyPublished { step, attempt, version }
            }
            Event::AttemptIntended { step, attempt, launch } => {
                Self::AttemptIntended { step, attempt, launch }
            }
            Event::AttemptStarted { step, attempt, handle } => {
                Self::AttemptStarted { step, attempt, handle: handle.into() }
            }
            Event::AttemptObserved { step, attempt, phase } => {
                Self::AttemptObserved { step, attempt, phase: phase.into() }
            }
            Event::AttemptSucceeded { step, attempt, artifact, outcome, publication } => {
                let publication = publication.map(Into::into);
                Self::AttemptSucceeded { step, attempt, artifact: artifact.into(), outcome, publication }
            }
            Event::AttemptFailed { step, attempt, evidence, message } => {
                Self::AttemptFailed { step, attempt, evidence: evidence.into(), message }
            }
            Event::AttemptGone { step, attempt } => Self::AttemptGone { step, attempt },
            Event::CancelRequested { by, at_once, why } => Self::CancelRequested { by, at_once, why },
            Event::Woken => Self::Woken,
            Event::Resumed { by, why } => Self::Resumed { by, why },
            Event::Rerun { step, by, why } => Self::Rerun { step, by, why },
            Event::Ignored { step, by, why } => Self::Ignored { step, by, why },
            Event::Noted { step, text } => Self::Noted { step, text },
        }
    }
}

//! Sentences about steps, for people.

use jiff::SignedDuration;
use noctule_engine::{AttemptResult, End, Evidence, Publication, SkipReason, StepRun, StepState, StopReason};

/// What is worth saying about how a step stands, beside the word for it.
pub fn of_step(step: &StepRun) -> Option<String> {
    if let Some(publication) = step.publication() {
        return Some(of_publication(publication));
    }
    match step.state() {
        StepState::Ended(End::Reused) => step.reused_from().map(|run| format!("unchanged since run {run}")),
        StepState::Ended(End::Failed(class)) => Some(match last_failure(step) {
            Some(sentence) => format!("{class}: {sentence}"),
            None => class.to_string(),
        }),
        StepState::Ended(End::Ignored(_)) => step.ignored().map(|asked| match &asked.why {
            Some(why) => format!("its failure is ignored by {}: {why}", asked.by),
            None => format!("its failure is ignored by {}", asked.by),
        }),
        StepState::Ended(End::Skipped(reason)) => Some(of_skip(&reason)),
        StepState::Ended(End::Stopped(StopReason::DataStop)) => Some("do not train on these data".to_owned()),
        StepState::Waiting if step.retry_at().is_some() => last_failure(step)
            .map(|sentence| format!("attempt {} failed: {sentence}; trying again", step.attempts().len())),
        _ => None,
    }
}

/// Why a step was skipped.
pub fn of_skip(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Disabled(why) => why.clone(),
        SkipReason::Needs { step, end } => match end.as_ref() {
            End::Failed(class) => format!("`{step}` failed ({class})"),
            End::Skipped(_) => format!("`{step}` was skipped"),
            End::Cancelled => format!("`{step}` was cancelled"),
            End::Stopped(StopReason::DataStop) => format!("`{step}` says not to train on these data"),
            End::Stopped(StopReason::GateRejected(_)) => format!("`{step}` let nothing pass"),
            End::Stopped(StopReason::Held(_)) => format!("`{step}` was held"),
            End::Done | End::Reused | End::Ignored(_) => format!("`{step}` has to run again"),
        },
        SkipReason::NothingToRead { step } => format!("`{step}` left nothing to read"),
    }
}

/// What became of the alias.
pub fn of_publication(publication: &Publication) -> String {
    match publication {
        Publication::Promoted { version, from: None, .. } => {
            format!("version {version} is the first champion")
        }
        Publication::Promoted { version, from: Some(from), .. } => {
            format!("version {version} takes the place of version {from}")
        }
        Publication::Unchanged { version } => format!("the model already is version {version}"),
        Publication::Registered { version } => format!("version {version} is registered, and not promoted"),
        Publication::Pinned { version, to } => {
            format!("version {version} passed and is held: the alias is pinned to version {to}")
        }
        Publication::Moved { version, found, .. } => match found {
            Some(found) => {
                format!("version {version} passed and is held: the alias moved to version {found} meanwhile")
            }
            None => format!("version {version} passed and is held: the alias moved meanwhile"),
        },
    }
}

/// The last failure's evidence and its own last word.
fn last_failure(step: &StepRun) -> Option<String> {
    match &step.attempts().last()?.result {
        Some(AttemptResult::Failed { evidence, message, .. }) => Some(match message {
            Some(message) => message.clone(),
            None => of_evidence(evidence),
        }),
        _ => None,
    }
}

/// What was seen of an attempt that failed.
pub fn of_evidence(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Exited { code: 0 } => "it exited with code 0 and committed nothing".to_owned(),
        Evidence::Exited { code } => format!("it exited with code {code}"),
        Evidence::Signalled { signal } => format!("signal {signal} ended it, and nobody here sent it"),
        Evidence::MemoryLimit { limit_bytes, peak_bytes } => match (limit_bytes, peak_bytes) {
            (Some(limit), Some(peak)) => {
                format!("it used {} MiB of memory, and its limit is {} MiB", peak >> 20, limit >> 20)
            }
            _ => "it used more memory than its limit".to_owned(),
        },
        Evidence::Disrupted(disruption) => format!("it was taken away ({disruption:?})"),
        Evidence::EphemeralStorage { message }
        | Evidence::NotSpawned { message }
        | Evidence::Rejected { message }
        | Evidence::Unpreparable { message }
        | Evidence::Unreachable { message } => message.clone(),
        Evidence::StillWaiting(waiting) => format!("it never began: {}", waiting.message),
        Evidence::NotPlaced { reason } => format!("no machine took it: {reason}"),
        Evidence::TimedOut { limit } => format!("it ran longer than {}", seconds(*limit)),
        Evidence::Lost => "its process is gone without a trace".to_owned(),
        Evidence::StopRequested => "it was asked to stop".to_owned(),
    }
}

fn seconds(span: SignedDuration) -> String {
    format!("{span:#}")
}

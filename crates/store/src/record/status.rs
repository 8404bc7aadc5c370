//! The word under which a run's status is kept in its row.

use noctule_engine::{Held, Rejection, RunStatus};

const WORDS: &[(RunStatus, &str)] = &[
    (RunStatus::Queued, "queued"),
    (RunStatus::Running, "running"),
    (RunStatus::Stopping, "stopping"),
    (RunStatus::Succeeded, "succeeded"),
    (RunStatus::Failed, "failed"),
    (RunStatus::DataStop, "data-stop"),
    (RunStatus::GateRejected(Rejection::Fail), "gate-rejected-fail"),
    (RunStatus::GateRejected(Rejection::Inconclusive), "gate-rejected-inconclusive"),
    (RunStatus::Held(Held::Pinned), "held-pinned"),
    (RunStatus::Held(Held::Moved), "held-moved"),
    (RunStatus::Cancelled, "cancelled"),
];

pub(crate) fn word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Queued => "queued",
        RunStatus::Running => "running",
        RunStatus::Stopping => "stopping",
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::DataStop => "data-stop",
        RunStatus::GateRejected(Rejection::Fail) => "gate-rejected-fail",
        RunStatus::GateRejected(Rejection::Inconclusive) => "gate-rejected-inconclusive",
        RunStatus::Held(Held::Pinned) => "held-pinned",
        RunStatus::Held(Held::Moved) => "held-moved",
        RunStatus::Cancelled => "cancelled",
    }
}

pub(crate) fn of_word(text: &str) -> Option<RunStatus> {
    WORDS.iter().find(|(_, word)| *word == text).map(|(status, _)| *status)
}

/// The statuses of a good end, as a list for SQL's `IN`.
macro_rules! good_statuses {
    () => {
        "('succeeded', 'gate-rejected-fail', 'gate-rejected-inconclusive', 'held-pinned', 'held-moved')"
    };
}
pub(crate) use good_statuses;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_statuses_are_one_to_one() {
        for (status, text) in WORDS {
            assert_eq!((word(*status), of_word(text)), (*text, Some(*status)));
            assert_eq!(good_statuses!().contains(&format!("'{text}'")), status.is_good(), "{text}");
        }
        assert_eq!(of_word("done"), None);
    }
}

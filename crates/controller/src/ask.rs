//! What people ask of a run, and how it reaches whoever drives the run.
//!
//! A run that is driven here is told at once. One that another process drives is left a message in the store, which its
//! driver looks for. One that nobody drives gets the event into its log, and whoever takes it up next acts on it.

use noctule_artifacts::{RunId, StepName};
use noctule_engine::Event;
use noctule_store::Message;
use serde::{Deserialize, Serialize};

/// The format of messages that this release writes.
const FORMAT: u32 = 1;

/// Something that is asked of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// To end: in order, or at once.
    Cancel { at_once: bool },
    /// To try again what did not finish.
    Resume,
    /// To run a step again, and all that follow it.
    Rerun { step: StepName },
    /// Not to count a failed step.
    Ignore { step: StepName },
}

/// What is asked, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub ask: Ask,
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    format: u32,
    asked: Asked,
}

impl Asked {
    pub fn new(ask: Ask, by: impl Into<String>, why: Option<String>) -> Self {
        Self { ask, by: by.into(), why }
    }

    /// The word for what is asked.
    pub fn word(&self) -> &'static str {
        match self.ask {
            Ask::Cancel { .. } => "cancel",
            Ask::Resume => "resume",
            Ask::Rerun { .. } => "rerun",
            Ask::Ignore { .. } => "ignore",
        }
    }

    pub(crate) fn event(self) -> Event {
        let Self { ask, by, why } = self;
        match ask {
            Ask::Cancel { at_once } => Event::CancelRequested { by, at_once, why },
            Ask::Resume => Event::Resumed { by, why },
            Ask::Rerun { step } => Event::Rerun { step, by, why },
            Ask::Ignore { step } => {
                Event::Ignored { step, by, why: why.unwrap_or_else(|| "no reason was given".to_owned()) }
            }
        }
    }

    pub(crate) fn letter(&self, run: &RunId) -> Message {
        let letter = Letter { format: FORMAT, asked: self.clone() };
        let payload = serde_json::to_vec(&letter).expect("a letter has only text keys");
        Message { kind: kind(run), about: format!("{} {run}, by {}", self.word(), self.by), payload }
    }

    /// Reads a letter; the error says why it cannot be acted upon.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, String> {
        let letter: Letter = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        match letter.format > FORMAT {
            true => Err(format!("it has format {}", letter.format)),
            false => Ok(letter.asked),
        }
    }
}

/// The kind of message that asks something of a run.
pub(crate) fn kind(run: &RunId) -> String {
    format!("{KIND}{run}")
}

/// The run that a message is for.
pub(crate) fn addressee(kind: &str) -> Option<RunId> {
    kind.strip_prefix(KIND)?.parse().ok()
}

const KIND: &str = "ask/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        let run = RunId::from_random(7);
        let step: StepName = "model".parse().unwrap();
        for ask in [
            Ask::Cancel { at_once: true },
            Ask::Resume,
            Ask::Rerun { step: step.clone() },
            Ask::Ignore { step },
        ] {
            let asked = Asked::new(ask, "ann", Some("too slow".into()));
            let letter = asked.letter(&run);
            assert_eq!(addressee(&letter.kind), Some(run.clone()));
            assert_eq!(Asked::read(&letter.payload), Ok(asked));
        }
        assert!(Asked::read(br#"{"format": 2, "asked": {"ask": "resume", "by": "ann"}}"#).is_err());
        assert!(Asked::read(b"nonsense").is_err());
        assert_eq!(addressee("pointer"), None);
    }
}

//! The bytes of an event.
//!
//! The engine's events are living types that change with the program; a log is for ever. So each format that was ever
//! released has its own types here, which never change again, and every one of them turns into today's event. Fields
//! that a format does not know are refused rather than dropped: whoever adds one raises the format.

pub(crate) mod status;
pub mod v1;

use noctule_engine::Event;

/// The format that this program writes.
pub const FORMAT: u32 = 1;

/// Bytes that are not an event that this program can read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(
        "an event of the log has format {found} and this noctule reads formats up to {FORMAT}: use a newer one"
    )]
    Newer { found: u32 },
    #[error("an event of the log is damaged: it is not of format {format} ({source})")]
    Malformed { format: u32, source: serde_json::Error },
    #[error("an event of the log is damaged: formats begin with 1")]
    NoFormat,
}

/// The bytes of an event in today's format.
pub fn encode(event: &Event) -> Vec<u8> {
    serde_json::to_vec(&v1::Event::from(event)).expect("a record has only text keys")
}

/// The event that bytes of any released format stand for.
pub fn decode(format: u32, bytes: &[u8]) -> Result<Event, RecordError> {
    match format {
        0 => Err(RecordError::NoFormat),
        1 => serde_json::from_slice::<v1::Event>(bytes)
            .map(Event::from)
            .map_err(|source| RecordError::Malformed { format, source }),
        found => Err(RecordError::Newer { found }),
    }
}

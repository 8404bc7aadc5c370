//! Who asks for something, by what way, and why.

use noctule_store::Via;

/// Who asks, for the audit table and for the logs of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// A person, or the name of a token.
    pub name: String,
    pub via: Via,
    pub why: Option<String>,
}

//! Errors of the libraries, classified once: what to say, the code for programs, and the exit code.

use std::path::Path;

use noctule_registry::Refusal;

use crate::exit::Exit;

/// An error on its way to a person: the text, what may help, and how a program tells it from others.
#[derive(Debug)]
pub struct Trouble {
    pub exit: Exit,
    pub code: Code,
    pub message: String,
    /// Ready-made text, such as diagnostics with source lines, that stands instead of `error: message`.
    pub rendered: bool,
}

/// What kind of trouble it is. The words are part of the API's promise, as exit codes are of the command line's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// An argument, a parameter or a body is not as it has to be.
    Invalid,
    /// The text of a pipeline is not accepted.
    InvalidPipeline,
    Unauthorized,
    Forbidden,
    NoSuchPath,
    NoSuchMethod,
    NoSuchRun,
    AmbiguousRun,
    NoSuchStep,
    NoSuchLog,
    NoSuchReport,
    NoSuchPipeline,
    NoSuchModel,
    NoSuchVersion,
    NoSuchAlias,
    NoSuchBackfill,
    /// It cannot be, as things stand.
    Refused,
    /// The alias moved meanwhile.
    Held,
    /// What is stored is not whole.
    Damaged,
    TooLarge,
    NotJson,
    TooSlow,
    /// A server that does not lead, or a database or store that cannot be reached.
    Away,
    /// The config does not fit what is there.
    Misconfigured,
    /// noctule's own trouble.
    Own,
}

impl Code {
    pub const ALL: [Code; 25] = [
        Code::Invalid,
        Code::InvalidPipeline,
        Code::Unauthorized,
        Code::Forbidden,
        Code::NoSuchPath,
        Code::NoSuchMethod,
        Code::NoSuchRun,
        Code::AmbiguousRun,
        Code::NoSuchStep,
        Code::NoSuchLog,
        Code::NoSuchReport,
        Code::NoSuchPipeline,
        Code::NoSuchModel,
        Code::NoSuchVersion,
        Code::NoSuchAlias,
        Code::NoSuchBackfill,
        Code::Refused,
        Code::Held,
        Code::Damaged,
        Code::TooLarge,
        Code::NotJson,
        Code::TooSlow,
        Code::Away,
        Code::Misconfigured,
        Code::Own,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Code::Invalid => "invalid",
            Code::InvalidPipeline => "invalid-pipeline",
            Code::Unauthorized => "unauthorized",
            Code::Forbidden => "forbidden",
            Code::NoSuchPath => "no-such-path",
            Code::NoSuchMethod => "no-such-method",
            Code::NoSuchRun => "no-such-run",
            Code::AmbiguousRun => "ambiguous-run",
            Code::NoSuchStep => "no-such-step",
            Code::NoSuchLog => "no-such-log",
            Code::NoSuchReport => "no-such-report",
            Code::NoSuchPipeline => "no-such-pipeline",
            Code::NoSuchModel => "no-such-model",
            Code::NoSuchVersion => "no-such-version",
            Code::NoSuchAlias => "no-such-alias",
            Code::NoSuchBackfill => "no-such-backfill",
            Code::Refused => "refused",
            Code::Held => "held",
            Code::Damaged => "damaged",
            Code::TooLarge => "too-large",
            Code::NotJson => "not-json",
            Code::TooSlow => "too-slow",
            Code::Away => "away",
            Code::Misconfigured => "misconfigured",
            Code::Own => "own-trouble",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    /// The exit code of a command that met it.
    pub fn exit(self) -> Exit {
        match self {
            Code::Held => Exit::Held,
            Code::Damaged | Code::TooSlow | Code::Away | Code::Own => Exit::OwnTrouble,
            _ => Exit::Usage,
        }
    }
}

impl Trouble {
    pub fn coded(code: Code, message: impl Into<String>) -> Self {
        Self { exit: code.exit(), code, message: message.into(), rendered: false }
    }

    /// The pipeline, the config or the arguments are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::coded(Code::Invalid, message)
    }

    /// It cannot be, as things stand.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::coded(Code::Refused, message)
    }

    /// noctule's own trouble.
    pub fn own(message: impl Into<String>) -> Self {
        Self::coded(Code::Own, message)
    }

    /// A local file or folder that could not be used.
    pub fn file(doing: &str, path: &Path, error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        let remedy = match error.kind() {
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                "; give this user the right to it, or work in another folder"
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space there",
            _ => "",
        };
        Self::own(format!("could not {doing} {}: {error}{remedy}", path.display()))
    }

    /// Diagnostics that are already rendered.
    pub fn diagnostics(rendered: String) -> Self {
        Self { rendered: true, ..Self::coded(Code::InvalidPipeline, rendered) }
    }

    /// Prints it to standard error.
    pub fn print(&self) {
        use crate::terminal::style::{BAD, paint};
        if self.rendered {
            anstream::eprintln!("{}", self.message.trim_end());
        } else {
            anstream::eprintln!("{} {}", paint(BAD, "error:"), self.message);
        }
    }
}

impl From<noctule_store::StoreError> for Trouble {
    fn from(error: noctule_store::StoreError) -> Self {
        use noctule_store::StoreError;
        let code = match &error {
            StoreError::NoSuchRun { .. } => Code::NoSuchRun,
            StoreError::AmbiguousRun { .. } => Code::AmbiguousRun,
            StoreError::NoSuchBackfill { .. } => Code::NoSuchBackfill,
            StoreError::Location { .. } | StoreError::NetworkFileSystem { .. } => Code::Misconfigured,
            StoreError::Registry(refusal) => code_of_refusal(refusal),
            StoreError::InUse
            | StoreError::Refused { .. }
            | StoreError::OccurrenceTaken { .. }
            | StoreError::NoSuchOccurrence { .. }
            | StoreError::OccurrenceSettled { .. }
            | StoreError::BackfillIs { .. }
            | StoreError::NoSuchToken { .. }
            | StoreError::TokenNameTaken { .. }
            | StoreError::NoBackup { .. }
            | StoreError::Served { .. } => Code::Refused,
            StoreError::Locked { .. } | StoreError::Away { .. } | StoreError::Full { .. } => Code::Away,
            _ => Code::Own,
        };
        Self::coded(code, with_causes(&error))
    }
}

fn code_of_refusal(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::NoSuchModel { .. } => Code::NoSuchModel,
        Refusal::NoSuchVersion { .. } => Code::NoSuchVersion,
        Refusal::NoSuchAlias { .. } => Code::NoSuchAlias,
        Refusal::Person { .. } => Code::Invalid,
        _ => Code::Refused,
    }
}

impl From<noctule_depot::Error> for Trouble {
    fn from(error: noctule_depot::Error) -> Self {
        let code = match error.trouble() {
            noctule_depot::Trouble::BadConfig => Code::Misconfigured,
            noctule_depot::Trouble::BadData => Code::Damaged,
            noctule_depot::Trouble::Temporary => Code::Away,
            noctule_depot::Trouble::Other => Code::Own,
        };
        Self::coded(code, with_causes(&error))
    }
}

impl From<noctule_controller::ControllerError> for Trouble {
    fn from(error: noctule_controller::ControllerError) -> Self {
        use noctule_controller::ControllerError;
        match error {
            ControllerError::Store(error) => error.into(),
            ControllerError::Depot(error) => error.into(),
            ControllerError::Pipeline { .. } => Self::coded(Code::InvalidPipeline, error.to_string()),
            ControllerError::Interval(_) => Self::usage(error.to_string()),
            ControllerError::NothingLeft { .. }
            | ControllerError::HasEnded { .. }
            | ControllerError::Refused { .. } => Self::refused(error.to_string()),
            // The command line has always called this its own trouble: the run is somebody else's for now.
            ControllerError::Driven { .. } => {
                Self { exit: Exit::OwnTrouble, ..Self::refused(error.to_string()) }
            }
            other => Self::own(with_causes(&other)),
        }
    }
}

impl From<noctule_controller::serve::RequestError> for Trouble {
    fn from(error: noctule_controller::serve::RequestError) -> Self {
        use noctule_controller::serve::RequestError;
        let code = match error {
            RequestError::Controller(error) => return error.into(),
            RequestError::Pipeline { diagnostics } => return Self::diagnostics(diagnostics),
            RequestError::NoSuchPipeline { .. } => Code::NoSuchPipeline,
            RequestError::NoSchedule { .. }
            | RequestError::BackfillIs { .. }
            | RequestError::ScheduleIs { .. }
            | RequestError::Interval(_)
            | RequestError::Backfill(_) => Code::Refused,
            RequestError::NoReason { .. } | RequestError::TooLong { .. } => Code::Invalid,
            RequestError::Stopping => Code::Away,
        };
        Self::coded(code, error.to_string())
    }
}

impl From<noctule_controller::serve::StartError> for Trouble {
    fn from(error: noctule_controller::serve::StartError) -> Self {
        use noctule_controller::serve::StartError;
        match error {
            StartError::Store(error) => error.into(),
            StartError::Folder { .. } => Self::usage(error.to_string()),
            StartError::AnotherServer { .. } => Self::refused(error.to_string()),
        }
    }
}

/// An error with what caused it, each text once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}\n  {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_words_of_their_own() {
        for code in Code::ALL {
            assert_eq!(Code::of_word(code.word()), Some(code));
        }
        assert_eq!(Code::of_word("nonsense"), None);
    }
}

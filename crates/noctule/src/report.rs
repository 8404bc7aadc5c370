//! Errors of the libraries, classified once: what to say, and the exit code.

use std::path::Path;

use crate::exit::Exit;

/// An error on its way to a person: the text, what may help, and the exit code.
#[derive(Debug)]
pub struct Trouble {
    pub exit: Exit,
    pub message: String,
    /// Ready-made text, such as diagnostics with source lines, that stands instead of `error: message`.
    pub rendered: bool,
}

impl Trouble {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), rendered: false }
    }

    /// The pipeline, the config or the arguments are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// noctule's own trouble.
    pub fn own(message: impl Into<String>) -> Self {
        Self::new(Exit::OwnTrouble, message)
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
        Self { exit: Exit::Usage, message: rendered, rendered: true }
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
        let exit = match &error {
            StoreError::NoSuchRun { .. }
            | StoreError::AmbiguousRun { .. }
            | StoreError::Location { .. }
            | StoreError::NetworkFileSystem { .. }
            | StoreError::Registry(_)
            | StoreError::InUse => Exit::Usage,
            _ => Exit::OwnTrouble,
        };
        Self::new(exit, with_causes(&error))
    }
}

impl From<noctule_depot::Error> for Trouble {
    fn from(error: noctule_depot::Error) -> Self {
        let exit = match error.trouble() {
            noctule_depot::Trouble::BadConfig => Exit::Usage,
            _ => Exit::OwnTrouble,
        };
        Self::new(exit, with_causes(&error))
    }
}

impl From<noctule_controller::ControllerError> for Trouble {
    fn from(error: noctule_controller::ControllerError) -> Self {
        use noctule_controller::ControllerError;
        match error {
            ControllerError::Store(error) => error.into(),
            ControllerError::Depot(error) => error.into(),
            ControllerError::NothingLeft { .. }
            | ControllerError::Pipeline { .. }
            | ControllerError::Interval(_) => Self::usage(error.to_string()),
            other => Self::own(with_causes(&other)),
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

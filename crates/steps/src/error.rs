//! Why an attempt failed, and how the engine is told.

use std::error::Error;
use std::fmt;

/// What kind of trouble ended an attempt. It decides the exit code, and by it whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The data cannot be worked with: trying again gives the same (exit code 65).
    Data,
    /// The settings or the installation are wrong: trying again gives the same (exit code 78).
    Configuration,
    /// Something outside was away or in motion: the next try may succeed (exit code 75).
    Temporary,
    /// Anything else (exit code 1).
    Other,
    /// A command of the user's own ended with this exit code, and so does the attempt.
    Command(u8),
}

impl Class {
    /// The exit code of `noctule step`, from `sysexits.h` where it has one.
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Data => 65,
            Class::Configuration => 78,
            Class::Temporary => 75,
            Class::Other => 1,
            Class::Command(code) => code,
        }
    }
}

/// An error that ends an attempt: its text for people and its class.
///
/// Each step kind has error types of its own; they turn into this one at the step's edge through [`Classed`].
#[derive(Debug)]
pub struct StepError {
    pub class: Class,
    source: Box<dyn Error + Send + Sync>,
}

/// An error that knows its class.
pub trait Classed: Error + Send + Sync + 'static {
    fn class(&self) -> Class;
}

impl<E: Classed> From<E> for StepError {
    fn from(error: E) -> Self {
        Self { class: error.class(), source: Box::new(error) }
    }
}

impl fmt::Display for StepError {
    /// The error and what caused it, each cause once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            let more = error.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        f.write_str(&text)
    }
}

impl Classed for noctule_artifacts::launch::LaunchError {
    fn class(&self) -> Class {
        Class::Configuration
    }
}

impl From<noctule_tables::Class> for Class {
    fn from(class: noctule_tables::Class) -> Self {
        match class {
            noctule_tables::Class::Data => Class::Data,
            noctule_tables::Class::Configuration => Class::Configuration,
            noctule_tables::Class::Temporary => Class::Temporary,
            noctule_tables::Class::Other => Class::Other,
        }
    }
}

impl Classed for noctule_tables::Error {
    fn class(&self) -> Class {
        noctule_tables::Error::class(self).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file is gone")]
    struct Gone(#[source] std::io::Error);

    impl Classed for Gone {
        fn class(&self) -> Class {
            Class::Temporary
        }
    }

    #[test]
    fn the_text_names_each_cause_once() {
        let error = StepError::from(Gone(std::io::Error::other("no such disk")));
        assert_eq!(error.to_string(), "the file is gone: no such disk");
        assert_eq!(error.class.exit_code(), 75);
    }
}

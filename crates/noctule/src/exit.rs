//! The exit codes of `noctule`, which scripts and schedulers rely on.

use std::process::ExitCode;

/// How a command ended. The numbers are part of the command line's promise and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command did what was asked.
    Done,
    /// A step failed.
    StepFailed,
    /// The pipeline, the config or the arguments are wrong; found before any attempt started.
    Usage,
    /// The gate said fail.
    GateFailed,
    /// The data are not to be trained on.
    DataStop,
    /// The gate could not tell.
    GateInconclusive,
    /// The candidate passed and was not promoted: the alias is pinned, or it moved meanwhile.
    Held,
    /// noctule's own trouble: the store is away, the disk is full, a bug.
    OwnTrouble,
    /// Interrupted by a person.
    Interrupted,
    /// The exit code of an attempt, as the launcher's classification reads it.
    Attempt(u8),
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::StepFailed => 1,
            Exit::Usage => 2,
            Exit::GateFailed => 3,
            Exit::DataStop => 4,
            Exit::GateInconclusive => 5,
            Exit::Held => 6,
            Exit::OwnTrouble => 7,
            Exit::Interrupted => 130,
            Exit::Attempt(code) => code,
        }
    }
}

impl Exit {
    /// The meaning of a public code, as a server's document names it.
    pub fn of_code(code: u8) -> Self {
        let public = [
            Exit::Done,
            Exit::StepFailed,
            Exit::Usage,
            Exit::GateFailed,
            Exit::DataStop,
            Exit::GateInconclusive,
            Exit::Held,
            Exit::Interrupted,
        ];
        public.into_iter().find(|exit| exit.code() == code).unwrap_or(Exit::OwnTrouble)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Lets a command end quietly when whoever read its output has gone, and with a sentence when the output cannot be
/// written. The standard library's `println!` knows no other way than a panic, of which it leaves only the text.
pub fn end_quietly_without_a_reader() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload_as_str().unwrap_or_default();
        let Some(cause) = text.strip_prefix("failed printing to stdout: ") else { return usual(panic) };
        if cause.contains(&format!("os error {}", rustix::io::Errno::PIPE.raw_os_error())) {
            std::process::exit(Exit::Done.code().into());
        }
        eprintln!("error: standard output cannot be written: {cause}");
        std::process::exit(Exit::OwnTrouble.code().into());
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_codes_stay() {
        let codes = [
            Exit::Done,
            Exit::StepFailed,
            Exit::Usage,
            Exit::GateFailed,
            Exit::DataStop,
            Exit::GateInconclusive,
            Exit::Held,
            Exit::OwnTrouble,
            Exit::Interrupted,
        ]
        .map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 130]);
    }
}

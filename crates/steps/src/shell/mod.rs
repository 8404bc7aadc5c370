//! `shell`: runs a command of the user's own.
//!
//! The command finds its inputs as folders named in its environment, and writes its output into a folder. What it prints
//! goes to the log, through a filter of the secrets that it was given, and is never searched for reports.

mod child;
mod output;
mod secrets;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noctule_artifacts::{Outcome, OutputName};
use noctule_spec::kinds::shell::{Command, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::StepResult;
use crate::attempt::Attempt;
use crate::error::{Class, Classed, StepError};
use crate::inputs::InputFile;

use child::Child;
pub use secrets::variable as secret_variable;

/// How long a signal that arrived while the command ran may take to be heard.
const SIGNAL_PATIENCE: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    #[error("the command `{program}` could not be started: {cause}{remedy}")]
    Start { program: String, cause: io::Error, remedy: &'static str },
    #[error("the command ended with exit code {code}; its last lines are in the log")]
    Exit { code: u8 },
    #[error("the command was ended by signal {signal}")]
    Signal { signal: i32 },
    #[error("the command was asked to end, and did")]
    AskedToEnd,
    #[error("the command's working folder could not be prepared: {0}")]
    Prepare(#[source] io::Error),
    #[error("the command could not be waited for: {0}")]
    Wait(#[source] io::Error),
    #[error(
        "the secret `{name}` is not there: set the environment variable {variable}, or name a file in {variable}_FILE"
    )]
    NoSecret { name: String, variable: String },
    #[error("the file {path} of the secret `{name}` could not be read: {cause}")]
    SecretFile { name: String, path: String, cause: io::Error },
    #[error("`$NOCTULE_METRICS` holds {what}; it is a JSON object of numbers, such as {{\"loss\": 0.5}}")]
    BadMetrics { what: String },
    #[error("the command ended with exit code 0 and wrote {what}: {remedy}")]
    BadOutput { what: String, remedy: &'static str },
}

impl Classed for ShellError {
    fn class(&self) -> Class {
        match self {
            Self::Exit { code } => Class::Command(*code),
            // As a shell reports it.
            Self::Signal { signal } => Class::Command(u8::try_from(128 + signal).unwrap_or(255)),
            Self::AskedToEnd => Class::Command(143),
            Self::Start { .. } | Self::NoSecret { .. } | Self::SecretFile { .. } => Class::Configuration,
            Self::BadMetrics { .. } | Self::BadOutput { .. } => Class::Data,
            Self::Prepare(cause) if cause.kind() == io::ErrorKind::StorageFull => Class::Temporary,
            Self::Prepare(_) | Self::Wait(_) => Class::Other,
        }
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let main = OutputName::main();
    let desk = attempt.scratch_folder()?;
    let metrics = desk.join("metrics.json");
    let output = attempt.output_folder(&main)?;
    let mut environment = told(attempt, &output, &metrics);
    for (name, reference) in &settings.inputs {
        let folder = desk.join("inputs").join(name);
        let files = attempt.files(&reference.to_string()).await?;
        lay_out(&folder, &files).map_err(ShellError::Prepare)?;
        environment.insert(format!("NOCTULE_INPUT_{name}"), folder.into());
    }
    let (given, secrets) = secrets::resolve(&attempt.launch.env, |name| std::env::var_os(name))?;
    environment.extend(given);
    let child = Child { argv: argv(&settings.command), environment };
    // The whole group is told to end. The command is given its time to do so, so this process has to stay.
    let mut asked_to_end = signal(SignalKind::terminate()).map_err(ShellError::Wait)?;
    // Standard output carries this attempt's own reports, so nothing of the command's may go there.
    child.run(&secrets, io::stderr())?;
    // What a command leaves behind that ended since it was asked to is no result.
    if timeout(SIGNAL_PATIENCE, asked_to_end.recv()).await.is_ok() {
        return Err(ShellError::AskedToEnd.into());
    }
    take_metrics(attempt, &metrics)?;
    output::take(attempt, settings.output, &output)?;
    Ok(Outcome::Ok)
}

/// What every command is told.
fn told(attempt: &Attempt, output: &Path, metrics: &Path) -> BTreeMap<String, OsString> {
    let launch = &attempt.launch;
    // The same inputs and settings give the same seed, so that a command can be rerun to the same result.
    let fingerprint = launch.fingerprint.digest();
    let first = fingerprint.as_bytes()[..4].try_into().expect("a digest has 32 bytes");
    let seed = u32::from_be_bytes(first);
    BTreeMap::from([
        ("NOCTULE_OUTPUT".to_owned(), output.into()),
        ("NOCTULE_METRICS".to_owned(), metrics.into()),
        ("NOCTULE_INTERVAL_START".to_owned(), launch.interval.start.to_string().into()),
        ("NOCTULE_INTERVAL_END".to_owned(), launch.interval.end.to_string().into()),
        ("NOCTULE_SEED".to_owned(), seed.to_string().into()),
        ("NOCTULE_THREADS".to_owned(), launch.resources.threads.to_string().into()),
        ("NOCTULE_FINGERPRINT".to_owned(), fingerprint.to_string().into()),
    ])
}

fn argv(command: &Command) -> Vec<String> {
    match command {
        Command::Argv(argv) => argv.clone(),
        Command::Text(text) => vec!["sh".to_owned(), "-c".to_owned(), text.clone()],
    }
}

/// Puts links to an input's files into a folder, under the names that the artifact gives them.
fn lay_out(folder: &Path, files: &[InputFile]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for file in files {
        let link = folder.join(&file.name);
        if let Some(parent) = link.parent() {
            fs::create_dir_all(parent)?;
        }
        std::os::unix::fs::symlink(fs::canonicalize(&file.path)?, &link)?;
    }
    Ok(())
}

/// More than this is no set of metrics.
const MOST_BYTES: u64 = 1 << 20;
const LONGEST_NAME: usize = 200;

fn take_metrics(attempt: &Attempt, path: &Path) -> Result<(), StepError> {
    let bad = |what: String| ShellError::BadMetrics { what };
    let size = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(bad("something that is no regular file".to_owned()).into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(bad(error.to_string()).into()),
    };
    if size > MOST_BYTES {
        return Err(bad(format!("{size} bytes")).into());
    }
    let bytes = fs::read(path).map_err(|error| bad(error.to_string()))?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let metrics: BTreeMap<String, f64> =
        serde_json::from_slice(&bytes).map_err(|error| bad(format!("something else ({error})")))?;
    if let Some(name) = metrics.keys().find(|name| name.is_empty() || name.len() > LONGEST_NAME) {
        return Err(bad(format!("a name of {} bytes", name.len())).into());
    }
    for (name, value) in metrics {
        attempt.emit.metric(&name, value);
    }
    Ok(())
}

impl Attempt {
    /// A folder for what is no output. It goes with the attempt.
    fn scratch_folder(&self) -> Result<PathBuf, StepError> {
        Ok(self.draft.spill_folder()?)
    }
}

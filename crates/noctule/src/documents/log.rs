//! What an attempt wrote, in pieces.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use noctule_artifacts::{AttemptNumber, RunId, StepName, layout};
use noctule_controller::Controller;
use noctule_launcher::AttemptKey;

use crate::report::{Code, Trouble};

/// A piece of a log.
pub struct LogPiece {
    pub bytes: Vec<u8>,
    /// Where the next piece begins.
    pub next: u64,
    /// How long the log is now.
    pub size: u64,
}

/// The file that an attempt's log is in, while it is on this machine.
fn file(controller: &Controller, run: &RunId, step: &StepName, attempt: AttemptNumber) -> Option<PathBuf> {
    let key = AttemptKey { run: run.clone(), step: step.clone(), attempt };
    let live = controller.launcher.log_file(&key).filter(|path| path.exists());
    live.or_else(|| controller.depot.log_file(&layout::attempt_log(run, step, attempt)).ok().flatten())
}

/// A piece of an attempt's log from an offset on, at most `limit` bytes; a negative offset counts from the end.
/// `None` when the attempt has left no log.
pub async fn piece(
    controller: &Controller,
    run: &RunId,
    step: &StepName,
    attempt: AttemptNumber,
    offset: i64,
    limit: u64,
) -> Result<Option<LogPiece>, Trouble> {
    if let Some(path) = file(controller, run, step, attempt) {
        return match read(&path, offset, limit) {
            Ok(piece) => Ok(Some(piece)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::file("read", &path, error)),
        };
    }
    match controller.depot.read(&layout::attempt_log(run, step, attempt)).await {
        Ok(text) => {
            let size = text.len() as u64;
            let start = begin(offset, size);
            let end = start.saturating_add(limit).min(size);
            let bytes = text[start as usize..end as usize].to_vec();
            Ok(Some(LogPiece { bytes, next: end, size }))
        }
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn begin(offset: i64, size: u64) -> u64 {
    match u64::try_from(offset) {
        Ok(offset) => offset.min(size),
        Err(_) => size.saturating_sub(offset.unsigned_abs()),
    }
}

fn read(path: &std::path::Path, offset: i64, limit: u64) -> std::io::Result<LogPiece> {
    let mut file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    let start = begin(offset, size);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    let next = start + bytes.len() as u64;
    Ok(LogPiece { bytes, next, size: size.max(next) })
}

/// The refusal of a log that is not there.
pub fn none(run: &RunId, step: &StepName, attempt: AttemptNumber) -> Trouble {
    Trouble::coded(Code::NoSuchLog, format!("attempt {attempt} of `{step}` in run {run} has left no log"))
}

//! The command as a child process in the attempt's own process group, which is what gets killed when time is up.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use noctule_artifacts::redact::Secrets;

use super::ShellError;
use super::secrets::PREFIX;

/// How long the output of a command is read on when it has ended but something it started keeps the streams open.
const LINGER: Duration = Duration::from_secs(2);

/// A command and the variables that it gets beside those of this process.
pub(super) struct Child {
    pub argv: Vec<String>,
    pub environment: BTreeMap<String, OsString>,
}

impl Child {
    /// Runs the command to its end. What it prints goes to `log`, without the secrets.
    ///
    /// # Errors
    /// It could not be started, ended with another exit code than 0, or by a signal.
    pub fn run(&self, secrets: &Secrets, log: impl Write + Send + 'static) -> Result<(), ShellError> {
        let (program, arguments) = self.argv.split_first().expect("the settings have a program");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                command.env_remove(name);
            }
        }
        command.envs(&self.environment);
        let mut child = command.spawn().map_err(|cause| start_error(program, cause))?;
        let log: Log = Arc::new(Mutex::new(log));
        let (ended, wait) = channel::<()>();
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|stream| Box::new(stream) as _),
            child.stderr.take().map(|stream| Box::new(stream) as _),
        ];
        for stream in streams.into_iter().flatten() {
            let (secrets, log, at_end) = (secrets.clone(), log.clone(), ended.clone());
            thread::spawn(move || {
                pass_on(stream, &secrets, &log);
                drop(at_end);
            });
        }
        drop(ended);
        let status = child.wait().map_err(ShellError::Wait)?;
        let until = Instant::now() + LINGER;
        // The channel closes when both streams are at their end.
        while wait.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok() {}
        judged(status)
    }
}

type Log = Arc<Mutex<dyn Write + Send>>;

fn pass_on(mut stream: impl Read, secrets: &Secrets, log: &Log) {
    let mut filter = secrets.filter();
    let mut piece = vec![0; 64 << 10];
    let mut shown = Vec::new();
    loop {
        let count = match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        filter.push(&piece[..count], &mut shown);
        show(log, &mut shown);
    }
    filter.finish(&mut shown);
    show(log, &mut shown);
}

/// A log that cannot be written to must not stop the command.
fn show(log: &Log, shown: &mut Vec<u8>) {
    let mut log = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _ = log.write_all(shown).and_then(|()| log.flush());
    shown.clear();
}

fn start_error(program: &str, cause: io::Error) -> ShellError {
    let remedy = match cause.kind() {
        io::ErrorKind::NotFound => "; is it installed, and its folder in PATH?",
        io::ErrorKind::PermissionDenied => "; make it executable (`chmod +x`)",
        _ => "",
    };
    ShellError::Start { program: program.to_owned(), cause, remedy }
}

fn judged(status: ExitStatus) -> Result<(), ShellError> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(ShellError::Exit { code: u8::try_from(code).unwrap_or(1) }),
        (None, signal) => Err(ShellError::Signal { signal: signal.unwrap_or(0) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sh(script: &str, environment: &[(&str, &str)], secrets: &[&str]) -> (Result<(), ShellError>, String) {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        let child = Child { argv: vec!["sh".into(), "-c".into(), script.into()], environment };
        let kept = Kept::default();
        let result = child.run(&Secrets::new(secrets), kept.clone());
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        (result, text)
    }

    #[test]
    fn both_streams_reach_the_log_without_secrets() {
        let (result, log) = sh(
            "echo to out $TOKEN; echo to err $TOKEN >&2",
            &[("TOKEN", "s3cret-s3cret")],
            &["s3cret-s3cret"],
        );
        result.unwrap();
        assert!(log.contains("to out ***\n") && log.contains("to err ***\n"), "{log}");
        assert!(!log.contains("s3cret"));
    }

    #[test]
    fn exit_codes_and_signals_are_kept() {
        for code in [1, 65, 75, 78, 255] {
            let (result, _) = sh(&format!("exit {code}"), &[], &[]);
            assert!(matches!(result, Err(ShellError::Exit { code: found }) if found == code), "{code}");
        }
        let (result, _) = sh("kill -KILL $$", &[], &[]);
        assert!(matches!(result, Err(ShellError::Signal { signal: 9 })));
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let child = Child { argv: vec!["no-such-program".into()], environment: BTreeMap::new() };
        let error = child.run(&Secrets::default(), io::sink()).unwrap_err().to_string();
        assert!(error.contains("`no-such-program`") && error.contains("PATH"), "{error}");
    }

    #[test]
    fn a_background_process_that_holds_the_streams_does_not_hold_the_attempt() {
        let started = Instant::now();
        let (result, log) = sh("sleep 30 & echo done", &[], &[]);
        result.unwrap();
        assert_eq!(log, "done\n");
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}

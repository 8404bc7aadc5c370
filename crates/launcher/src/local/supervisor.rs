//! The small process between a launcher and an attempt.
//!
//! It outlives the launcher, so that limits hold and the end is recorded whatever becomes of that. It leads a session
//! of its own and is the reaper of all that descends from it, so no process of the attempt can leave it by forking
//! twice or by changing group or session. When it is itself killed, the attempt's main process dies with it (the
//! parent-death signal), and the rest is found by the mark in its environment. What escapes both: a process that
//! cleared its environment, after somebody killed the supervisor with SIGKILL.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, getppid, kill_process_group, set_child_subreaper,
    set_parent_process_death_signal, wait,
};
use tokio::signal::unix::{Signal as UnixSignal, SignalKind, signal as on_signal};

use super::process::{
    Identity, descendants, exact_memory, kernel_memory_kills, rough_memory, signal as send_signal,
};
use super::pump::{Files, pump};
use super::record::{Cause, Exit, Folder, Order};

/// How often memory is looked at, and the stop order.
const TICK: Duration = Duration::from_millis(100);
/// How long an attempt has when the supervisor itself is told to end.
const OWN_GRACE: Duration = Duration::from_secs(10);
/// The words by which the supervisor tells the launcher that the attempt is begun, or that another one has it.
pub(crate) const BEGUN: &str = "begun";
pub(crate) const BUSY: &str = "busy";

/// Supervises one attempt from its beginning to its end: the body of the command that [`super::Config::supervisor`]
/// names. `folder` and `command` are the arguments that the launcher appends to it.
pub fn supervise(folder: &Path, command: &[OsString]) -> ExitCode {
    match run(&Folder::at(folder), command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is a file beside the order, which the launcher quotes.
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Folder, command: &[OsString]) -> io::Result<()> {
    let order = folder.order()?.ok_or_else(|| io::Error::other("there is no order to carry out"))?;
    let Some(_lock) = folder.lock()? else {
        say(BUSY);
        return Ok(());
    };
    if folder.began()?.is_some() || folder.exit()?.is_some() {
        say(BUSY);
        return Ok(());
    }
    // Before anybody knows of this process: a signal that came too early would end it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async { Signals::listen() })?;
    folder.reserve_space()?;
    folder.put_began(&Identity::of(std::process::id())?)?;
    say(BEGUN);
    set_child_subreaper(Some(getpid()))?;

    let memory_kills = kernel_memory_kills();
    let exit = match spawn(folder, &order, command) {
        Ok(attempt) => runtime.block_on(attempt.watch(folder, signals, memory_kills))?,
        Err(error) => {
            let program = command.first().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
            let cause = Cause::NotSpawned { message: format!("`{program}` could not be started: {error}") };
            Exit { cause, peak_bytes: None }
        }
    };
    put_exit_surely(folder, &exit)
}

/// Writes the last record even to a disk that has become full, and else waits for a while that it gets room.
fn put_exit_surely(folder: &Folder, exit: &Exit) -> io::Result<()> {
    for _ in 0..30 {
        match folder.put_exit(exit) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                folder.release_space();
                if folder.put_exit(exit).is_ok() {
                    return Ok(());
                }
                std::thread::sleep(Duration::from_secs(1));
            }
            other => return other,
        }
    }
    folder.put_exit(exit)
}

fn say(word: &str) {
    // The launcher may be gone by now; then nobody needs to hear it.
    let _ = writeln!(io::stdout(), "{word}").and_then(|()| io::stdout().flush());
}

fn spawn(folder: &Folder, order: &Order, command: &[OsString]) -> io::Result<Attempt> {
    let append = |path: &Path| {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|e| io::Error::new(e.kind(), format!("`{}` cannot be written: {e}", path.display())))
    };
    let (log, reports) = (append(&order.log)?, append(&folder.reports())?);
    let (program, arguments) =
        command.split_first().ok_or_else(|| io::Error::other("no command was given"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone()?)
        .process_group(0);
    let supervisor = getpid();
    // SAFETY: between fork and exec only two system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The supervisor may have died before the signal was asked for.
            if getppid() == Some(supervisor) { Ok(()) } else { Err(Errno::SRCH.into()) }
        });
    }
    let mut child = command.spawn()?;
    // Of all processes here the kernel shall rather end the attempt's, should memory run out.
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.id()), "500");
    let stdout = child.stdout.take().expect("it was asked to be a pipe");
    let files = Files { reports, log: log.try_clone()?, lost_bytes: 0 };
    let (done, pumped) = mpsc::channel();
    std::thread::spawn(move || done.send(pump(stdout, files)));
    let main = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child has a process number");
    Ok(Attempt {
        main,
        memory_bytes: order.memory_bytes,
        peak: 0,
        log,
        pumped,
        ended: None,
        killed_for_memory: None,
        stop: None,
    })
}

struct Attempt {
    main: Pid,
    memory_bytes: Option<u64>,
    peak: u64,
    log: File,
    pumped: mpsc::Receiver<u64>,
    /// How the main process ended.
    ended: Option<WaitStatus>,
    killed_for_memory: Option<u64>,
    stop: Option<Stopping>,
}

struct Stopping {
    force_at: Instant,
}

struct Signals {
    child_changed: UnixSignal,
    asked_to_end: UnixSignal,
    interrupted: UnixSignal,
    hung_up: UnixSignal,
}

impl Signals {
    /// Must be called within the runtime.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            child_changed: on_signal(SignalKind::child())?,
            asked_to_end: on_signal(SignalKind::terminate())?,
            interrupted: on_signal(SignalKind::interrupt())?,
            hung_up: on_signal(SignalKind::hangup())?,
        })
    }
}

impl Attempt {
    async fn watch(mut self, folder: &Folder, mut signals: Signals, memory_kills: u64) -> io::Result<Exit> {
        let mut tick = tokio::time::interval(TICK);
        while !self.reap()? {
            let is_told = tokio::select! {
                _ = signals.child_changed.recv() => false,
                _ = tick.tick() => {
                    self.follow_stop_order(folder)?;
                    self.watch_memory();
                    false
                }
                _ = signals.asked_to_end.recv() => true,
                _ = signals.interrupted.recv() => true,
                _ = signals.hung_up.recv() => true,
            };
            if is_told {
                self.stop_within(OWN_GRACE);
            }
            self.enforce();
        }
        self.finish(memory_kills)
    }

    /// Waits for all children that have ended, adopted ones too. Returns whether none is left.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.main => {
                    self.ended = Some(status);
                    // As in a container, what the main process leaves behind ends with it.
                    self.kill_all();
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(false),
                Err(Errno::CHILD) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    fn kill_all(&self) {
        for process in descendants(std::process::id()).unwrap_or_default() {
            send_signal(process, Signal::KILL);
        }
    }

    fn follow_stop_order(&mut self, folder: &Folder) -> io::Result<()> {
        if let Some(order) = folder.stop_order()? {
            self.stop_within(Duration::from_millis(order.grace_ms));
        }
        Ok(())
    }

    /// Asks the attempt's process group to end; a later, shorter grace shortens the first.
    fn stop_within(&mut self, grace: Duration) {
        let force_at = Instant::now() + grace;
        match &mut self.stop {
            Some(stop) => stop.force_at = stop.force_at.min(force_at),
            None => {
                self.stop = Some(Stopping { force_at });
                if self.ended.is_none() && !grace.is_zero() {
                    let _ = kill_process_group(self.main, Signal::TERM);
                }
            }
        }
    }

    fn watch_memory(&mut self) {
        let Ok(processes) = descendants(std::process::id()) else { return };
        let rough = rough_memory(&processes);
        let Some(limit) = self.memory_bytes.filter(|limit| rough > *limit) else {
            self.peak = self.peak.max(rough);
            return;
        };
        let exact = exact_memory(&processes);
        self.peak = self.peak.max(exact);
        if exact > limit && self.killed_for_memory.is_none() {
            self.killed_for_memory = Some(limit);
            let _ = writeln!(
                self.log,
                "noctule: ended for using {} MiB of memory where {} MiB are allowed (resources.memory)",
                exact >> 20,
                limit >> 20
            );
        }
    }

    /// Ends by force what should not run any longer, again and again until nothing is left.
    fn enforce(&mut self) {
        let is_out_of_time = self.stop.as_ref().is_some_and(|stop| Instant::now() >= stop.force_at);
        if self.ended.is_some() || self.killed_for_memory.is_some() || is_out_of_time {
            self.kill_all();
        }
    }

    fn finish(mut self, memory_kills: u64) -> io::Result<Exit> {
        // Every process that could write to the pipe is gone, so its end comes at once.
        let lost = self.pumped.recv_timeout(Duration::from_secs(10)).unwrap_or(0);
        if lost > 0 {
            let _ = writeln!(self.log, "noctule: {lost} bytes of output could not be written");
        }
        let status = self.ended.ok_or_else(|| io::Error::other("the main process was never waited for"))?;
        let peak_bytes = (self.peak > 0).then_some(self.peak);
        let cause = match (self.killed_for_memory, &self.stop, status.terminating_signal()) {
            (Some(limit), _, _) => Cause::MemoryLimit { limit_bytes: Some(limit), peak_bytes },
            (None, Some(_), _) => Cause::Stopped,
            // Nobody here sent this signal, and the kernel says that it has ended a process for want of memory.
            (None, None, Some(9)) if kernel_memory_kills() > memory_kills => {
                Cause::MemoryLimit { limit_bytes: None, peak_bytes }
            }
            (None, None, Some(signal)) => Cause::Signalled { signal },
            (None, None, None) => Cause::Exited { code: status.exit_status().unwrap_or(-1) },
        };
        Ok(Exit { cause, peak_bytes })
    }
}

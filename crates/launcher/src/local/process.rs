//! Processes as the kernel shows them: who they are, whose children, and how much memory they use.

use std::collections::HashMap;
use std::fs;
use std::io;

use noctule_engine::Handle;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, told from any other that will ever bear its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`: clock ticks since boot.
    pub start_time: u64,
    /// The boot, and the process namespace, in which the number means something.
    pub boot: String,
}

/// What `/proc/<pid>/stat` tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub pid: u32,
    pub parent: u32,
    pub start_time: u64,
    /// Ended, and not yet waited for: it holds no memory and takes no signal.
    pub is_zombie: bool,
}

impl Identity {
    /// Fails when there is no such process, or no `/proc`.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, start_time: stat(pid)?.start_time, boot: boot()? })
    }

    pub fn is_alive(&self) -> bool {
        boot().is_ok_and(|now| now == self.boot)
            && stat(self.pid).is_ok_and(|stat| stat.start_time == self.start_time && !stat.is_zombie)
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::Process { pid: self.pid, start_time: self.start_time, boot_id: self.boot.clone() }
    }
}

/// The boot and the process namespace in which a process number means something.
pub(crate) fn boot() -> io::Result<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::read_link("/proc/self/ns/pid")?;
    let digits: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    Ok(format!("{}.{digits}", boot.trim()))
}

pub(crate) fn stat(pid: u32) -> io::Result<Stat> {
    // The name may hold anything, parentheses and line feeds among it, and need not be UTF-8.
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(pid, &String::from_utf8_lossy(&bytes))
        .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not as expected")))
}

fn parse_stat(pid: u32, text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    Some(Stat {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
    })
}

fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        if let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok())
            && let Ok(stat) = stat(pid)
        {
            found.push(stat);
        }
    }
    Ok(found)
}

/// Every living descendant of a process, itself not counted. With the process a subreaper none can leave it.
pub(crate) fn descendants(of: u32) -> io::Result<Vec<Stat>> {
    // Reading the lists of children costs nothing on a machine with thousands of processes; some kernels lack them.
    if listed_children(of).is_ok() {
        return Ok(walk(of, |pid| listed_children(pid).unwrap_or_default()));
    }
    let mut children: HashMap<u32, Vec<Stat>> = HashMap::new();
    for stat in all()? {
        children.entry(stat.parent).or_default().push(stat);
    }
    Ok(walk(of, |pid| children.remove(&pid).unwrap_or_default()))
}

fn walk(from: u32, mut children: impl FnMut(u32) -> Vec<Stat>) -> Vec<Stat> {
    let mut found = Vec::new();
    let mut open = vec![from];
    while let Some(parent) = open.pop() {
        for stat in children(parent) {
            open.push(stat.pid);
            if !stat.is_zombie {
                found.push(stat);
            }
        }
    }
    found
}

/// The children of all threads of a process.
fn listed_children(of: u32) -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{of}/task"))? {
        let children = match fs::read_to_string(thread?.path().join("children")) {
            Ok(children) => children,
            // The thread ended; its children now belong to another of the process.
            Err(e) if e.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => continue,
            Err(e) => return Err(e),
        };
        found.extend(children.split_ascii_whitespace().filter_map(|pid| stat(pid.parse().ok()?).ok()));
    }
    Ok(found)
}

/// Every living process whose environment, as it was when its program began, holds this entry.
pub(crate) fn with_environment(entry: &str) -> io::Result<Vec<Stat>> {
    let mut found = all()?;
    found.retain(|stat| {
        !stat.is_zombie
            && fs::read(format!("/proc/{}/environ", stat.pid))
                .is_ok_and(|all| all.split(|b| *b == 0).any(|one| one == entry.as_bytes()))
    });
    Ok(found)
}

/// Sends a signal to exactly the process that was seen, not to a later one of the same number.
pub(crate) fn signal(seen: Stat, signal: Signal) {
    let Some(pid) = i32::try_from(seen.pid).ok().and_then(Pid::from_raw) else { return };
    // A process that is gone needs no signal; one of another user cannot be a descendant's.
    if let Ok(process) = pidfd_open(pid, PidfdFlags::empty())
        && stat(seen.pid).is_ok_and(|now| now.start_time == seen.start_time)
    {
        let _ = pidfd_send_signal(&process, signal);
    }
}

/// An upper estimate of the memory that processes use together, cheap to take: anonymous, shared and swapped-out
/// memory. Pages that a fork shares are counted in each; the page cache is not counted, since it can be dropped.
pub(crate) fn rough_memory(processes: &[Stat]) -> u64 {
    processes.iter().map(|one| fields_kib(one.pid, "status", &["RssAnon:", "RssShmem:", "VmSwap:"])).sum()
}

/// The same with every shared page divided among those that share it. Takes the kernel a walk of all pages.
pub(crate) fn exact_memory(processes: &[Stat]) -> u64 {
    processes
        .iter()
        .map(|one| match fields_kib(one.pid, "smaps_rollup", &["Pss_Anon:", "Pss_Shmem:", "SwapPss:"]) {
            0 => fields_kib(one.pid, "status", &["RssAnon:", "RssShmem:", "VmSwap:"]),
            bytes => bytes,
        })
        .sum()
}

/// The sum, in bytes, of fields that a file of a process gives in kB; zero for a process that is gone.
fn fields_kib(pid: u32, file: &str, names: &[&str]) -> u64 {
    let Ok(text) = fs::read_to_string(format!("/proc/{pid}/{file}")) else { return 0 };
    let kib = |line: &str| line.split_ascii_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
    text.lines()
        .filter(|line| names.iter().any(|name| line.starts_with(name)))
        .filter_map(kib)
        .sum::<u64>()
        .saturating_mul(1024)
}

/// How many processes the kernel has killed for want of memory since boot.
pub(crate) fn kernel_memory_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_confuse() {
        let text = "7 (a) R 1 (\n) S 42 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9876 1 1";
        let stat = parse_stat(7, text).unwrap();
        assert_eq!(stat, Stat { pid: 7, parent: 42, start_time: 9876, is_zombie: false });
        assert_eq!(parse_stat(7, "7 nonsense"), None);
    }

    #[test]
    fn this_process_knows_itself() {
        let me = Identity::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        assert!(!Identity { start_time: me.start_time + 1, ..me.clone() }.is_alive());
        assert!(!Identity { boot: "another".into(), ..me.clone() }.is_alive());
        let stat = stat(me.pid).unwrap();
        let memory = exact_memory(&[stat]);
        assert!(memory > 100 << 10, "{memory}");
        assert!(rough_memory(&[stat]) > 100 << 10);
    }
}

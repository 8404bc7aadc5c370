//! What this machine can give.

use std::fs;
use std::path::PathBuf;

use noctule_artifacts::launch::Resources;

/// The threads and the memory of this machine, or of the container that this process runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    pub threads: u32,
    pub memory_bytes: u64,
}

impl Machine {
    /// Looks at the processor set and quota, the memory, and the limits of the control groups above this process.
    pub fn here() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let physical = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_memory(&text));
        let memory_bytes = group_limits().chain(physical).min().unwrap_or(u64::MAX);
        Self { threads, memory_bytes }
    }

    /// The smaller of what is asked for and what is here. An attempt is never refused for asking too much.
    pub fn fit(&self, threads: Option<u32>, memory_bytes: Option<u64>) -> Resources {
        Resources {
            threads: threads.unwrap_or(self.threads).clamp(1, self.threads),
            memory_bytes: memory_bytes.unwrap_or(self.memory_bytes).min(self.memory_bytes),
        }
    }
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// `memory.max` of this process's group and of every group above it (cgroup version 2).
fn group_limits() -> impl Iterator<Item = u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    let root = PathBuf::from("/sys/fs/cgroup");
    let folders: Vec<PathBuf> = root.join(own).ancestors().map(PathBuf::from).collect();
    folders
        .into_iter()
        .take_while(move |folder| folder.starts_with(&root))
        .filter_map(|folder| fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_cut_to_the_machine() {
        let machine = Machine { threads: 4, memory_bytes: 8 << 30 };
        assert_eq!(machine.fit(Some(8), Some(32 << 30)), Resources { threads: 4, memory_bytes: 8 << 30 });
        assert_eq!(machine.fit(Some(0), Some(1)), Resources { threads: 1, memory_bytes: 1 });
        assert_eq!(machine.fit(None, None), Resources { threads: 4, memory_bytes: 8 << 30 });
        assert_eq!(total_memory("MemTotal:       16 kB\nMemFree: 1 kB\n"), Some(16 * 1024));
    }

    #[test]
    fn this_machine_has_something() {
        let here = Machine::here();
        assert!(here.threads >= 1);
        assert!(here.memory_bytes > 64 << 20 && here.memory_bytes < u64::MAX);
    }
}

//! What this machine has, and how a step's wish is cut down to it.

use noctule_artifacts::launch::Resources;
use noctule_spec::Step;

/// The machine that attempts run on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Machine {
    pub threads: u32,
    pub memory_bytes: u64,
}

/// A step's share, and the sentence that says what was cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    pub resources: Resources,
    pub cut: Option<String>,
}

impl Machine {
    /// The smaller of wish and machine. After attempts that ran out of memory the wish grows by the step's factor.
    pub fn share(&self, step: &Step, out_of_memory: usize) -> Share {
        let growth = step.retry.memory_factor.powi(i32::try_from(out_of_memory).unwrap_or(i32::MAX));
        let wished_memory = step.resources.memory.map(|size| (size.bytes() as f64 * growth) as u64);
        let wished_threads = step.resources.cpu.map(|cpu| cpu.threads().max(1));
        let resources = Resources {
            threads: wished_threads.unwrap_or(self.threads).min(self.threads).max(1),
            memory_bytes: wished_memory.unwrap_or(self.memory_bytes).min(self.memory_bytes),
        };
        let mut cut = Vec::new();
        if wished_threads.is_some_and(|wish| wish > self.threads) {
            cut.push(format!("{} of {} threads", self.threads, wished_threads.unwrap_or_default()));
        }
        if let Some(wish) = wished_memory.filter(|wish| *wish > self.memory_bytes) {
            cut.push(format!("{} of {} MiB of memory", self.memory_bytes >> 20, wish >> 20));
        }
        let cut = (!cut.is_empty()).then(|| format!("this machine gives {}", cut.join(" and ")));
        Share { resources, cut }
    }
}

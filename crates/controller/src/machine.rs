//! How a step's wish is cut down to what the machine has.

use noctule_artifacts::launch::Resources;
use noctule_launcher::local::Machine;
use noctule_spec::Step;

/// A step's share, and the sentence that says what was cut.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Share {
    pub resources: Resources,
    pub cut: Option<String>,
}

/// The smaller of wish and machine. After attempts that ran out of memory the wish grows by the step's factor.
pub(crate) fn share(machine: &Machine, step: &Step, out_of_memory: usize) -> Share {
    let growth = step.retry.memory_factor.powi(i32::try_from(out_of_memory).unwrap_or(i32::MAX));
    let memory = step.resources.memory.map(|size| (size.bytes() as f64 * growth) as u64);
    let threads = step.resources.cpu.map(|cpu| cpu.threads().max(1));
    let mut cut = Vec::new();
    if let Some(wish) = threads.filter(|wish| *wish > machine.threads) {
        cut.push(format!("{} of {wish} threads", machine.threads));
    }
    if let Some(wish) = memory.filter(|wish| *wish > machine.memory_bytes) {
        cut.push(format!("{} of {} MiB of memory", machine.memory_bytes >> 20, wish >> 20));
    }
    let cut = (!cut.is_empty()).then(|| format!("this machine gives {}", cut.join(" and ")));
    Share { resources: machine.fit(threads, memory), cut }
}

//! Who drives a run, in words that another process on this machine can check.

use std::fs;

/// This process: its pid, which means nothing without the start time and the boot that follow.
pub(crate) fn ours() -> String {
    let pid = std::process::id();
    format!("process {pid}, started {}, boot {}", start_time(pid).unwrap_or_default(), boot_id())
}

/// Whether a holder is known to be gone. One of another machine or boot cannot be looked at: a machine that was booted
/// anew has none of its old processes, and another machine's lease has to run out.
pub(crate) fn is_dead(holder: &str) -> bool {
    let Some((pid, started, boot)) = parse(holder) else { return false };
    match fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        Ok(ours) if ours.trim() == boot => start_time(pid).is_none_or(|now| now != started),
        _ => false,
    }
}

fn parse(holder: &str) -> Option<(u32, u64, &str)> {
    let rest = holder.strip_prefix("process ")?;
    let (pid, rest) = rest.split_once(", started ")?;
    let (started, boot) = rest.split_once(", boot ")?;
    Some((pid.parse().ok()?, started.parse().ok()?, boot))
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// The start time of a live process, in ticks since boot; a zombie is gone.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold blanks and brackets; what follows the last bracket does not.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    (fields.first() != Some(&"Z")).then(|| fields.get(19)?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_a_recycled_pid_is_not_us() {
        let ours = ours();
        assert!(!is_dead(&ours), "{ours}");
        let (pid, started, boot) = parse(&ours).unwrap();
        assert!(is_dead(&format!("process {pid}, started {}, boot {boot}", started + 1)));
        assert!(!is_dead("somebody on another machine"));
    }
}

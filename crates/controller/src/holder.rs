//! Who drives a run, in words that another process on this machine can check.

use noctule_launcher::local::Identity;

/// This process; without `/proc` a word that nobody can check, so that its lease has to run out.
pub(crate) fn ours() -> String {
    let pid = std::process::id();
    match Identity::of(pid) {
        Ok(Identity { pid, start_time, boot }) => format!("process {pid}, started {start_time}, boot {boot}"),
        Err(_) => format!("process {pid}"),
    }
}

/// Whether a holder is known to be gone. One of another boot, container or machine cannot be looked at: its lease has
/// to run out.
pub(crate) fn is_dead(holder: &str) -> bool {
    let ours = Identity::of(std::process::id());
    match (parse(holder), ours) {
        (Some(theirs), Ok(ours)) => theirs.boot == ours.boot && !theirs.is_alive(),
        _ => false,
    }
}

fn parse(holder: &str) -> Option<Identity> {
    let rest = holder.strip_prefix("process ")?;
    let (pid, rest) = rest.split_once(", started ")?;
    let (started, boot) = rest.split_once(", boot ")?;
    Some(Identity { pid: pid.parse().ok()?, start_time: started.parse().ok()?, boot: boot.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_a_recycled_pid_is_not_us() {
        let ours = ours();
        assert!(!is_dead(&ours), "{ours}");
        let Identity { pid, start_time, boot } = parse(&ours).unwrap();
        assert!(is_dead(&format!("process {pid}, started {}, boot {boot}", start_time + 1)));
        assert!(!is_dead(&format!("process {pid}, started {}, boot elsewhere", start_time + 1)));
        assert!(!is_dead("somebody on another machine"));
    }
}

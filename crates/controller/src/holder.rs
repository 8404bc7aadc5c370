//! Who drives a run, in words that another process can check.

use noctule_launcher::local::Identity;

const SERVER: &str = "server ";

/// Who asks for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// What the lease says of its holder.
    pub text: String,
    /// Whether it leads: only one server does, so that what another one holds has been left behind.
    leads: bool,
}

impl Bearer {
    /// This process; without `/proc` a word that nobody can check, so that its lease has to run out.
    pub fn process() -> Self {
        let pid = std::process::id();
        let text = match Identity::of(pid) {
            Ok(Identity { pid, start_time, boot }) => {
                format!("process {pid}, started {start_time}, boot {boot}")
            }
            Err(_) => format!("process {pid}"),
        };
        Self { text, leads: false }
    }

    /// A server in this process.
    pub fn server(name: &str) -> Self {
        Self { text: format!("{SERVER}{name}: {}", Self::process().text), leads: false }
    }

    /// The same, holding the leader's lease.
    pub fn leading(&self) -> Self {
        Self { text: self.text.clone(), leads: true }
    }

    /// Whether a lease may be taken away from its holder before it has run out.
    pub fn overrides(&self, holder: &str) -> bool {
        holder != self.text && (is_dead(holder) || (self.leads && holder.starts_with(SERVER)))
            || (holder == self.text && self.leads)
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
    let rest = match holder.strip_prefix(SERVER) {
        Some(named) => named.split_once(": ")?.1,
        None => holder,
    };
    let rest = rest.strip_prefix("process ")?;
    let (pid, rest) = rest.split_once(", started ")?;
    let (started, boot) = rest.split_once(", boot ")?;
    Some(Identity { pid: pid.parse().ok()?, start_time: started.parse().ok()?, boot: boot.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_a_recycled_pid_is_not_us() {
        let ours = Bearer::process().text;
        assert!(!is_dead(&ours), "{ours}");
        let Identity { pid, start_time, boot } = parse(&ours).unwrap();
        assert!(is_dead(&format!("process {pid}, started {}, boot {boot}", start_time + 1)));
        assert!(!is_dead(&format!("process {pid}, started {}, boot elsewhere", start_time + 1)));
        assert!(!is_dead("somebody on another machine"));
        assert!(is_dead(&format!("server ab: process {pid}, started {}, boot {boot}", start_time + 1)));
    }

    #[test]
    fn only_a_leader_takes_from_another_server_and_nobody_from_a_live_process() {
        let (process, server) = (Bearer::process(), Bearer::server("a"));
        let other = "server b: process 1, started 1, boot elsewhere";
        assert!(!process.overrides(other) && !server.overrides(other));
        assert!(server.leading().overrides(other));
        assert!(!server.leading().overrides(&process.text));
    }
}

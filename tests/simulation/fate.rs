//! What becomes of an attempt, if nobody interferes.

use jiff::SignedDuration;
use noctule_engine::Evidence;
use noctule_engine::failure::{Disruption, Waiting, WaitingReason};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

#[derive(Debug, Clone)]
pub struct Fate {
    /// Never placed, for this reason.
    pub unplaced: Option<String>,
    /// Placed, and waiting for this.
    pub waiting: Option<Waiting>,
    /// From one phase to the next.
    pub delay: SignedDuration,
    pub ending: Ending,
    /// Ends when it is asked to, rather than only by force.
    pub obeys: bool,
    /// How long after its end it is seen gone: a node that fell silent.
    pub silence: SignedDuration,
}

#[derive(Debug, Clone)]
pub enum Ending {
    /// Runs for a while, commits its manifest, and exits with 0.
    Commits {
        after: SignedDuration,
    },
    /// Commits, and is killed before it can exit.
    CommitsAndDies {
        after: SignedDuration,
    },
    Fails {
        after: SignedDuration,
        evidence: Evidence,
    },
    /// Runs until somebody ends it.
    Hangs,
}

impl Fate {
    /// `fair`: the world has run out of ill will.
    pub fn random(rng: &mut ChaCha8Rng, fair: bool) -> Self {
        let trouble = |rng: &mut ChaCha8Rng, share: f64| !fair && rng.random_bool(share);
        let after = SignedDuration::from_secs(rng.random_range(1..1500));
        let ending = match rng.random_range(0..100) {
            _ if fair => Ending::Commits { after },
            0..68 => Ending::Commits { after },
            68..75 => Ending::CommitsAndDies { after },
            75..95 => Ending::Fails { after, evidence: evidence(rng) },
            _ => Ending::Hangs,
        };
        let waiting = trouble(rng, 0.04).then(|| Waiting {
            reason: [WaitingReason::ImagePull, WaitingReason::Config, WaitingReason::ImageNeverPull]
                [rng.random_range(0..3)],
            message: "Back-off pulling image".into(),
        });
        Self {
            unplaced: trouble(rng, 0.015).then(|| "0/1 nodes are available: 1 Insufficient cpu.".into()),
            waiting,
            delay: SignedDuration::from_secs(rng.random_range(0..20)),
            ending,
            obeys: !trouble(rng, 0.3),
            silence: SignedDuration::from_secs(if trouble(rng, 0.08) {
                rng.random_range(0..100_000)
            } else {
                0
            }),
        }
    }
}

fn evidence(rng: &mut ChaCha8Rng) -> Evidence {
    match rng.random_range(0..12) {
        0 => Evidence::Exited { code: 65 },
        1 => Evidence::Exited { code: 75 },
        2 => Evidence::Exited { code: 42 },
        3 => Evidence::Exited { code: 0 },
        4 => Evidence::Signalled { signal: 11 },
        5 => Evidence::MemoryLimit { limit_bytes: Some(1 << 30), peak_bytes: Some(1 << 31) },
        6 => Evidence::EphemeralStorage { message: "Usage exceeds the limit".into() },
        7 => Evidence::Disrupted(Disruption::Evicted),
        8 => Evidence::Disrupted(Disruption::Preempted),
        9 => Evidence::Disrupted(Disruption::StatusUnknown),
        _ => Evidence::Exited { code: 1 },
    }
}

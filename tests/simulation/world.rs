//! What is really so: which attempts run, which have committed, and where the alias points. It survives the controller.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::{AliasName, Outcome, StepName, VersionNumber};
use noctule_engine::{ArtifactRef, Evidence, Phase, Publication, Role, StepPlan};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::fate::{Ending, Fate};

pub type Key = (StepName, u32);
pub type Pointed = BTreeMap<AliasName, Option<VersionNumber>>;

pub struct World {
    pub attempts: BTreeMap<Key, Attempt>,
    pub manifests: BTreeMap<Key, Outcome>,
    pub aliases: BTreeMap<AliasName, Alias>,
    pub promotions: Vec<Promotion>,
    /// How often somebody had a step run again: each time the run may promote once more.
    pub reruns: usize,
    /// Where the aliases pointed when the evaluation was prepared that an attempt goes back to.
    pub compared: BTreeMap<Key, Pointed>,
    /// The artifact of the gate that a publishing attempt goes by.
    pub passed_by: BTreeMap<Key, ArtifactRef>,
    next_version: u32,
}

#[derive(Default)]
pub struct Alias {
    pub version: Option<VersionNumber>,
    pub pinned: bool,
    pub sequence: u64,
}

pub struct Promotion {
    pub alias: AliasName,
    pub over: Option<VersionNumber>,
    pub compared: Option<VersionNumber>,
}

pub struct Attempt {
    pub fate: Fate,
    pub phase: Phase,
    pub ended: Option<(Timestamp, Evidence)>,
    /// When it next does something by itself.
    pub due: Option<Timestamp>,
    outcome: Outcome,
}

impl Attempt {
    /// Whether an observer can tell that it is gone.
    pub fn seen_gone(&self, now: Timestamp) -> Option<&Evidence> {
        self.ended.as_ref().filter(|(at, _)| *at + self.fate.silence <= now).map(|(_, evidence)| evidence)
    }

    fn is_out_of_reach(&self) -> bool {
        !self.fate.silence.is_zero() && self.due.is_some()
    }

    pub fn runs(&self) -> bool {
        self.ended.is_none()
    }
}

impl World {
    pub fn new() -> Self {
        let aliases = ["champion", "reference"].into_iter().map(|name| {
            let alias = Alias { version: Some(VersionNumber(1)), ..Alias::default() };
            (name.parse().expect("a name"), alias)
        });
        Self {
            attempts: BTreeMap::new(),
            manifests: BTreeMap::new(),
            aliases: aliases.collect(),
            promotions: Vec::new(),
            reruns: 0,
            compared: BTreeMap::new(),
            passed_by: BTreeMap::new(),
            next_version: 2,
        }
    }

    /// Starts an attempt; one that is there already is left as it is.
    pub fn start(&mut self, now: Timestamp, step: &StepPlan, key: Key, fate: Fate, rng: &mut ChaCha8Rng) {
        let outcome = match step.role {
            Role::Gate { .. } => {
                [Outcome::Ok, Outcome::Ok, Outcome::Ok, Outcome::GateRejected, Outcome::GateInconclusive]
                    [rng.random_range(0..5)]
            }
            Role::Plain if rng.random_bool(0.05) => Outcome::DataStop,
            _ => Outcome::Ok,
        };
        self.attempts.entry(key).or_insert_with(|| Attempt {
            phase: Phase::Queued { reason: fate.unplaced.clone() },
            due: fate.unplaced.is_none().then(|| now + fate.delay),
            fate,
            ended: None,
            outcome,
        });
    }

    pub fn next_due(&self) -> Option<Timestamp> {
        self.attempts.values().filter_map(|attempt| attempt.due).min()
    }

    /// Lets everything happen that is due, and says to whom.
    pub fn advance(&mut self, now: Timestamp) -> Vec<Key> {
        let due: Vec<Key> = self
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.due.is_some_and(|due| due <= now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &due {
            let attempt = self.attempts.get_mut(key).expect("it was just found");
            attempt.due = None;
            if let Some(outcome) = attempt.act(now) {
                self.manifests.insert(key.clone(), outcome);
            }
        }
        due
    }

    /// A signal. On a silent node it never arrives, and what ends by itself goes on to its end there.
    pub fn signal(&mut self, now: Timestamp, key: &Key, force: bool) {
        if let Some(attempt) = self.attempts.get_mut(key)
            && attempt.ended.is_none()
            && (force || attempt.fate.obeys)
            && !attempt.is_out_of_reach()
        {
            attempt.end(now + SignedDuration::from_secs(1), Evidence::Signalled { signal: 15 });
        }
    }

    /// The machine's processes all end; nobody is there to see how.
    pub fn power_cut(&mut self, now: Timestamp) {
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.ended.is_none()) {
            attempt.end(now, Evidence::Lost);
        }
    }

    pub fn pointed(&self) -> Pointed {
        self.aliases.iter().map(|(name, alias)| (name.clone(), alias.version)).collect()
    }

    fn new_version(&mut self) -> VersionNumber {
        self.next_version += 1;
        VersionNumber(self.next_version - 1)
    }

    /// What the registry makes of a candidate, in the transaction that records the success.
    pub fn publish(&mut self, name: &AliasName, compared: Option<VersionNumber>) -> Publication {
        let version = self.new_version();
        let alias = self.aliases.get_mut(name).expect("it is one of the world's aliases");
        let found = alias.version;
        match found {
            Some(to) if alias.pinned => Publication::Pinned { version, to },
            _ if found != compared => Publication::Moved { version, expected: compared, found },
            from => {
                alias.version = Some(version);
                alias.sequence += 1;
                self.promotions.push(Promotion { alias: name.clone(), over: from, compared });
                Publication::Promoted { version, from, sequence: alias.sequence }
            }
        }
    }

    /// Somebody else publishes.
    pub fn move_alias(&mut self, name: &AliasName) -> VersionNumber {
        let version = self.new_version();
        let alias = self.aliases.get_mut(name).expect("it is one of the world's aliases");
        alias.version = Some(version);
        alias.sequence += 1;
        version
    }
}

impl Attempt {
    fn act(&mut self, now: Timestamp) -> Option<Outcome> {
        if self.ended.is_some() {
            return None;
        }
        match self.phase {
            Phase::Queued { .. } => {
                self.phase = Phase::Starting { waiting: self.fate.waiting.clone() };
                self.due = self.fate.waiting.is_none().then(|| now + self.fate.delay);
                None
            }
            Phase::Starting { .. } => {
                self.phase = Phase::Running;
                self.due = match &self.fate.ending {
                    Ending::Commits { after }
                    | Ending::CommitsAndDies { after }
                    | Ending::Fails { after, .. } => Some(now + *after),
                    Ending::Hangs => None,
                };
                None
            }
            Phase::Running => {
                let (committed, evidence) = match &self.fate.ending {
                    Ending::Commits { .. } => (true, Evidence::Exited { code: 0 }),
                    Ending::CommitsAndDies { .. } => (true, Evidence::Signalled { signal: 9 }),
                    Ending::Fails { evidence, .. } => (false, evidence.clone()),
                    Ending::Hangs => return None,
                };
                self.end(now, evidence);
                committed.then_some(self.outcome)
            }
        }
    }

    /// When the silence is over there is something to see again.
    fn end(&mut self, at: Timestamp, evidence: Evidence) {
        self.ended = Some((at, evidence));
        self.due = Some(at + self.fate.silence);
    }
}

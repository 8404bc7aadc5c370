//! What becomes of a wish to move an alias.

use jiff::Timestamp;
use noctule_artifacts::manifest::Outcome;
use noctule_artifacts::version::PromotedBy;
use noctule_artifacts::{Digest, RunId, VersionNumber};

use crate::history::{History, Promotion};
use crate::person::Person;
use crate::refusal::Refusal;
use crate::version::Version;

/// A gate that passed, and the model it judged. There is no other way to make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassedGate {
    report: Digest,
    judged: Digest,
}

/// The alias as it stands at the moment of the decision.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub history: &'a History,
    /// The version that the alias points at; `None` while it points nowhere.
    pub champion: Option<&'a Version>,
    /// The sequence number that the model's next row gets.
    pub next: u64,
    pub at: Timestamp,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Append this row: the alias moves.
    Promoted(Promotion),
    /// The model that the alias points at is this very model: nothing to do, and no new version.
    AlreadyChampion { version: VersionNumber },
    /// The candidate is registered and the alias stays.
    Held(Held),
}

/// Why a candidate that passed its gate does not become the champion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Somebody pinned the alias at this version.
    Pinned { at: VersionNumber },
    /// The gate compared with another version than the one that the alias points at now.
    Moved { expected: Option<VersionNumber>, found: Option<VersionNumber> },
}

impl PassedGate {
    /// Takes a gate's artifact: the digest of its report, its outcome, and the digest of the model that it judged.
    pub fn new(report: Digest, outcome: Outcome, judged: Digest) -> Result<Self, Refusal> {
        let outcome = match outcome {
            Outcome::Ok => return Ok(Self { report, judged }),
            Outcome::GateRejected => "its verdict is fail",
            Outcome::GateInconclusive => "its verdict is inconclusive",
            Outcome::DataStop => "its data are not to be trained on",
        };
        Err(Refusal::GateNotPassed { outcome: outcome.to_owned() })
    }

    pub fn report(&self) -> Digest {
        self.report
    }

    pub fn judged(&self) -> Digest {
        self.judged
    }
}

impl Place<'_> {
    fn version(&self) -> Option<VersionNumber> {
        self.history.state().map(|state| state.version)
    }

    fn pinned(&self) -> bool {
        self.history.state().is_some_and(|state| state.pinned)
    }

    fn row(&self, to: VersionNumber, by: PromotedBy, pinned: bool) -> Promotion {
        Promotion {
            sequence: self.next,
            model: self.history.model().clone(),
            alias: self.history.alias().clone(),
            from: self.version(),
            to,
            at: self.at,
            by,
            pinned,
        }
    }

    /// A run asks for its candidate. `compared` is the version that the gate compared with, `None` when the alias
    /// pointed nowhere then.
    pub fn promote_by_run(
        &self,
        candidate: &Version,
        gate: PassedGate,
        compared: Option<VersionNumber>,
        run: RunId,
    ) -> Result<Decision, Refusal> {
        if gate.judged != candidate.digest {
            return Err(Refusal::OtherModelJudged { judged: gate.judged, candidate: candidate.digest });
        }
        if let Some(champion) = self.champion.filter(|champion| champion.digest == candidate.digest) {
            return Ok(Decision::AlreadyChampion { version: champion.number });
        }
        let found = self.version();
        // A pin is told before a move: to evaluate again cannot help against it.
        if let Some(at) = found.filter(|_| self.pinned()) {
            return Ok(Decision::Held(Held::Pinned { at }));
        }
        if found != compared {
            return Ok(Decision::Held(Held::Moved { expected: compared, found }));
        }
        let by = PromotedBy::Run { run, gate: gate.report };
        Ok(Decision::Promoted(self.row(candidate.number, by, false)))
    }

    /// A person asks for any version, whatever a gate said. A pin stays: only `unpin` takes it off.
    ///
    /// `seen` is where the person saw the alias, when that matters.
    pub fn promote_by_person(
        &self,
        target: &Version,
        person: Person,
        seen: Option<Option<VersionNumber>>,
    ) -> Result<Decision, Refusal> {
        self.check_seen(seen)?;
        if self.version() == Some(target.number) {
            return Ok(Decision::AlreadyChampion { version: target.number });
        }
        Ok(Decision::Promoted(self.row(target.number, person.into(), self.pinned())))
    }

    /// Goes back to an earlier version, the previous one unless named, and pins the alias there: the next run must not
    /// put back what a person took away.
    ///
    /// Of two people who roll back at once with what they saw, one moves the alias and the other is told.
    pub fn roll_back(
        &self,
        to: Option<VersionNumber>,
        person: Person,
        seen: Option<Option<VersionNumber>>,
    ) -> Result<Decision, Refusal> {
        self.check_seen(seen)?;
        let (model, alias) = (self.history.model().clone(), self.history.alias().clone());
        let Some(state) = self.history.state() else {
            return Err(Refusal::NoSuchAlias { model, alias });
        };
        let to = match to {
            None => state.previous().ok_or(Refusal::NothingEarlier { model, alias })?,
            Some(version) if self.history.held(version) => version,
            Some(version) => return Err(Refusal::NeverHeld { model, alias, version }),
        };
        if to == state.version && state.pinned {
            return Ok(Decision::AlreadyChampion { version: to });
        }
        Ok(Decision::Promoted(self.row(to, person.into(), true)))
    }

    /// Lets runs move the alias again. The row says so without moving it.
    pub fn unpin(&self, person: Person) -> Result<Promotion, Refusal> {
        let (model, alias) = (self.history.model().clone(), self.history.alias().clone());
        match self.history.state() {
            None => Err(Refusal::NoSuchAlias { model, alias }),
            Some(state) if !state.pinned => Err(Refusal::NotPinned { model, alias }),
            Some(state) => Ok(self.row(state.version, person.into(), false)),
        }
    }

    fn check_seen(&self, seen: Option<Option<VersionNumber>>) -> Result<(), Refusal> {
        let found = self.version();
        match seen {
            Some(expected) if expected != found => Err(Refusal::Moved {
                model: self.history.model().clone(),
                alias: self.history.alias().clone(),
                expected,
                found,
            }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::folded;
    use crate::version::tests::version;
    use proptest::prelude::*;

    fn person() -> Person {
        Person::new("ada", "it loops").unwrap()
    }

    fn passed(candidate: &Version) -> PassedGate {
        PassedGate::new(Digest::of(b"gate"), Outcome::Ok, candidate.digest).unwrap()
    }

    fn run() -> RunId {
        RunId::from_random(5)
    }

    /// A registry of one alias in memory: versions 1 to 9 exist, and rows are appended as decided.
    struct Registry {
        history: History,
        next: u64,
    }

    impl Registry {
        fn new() -> Self {
            Self { history: folded([]), next: 1 }
        }

        fn at(&self) -> Option<u32> {
            self.history.state().map(|state| state.version.0)
        }

        fn decide<T>(&self, ask: impl FnOnce(Place) -> T) -> T {
            let champion = self.at().map(version);
            ask(Place {
                history: &self.history,
                champion: champion.as_ref(),
                next: self.next,
                at: Timestamp::UNIX_EPOCH,
            })
        }

        fn append(&mut self, row: Promotion) {
            self.history.push(row).unwrap();
            self.next += 1;
        }

        fn obey(&mut self, decision: Result<Decision, Refusal>) -> Result<Decision, Refusal> {
            if let Ok(Decision::Promoted(row)) = &decision {
                self.append(row.clone());
            }
            decision
        }

        fn run_promotes(&mut self, number: u32, compared: Option<u32>) -> Result<Decision, Refusal> {
            let candidate = version(number);
            let gate = passed(&candidate);
            let decision = self
                .decide(|place| place.promote_by_run(&candidate, gate, compared.map(VersionNumber), run()));
            self.obey(decision)
        }

        fn roll_back(&mut self, to: Option<u32>) -> Result<Decision, Refusal> {
            let decision = self.decide(|place| place.roll_back(to.map(VersionNumber), person(), None));
            self.obey(decision)
        }
    }

    #[test]
    fn only_a_passed_gate_counts() {
        for outcome in [Outcome::GateRejected, Outcome::GateInconclusive, Outcome::DataStop] {
            let gate = PassedGate::new(Digest::of(b"gate"), outcome, version(1).digest);
            assert!(matches!(gate, Err(Refusal::GateNotPassed { .. })));
        }
    }

    #[test]
    fn the_gate_must_have_judged_this_model() {
        let registry = Registry::new();
        let decision =
            registry.decide(|place| place.promote_by_run(&version(1), passed(&version(2)), None, run()));
        assert!(matches!(decision, Err(Refusal::OtherModelJudged { .. })));
    }

    #[test]
    fn a_run_moves_the_alias_over_the_version_it_compared_with() {
        let mut registry = Registry::new();
        assert!(matches!(registry.run_promotes(1, None), Ok(Decision::Promoted(_))));
        assert!(matches!(registry.run_promotes(2, Some(1)), Ok(Decision::Promoted(_))));
        assert_eq!(
            registry.run_promotes(3, Some(1)),
            Ok(Decision::Held(Held::Moved {
                expected: Some(VersionNumber(1)),
                found: Some(VersionNumber(2))
            }))
        );
        assert_eq!(
            registry.run_promotes(3, None),
            Ok(Decision::Held(Held::Moved { expected: None, found: Some(VersionNumber(2)) }))
        );
        assert_eq!(
            registry.run_promotes(2, Some(1)),
            Ok(Decision::AlreadyChampion { version: VersionNumber(2) })
        );
        assert_eq!(registry.history.rows().len(), 2);
    }

    #[test]
    fn a_rollback_pins_until_unpinned() {
        let mut registry = Registry::new();
        registry.run_promotes(1, None).unwrap();
        registry.run_promotes(2, Some(1)).unwrap();
        assert!(matches!(registry.roll_back(None), Ok(Decision::Promoted(_))));
        assert_eq!(registry.at(), Some(1));
        let pinned = Ok(Decision::Held(Held::Pinned { at: VersionNumber(1) }));
        assert_eq!(registry.run_promotes(3, Some(1)), pinned);
        assert_eq!(registry.run_promotes(3, Some(2)), pinned, "a pin is told before a move");

        let by_hand = registry.decide(|place| place.promote_by_person(&version(4), person(), None));
        registry.obey(by_hand).unwrap();
        assert_eq!(registry.at(), Some(4));
        assert!(registry.history.state().unwrap().pinned, "only unpin takes the pin off");

        let row = registry.decide(|place| place.unpin(person())).unwrap();
        registry.append(row);
        assert_eq!(registry.at(), Some(4));
        assert!(matches!(registry.run_promotes(5, Some(4)), Ok(Decision::Promoted(_))));
        assert!(matches!(registry.decide(|place| place.unpin(person())), Err(Refusal::NotPinned { .. })));
    }

    #[test]
    fn a_rollback_goes_only_where_the_alias_has_been() {
        let mut registry = Registry::new();
        assert!(matches!(registry.roll_back(None), Err(Refusal::NoSuchAlias { .. })));
        registry.run_promotes(1, None).unwrap();
        assert!(matches!(registry.roll_back(None), Err(Refusal::NothingEarlier { .. })));
        assert!(matches!(registry.roll_back(Some(7)), Err(Refusal::NeverHeld { .. })));
        assert!(matches!(registry.roll_back(Some(1)), Ok(Decision::Promoted(_))), "it pins where it is");
        assert!(matches!(registry.roll_back(Some(1)), Ok(Decision::AlreadyChampion { .. })));
    }

    #[test]
    fn the_second_of_two_people_is_told() {
        let mut registry = Registry::new();
        for number in 1..=3 {
            registry.run_promotes(number, (number > 1).then(|| number - 1)).unwrap();
        }
        let seen = Some(Some(VersionNumber(3)));
        let first = registry.decide(|place| place.roll_back(None, person(), seen));
        registry.obey(first).unwrap();
        let second = registry.decide(|place| place.roll_back(None, person(), seen));
        assert!(matches!(second, Err(Refusal::Moved { .. })));
        assert_eq!(registry.at(), Some(2));
    }

    #[derive(Debug, Clone)]
    enum Wish {
        Run { number: u32, compared: Option<u32> },
        Person(u32),
        RollBack(Option<u32>),
        Unpin,
    }

    fn wish() -> impl Strategy<Value = Wish> {
        prop_oneof![
            4 => (1u32..9, prop::option::of(1u32..9))
                .prop_map(|(number, compared)| Wish::Run { number, compared }),
            1 => (1u32..9).prop_map(Wish::Person),
            2 => prop::option::of(1u32..9).prop_map(Wish::RollBack),
            1 => Just(Wish::Unpin),
        ]
    }

    proptest! {
        /// Over any wishes: rows chain without gaps, a run never moves a pinned alias or one that moved, and what the
        /// fold says is where the last row pointed.
        #[test]
        fn histories_that_come_about_by_decisions_are_sound(wishes in prop::collection::vec(wish(), 1..60)) {
            let mut registry = Registry::new();
            for wish in wishes {
                let before = registry.history.clone();
                let decision = match wish {
                    Wish::Run { number, compared } => registry.run_promotes(number, compared),
                    Wish::Person(number) => {
                        let asked = registry
                            .decide(|place| place.promote_by_person(&version(number), person(), None));
                        registry.obey(asked)
                    }
                    Wish::RollBack(to) => registry.roll_back(to),
                    Wish::Unpin => {
                        let asked = registry.decide(|place| place.unpin(person())).map(Decision::Promoted);
                        registry.obey(asked)
                    }
                };
                match decision {
                    Ok(Decision::Promoted(row)) => {
                        prop_assert_eq!(row.from, before.state().map(|state| state.version));
                        prop_assert_eq!(registry.history.state().unwrap().version, row.to);
                        if matches!(row.by, PromotedBy::Run { .. }) {
                            prop_assert!(!before.state().is_some_and(|state| state.pinned));
                        }
                    }
                    _ => prop_assert_eq!(&registry.history, &before),
                }
                prop_assert_eq!(registry.history.gaps().count(), 0);
            }
        }
    }
}

//! How long to wait before a step is tried again, and whether it is.

use jiff::SignedDuration;
use noctule_artifacts::{AttemptNumber, Digest, StepName};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::failure::{Budget, DISRUPTIONS, FREE_STARTS, FailureClass};
use crate::plan::{Backoff, RetryPolicy};

/// What a step has spent of its budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    pub retries: u32,
    pub disruptions: u32,
    pub starts: u32,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Try again after the pause before the given retry of this budget.
    Again { nth: u32 },
    /// The step has failed with this class.
    End(FailureClass),
}

impl Spent {
    /// Pays for a failure of this class, if the budget allows.
    pub(crate) fn pay(&mut self, class: FailureClass, retry: &RetryPolicy) -> Decision {
        let (spent, allowed, exhausted) = match class.budget() {
            Budget::Retries => (&mut self.retries, retry.attempts - 1, class),
            Budget::Disruptions => (&mut self.disruptions, DISRUPTIONS, class),
            // What never starts has the wrong configuration, whatever the platform hopes for.
            Budget::Starts => (&mut self.starts, FREE_STARTS, FailureClass::Invalid),
            Budget::None => return Decision::End(class),
        };
        if *spent >= allowed {
            return Decision::End(exhausted);
        }
        *spent += 1;
        Decision::Again { nth: *spent }
    }
}

/// The pause before retry `nth` (from 1) of a step, whose last attempt was `attempt`.
///
/// `initial * factor^(nth-1)`, at most `max`, of which jitter leaves between a half and the whole. The jitter is a
/// ChaCha stream of its own for each attempt, so it does not depend on what else happened in the run.
pub(crate) fn pause(
    backoff: &Backoff,
    seed: u64,
    step: &StepName,
    attempt: AttemptNumber,
    nth: u32,
) -> SignedDuration {
    let max = backoff.max.as_secs_f64().max(0.0);
    let grown = backoff.initial.as_secs_f64().max(0.0) * backoff.factor.max(1.0).powf(f64::from(nth) - 1.0);
    // `min` also brings down what grew past every number.
    let whole = grown.min(max);
    let key = Digest::of(format!("{seed}/{step}/{attempt}").as_bytes());
    let share: f64 = ChaCha8Rng::from_seed(*key.as_bytes()).random_range(0.5..=1.0);
    SignedDuration::try_from_secs_f64(whole * share).unwrap_or(backoff.max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy::default()
    }

    #[test]
    fn retries_are_the_attempts_less_one() {
        let mut spent = Spent::default();
        assert_eq!(spent.pay(FailureClass::Failed, &policy()), Decision::Again { nth: 1 });
        assert_eq!(spent.pay(FailureClass::TimedOut, &policy()), Decision::Again { nth: 2 });
        assert_eq!(spent.pay(FailureClass::Failed, &policy()), Decision::End(FailureClass::Failed));
    }

    #[test]
    fn a_disruption_does_not_spend_the_retries() {
        let mut spent = Spent::default();
        for nth in 1..=5 {
            let class = if nth % 2 == 0 { FailureClass::Lost } else { FailureClass::Disrupted };
            assert_eq!(spent.pay(class, &policy()), Decision::Again { nth });
        }
        assert_eq!(spent.pay(FailureClass::Lost, &policy()), Decision::End(FailureClass::Lost));
        assert_eq!(spent.retries, 0);
    }

    #[test]
    fn what_never_starts_becomes_invalid() {
        let mut spent = Spent::default();
        for nth in 1..=3 {
            assert_eq!(spent.pay(FailureClass::NeverStarted, &policy()), Decision::Again { nth });
        }
        assert_eq!(spent.pay(FailureClass::NeverStarted, &policy()), Decision::End(FailureClass::Invalid));
    }

    #[test]
    fn what_cannot_be_helped_is_not_retried() {
        for class in [FailureClass::Invalid, FailureClass::Unschedulable] {
            assert_eq!(Spent::default().pay(class, &policy()), Decision::End(class));
        }
    }

    #[test]
    fn pauses_grow_to_the_maximum_within_their_jitter() {
        let step: StepName = "model".parse().unwrap();
        let backoff = Backoff::default();
        for (nth, whole) in [(1, 10.0), (2, 20.0), (3, 40.0), (7, 600.0), (4000, 600.0)] {
            let pause = pause(&backoff, 7, &step, AttemptNumber(nth), nth).as_secs_f64();
            assert!((whole / 2.0..=whole).contains(&pause), "{nth}: {pause}");
        }
        let once = pause(&backoff, 7, &step, AttemptNumber(1), 1);
        assert_eq!(once, pause(&backoff, 7, &step, AttemptNumber(1), 1));
        assert_ne!(once, pause(&backoff, 8, &step, AttemptNumber(1), 1));
        assert_ne!(once, pause(&backoff, 7, &"other".parse().unwrap(), AttemptNumber(1), 1));
    }
}

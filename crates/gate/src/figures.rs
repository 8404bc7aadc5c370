//! The numbers of one rule, from the statistic and its bounds.

use noctule_spec::kinds::gate::{Bar, Rule};

use crate::evidence::{Evidence, Scored};
use crate::interval::Bounds;
use crate::power;
use crate::ratio::{Ratio, mean};
use crate::report::{Figures, Known, Uncertainty};
use crate::support;

/// The confidence of the bounds that inform beside a rule which asks for none.
pub(crate) const INFORMING: f64 = 0.95;

/// The bar in the unit of the rule.
pub(crate) fn height(bar: &Bar) -> f64 {
    match bar {
        Bar::Min(bar) | Bar::Max(bar) => *bar,
        Bar::MaxDrop { drop, .. } => -drop.fraction(),
        Bar::MinGain { gain, .. } => gain.fraction(),
    }
}

pub(crate) fn figures(rule: &Rule, ratio: &Ratio, bounds: Bounds) -> Figures {
    let relative = rule.bar.against().is_some();
    let base = if relative { 1.0 } else { 0.0 };
    let value = ratio.estimate - base;
    let bar = height(&rule.bar);
    let confidence = rule.confidence.map_or(INFORMING, |c| c.fraction());
    let (margin, pass_if_equal) = match &rule.bar {
        Bar::MaxDrop { drop, .. } => {
            let drop = drop.fraction();
            (drop, power::pass_if_equal(ratio.standard_error, confidence, drop))
        }
        _ => ((value - bar).abs(), None),
    };
    let finite = |x: f64| x.is_finite().then_some(x);
    Figures {
        users: ratio.users as u64,
        candidate: ratio.candidate_mean,
        other: relative.then_some(ratio.other_mean),
        difference: relative.then_some(ratio.candidate_mean - ratio.other_mean),
        value,
        bar,
        uncertainty: Some(Uncertainty {
            standard_error: finite(ratio.standard_error),
            confidence,
            lower: finite(bounds.lower - base),
            upper: finite(bounds.upper - base),
            method: bounds.method,
            differing: if relative { ratio.differing } else { ratio.candidate_nonzero } as u64,
            resolvable: power::resolvable(ratio.standard_error, confidence),
            margin,
            users_needed: power::users_needed(ratio.users, ratio.standard_error, confidence, margin)
                .map(|needed| needed.max(support::USERS as u64)),
            pass_if_equal,
        }),
        known_to_both: None,
    }
}

/// The same comparison over the users that both models know, of those chosen.
pub(crate) fn known_to_both(
    evidence: &Evidence,
    other: &Scored,
    of_candidate: &[Option<f64>],
    of_other: &[Option<f64>],
    chosen: &[usize],
) -> Option<Known> {
    let candidate = &evidence.candidate;
    if candidate.known.is_empty() && other.known.is_empty() {
        return None;
    }
    let knows = |scored: &Scored, user: usize| scored.known.get(user).copied().unwrap_or(true);
    let (x, y): (Vec<f64>, Vec<f64>) = chosen
        .iter()
        .filter(|&&user| knows(candidate, user) && knows(other, user))
        .filter_map(|&user| {
            Some((of_candidate.get(user).copied().flatten()?, of_other.get(user).copied().flatten()?))
        })
        .unzip();
    let finite = |value: f64| value.is_finite().then_some(value);
    Some(Known {
        users: x.len() as u64,
        candidate: finite(mean(&x)),
        other: finite(mean(&y)),
        value: Ratio::of(&x, &y).ok().map(|ratio| ratio.estimate - 1.0),
    })
}

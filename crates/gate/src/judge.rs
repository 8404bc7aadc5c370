//! Rules against evidence: each rule's outcome, and the verdict they add up to.

use noctule_spec::kinds::gate::{Bar, Rule, Slice};
use noctule_spec::reference::ModelReference;

use crate::evidence::{Compared, Evidence, Scored};
use crate::figures::{INFORMING, figures, height, known_to_both};
use crate::interval::{self, Bounds};
use crate::ratio::{NoRatio, Ratio};
use crate::report::{FORMAT, Figures, Report, RuleOutcome, RuleReport, Uncertainty, Verdict};
use crate::support;
use crate::words;

/// How far a value may lie under its bar by the rounding of `0.99 − 1` and the like.
const ROUNDING: f64 = 1e-12;

/// Judges every rule, and the candidate by all of them: any `fail` is `fail`, else any `inconclusive` is
/// `inconclusive`, else `pass`. When no rule was evaluated the verdict is `inconclusive`.
///
/// `seed` starts the bootstrap; all rules draw the same users. A rule's confidence is a share within (0.5, 1), which
/// `spec` checks.
pub fn judge(evidence: &Evidence, rules: &[Rule], seed: u64) -> Report {
    let rules: Vec<RuleReport> = rules.iter().map(|rule| judge_rule(evidence, rule, seed)).collect();
    let verdict = verdict(&rules);
    Report {
        format: FORMAT,
        verdict,
        decided: decided(verdict, &rules),
        candidate: evidence.candidate.digest,
        users: evidence.users as u64,
        rules,
    }
}

fn verdict(rules: &[RuleReport]) -> Verdict {
    let any = |outcome| rules.iter().any(|rule| rule.outcome == outcome);
    if any(RuleOutcome::Fail) {
        Verdict::Fail
    } else if any(RuleOutcome::Inconclusive) || !any(RuleOutcome::Pass) {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    }
}

fn decided(verdict: Verdict, rules: &[RuleReport]) -> String {
    let of = |outcome| rules.iter().filter(move |rule| rule.outcome == outcome);
    let skipped = match of(RuleOutcome::Skipped).count() {
        0 => String::new(),
        count => format!(" ({} skipped)", words::rules(count)),
    };
    let first = |outcome| {
        let more = match of(outcome).count() - 1 {
            0 => String::new(),
            count => format!("; {} more likewise", words::rules(count)),
        };
        format!("{}{more}", of(outcome).next().map_or("", |rule| &rule.reason))
    };
    match verdict {
        Verdict::Fail => format!("The candidate fails: {}{skipped}.", first(RuleOutcome::Fail)),
        Verdict::Inconclusive if of(RuleOutcome::Inconclusive).next().is_some() => {
            format!("It cannot be told: {}{skipped}.", first(RuleOutcome::Inconclusive))
        }
        Verdict::Inconclusive => format!(
            "It cannot be told: no rule was evaluated{skipped}, and a gate that evaluated none is no pass; add an \
             absolute rule, or one against popularity."
        ),
        Verdict::Pass => {
            let held = of(RuleOutcome::Pass).count();
            let tightest = of(RuleOutcome::Pass)
                .min_by(|a, b| room(a).total_cmp(&room(b)))
                .map_or("", |rule| rule.reason.as_str());
            let all = if held == 1 { "" } else { "all hold, the tightest is: " };
            format!("The candidate passes {}{skipped}: {all}{tightest}.", words::rules(held))
        }
    }
}

/// How far a value lies from its bar, in standard errors; the least is the tightest rule.
fn room(rule: &RuleReport) -> f64 {
    let Some(figures) = &rule.figures else { return f64::INFINITY };
    let error = figures.uncertainty.as_ref().and_then(|u| u.standard_error).unwrap_or(0.0);
    ((figures.value - figures.bar) / error).abs()
}

/// A rule that ended before its bar was reached.
enum Halt {
    Skipped(String),
    Inconclusive(String, Option<Box<Figures>>),
}

impl Halt {
    fn inconclusive(reason: impl Into<String>) -> Self {
        Self::Inconclusive(reason.into(), None)
    }
}

fn judge_rule(evidence: &Evidence, rule: &Rule, seed: u64) -> RuleReport {
    let (outcome, reason, figures) = match weigh(evidence, rule, seed) {
        Ok(weighed) => weighed,
        Err(Halt::Skipped(reason)) => (RuleOutcome::Skipped, reason, None),
        Err(Halt::Inconclusive(reason, figures)) => {
            (RuleOutcome::Inconclusive, format!("{}: {reason}", words::rule(rule)), figures.map(|f| *f))
        }
    };
    let digest = |against| match evidence.compared.get(against) {
        Some(Compared::Scored(scored)) => scored.digest,
        Some(Compared::Absent) | None => None,
    };
    RuleReport {
        rule: words::rule(rule),
        metric: rule.metric.to_string(),
        slice: rule.slice.clone(),
        against: rule.bar.against().map(ToString::to_string),
        against_digest: rule.bar.against().and_then(digest),
        confidence: rule.confidence.map(|c| c.fraction()),
        outcome,
        reason,
        figures,
    }
}

type Weighed = (RuleOutcome, String, Option<Figures>);

fn weigh(evidence: &Evidence, rule: &Rule, seed: u64) -> Result<Weighed, Halt> {
    let other = rule.bar.against().map(|against| other(evidence, against)).transpose()?;
    if let Some(why) = evidence.candidate.training.incomparable(&evidence.split) {
        return Err(Halt::inconclusive(format!("not comparable: of the candidate, {why}")));
    }
    if let (Some(other), Some(name)) = (other, rule.bar.against())
        && let Some(why) = other.training.incomparable(&evidence.split)
    {
        return Err(Halt::inconclusive(format!("not comparable: of {name}, {why}")));
    }
    if evidence.users == 0 {
        return Err(Halt::inconclusive("the test set has no users"));
    }
    if rule.metric.is_per_user() {
        per_user(evidence, rule, other, seed)
    } else {
        absolute(evidence, rule, other)
    }
}

fn other<'a>(evidence: &'a Evidence, against: &ModelReference) -> Result<&'a Scored, Halt> {
    match evidence.compared.get(against) {
        Some(Compared::Scored(scored)) => Ok(scored),
        Some(Compared::Absent) => Err(Halt::Skipped(format!(
            "skipped: {against} does not exist yet, so there is nothing to compare with"
        ))),
        None => Err(Halt::inconclusive(format!(
            "the evaluation did not score {against}; list it under the evaluation's `compare`"
        ))),
    }
}

/// A rule about a metric that has one value for all users.
fn absolute(evidence: &Evidence, rule: &Rule, other: Option<&Scored>) -> Result<Weighed, Halt> {
    let metric = rule.metric;
    if rule.confidence.is_some() || rule.slice.is_some() {
        return Err(Halt::inconclusive(format!(
            "{metric} has no value per user, so it takes no confidence and no slice"
        )));
    }
    let value_of = |scored: &Scored, whose: &str| match scored.absolute.get(&metric) {
        Some(value) if value.is_finite() => Ok(*value),
        Some(value) => Err(Halt::inconclusive(format!("{metric} of {whose} is {value}"))),
        None => Err(Halt::inconclusive(missing_metric(rule, whose))),
    };
    let candidate = value_of(&evidence.candidate, "the candidate")?;
    let other = match (other, rule.bar.against()) {
        (Some(other), Some(name)) => Some(value_of(other, &name.to_string())?),
        _ => None,
    };
    let value = match other {
        Some(other) if other <= 0.0 => return Err(Halt::inconclusive(no_ratio(rule, NoRatio::OtherIsZero))),
        Some(other) => candidate / other - 1.0,
        None => candidate,
    };
    let figures = Figures {
        users: evidence.users as u64,
        candidate,
        other,
        difference: other.map(|other| candidate - other),
        value,
        bar: height(&rule.bar),
        uncertainty: None,
        known_to_both: None,
    };
    Ok(by_point(rule, figures))
}

/// A rule about a metric with a value per user.
fn per_user(evidence: &Evidence, rule: &Rule, other: Option<&Scored>, seed: u64) -> Result<Weighed, Halt> {
    let chosen = match &rule.slice {
        Some(slice) => members(evidence, slice)?,
        None => (0..evidence.users).collect(),
    };
    let other_name = rule.bar.against().map_or_else(String::new, ToString::to_string);
    let of_candidate = column(evidence, rule, &evidence.candidate, "the candidate")?;
    let of_other = other.map(|other| column(evidence, rule, other, &other_name)).transpose()?;
    let chosen = with_values(rule, chosen, of_candidate, of_other, &other_name)?;
    let candidate = finite(rule, &chosen, of_candidate, "the candidate")?;
    let ratio = match of_other {
        Some(of_other) => Ratio::of(&candidate, &finite(rule, &chosen, of_other, &other_name)?),
        None => Ratio::of_mean(&candidate),
    };
    let ratio = ratio.map_err(|why| Halt::inconclusive(no_ratio(rule, why)))?;
    let bounds = interval::bounds(&ratio, rule.confidence.map_or(INFORMING, |c| c.fraction()), seed);
    let mut figures = figures(rule, &ratio, bounds);
    if let (Some(other), Some(of_other)) = (other, of_other) {
        figures.known_to_both = known_to_both(evidence, other, of_candidate, of_other, &chosen);
    }
    if rule.slice.is_some() && (ratio.users as u64) < evidence.slices.min_users {
        let reason =
            format!("the slice has {} users where {} are asked for", ratio.users, evidence.slices.min_users);
        return Err(Halt::Inconclusive(reason, Some(Box::new(figures))));
    }
    let Some(confidence) = rule.confidence else {
        return Ok(by_point(rule, figures));
    };
    if let Some(missing) = support::missing(&ratio, other.is_some()) {
        return Err(Halt::Inconclusive(format!("too little support: {missing}"), Some(Box::new(figures))));
    }
    Ok(by_bounds(rule, confidence.fraction(), &bounds, figures))
}

/// Positions of the users of a slice.
fn members(evidence: &Evidence, slice: &Slice) -> Result<Vec<usize>, Halt> {
    let Slice { column, value } = slice;
    let Some(values) = evidence.slices.columns.get(column) else {
        return Err(Halt::inconclusive(format!("the evaluation has no slices by {column}")));
    };
    let members: Vec<usize> =
        values.iter().enumerate().filter(|(_, v)| v.as_ref() == Some(value)).map(|(i, _)| i).collect();
    if members.is_empty() {
        return Err(Halt::inconclusive(format!("no test user has {value} as {column}")));
    }
    Ok(members)
}

/// A model's values of the rule's metric, one per user.
fn column<'a>(
    evidence: &Evidence,
    rule: &Rule,
    scored: &'a Scored,
    whose: &str,
) -> Result<&'a [Option<f64>], Halt> {
    match scored.per_user.get(&rule.metric) {
        None => Err(Halt::inconclusive(missing_metric(rule, whose))),
        Some(values) if values.len() != evidence.users => Err(Halt::inconclusive(format!(
            "{} of {whose} has {} values for {} users",
            rule.metric,
            values.len(),
            evidence.users
        ))),
        Some(values) => Ok(values),
    }
}

/// The users for whom the metric has a value. It has one for both models or for neither.
fn with_values(
    rule: &Rule,
    mut chosen: Vec<usize>,
    candidate: &[Option<f64>],
    other: Option<&[Option<f64>]>,
    other_name: &str,
) -> Result<Vec<usize>, Halt> {
    if let Some(other) = other {
        let apart =
            chosen.iter().filter(|&&u| value_at(candidate, u).is_some() != value_at(other, u).is_some());
        let apart = apart.count();
        if apart > 0 {
            return Err(Halt::inconclusive(format!(
                "for {apart} users {} has a value of only one of the candidate and {other_name}",
                rule.metric
            )));
        }
    }
    chosen.retain(|&user| value_at(candidate, user).is_some());
    Ok(chosen)
}

/// A user beyond the column has no value.
fn value_at(values: &[Option<f64>], user: usize) -> Option<f64> {
    values.get(user).copied().flatten()
}

/// The values of the users chosen, all of which have one.
fn finite(rule: &Rule, chosen: &[usize], values: &[Option<f64>], whose: &str) -> Result<Vec<f64>, Halt> {
    let values: Vec<f64> = chosen.iter().filter_map(|&user| value_at(values, user)).collect();
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(values),
        count => Err(Halt::inconclusive(format!(
            "{} of {whose} is no finite number for {count} of {} users",
            rule.metric,
            values.len()
        ))),
    }
}

fn missing_metric(rule: &Rule, whose: &str) -> String {
    format!("the evaluation has no {} of {whose}; list it under the evaluation's `metrics`", rule.metric)
}

fn no_ratio(rule: &Rule, why: NoRatio) -> String {
    let other = rule.bar.against().map_or_else(String::new, ToString::to_string);
    match why {
        NoRatio::Empty => "there are no users to compare on".to_owned(),
        NoRatio::NotFinite => format!("the mean of {} is no finite number", rule.metric),
        NoRatio::OtherIsZero => format!(
            "{} of {other} is zero, and there is no ratio to zero; an absolute rule with `min` can judge this",
            rule.metric
        ),
    }
}

fn subject(rule: &Rule, figures: &Figures) -> String {
    let slice =
        rule.slice.as_ref().map_or_else(String::new, |s| format!(" where {} is {}", s.column, s.value));
    let against = rule.bar.against().map_or_else(String::new, |name| format!(" against {name}"));
    format!("{} is {}{against}{slice}", rule.metric, words::in_unit_of(&rule.bar, figures.value))
}

fn by_point(rule: &Rule, figures: Figures) -> Weighed {
    let holds = match rule.bar {
        Bar::Max(_) => figures.value <= figures.bar + ROUNDING,
        _ => figures.value >= figures.bar - ROUNDING,
    };
    let outcome = if holds { RuleOutcome::Pass } else { RuleOutcome::Fail };
    let reason = format!(
        "{} by the point estimate alone, since the rule asks for no confidence, and {}",
        subject(rule, &figures),
        words::asked(&rule.bar)
    );
    (outcome, reason, Some(figures))
}

fn by_bounds(rule: &Rule, confidence: f64, bounds: &Bounds, figures: Figures) -> Weighed {
    let base = if rule.bar.against().is_some() { 1.0 } else { 0.0 };
    let (lower, upper) = (bounds.lower - base, bounds.upper - base);
    let least = figures.bar - ROUNDING;
    let most = figures.bar + ROUNDING;
    let outcome = match rule.bar {
        Bar::Max(_) if upper <= most => RuleOutcome::Pass,
        Bar::Max(_) if lower > most => RuleOutcome::Fail,
        Bar::Max(_) => RuleOutcome::Inconclusive,
        _ if lower >= least => RuleOutcome::Pass,
        _ if upper < least => RuleOutcome::Fail,
        _ => RuleOutcome::Inconclusive,
    };
    let show = |value: f64| words::in_unit_of(&rule.bar, value);
    let sure = words::percent(confidence);
    let upward = matches!(rule.bar, Bar::Max(_)) == (outcome == RuleOutcome::Pass);
    let known = match outcome {
        RuleOutcome::Inconclusive => {
            format!("at least {} and at most {}, each with {sure} confidence", show(lower), show(upper))
        }
        _ if upward => format!("at most {} with {sure} confidence", show(upper)),
        _ => format!("at least {} with {sure} confidence", show(lower)),
    };
    let mut reason = format!("{}, {known}, and {}", subject(rule, &figures), words::asked(&rule.bar));
    if outcome == RuleOutcome::Inconclusive {
        reason.push_str(&want_of_users(rule, &figures));
    }
    (outcome, reason, Some(figures))
}

fn want_of_users(rule: &Rule, figures: &Figures) -> String {
    let Some(Uncertainty { resolvable: Some(resolvable), users_needed, margin, .. }) = figures.uncertainty
    else {
        return String::new();
    };
    let show = |margin: f64| match rule.bar.against() {
        Some(_) => words::percent((margin * 1e6).round() / 1e6),
        None => words::number(margin),
    };
    let needed = users_needed
        .map_or_else(String::new, |users| format!(", and {users} would resolve {}", show(margin)));
    format!("; {} users resolve a margin of {}{needed}", figures.users, show(resolvable))
}

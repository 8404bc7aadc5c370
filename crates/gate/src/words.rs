//! How rules and numbers are put for people.

use noctule_spec::kinds::gate::{Bar, Rule};

/// A relative change as a signed percentage.
pub(crate) fn change(fraction: f64) -> String {
    let percent = fraction * 100.0;
    // -0.004 must not print as -0.00.
    let percent = if percent.abs() < 0.005 { 0.0 } else { percent };
    format!("{percent:+.2}%")
}

/// A share or a confidence as a percentage without needless digits.
pub(crate) fn percent(fraction: f64) -> String {
    let text = format!("{:.6}", fraction * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A metric's value.
pub(crate) fn number(value: f64) -> String {
    format!("{value:.4}")
}

/// A value in the unit of the rule.
pub(crate) fn in_unit_of(bar: &Bar, value: f64) -> String {
    if bar.against().is_some() { change(value) } else { number(value) }
}

/// What the bar asks for, to follow "and".
pub(crate) fn asked(bar: &Bar) -> String {
    match bar {
        Bar::Min(min) => format!("at least {min} is asked for"),
        Bar::Max(max) => format!("at most {max} is allowed"),
        Bar::MaxDrop { drop, .. } if drop.fraction() == 0.0 => "no drop is allowed".to_owned(),
        Bar::MaxDrop { drop, .. } => format!("a drop of at most {drop} is allowed"),
        Bar::MinGain { gain, .. } => format!("a gain of at least {gain} is asked for"),
    }
}

/// The rule in one line.
pub(crate) fn rule(rule: &Rule) -> String {
    let bar = match &rule.bar {
        Bar::Min(min) => format!("at least {min}"),
        Bar::Max(max) => format!("at most {max}"),
        Bar::MaxDrop { against, drop } => format!("against {against}, max_drop {drop}"),
        Bar::MinGain { against, gain } => format!("against {against}, min_gain {gain}"),
    };
    let confidence = match rule.confidence {
        Some(confidence) => format!(", confidence {confidence}"),
        None => String::new(),
    };
    let slice = match &rule.slice {
        Some(slice) => format!(", where {} is {}", slice.column, slice.value),
        None => String::new(),
    };
    format!("{} {bar}{confidence}{slice}", rule.metric)
}

/// `1 rule`, `2 rules`.
pub(crate) fn rules(count: usize) -> String {
    if count == 1 { "1 rule".to_owned() } else { format!("{count} rules") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_signed() {
        assert_eq!(change(-0.01), "-1.00%");
        assert_eq!(change(0.1234), "+12.34%");
        assert_eq!(change(-0.000_04), "+0.00%");
        assert_eq!(percent(0.95), "95%");
        assert_eq!(percent(0.999), "99.9%");
        assert_eq!(number(0.193_57), "0.1936");
    }
}

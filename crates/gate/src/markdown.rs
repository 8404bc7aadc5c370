//! The report as a page for people.

use std::fmt::Write as _;

use crate::interval::Method;
use crate::report::{Figures, Report, RuleOutcome, RuleReport, Uncertainty, Verdict};
use crate::words;

/// The report in Markdown: the verdict, what decided, a table of the rules, and the numbers of each.
pub fn markdown(report: &Report) -> String {
    let mut page = String::new();
    let verdict = match report.verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
    };
    let candidate = report.candidate.map_or_else(|| "without a digest".to_owned(), |d| format!("`{d}`"));
    write_line(&mut page, &format!("# Gate: {verdict}\n\n{}\n", plain(&report.decided)));
    write_line(&mut page, &format!("Candidate {candidate}, {} users scored.\n", report.users));
    write_line(
        &mut page,
        "| rule | outcome | candidate | other | value | bar | lower | upper | SE | users |",
    );
    write_line(&mut page, "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for rule in &report.rules {
        write_line(&mut page, &row(rule));
    }
    for (number, rule) in report.rules.iter().enumerate() {
        write_line(&mut page, &format!("\n## {}. {}\n", number + 1, plain(&rule.rule)));
        write_line(&mut page, &format!("{}: {}.", outcome(rule.outcome), plain(&rule.reason)));
        if let Some(figures) = &rule.figures {
            page.push_str(&details(rule, figures));
        }
    }
    page
}

fn write_line(page: &mut String, line: &str) {
    writeln!(page, "{line}").expect("a String takes all text");
}

/// Names of columns and slices are users' text: what would break a table or start markup is escaped.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '|' | '<' | '>' | '*' | '[' | ']' | '`' | '\\' => plain.extend(['\\', character]),
            '\n' | '\r' => plain.push(' '),
            other => plain.push(other),
        }
    }
    plain
}

fn outcome(outcome: RuleOutcome) -> &'static str {
    match outcome {
        RuleOutcome::Pass => "pass",
        RuleOutcome::Fail => "fail",
        RuleOutcome::Inconclusive => "inconclusive",
        RuleOutcome::Skipped => "skipped",
    }
}

fn in_unit(rule: &RuleReport, value: f64) -> String {
    if rule.against.is_some() { words::change(value) } else { words::number(value) }
}

fn row(rule: &RuleReport) -> String {
    let figures = rule.figures.as_ref();
    let uncertainty = figures.and_then(|f| f.uncertainty.as_ref());
    let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| in_unit(rule, value));
    let plainly = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), words::number);
    let error = uncertainty.and_then(|u| u.standard_error).map_or_else(
        || "-".to_owned(),
        |error| if rule.against.is_some() { format!("{:.2}%", error * 100.0) } else { words::number(error) },
    );
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {error} | {} |",
        plain(&rule.rule),
        outcome(rule.outcome),
        plainly(figures.map(|f| f.candidate)),
        plainly(figures.and_then(|f| f.other)),
        show(figures.map(|f| f.value)),
        show(figures.map(|f| f.bar)),
        show(uncertainty.and_then(|u| u.lower)),
        show(uncertainty.and_then(|u| u.upper)),
        figures.map_or_else(|| "-".to_owned(), |f| f.users.to_string()),
    )
}

fn details(rule: &RuleReport, figures: &Figures) -> String {
    let mut lines = Vec::new();
    if let (Some(other), Some(difference)) = (figures.other, figures.difference) {
        lines.push(format!(
            "candidate {:.6}, {} {other:.6}, difference {difference:+.6}",
            figures.candidate,
            plain(rule.against.as_deref().unwrap_or("other")),
        ));
    }
    match &figures.uncertainty {
        Some(uncertainty) => lines.extend(uncertain(rule, figures, uncertainty)),
        None => lines.push("one value for all users: it has no standard error".to_owned()),
    }
    if let Some(known) = &figures.known_to_both {
        let value = known.value.map_or_else(|| "no ratio".to_owned(), words::change);
        lines.push(format!("on the {} users known to both models: {value}", known.users));
    }
    lines.iter().fold("\n".to_owned(), |mut text, line| {
        write_line(&mut text, &format!("- {line}"));
        text
    })
}

fn uncertain(rule: &RuleReport, figures: &Figures, uncertainty: &Uncertainty) -> Vec<String> {
    let margin = |value: f64| {
        if rule.against.is_some() { format!("{:.2}%", value * 100.0) } else { words::number(value) }
    };
    let method = match uncertainty.method {
        Method::Bootstrap { replicates } => {
            format!("percentile-t bootstrap over users, {replicates} replicates")
        }
        Method::Normal => "normal approximation (delta method)".to_owned(),
        Method::Equal => "none needed: nothing varies".to_owned(),
    };
    let purpose = if rule.confidence.is_some() { "" } else { " (they inform; the point estimate decided)" };
    let counted =
        if rule.against.is_some() { "on whom the models differ" } else { "with a value above zero" };
    let mut lines = vec![
        format!(
            "one-sided bounds at {} confidence{purpose}: {method}",
            words::percent(uncertainty.confidence)
        ),
        format!("{} of {} users {counted}", uncertainty.differing, figures.users),
    ];
    if let Some(resolvable) = uncertainty.resolvable {
        lines.push(format!("these users resolve a margin of {} with a power of 80%", margin(resolvable)));
    }
    match uncertainty.users_needed {
        Some(needed) => {
            lines.push(format!("{needed} users would resolve the margin of {}", margin(uncertainty.margin)));
        }
        None if uncertainty.margin == 0.0 => {
            lines.push("no number of users resolves a margin of zero".to_owned());
        }
        None => {}
    }
    if let Some(share) = uncertainty.pass_if_equal {
        lines.push(format!("a candidate of equal quality passes {:.0}% of such nights", share * 100.0));
    }
    lines
}

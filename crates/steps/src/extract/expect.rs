//! What the data must look like to be trained on.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::address;
use noctule_spec::kinds::extract::{Expect, ExpectedRows, Settings};
use noctule_tables::source::{Grain, Partition};
use serde_json::Value;

use super::read::Read;
use crate::attempt::Attempt;
use crate::error::StepError;

/// Rows of the interval's own span, kept for the comparison of a later run.
const OWN_ROWS: &str = "rows of the interval";

/// The sentences that say what is not as expected; none when all is well.
pub(super) async fn judge(
    attempt: &mut Attempt,
    settings: &Settings,
    read: &Read,
    zone: &TimeZone,
) -> Result<Vec<String>, StepError> {
    let interval = attempt.launch.interval;
    let own = own_rows(read, interval.start, interval.end, zone);
    attempt.record_fact(OWN_ROWS, own);
    attempt.emit.count("rows_of_interval", own);
    let mut broken = Vec::new();
    if read.kept() == 0 {
        broken.push(nothing(settings, read, interval.end));
    }
    let Some(expect) = &settings.expect else { return Ok(broken) };
    broken.extend(partitions(expect, settings, read, attempt, zone));
    if let Some(rows) = &expect.rows {
        broken.extend(count(rows, read, own, attempt).await?);
    }
    broken.extend(newest(expect, read, interval.end));
    Ok(broken)
}

/// That no row is left, and what became of those that were read.
fn nothing(settings: &Settings, read: &Read, end: Timestamp) -> String {
    let place = match settings.window {
        Some(window) => format!(" in the {window} before {end}"),
        None => String::new(),
    };
    let sources: Vec<String> =
        settings.sources.values().map(|source| format!("`{}`", address::shown(&source.source))).collect();
    let total = read.total();
    let fates = [
        (total.unmatched, "not matched by `where`"),
        (total.rejected, "rejected"),
        (total.before, "before the window"),
        (total.after, "after it"),
    ];
    let fates: Vec<String> =
        fates.iter().filter(|(rows, _)| *rows > 0).map(|(rows, fate)| format!("{rows} {fate}")).collect();
    let became = if fates.is_empty() { String::new() } else { format!(" ({})", fates.join(", ")) };
    format!(
        "there are no rows{place}: {} read from {}{became}; check that whatever writes them has run, and the night \
         that `--at` names",
        total.read,
        sources.join(", ")
    )
}

/// Rows in `[start, end)`: by the partitions where they are dated, else all rows when every one of them lies there.
fn own_rows(read: &Read, start: Timestamp, end: Timestamp, zone: &TimeZone) -> u64 {
    let dated = read.parts.iter().map(|(key, counts)| (span_of(key, zone), counts));
    dated
        .filter(|(span, counts)| match span {
            Some((begins, ends)) => *begins < end && *ends > start,
            None => counts.first.is_none_or(|first| first >= start.as_microsecond()),
        })
        .map(|(_, counts)| counts.kept)
        .sum()
}

/// The span of a part's key; with several sources its name stands before.
fn span_of(key: &str, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    Partition::of_key(key).span(zone)
}

fn partitions(
    expect: &Expect,
    settings: &Settings,
    read: &Read,
    attempt: &Attempt,
    zone: &TimeZone,
) -> Option<String> {
    const SHOWN: usize = 5;
    expect.partitions?;
    let dated: Vec<_> = read.parts.keys().filter_map(|key| Partition::of_key(key).begins).collect();
    let Some(grain) = dated.iter().map(|(_, grain)| *grain).min() else {
        return Some("`partitions: all` is expected, and the source has no partitions by date".to_owned());
    };
    let end = attempt.launch.interval.end;
    let start = settings.window.and_then(|window| end.checked_sub(window.duration()).ok());
    let start = start.unwrap_or(attempt.launch.interval.start);
    let missing: Vec<String> = Grain::beginnings(grain, start, end, zone)
        .into_iter()
        .filter(|begins| !dated.iter().any(|(present, _)| present == begins))
        .map(|begins| grain.shown(begins))
        .collect();
    if missing.is_empty() {
        return None;
    }
    let more = missing.len().saturating_sub(SHOWN);
    let shown = missing[..missing.len().min(SHOWN)].join(", ");
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("partitions are missing: {shown}{rest}"))
}

async fn count(
    rows: &ExpectedRows,
    read: &Read,
    own: u64,
    attempt: &Attempt,
) -> Result<Vec<String>, StepError> {
    let mut broken = Vec::new();
    if let Some(min) = rows.min.filter(|min| read.kept() < *min) {
        broken.push(format!("there are {} rows, and at least {min} are expected", read.kept()));
    }
    let Some(change) = rows.vs_last_good else { return Ok(broken) };
    let Some(last) = &attempt.launch.last_good else {
        attempt
            .emit
            .note("the comparison with the last good run is skipped: there is none for an earlier interval");
        return Ok(broken);
    };
    let manifest = attempt.depot.committed(&last.manifest).await?;
    let before =
        manifest.as_ref().and_then(|manifest| manifest.record.facts.get(OWN_ROWS)).and_then(Value::as_u64);
    let Some(before) = before else {
        attempt.emit.note(&format!(
            "the comparison with the last good run is skipped: the artifact of run {} is gone",
            last.run
        ));
        return Ok(broken);
    };
    let floor = before as f64 * (1.0 + change.fraction());
    if (own as f64) < floor {
        let fall = if before > 0 { (own as f64 / before as f64 - 1.0) * 100.0 } else { 0.0 };
        broken.push(format!(
            "the interval has {own} rows against {before} of the last good run ({fall:+.0}%), and a fall to {change} at most is expected"
        ));
    }
    Ok(broken)
}

fn newest(expect: &Expect, read: &Read, end: Timestamp) -> Option<String> {
    let allowed = expect.newest?;
    let Some(last) = read.total().last else {
        return (read.kept() > 0).then(|| "`newest` is expected, and the rows have no time".to_owned());
    };
    let age = end.as_microsecond().saturating_sub(last);
    if age <= i64::try_from(allowed.seconds()).unwrap_or(i64::MAX / 1_000_000).saturating_mul(1_000_000) {
        return None;
    }
    let age = SignedDuration::from_micros(age);
    Some(format!(
        "the newest row is {:.1} hours older than the interval's end, and {allowed} is allowed",
        age.as_secs_f64() / 3600.0
    ))
}

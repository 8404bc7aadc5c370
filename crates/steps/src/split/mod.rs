//! `split`: sets interactions apart for training, test and validation.

mod borders;

use jiff::Timestamp;
use noctule_artifacts::Outcome;
use noctule_spec::kinds::split::{By, Settings};
use noctule_spec::units::{Cut as Amount, Span};
use noctule_tables::rows::{Coded, Cut, Keep, Parts, Times, cut, time_span};
use noctule_tables::{Budget, Table, rows};

use crate::StepResult;
use crate::attempt::Attempt;
use crate::error::{Class, Classed, StepError};
use borders::Borders;

#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    #[error("`{what}: {amount}` cannot be used under `by: {by}`")]
    WrongAmount { what: &'static str, amount: String, by: &'static str },
    #[error("the {side} set is empty: {why}")]
    Empty { side: &'static str, why: String },
    #[error(
        "{pairs} pairs of user and item stand on both sides of the split, such as user {user} with item {item}: a model that saw a test row in training is not tested by it; make pairs unique before (`uses: dedup` with `pairs: keep-latest`)"
    )]
    Leak { pairs: u64, user: String, item: String },
    #[error(
        "a training row has the time {train}, and the first {side} row has {other}: the split by time leaks the future"
    )]
    Future { side: &'static str, train: String, other: String },
    #[error("the interval's end lies {0} before 1970, too far for a time in microseconds")]
    FarAway(String),
}

impl Classed for SplitError {
    fn class(&self) -> Class {
        match self {
            SplitError::WrongAmount { .. } | SplitError::FarAway(_) => Class::Configuration,
            SplitError::Empty { .. } | SplitError::Leak { .. } | SplitError::Future { .. } => Class::Data,
        }
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let table = attempt.table(&settings.input.to_string()).await?;
    let budget = attempt.budget()?;
    let times = match settings.by {
        By::Time => Times::First,
        By::Last => Times::Own,
        By::Random | By::User => Times::None,
    };
    let coded = Coded::read(&table, times, &[], &budget, |_, _| Ok(()))?;
    attempt.emit.count("rows_before", table.rows());
    let mut borders = Borders::new(&table, &settings, attempt.launch.interval.end)?;
    let parts = parts(attempt, &settings, &coded, &mut borders, &budget)?;
    check(&settings, &coded, &parts, &budget)?;
    report(attempt, &coded, &parts)?;
    write(attempt, &table, &parts, &mut borders, &budget)?;
    if borders.by_pair {
        attempt.emit.count("test_repeated_pair", borders.repeated_in_test);
        if settings.validation.is_some() {
            attempt.emit.count("validation_repeated_pair", borders.repeated_in_validation);
        }
    }
    attempt.emit.count("spilled_bytes", budget.spilled());
    Ok(Outcome::Ok)
}

/// Decides for each row where it goes.
fn parts(
    attempt: &mut Attempt,
    settings: &Settings,
    coded: &Coded,
    borders: &mut Borders,
    budget: &Budget,
) -> Result<Parts, StepError> {
    let end = attempt.launch.interval.end;
    let mut pool = Keep::all(coded.rows());
    if let Amount::Span(_) = settings.test {
        coded.keep_span(&mut pool, i64::MIN, end.as_microsecond())?;
        let late = coded.rows() - pool.count();
        attempt.emit.count("dropped_after_interval", late);
    }
    let test_cut = how(settings, "test", settings.test, end)?;
    let test = cut(coded, &pool, test_cut, budget)?;
    borders.test = Borders::begin(test_cut, coded, &test)?;
    let validation = match settings.validation {
        None => None,
        Some(amount) => {
            let mut train = pool.clone();
            train.drop_all(&test);
            // The validation rows lie before the test rows as the test rows lie before the interval's end.
            let end = match settings.test {
                Amount::Span(span) => before(end, span)?,
                _ => end,
            };
            let validation_cut = how(settings, "validation", amount, end)?;
            let validation = cut(coded, &train, validation_cut, budget)?;
            borders.validation = Borders::begin(validation_cut, coded, &validation)?;
            Some(validation)
        }
    };
    let mut parts = Parts::new(&pool, test, validation);
    attempt.emit.count("test_rows_before", parts.test.count());
    attempt.emit.count("test_users_before", coded.counts(&parts.test)?.users);
    if parts.test.count() == 0 {
        return Err(nothing_cut(settings, coded, &pool, borders.by_pair)?.into());
    }
    let (test, validation) = parts.drop_unknown(coded, settings.by != By::User)?;
    attempt.emit.count("test_dropped_unknown_user", test.unknown_user);
    attempt.emit.count("test_dropped_unknown_item", test.unknown_item);
    if settings.validation.is_some() {
        attempt.emit.count("validation_dropped_unknown_user", validation.unknown_user);
        attempt.emit.count("validation_dropped_unknown_item", validation.unknown_item);
    }
    Ok(parts)
}

/// The cut that a setting means.
fn how(settings: &Settings, what: &'static str, amount: Amount, end: Timestamp) -> Result<Cut, StepError> {
    let seed = settings.seed;
    Ok(match (settings.by, amount) {
        (By::Time, Amount::Span(span)) => Cut::TimeFrom(before(end, span)?.as_microsecond()),
        (By::Time, Amount::Share(share)) => Cut::TimeShare(share.fraction()),
        (By::Random, Amount::Share(share)) => {
            Cut::PairShare { share: share.fraction(), seed: seed_of(seed, what) }
        }
        (By::User, Amount::Share(share)) => {
            Cut::UserShare { share: share.fraction(), seed: seed_of(seed, what) }
        }
        (By::Last, Amount::Last) => Cut::LastOfUser,
        (by, amount) => {
            return Err(SplitError::WrongAmount { what, amount: amount.to_string(), by: word(by) }.into());
        }
    })
}

/// Another draw for validation than for test: the same one would take what the test draw just left.
fn seed_of(seed: u64, what: &str) -> u64 {
    if what == "validation" { seed ^ 0x9e37_79b9_7f4a_7c15 } else { seed }
}

fn before(end: Timestamp, span: Span) -> Result<Timestamp, SplitError> {
    end.checked_sub(span.duration()).map_err(|_| SplitError::FarAway(span.to_string()))
}

fn word(by: By) -> &'static str {
    match by {
        By::Time => "time",
        By::Random => "random",
        By::Last => "last",
        By::User => "user",
    }
}

fn nothing_cut(
    settings: &Settings,
    coded: &Coded,
    pool: &Keep,
    by_pair: bool,
) -> Result<SplitError, StepError> {
    let why = if coded.rows() == 0 {
        format!("`{}` has no rows", settings.input)
    } else if settings.by == By::Last {
        "no user has two rows; take more data, or split otherwise".to_owned()
    } else if let (Amount::Span(span), Some((_, newest))) = (settings.test, time_span(coded, pool)?) {
        let newest =
            Timestamp::from_microsecond(newest).map_or_else(|_| newest.to_string(), |t| t.to_string());
        match by_pair {
            true => format!(
                "no pair was first seen in the last {span} before the interval's end; the newest was at {newest}"
            ),
            false => format!(
                "no row lies in the last {span} before the interval's end; the newest has the time {newest}"
            ),
        }
    } else if settings.by == By::User {
        let users = coded.counts(pool)?.users;
        format!(
            "`test: {}` of {users} users is less than one; take more data, or a larger share",
            settings.test
        )
    } else {
        let rows = pool.count();
        format!(
            "`test: {}` of {rows} rows is less than one; take more data, or a larger share",
            settings.test
        )
    };
    Ok(SplitError::Empty { side: "test", why })
}

/// Refuses what would make the evaluation meaningless.
fn check(settings: &Settings, coded: &Coded, parts: &Parts, budget: &Budget) -> Result<(), StepError> {
    if parts.train.count() == 0 {
        let why = "no row is left for training; cut less off".to_owned();
        return Err(SplitError::Empty { side: "training", why }.into());
    }
    let sides = [("test", Some(&parts.test)), ("validation", parts.validation.as_ref())];
    for (side, keep) in sides.iter().filter_map(|(side, keep)| keep.map(|keep| (*side, keep))) {
        if keep.count() == 0 {
            let why = "all of its rows belong to users or items without a training row; take more data, or cut off less"
                .to_owned();
            return Err(SplitError::Empty { side, why }.into());
        }
        if settings.by == By::Time {
            check_future(side, coded, parts, keep)?;
        }
    }
    match parts.overlap(coded, budget)? {
        None => Ok(()),
        Some(overlap) => {
            let rows::Overlap { pairs, user, item } = overlap;
            Err(SplitError::Leak { pairs, user, item }.into())
        }
    }
}

fn check_future(side: &'static str, coded: &Coded, parts: &Parts, later: &Keep) -> Result<(), StepError> {
    let train = time_span(coded, &parts.train)?.map(|(_, last)| last);
    let first = time_span(coded, later)?.map(|(first, _)| first);
    match (train, first) {
        (Some(train), Some(other)) if train > other => {
            let shown = |t| Timestamp::from_microsecond(t).map_or_else(|_| t.to_string(), |t| t.to_string());
            Err(SplitError::Future { side, train: shown(train), other: shown(other) }.into())
        }
        _ => Ok(()),
    }
}

fn report(attempt: &Attempt, coded: &Coded, parts: &Parts) -> Result<(), StepError> {
    let sides = [
        ("train", Some(&parts.train)),
        ("test", Some(&parts.test)),
        ("validation", parts.validation.as_ref()),
    ];
    for (side, keep) in sides {
        let Some(keep) = keep else { continue };
        let counts = coded.counts(keep)?;
        attempt.emit.count(&format!("{side}_rows"), counts.rows);
        attempt.emit.count(&format!("{side}_users"), counts.users);
        attempt.emit.count(&format!("{side}_items"), counts.items);
    }
    Ok(())
}

/// Streams the table once into all outputs.
fn write(
    attempt: &mut Attempt,
    table: &Table,
    parts: &Parts,
    borders: &mut Borders,
    budget: &Budget,
) -> Result<(), StepError> {
    let mut outputs = Vec::new();
    for (name, keep) in [
        ("train", Some(&parts.train)),
        ("test", Some(&parts.test)),
        ("validation", parts.validation.as_ref()),
    ] {
        if let Some(keep) = keep {
            outputs.push((name, keep, attempt.table_output(name, table.schema().clone())?));
        }
    }
    let mut first = 0;
    for batch in table.scan_all(budget.threads())? {
        let batch = batch?;
        for (name, keep, output) in &mut outputs {
            let batch = borders.as_of_end(name, table, keep, first, &batch)?;
            output.writer.write_where(&batch, &keep.mask(first, batch.num_rows()))?;
        }
        first += batch.num_rows() as u64;
        attempt.emit.progress(first, Some(table.rows()), "rows");
    }
    for (_, _, output) in outputs {
        attempt.finish(output)?;
    }
    Ok(())
}

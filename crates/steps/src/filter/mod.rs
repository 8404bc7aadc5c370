//! `filter`: keeps the interactions that are worth learning from.
//!
//! The rules run in the order window, ranges, items, harm, block, bots, support, users, k_core; each sees what the
//! ones before it left. Rows keep their order.

mod lists;
mod marks;

use noctule_artifacts::Outcome;
use noctule_spec::kinds::filter::Settings;
use noctule_spec::units::Span;
use noctule_tables::rows::{Coded, Counts, Keep, PairList, Times, write_kept};
use noctule_tables::{Budget, Table};

use crate::StepResult;
use crate::attempt::Attempt;
use crate::error::{Class, Classed, StepError};
use lists::{Blocked, harmful, known};
use marks::Marks;

#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error(
        "the rule `{rule}` dropped the last {before} rows, and there is nothing left to learn from: make it less strict, or look at what comes in"
    )]
    NothingLeft { rule: &'static str, before: u64 },
    #[error("`{0}` has no rows to filter")]
    NoRows(String),
    #[error(
        "the column `{column}` of `{table}` has type {found}, and only numbers can be compared with a bound: map it with `type: float` where it is extracted"
    )]
    NotANumber { table: String, column: String, found: String },
    #[error("`{id}` in the block list is no whole number, as the ids in the column `{column}` are")]
    ForeignId { id: String, column: &'static str },
    #[error(
        "the ids in `{column}` of `{table}` are of another type than those of the interactions: extract both with the same `type:`"
    )]
    OtherIds { table: String, column: &'static str },
    #[error("{0} before the interval's end is too far away")]
    FarAway(Span),
}

impl Classed for FilterError {
    fn class(&self) -> Class {
        match self {
            FilterError::NothingLeft { .. } | FilterError::NoRows(_) => Class::Data,
            _ => Class::Configuration,
        }
    }
}

pub async fn run(attempt: &mut Attempt, settings: Settings) -> StepResult {
    let table = attempt.table(&settings.input.to_string()).await?;
    let catalogue = match &settings.items {
        Some(reference) => Some(attempt.table(&reference.to_string()).await?),
        None => None,
    };
    let blocked = Blocked::load(attempt, settings.block.as_ref()).await?;
    let budget = attempt.budget()?;
    let keep = {
        let mut work = Work::begin(attempt, &table, &settings, catalogue.is_none(), budget.clone())?;
        work.rows_rules(&settings)?;
        work.item_rules(&settings, catalogue.as_ref())?;
        work.block(&blocked)?;
        work.activity_rules(&settings)?;
        work.keep
    };
    let mut output = attempt.table_output("main", table.schema().clone())?;
    let (emit, total) = (attempt.emit.clone(), table.rows());
    let progress = |rows| emit.progress(total + rows, Some(2 * total), "rows");
    write_kept(&table, &keep, &budget, &mut output.writer, progress)?;
    attempt.finish(output)?;
    attempt.emit.count("spilled_bytes", budget.spilled());
    Ok(Outcome::Ok)
}

/// The rows still in play, and how many there were when last counted.
struct Work<'a> {
    attempt: &'a Attempt,
    coded: Coded,
    marks: Marks,
    keep: Keep,
    counts: Counts,
    budget: Budget,
}

impl<'a> Work<'a> {
    fn begin(
        attempt: &'a Attempt,
        table: &Table,
        settings: &Settings,
        harm_in_rows: bool,
        budget: Budget,
    ) -> Result<Self, StepError> {
        if table.rows() == 0 {
            return Err(FilterError::NoRows(table.name().to_owned()).into());
        }
        let timed = settings.window.is_some()
            || settings.bots.is_some()
            || settings.users.as_ref().is_some_and(|users| users.within.is_some());
        let times = if timed { Times::Own } else { Times::None };
        let mut marks = Marks::new(table, settings, harm_in_rows)?;
        let columns = marks.columns();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let coded = Coded::read(table, times, &columns, &budget, |first, batch| {
            marks.look_at(first, batch);
            attempt.emit.progress(first, Some(2 * table.rows()), "rows");
            Ok(())
        })?;
        let keep = Keep::all(table.rows());
        let counts = coded.counts(&keep)?;
        let work = Self { attempt, coded, marks, keep, counts, budget };
        work.say("before");
        Ok(work)
    }

    /// Rules on a row's own values.
    fn rows_rules(&mut self, settings: &Settings) -> Result<(), StepError> {
        if let Some(window) = settings.window {
            let (start, end) = self.span_before_end(window)?;
            self.coded.keep_span(&mut self.keep, start, end)?;
            self.ran("window")?;
        }
        if !settings.ranges.is_empty() {
            self.marks.ranges.iter().for_each(|mark| self.keep.drop_all(&mark.outside));
            self.ran("ranges")?;
        }
        Ok(())
    }

    /// Rules on what the catalogue says of an item.
    fn item_rules(&mut self, settings: &Settings, catalogue: Option<&Table>) -> Result<(), StepError> {
        if let Some(catalogue) = catalogue {
            let wanted = known(catalogue, &self.coded.items)?;
            self.coded.keep_items(&mut self.keep, &wanted)?;
            self.ran("items")?;
        }
        if let (Some(harm), Some(catalogue)) = (&settings.harm, catalogue) {
            let judged = harmful(catalogue, &harm.column, harm.max, &self.coded.items)?;
            if judged.without_score > 0 {
                self.attempt.emit.note(&format!(
                    "{} items have no `{}` in `{}`; they were dropped, since nothing says that they are harmless",
                    judged.without_score,
                    harm.column,
                    catalogue.name()
                ));
            }
            self.coded.keep_items(&mut self.keep, &judged.harmless)?;
            self.ran("harm")?;
        }
        if let Some(mark) = &self.marks.harm {
            self.keep.drop_all(&mark.outside);
            self.ran("harm")?;
        }
        Ok(())
    }

    fn block(&mut self, blocked: &Blocked) -> Result<(), StepError> {
        if let Some(list) = &blocked.users {
            let wanted = list.others(&self.coded.users)?;
            self.coded.keep_users(&mut self.keep, &wanted)?;
        }
        if let Some(list) = &blocked.items {
            let wanted = list.others(&self.coded.items)?;
            self.coded.keep_items(&mut self.keep, &wanted)?;
        }
        if blocked.users.is_some() || blocked.items.is_some() { self.ran("block") } else { Ok(()) }
    }

    /// Rules on how often users and items occur.
    fn activity_rules(&mut self, settings: &Settings) -> Result<(), StepError> {
        if let Some(bots) = &settings.bots {
            let human = self.coded.users_of_human_rate(&self.keep, bots.max_per_minute, &self.budget)?;
            self.coded.keep_users(&mut self.keep, &human)?;
            self.ran("bots")?;
        }
        if let Some(support) = &settings.support {
            let users = self.pairs(None)?.users_per_item()?;
            let wanted: Vec<bool> = users.iter().map(|users| *users >= support.min_users).collect();
            self.coded.keep_items(&mut self.keep, &wanted)?;
            self.ran("support")?;
        }
        if let Some(active) = &settings.users {
            let span = active.within.map(|within| self.span_before_end(within)).transpose()?;
            let items = self.pairs(span)?.items_per_user()?;
            let wanted: Vec<bool> = items.iter().map(|items| *items >= active.min_items).collect();
            self.coded.keep_users(&mut self.keep, &wanted)?;
            self.ran("users")?;
        }
        if let Some(k) = &settings.k_core {
            let core = self.pairs(None)?.core(k.users, k.items)?;
            self.coded.keep_users(&mut self.keep, &core.users)?;
            self.coded.keep_items(&mut self.keep, &core.items)?;
            self.attempt.emit.count("k_core_rounds", u64::from(core.rounds));
            self.ran("k_core")?;
        }
        Ok(())
    }

    fn pairs(&self, span: Option<(i64, i64)>) -> Result<PairList, StepError> {
        Ok(PairList::distinct(&self.coded, &self.keep, span, &self.budget)?)
    }

    /// `[interval.end - span, interval.end)` in microseconds.
    fn span_before_end(&self, span: Span) -> Result<(i64, i64), FilterError> {
        let end = self.attempt.launch.interval.end;
        let start = end.checked_sub(span.duration()).map_err(|_| FilterError::FarAway(span))?;
        Ok((start.as_microsecond(), end.as_microsecond()))
    }

    /// Counts what a rule left, and refuses to go on with nothing.
    fn ran(&mut self, rule: &'static str) -> Result<(), StepError> {
        let before = self.counts.rows;
        self.counts = self.coded.counts(&self.keep)?;
        self.say(rule);
        if self.counts.rows == 0 {
            return Err(FilterError::NothingLeft { rule, before }.into());
        }
        Ok(())
    }

    /// Reports the counts as `rows_after_<rule>` and so on; at the beginning as `rows_before`.
    fn say(&self, moment: &str) {
        let suffix = if moment == "before" { "before".to_owned() } else { format!("after_{moment}") };
        let emit = &self.attempt.emit;
        emit.count(&format!("rows_{suffix}"), self.counts.rows);
        emit.count(&format!("users_{suffix}"), self.counts.users);
        emit.count(&format!("items_{suffix}"), self.counts.items);
    }
}

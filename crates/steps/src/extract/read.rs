//! What an extract has read: counts for the report, and whether too much of it was rejected.

use std::collections::BTreeMap;

use noctule_spec::kinds::extract::Settings;
use noctule_tables::source::{PartCounts, Reject};

use super::ExtractError;
use crate::attempt::Attempt;

/// What became of a source.
#[derive(Default)]
pub(super) struct Read {
    /// By partition key.
    pub parts: BTreeMap<String, PartCounts>,
    /// Partitions that were not read again, and those of them that another window cuts otherwise.
    pub reused: u64,
    pub recut: u64,
    /// The first rejected rows, each in a sentence.
    pub examples: Vec<String>,
    /// What a query made of the parts, when there was one.
    pub result: Option<PartCounts>,
}

impl Read {
    pub fn total(&self) -> PartCounts {
        let mut total = PartCounts::default();
        for part in self.parts.values() {
            total.read += part.read;
            total.unmatched += part.unmatched;
            total.rejected += part.rejected;
            total.erased += part.erased;
            total.before += part.before;
            total.after += part.after;
            total.kept += part.kept;
            total.late += part.late;
            total.first = [total.first, part.first].into_iter().flatten().min();
            total.last = total.last.max(part.last);
        }
        if let Some(result) = &self.result {
            total.rejected += result.rejected;
            total.erased += result.erased;
            total.before += result.before;
            total.after += result.after;
            total.kept = result.kept;
            (total.first, total.last) = (result.first, result.last);
        }
        total
    }

    pub fn kept(&self) -> u64 {
        self.total().kept
    }

    pub fn report(&self, attempt: &Attempt) {
        let (total, emit) = (self.total(), &attempt.emit);
        emit.count("rows", self.kept());
        emit.count("rows_read", total.read);
        emit.count("rows_not_matched", total.unmatched);
        emit.count("rows_rejected", total.rejected);
        if total.erased > 0 {
            emit.count("rows_erased", total.erased);
        }
        emit.count("rows_before_window", total.before);
        emit.count("rows_after_window", total.after);
        emit.count("rows_late", total.late);
        emit.count("partitions", self.parts.len() as u64);
        emit.count("partitions_reused", self.reused);
        emit.count("partitions_recut", self.recut);
        if self.reused > 0 {
            emit.note(&format!(
                "{} of {} partitions are unchanged and were taken over",
                self.reused,
                self.parts.len()
            ));
        }
        for (key, part) in self.parts.iter().filter(|(_, part)| part.late > 0) {
            emit.metric(&format!("rows_late/{key}"), part.late as f64);
        }
    }

    pub fn refuse_rejects(&self, settings: &Settings) -> Result<(), ExtractError> {
        let total = self.total();
        let share = settings.rejected.max_share;
        if total.rejected as f64 <= share.fraction() * total.read as f64 {
            return Ok(());
        }
        Err(ExtractError::TooManyRejected {
            rejected: total.rejected,
            read: total.read,
            allowed: share.to_string(),
            examples: self.examples.iter().take(SHOWN).map(|example| format!("; {example}")).collect(),
        })
    }
}

/// Rejected rows that a message shows.
const SHOWN: usize = 3;

/// Says of the first rejected rows where they stand and what is wrong.
pub(super) fn sentences(rejects: &[Reject]) -> Vec<String> {
    /// More of a row than this is in the output `rejected`.
    const LONGEST: usize = 80;
    let of = |reject: &Reject| {
        let column = reject.column.as_ref().map(|name| format!(", column `{name}`")).unwrap_or_default();
        let found = reject.found.as_ref().map(|text| match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!(" (`{}…`)", &text[..end]),
            None => format!(" (`{text}`)"),
        });
        let found = found.unwrap_or_default();
        format!("{} row {}{column}: {}{found}", reject.object, reject.place, reject.reason)
    };
    rejects.iter().take(SHOWN).map(of).collect()
}

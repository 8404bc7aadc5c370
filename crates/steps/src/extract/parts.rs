//! A single source, partition by partition: read, or taken over from an earlier night.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use noctule_artifacts::launch::SourceObject;
use noctule_artifacts::manifest::{Column, Output, OutputForm, Part};
use noctule_artifacts::{Digest, OutputName};
use noctule_spec::kinds::extract::{ONLY_SOURCE, Settings, Source, VERSION};
use noctule_tables::Written;
use noctule_tables::source::{
    Access, Condition, Erased, Fetched, PartOutcome, PartRequest, Partition, Window, outside_schema,
    read_part, rejects_schema,
};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::ExtractError;
use super::earlier::{EXAMPLES, Earlier, OUTSIDE, Offer};
use super::read::{Read, sentences};
use super::sources::{wishes, writing};
use crate::attempt::Attempt;
use crate::error::StepError;
use crate::outputs::columns_of;
use crate::pool::pool;

const REJECTED: &str = "rejected";

/// A partition of the listing with the fingerprint of its part.
pub(super) struct Wanted {
    pub key: String,
    pub objects: Vec<SourceObject>,
    pub fingerprint: Digest,
}

pub(super) async fn run(
    attempt: &mut Attempt,
    settings: &Settings,
    erased: Option<&Erased>,
    zone: &TimeZone,
) -> Result<Read, StepError> {
    let source = &settings.sources[ONLY_SOURCE];
    let window = window_of(attempt, settings, source)?;
    let wanted = partitions(attempt, settings, source, ONLY_SOURCE)?;
    let mut read = Read::default();
    let earlier = Earlier::load(attempt).await?;
    let mut outputs = Outputs { windowed: settings.window.is_some(), ..Outputs::default() };
    let mut fresh = Vec::new();
    for wanted in wanted {
        let Some(offer) = earlier.offer(&wanted, window) else {
            fresh.push(wanted);
            continue;
        };
        read.reused += 1;
        let examples = offer.examples();
        let counts = match window.filter(|window| !offer.counts.stands_in(Some(*window))) {
            None => {
                outputs.take_over(attempt, &offer, |_| true)?;
                attempt.part(offer.part.clone());
                offer.counts
            }
            Some(window) => {
                let outcome = offer.recut(attempt, window, zone).await?;
                let rejected = outputs.take_over(attempt, &offer, |output| output == REJECTED)?;
                outputs.place(attempt, &wanted, &outcome, rejected, &examples)?;
                read.recut += 1;
                outcome.counts
            }
        };
        read.examples.extend(examples);
        read.parts.insert(wanted.key, counts);
    }
    let total = read.parts.len() + fresh.len();
    let reader = Reader { settings, source, window, erased, zone, keep_outside: true };
    for (wanted, outcome) in reader.all(attempt, fresh, total).await? {
        check_time(window, &outcome)?;
        let examples = sentences(&outcome.examples);
        outputs.place(attempt, &wanted, &outcome, Vec::new(), &examples)?;
        read.examples.extend(examples);
        read.parts.insert(wanted.key, outcome.counts);
    }
    outputs.declare(attempt);
    Ok(read)
}

/// The window in microseconds, when rows have a time to be looked at.
pub(super) fn window_of(
    attempt: &Attempt,
    settings: &Settings,
    source: &Source,
) -> Result<Option<Window>, StepError> {
    if settings.window.is_none() {
        return Ok(None);
    }
    if !source.columns.is_empty() && !source.columns.contains_key("time") {
        return if settings.sql.is_some() { Ok(None) } else { Err(ExtractError::NoTime.into()) };
    }
    Ok(window_before(attempt, settings))
}

/// The window before the interval's end, in microseconds.
pub(super) fn window_before(attempt: &Attempt, settings: &Settings) -> Option<Window> {
    let end = attempt.launch.interval.end;
    let start = end.checked_sub(settings.window?.duration()).unwrap_or(jiff::Timestamp::MIN);
    Some((start.as_microsecond(), end.as_microsecond()))
}

/// Refuses a window on rows without a time, where the columns were not known before.
fn check_time(window: Option<Window>, outcome: &PartOutcome) -> Result<(), ExtractError> {
    let timeless = outcome.schema.as_ref().is_some_and(|schema| schema.column_with_name("time").is_none());
    if window.is_some() && timeless { Err(ExtractError::NoTime) } else { Ok(()) }
}

/// The partitions of a source in the order of their keys.
pub(super) fn partitions(
    attempt: &Attempt,
    settings: &Settings,
    source: &Source,
    name: &str,
) -> Result<Vec<Wanted>, StepError> {
    let listing =
        attempt.launch.sources.get(name).ok_or_else(|| ExtractError::NotListed { name: name.to_owned() })?;
    let mut objects: BTreeMap<String, Vec<SourceObject>> = BTreeMap::new();
    for object in &listing.objects {
        objects.entry(object.partition.clone()).or_default().push(object.clone());
    }
    let mut how = serde_json::to_value(source).expect("settings have only text keys");
    if let Some(map) = how.as_object_mut() {
        map.remove("source");
    }
    let wanted = objects.into_iter().map(|(key, objects)| {
        let identity: Vec<Value> = objects.iter().map(SourceObject::identity).collect();
        let mut known = json!({
            "kind version": VERSION,
            "source": how,
            "where": settings.condition,
            "windowed": settings.window.is_some(),
            "timezone": attempt.launch.timezone,
            "objects": identity,
        });
        // A part that was read before its users were erased is not taken over.
        if let Some(erased) = &attempt.launch.erased {
            known["erased users"] = json!(erased.digest);
        }
        let fingerprint = Digest::of_json(&known);
        Wanted { key, objects, fingerprint }
    });
    Ok(wanted.collect())
}

/// Reads partitions side by side.
pub(super) struct Reader<'a> {
    pub settings: &'a Settings,
    pub source: &'a Source,
    pub window: Option<Window>,
    pub erased: Option<&'a Erased>,
    pub zone: &'a TimeZone,
    /// Whether the rows of dated partitions outside of the window are wanted.
    pub keep_outside: bool,
}

impl Reader<'_> {
    /// Reads all of them; of `total` partitions the others were taken over.
    pub async fn all(
        &self,
        attempt: &Attempt,
        fresh: Vec<Wanted>,
        total: usize,
    ) -> Result<Vec<(Wanted, PartOutcome)>, StepError> {
        let threads = attempt.launch.resources.threads.max(1);
        let pool = pool(threads)?;
        let folder = attempt.draft.spill_folder()?;
        let condition = self.settings.condition.as_deref().map(Condition::new);
        let (writing, wishes) = (writing(self.source), wishes(self.source));
        let access = Access::from_environment();
        let mut outcomes = Vec::new();
        let mut done = total - fresh.len();
        let mut fresh = fresh.into_iter().enumerate().peekable();
        while fresh.peek().is_some() {
            let batch: Vec<(usize, Wanted)> = fresh.by_ref().take(threads as usize).collect();
            let mut fetched = Vec::new();
            for (_, wanted) in &batch {
                let mut objects = Vec::new();
                for object in &wanted.objects {
                    objects.push(Fetched::get(object, &folder, &access).await?);
                }
                fetched.push(objects);
            }
            let alone = batch.len() == 1;
            let read = |((number, wanted), objects): (&(usize, Wanted), &Vec<Fetched>)| {
                let partition = Partition::of_key(&wanted.key);
                let keep_outside = self.keep_outside && partition.begins.is_some();
                read_part(PartRequest {
                    objects,
                    partition,
                    writing: &writing,
                    wishes: wishes.clone(),
                    condition: condition.as_ref(),
                    window: self.window,
                    erased: self.erased,
                    zone: self.zone.clone(),
                    main: folder.join(format!("part-{number}.parquet")),
                    outside: keep_outside.then(|| folder.join(format!("outside-{number}.parquet"))),
                    rejected: folder.join(format!("rejected-{number}.parquet")),
                    threads: if alone { threads as usize } else { 1 },
                })
            };
            let results: Vec<_> = tokio::task::block_in_place(|| {
                pool.install(|| batch.par_iter().zip(fetched.par_iter()).map(read).collect())
            });
            done += batch.len();
            attempt.emit.progress(done as u64, Some(total as u64), "partitions");
            for ((_, wanted), outcome) in batch.into_iter().zip(results) {
                outcomes.push((wanted, outcome?));
            }
        }
        Ok(outcomes)
    }
}

/// The outputs in the making.
#[derive(Default)]
pub(super) struct Outputs {
    /// The columns, and the partition that they were first seen in.
    columns: Option<(String, Vec<Column>)>,
    rows: u64,
    rejected: u64,
    windowed: bool,
    outside_columns: Option<Vec<Column>>,
    outside: u64,
}

impl Outputs {
    /// Takes over those of a part's files whose output is wanted; gives their names.
    fn take_over(
        &mut self,
        attempt: &mut Attempt,
        offer: &Offer<'_>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, StepError> {
        let mut names = Vec::new();
        for entry in offer.entries().filter(|entry| wanted(entry.output.as_str())) {
            attempt.draft.take_over(entry, offer.manifest, offer.path)?;
            names.push(entry.name.clone());
            let rows = entry.rows.unwrap_or_default();
            let columns =
                offer.manifest.identity.outputs.get(&entry.output).map(|output| output.columns.clone());
            match entry.output.as_str() {
                REJECTED => self.rejected += rows,
                OUTSIDE => {
                    self.outside += rows;
                    self.outside_columns = self.outside_columns.take().or(columns);
                }
                _ => {
                    self.rows += rows;
                    self.agree(&offer.part.key, columns.unwrap_or_default())?;
                }
            }
        }
        Ok(names)
    }

    /// Moves the files of a part that was read, or cut anew, to where the artifact has them. `taken_over` are files of
    /// the part that are there already.
    fn place(
        &mut self,
        attempt: &mut Attempt,
        wanted: &Wanted,
        outcome: &PartOutcome,
        taken_over: Vec<String>,
        examples: &[String],
    ) -> Result<(), StepError> {
        if let Some(schema) = &outcome.schema {
            if !outcome.main.is_empty() {
                self.agree(&wanted.key, columns_of(schema))?;
            }
            if !outcome.outside.is_empty() {
                self.outside_columns.get_or_insert_with(|| columns_of(&outside_schema(schema)));
            }
        }
        let mut files = place_files(attempt, "main", &wanted.key, &outcome.main)?;
        files.extend(place_files(attempt, OUTSIDE, &wanted.key, &outcome.outside)?);
        files.extend(place_files(attempt, REJECTED, &wanted.key, &outcome.rejected)?);
        files.extend(taken_over);
        let rows = |written: &[Written]| written.iter().map(|file| file.rows).sum::<u64>();
        self.rows += rows(&outcome.main);
        self.outside += rows(&outcome.outside);
        self.rejected += rows(&outcome.rejected);
        let counts = serde_json::to_value(&outcome.counts).expect("counts have only text keys");
        let mut facts = BTreeMap::from([("counts".to_owned(), counts)]);
        if !examples.is_empty() {
            facts.insert(EXAMPLES.to_owned(), examples.into());
        }
        attempt.part(Part { key: wanted.key.clone(), fingerprint: wanted.fingerprint, files, facts });
        Ok(())
    }

    /// The partitions of a table have one set of columns. Text tells its types by its first rows, so that they may
    /// come out otherwise on another day.
    fn agree(&mut self, key: &str, columns: Vec<Column>) -> Result<(), ExtractError> {
        let Some((first, known)) = &self.columns else {
            self.columns = Some((key.to_owned(), columns));
            return Ok(());
        };
        let differs = known.iter().zip(&columns).find(|(known, found)| known != found);
        let (column, found, known) = match differs {
            None if known.len() == columns.len() => return Ok(()),
            None => {
                return Err(ExtractError::OtherColumns { partition: key.to_owned(), first: first.clone() });
            }
            Some((known, found)) => (known.name.clone(), found.data_type.clone(), known.data_type.clone()),
        };
        Err(ExtractError::OtherType { column, partition: key.to_owned(), found, first: first.clone(), known })
    }

    fn declare(self, attempt: &mut Attempt) {
        let columns = self.columns.map(|(_, columns)| columns).unwrap_or_default();
        let table = |columns, rows| Output { form: OutputForm::Table, columns, rows: Some(rows) };
        attempt.outputs.insert(OutputName::main(), table(columns, self.rows));
        if self.windowed {
            let outside = OUTSIDE.parse().expect("a valid name");
            attempt.outputs.insert(outside, table(self.outside_columns.unwrap_or_default(), self.outside));
        }
        let rejected = REJECTED.parse().expect("a valid name");
        attempt.declare_table(&rejected, &rejects_schema(), self.rejected);
    }
}

/// Moves written files into an output; gives their names in the artifact.
pub(super) fn place_files(
    attempt: &mut Attempt,
    output: &str,
    key: &str,
    written: &[Written],
) -> Result<Vec<String>, StepError> {
    let output: OutputName = output.parse().expect("a valid name");
    let mut files = Vec::new();
    for (number, file) in written.iter().enumerate() {
        let name = file_name(key, number);
        let path = attempt.draft.create(&output, &name)?;
        move_file(&file.path, &path)?;
        attempt.draft.set_rows(&output, &name, file.rows);
        files.push(format!("{output}/{name}"));
    }
    Ok(files)
}

/// A file's name tells its partition: `date=2026-11-01.parquet`.
fn file_name(key: &str, number: usize) -> String {
    let plain: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() || "=-_.".contains(c) { c } else { '_' }).collect();
    // Keys that differ only in other characters must not meet in one name.
    let mark =
        if plain == key { String::new() } else { format!("-{}", &Digest::of(key.as_bytes()).short()[..8]) };
    let stem = if plain.is_empty() { "all".to_owned() } else { plain };
    match number {
        0 => format!("{stem}{mark}.parquet"),
        _ => format!("{stem}{mark}.{number}.parquet"),
    }
}

pub(super) fn move_file(from: &Path, to: &Path) -> Result<(), ExtractError> {
    let failed =
        |cause| ExtractError::File { doing: "moving a part to", place: to.display().to_string(), cause };
    fs::rename(from, to).or_else(|_| fs::copy(from, to).and_then(|_| fs::remove_file(from))).map_err(failed)
}

/// The local paths of the files of one output that were read in this attempt.
pub(super) fn paths(outcomes: &[(Wanted, PartOutcome)]) -> Vec<PathBuf> {
    outcomes.iter().flat_map(|(_, outcome)| outcome.main.iter().map(|file| file.path.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_partitions_apart() {
        assert_eq!(file_name("date=2026-11-01", 0), "date=2026-11-01.parquet");
        assert_eq!(file_name("", 1), "all.1.parquet");
        assert_ne!(file_name("a/b", 0), file_name("a_b", 0));
    }
}

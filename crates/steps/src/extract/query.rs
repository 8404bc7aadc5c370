//! Several sources, joined by a `SELECT`.

use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use jiff::tz::TimeZone;
use noctule_artifacts::OutputName;
use noctule_artifacts::manifest::{Output, OutputForm};
use noctule_spec::kinds::extract::Settings;
use noctule_tables::TableWriter;
use noctule_tables::normal::{normal_batch, normal_schema};
use noctule_tables::source::{
    Erased, Fetched, PartOutcome, PartRequest, Partition, Query, Writing, read_part, rejects_schema,
};

use super::ExtractError;
use super::parts::{Reader, Wanted, move_file, partitions, paths, place_files, window_before, window_of};
use super::read::{Read, sentences};
use crate::attempt::Attempt;
use crate::error::StepError;
use crate::outputs::columns_of;

/// Reads every source whole, names each as a table, and writes what the query gives.
pub(super) async fn run(
    attempt: &mut Attempt,
    settings: &Settings,
    sql: &str,
    erased: Option<&Erased>,
    zone: &TimeZone,
) -> Result<Read, StepError> {
    let budget = attempt.budget()?;
    let query = Query::new(sql, &budget)?;
    let mut read = Read::default();
    let mut rejected = 0;
    let mut empty = false;
    let folder = attempt.draft.spill_folder()?;
    for (name, source) in &settings.sources {
        let window = window_of(attempt, settings, source)?;
        let wanted: Vec<Wanted> = partitions(attempt, settings, source, name)?;
        let total = wanted.len();
        let outcomes = Reader { settings, source, window, erased, zone, keep_outside: false }
            .all(attempt, wanted, total)
            .await?;
        let table = folder.join(format!("table-{name}"));
        std::fs::create_dir_all(&table).map_err(|cause| ExtractError::File {
            doing: "making the folder",
            place: table.display().to_string(),
            cause,
        })?;
        for (number, path) in paths(&outcomes).iter().enumerate() {
            move_file(path, &table.join(format!("{number:06}.parquet")))?;
        }
        match outcomes.iter().find_map(|(_, outcome)| outcome.schema.clone()) {
            Some(schema) => query.table(name, &table, &schema).await?,
            None => {
                attempt.emit.note(&format!("the source `{name}` has no rows, so there is nothing to query"));
                empty = true;
            }
        }
        for (wanted, outcome) in outcomes {
            let key = if wanted.key.is_empty() { name.clone() } else { format!("{name}/{}", wanted.key) };
            place_files(attempt, "rejected", &key, &outcome.rejected)?;
            rejected += outcome.counts.rejected;
            read.examples.extend(sentences(&outcome.examples));
            read.parts.insert(key, outcome.counts);
        }
    }
    let result = match empty {
        true => PartOutcome::default(),
        false => judge(attempt, settings, &query, &folder, erased, zone).await?,
    };
    read.examples.extend(sentences(&result.examples));
    rejected += result.counts.rejected;
    place_files(attempt, "main", "", &result.main)?;
    place_files(attempt, "rejected", "sql", &result.rejected)?;
    let columns = result.schema.as_ref().map(columns_of).unwrap_or_default();
    let output = Output { form: OutputForm::Table, columns, rows: Some(result.counts.kept) };
    attempt.outputs.insert(OutputName::main(), output);
    attempt.declare_table(&"rejected".parse().expect("a valid name"), &rejects_schema(), rejected);
    read.result = Some(result.counts);
    Ok(read)
}

/// Holds what the query gives to the rules of any source: no row without user, item or time where there is such a
/// column, no number that is none, no time outside the window.
async fn judge(
    attempt: &Attempt,
    settings: &Settings,
    query: &Query,
    folder: &Path,
    erased: Option<&Erased>,
    zone: &TimeZone,
) -> Result<PartOutcome, StepError> {
    let path = folder.join("result.parquet");
    let mut stream = query.run().await?;
    let mut writer = {
        let path = path.clone();
        TableWriter::new(normal_schema(&stream.schema()), 1, move |number| Ok(numbered(&path, number)))
    };
    let schema = writer.schema().clone();
    while let Some(batch) = stream.try_next().await.map_err(|error| query.refuse(&error))? {
        writer.write(&normal_batch("the SQL's result", &schema, &batch)?)?;
    }
    let timed = schema.column_with_name("time").is_some();
    let objects: Vec<Fetched> = writer
        .finish()?
        .iter()
        .map(|file| Fetched::made_here(&file.path, "the SQL's result"))
        .collect::<Result<_, _>>()?;
    Ok(read_part(PartRequest {
        objects: &objects,
        partition: Partition::of_key(""),
        writing: &Writing::parquet(),
        wishes: Vec::new(),
        condition: None,
        window: if timed { window_before(attempt, settings) } else { None },
        erased,
        zone: zone.clone(),
        main: folder.join("result-main.parquet"),
        outside: None,
        rejected: folder.join("result-rejected.parquet"),
        threads: attempt.launch.resources.threads as usize,
    })?)
}

fn numbered(path: &Path, number: usize) -> PathBuf {
    path.with_extension(format!("{number}.parquet"))
}

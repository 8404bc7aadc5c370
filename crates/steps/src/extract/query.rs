//! Several sources, joined by a `SELECT`.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use jiff::tz::TimeZone;
use noctule_spec::kinds::extract::Settings;
use noctule_tables::normal::{normal_batch, normal_schema};
use noctule_tables::source::{Query, SourceError, rejects_schema};

use super::ExtractError;
use super::parts::{Read, Reader, Wanted, move_file, partitions, paths, window_of};
use crate::attempt::Attempt;
use crate::error::StepError;

/// Reads every source whole, names each as a table, and writes what the query gives.
pub(super) async fn run(
    attempt: &mut Attempt,
    settings: &Settings,
    sql: &str,
    zone: &TimeZone,
) -> Result<Read, StepError> {
    let budget = attempt.budget()?;
    let query = Query::new(sql, &budget)?;
    let mut read = Read { parts: BTreeMap::new(), reused: 0, examples: Vec::new(), rows: None };
    let folder = attempt.draft.spill_folder()?;
    for (name, source) in &settings.sources {
        let window = window_of(attempt, settings, source)?;
        let wanted: Vec<Wanted> = partitions(attempt, settings, source, name)?;
        let total = wanted.len();
        let outcomes = Reader { settings, source, window, zone }.all(attempt, wanted, total).await?;
        let table = folder.join(format!("table-{name}"));
        std::fs::create_dir_all(&table).map_err(|cause| ExtractError::File {
            doing: "making the folder",
            place: table.display().to_string(),
            cause,
        })?;
        for (number, path) in paths(&outcomes).iter().enumerate() {
            move_file(path, &table.join(format!("{number:06}.parquet")))?;
        }
        let Some(schema) = outcomes.iter().find_map(|(_, outcome)| outcome.schema.clone()) else {
            return Err(SourceError::Missing { address: source.source.clone() }.into());
        };
        query.table(name, &table, &schema).await?;
        for (wanted, outcome) in outcomes {
            read.examples.extend(outcome.examples);
            read.parts.insert(format!("{name}/{}", wanted.key), outcome.counts);
        }
    }
    read.rows = Some(write(attempt, &query).await?);
    let rejected = "rejected".parse().expect("a valid name");
    attempt.declare_table(&rejected, &rejects_schema(), 0);
    Ok(read)
}

async fn write(attempt: &mut Attempt, query: &Query) -> Result<u64, StepError> {
    let mut stream = query.run().await?;
    let schema = normal_schema(&stream.schema());
    let mut output = attempt.table_output("main", schema.clone())?;
    while let Some(batch) = stream.try_next().await.map_err(|error| query.refuse(&error))? {
        output.writer.write(&normal_batch("the SQL's result", &schema, &batch)?)?;
    }
    attempt.finish(output)
}

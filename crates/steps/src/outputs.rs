//! What a step leaves behind.

use std::path::PathBuf;

use arrow::datatypes::{FieldRef, SchemaRef};
use noctule_artifacts::OutputName;
use noctule_artifacts::manifest::{Column, Output, OutputForm, Part};
use noctule_tables::{Budget, TableWriter, Written};
use serde_json::Value;

use crate::attempt::Attempt;
use crate::error::StepError;

/// The part of `resources.memory` that rows may take; the rest is for the program itself, buffers of files being
/// read and written, and what the allocator keeps.
const ROWS_SHARE: f64 = 0.5;

/// A table output in the making. Its files are in the draft when [`TableOutput::finish`] has returned.
pub struct TableOutput {
    pub writer: TableWriter,
    output: OutputName,
}

impl Attempt {
    /// Memory for rows, threads, and a folder for what does not fit, as `resources` says.
    pub fn budget(&self) -> Result<Budget, StepError> {
        let resources = self.launch.resources;
        let bytes = (resources.memory_bytes as f64 * ROWS_SHARE) as u64;
        Ok(Budget::new(bytes, resources.threads as usize, &self.draft.spill_folder()?))
    }

    /// A path for one file of an output; the file has to be there when the step returns.
    pub fn create(&mut self, output: &OutputName, name: &str) -> Result<PathBuf, StepError> {
        Ok(self.draft.create(output, name)?)
    }

    /// A folder whose files all become files of the output: for foreign commands.
    pub fn output_folder(&mut self, output: &OutputName) -> Result<PathBuf, StepError> {
        Ok(self.draft.folder(output)?)
    }

    /// Declares an output that is no table. Its files are those that were created under its name.
    pub fn declare(&mut self, output: &OutputName, form: OutputForm) {
        self.outputs.insert(output.clone(), Output { form, columns: Vec::new(), rows: None });
    }

    /// Declares a table output whose files were written otherwise than by [`table_output`](Self::table_output).
    pub fn declare_table(&mut self, output: &OutputName, schema: &SchemaRef, rows: u64) {
        let columns = columns_of(schema);
        self.outputs.insert(output.clone(), Output { form: OutputForm::Table, columns, rows: Some(rows) });
    }

    /// States how many rows one file of an output has.
    pub fn set_rows(&mut self, output: &OutputName, name: &str, rows: u64) {
        self.draft.set_rows(output, name, rows);
    }

    /// Begins a table output of Parquet files `0000.parquet`, `0001.parquet` and so on.
    pub fn table_output(&mut self, output: &str, schema: SchemaRef) -> Result<TableOutput, StepError> {
        let output: OutputName = output.parse().expect("kinds name their outputs by valid names");
        let first = self.draft.create(&output, &file_name(0))?;
        let threads = self.launch.resources.threads as usize;
        // Later files are put beside the first one and made known to the draft at the end: the writer runs on while
        // the draft is borrowed elsewhere.
        let folder = first.parent().expect("a created file lies in its output's folder").to_owned();
        let writer = TableWriter::new(schema, threads, move |number| Ok(folder.join(file_name(number))));
        Ok(TableOutput { writer, output })
    }

    /// Ends a table output: writes what is left and declares it. Gives its number of rows.
    pub fn finish(&mut self, table: TableOutput) -> Result<u64, StepError> {
        let schema = table.writer.schema().clone();
        let written: Vec<Written> = table.writer.finish()?;
        for (number, file) in written.iter().enumerate() {
            if number > 0 {
                self.draft.create(&table.output, &file_name(number))?;
            }
            self.draft.set_rows(&table.output, &file_name(number), file.rows);
        }
        let rows = written.iter().map(|file| file.rows).sum();
        self.declare_table(&table.output, &schema, rows);
        Ok(rows)
    }

    /// A small fact that belongs to the result itself: it is covered by the artifact's digest.
    pub fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    /// A fact that a later run of the step may need: outside the digest.
    pub fn record_fact(&mut self, name: &str, value: impl Into<Value>) {
        self.record_facts.insert(name.to_owned(), value.into());
    }

    /// A part of the artifact that later attempts may take over.
    pub fn part(&mut self, part: Part) {
        self.parts.push(part);
    }
}

/// Columns as a manifest states them.
pub(crate) fn columns_of(schema: &SchemaRef) -> Vec<Column> {
    let column = |field: &FieldRef| Column {
        name: field.name().clone(),
        data_type: field.data_type().to_string(),
        nullable: field.is_nullable(),
    };
    schema.fields().iter().map(column).collect()
}

fn file_name(number: usize) -> String {
    format!("{number:04}.parquet")
}

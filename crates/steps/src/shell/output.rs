//! What a command left in its output folder, checked for the form that the step promises.

use std::fs;
use std::path::{Path, PathBuf};

use noctule_artifacts::OutputName;
use noctule_artifacts::manifest::OutputForm;
use noctule_spec::kinds::shell::Form;
use noctule_tables::Table;

use super::ShellError;
use crate::attempt::Attempt;
use crate::error::StepError;
use crate::inputs::InputFile;
use crate::model::Model;

/// Declares the output, when it is what its form says.
pub(super) fn take(attempt: &mut Attempt, form: Form, folder: &Path) -> Result<(), StepError> {
    let main = OutputName::main();
    let files = files_below(folder)?;
    attempt.emit.count("files", files.len() as u64);
    match form {
        Form::Files => attempt.declare(&main, OutputForm::Files),
        Form::Model => {
            let model = Model::read("that the command wrote", &files)?;
            if model.card.data.until.is_none() && model.card.data.read.is_empty() {
                attempt.emit.note(
                    "card.json has neither `data.until` nor `data.read`, so a gate cannot compare this model later",
                );
            }
            attempt.emit.count("items", model.tables.items.len() as u64);
            attempt.declare(&main, OutputForm::Model);
        }
        Form::Table => table(attempt, &main, &files)?,
    }
    Ok(())
}

fn table(attempt: &mut Attempt, main: &OutputName, files: &[InputFile]) -> Result<(), StepError> {
    const REMEDY: &str = "`output: table` is one or more Parquet files of one schema, and nothing else";
    if let Some(other) = files.iter().find(|file| !file.name.ends_with(".parquet")) {
        return Err(ShellError::BadOutput { what: format!("`{}`", other.name), remedy: REMEDY }.into());
    }
    if files.is_empty() {
        return Err(ShellError::BadOutput { what: "no file".to_owned(), remedy: REMEDY }.into());
    }
    let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
    let table = Table::open("what the command wrote", &paths, None)?;
    for file in files {
        let rows = Table::open(&file.name, std::slice::from_ref(&file.path), None)?.rows();
        attempt.set_rows(main, &file.name, rows);
    }
    attempt.emit.count("rows", table.rows());
    attempt.declare_table(main, table.schema(), table.rows());
    Ok(())
}

/// All regular files below a folder, by name.
fn files_below(folder: &Path) -> Result<Vec<InputFile>, ShellError> {
    let mut files = Vec::new();
    collect(folder, "", &mut files)?;
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<InputFile>) -> Result<(), ShellError> {
    for entry in fs::read_dir(folder).map_err(ShellError::Prepare)? {
        let entry = entry.map_err(ShellError::Prepare)?;
        let name = match entry.file_name().into_string() {
            Ok(name) => format!("{prefix}{name}"),
            Err(name) => {
                let what = format!("a file whose name is no text ({})", name.to_string_lossy());
                return Err(ShellError::BadOutput { what, remedy: "give it another name" });
            }
        };
        let kind = entry.file_type().map_err(ShellError::Prepare)?;
        if kind.is_dir() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() {
            files.push(InputFile { name, path: entry.path() });
        } else {
            let what = format!("`{name}`, which is neither a file nor a folder");
            return Err(ShellError::BadOutput {
                what,
                remedy: "an artifact holds plain files; copy what a link points to",
            });
        }
    }
    Ok(())
}

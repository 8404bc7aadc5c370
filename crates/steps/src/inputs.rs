//! The artifacts that a step reads.

use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use noctule_artifacts::OutputName;
use noctule_artifacts::launch::Input;
use noctule_artifacts::manifest::{Manifest, OutputForm};
use noctule_tables::Table;

use crate::attempt::Attempt;
use crate::error::{Class, Classed, StepError};

/// A file of an input, checked against its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Its name below the output's own folder, such as `card.json`.
    pub name: String,
    /// Where it lies on this machine. It is not to be written to.
    pub path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("the launch document does not name the input `{reference}`: start the step again through a run")]
    NotNamed { reference: String },
    #[error("the artifact behind `{reference}` has no output `{output}`; it has: {available}")]
    NoOutput { reference: String, output: String, available: String },
    #[error("`{reference}` is a {found}, and a table is needed")]
    NotATable { reference: String, found: &'static str },
}

impl Classed for InputError {
    fn class(&self) -> Class {
        Class::Configuration
    }
}

impl Attempt {
    /// The input that the settings name as `reference`, such as `split.train`.
    pub fn input(&self, reference: &str) -> Result<&Input, StepError> {
        let missing = || InputError::NotNamed { reference: reference.to_owned() };
        Ok(self.launch.inputs.get(reference).ok_or_else(missing)?)
    }

    /// The manifest behind an input, checked against the digest that the launch document names.
    pub async fn manifest(&self, reference: &str) -> Result<Manifest, StepError> {
        let input = self.input(reference)?;
        Ok(self.depot.manifest_with(&input.manifest, input.digest).await?)
    }

    /// The files of an input, each checked against its digest, in the order of their names.
    pub async fn files(&self, reference: &str) -> Result<Vec<InputFile>, StepError> {
        let manifest = self.manifest(reference).await?;
        let input = self.input(reference)?.clone();
        self.files_of(&manifest, &input, reference).await
    }

    async fn files_of(
        &self,
        manifest: &Manifest,
        input: &Input,
        reference: &str,
    ) -> Result<Vec<InputFile>, StepError> {
        if !manifest.identity.outputs.contains_key(&input.output) {
            let available: Vec<_> =
                manifest.identity.outputs.keys().map(|name| format!("`{name}`")).collect();
            let (reference, output) = (reference.to_owned(), input.output.to_string());
            return Err(InputError::NoOutput { reference, output, available: available.join(", ") }.into());
        }
        let folder = format!("{}/", input.output);
        let mut files = Vec::new();
        for entry in manifest.identity.files_of(&input.output) {
            let path = self.depot.fetch(manifest, &input.manifest, entry).await?;
            let name = entry.name.strip_prefix(&folder).unwrap_or(&entry.name).to_owned();
            files.push(InputFile { name, path });
        }
        Ok(files)
    }

    /// How many users and items the step that made an input has counted in it, where it has.
    pub(crate) async fn told_counts(&self, reference: &str) -> Result<(Option<u64>, Option<u64>), StepError> {
        let record = self.manifest(reference).await?.record;
        let output = &self.input(reference)?.output;
        let count = |what: &str| {
            let of_output =
                if *output == OutputName::main() { what.to_owned() } else { format!("{output}_{what}") };
            record.metrics.get(&of_output).map(|value| *value as u64)
        };
        Ok((count("users"), count("items")))
    }

    /// An input as a table.
    pub async fn table(&self, reference: &str) -> Result<Table, StepError> {
        let manifest = self.manifest(reference).await?;
        let input = self.input(reference)?.clone();
        let files = self.files_of(&manifest, &input, reference).await?;
        let output = &manifest.identity.outputs[&input.output];
        if output.form != OutputForm::Table {
            let found = match output.form {
                OutputForm::Model => "model",
                OutputForm::Report => "report",
                _ => "folder of files",
            };
            return Err(InputError::NotATable { reference: reference.to_owned(), found }.into());
        }
        let paths: Vec<PathBuf> = files.into_iter().map(|file| file.path).collect();
        let none: Option<SchemaRef> = None;
        Ok(Table::open(reference, &paths, none)?)
    }
}

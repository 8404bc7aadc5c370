//! A table: Parquet files of one schema, in a fixed order.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

use crate::error::{Error, Result};
use crate::normal::normal_schema;
use crate::scan::Scan;

/// Parquet files of one schema. Their order is the order of the rows.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
    schema: SchemaRef,
    pub(crate) files: Vec<TableFile>,
    rows: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct TableFile {
    pub path: PathBuf,
    pub metadata: ArrowReaderMetadata,
}

impl Table {
    /// Opens local files as one table. `name` stands for it in messages; `schema` is that of a table without files.
    ///
    /// # Errors
    /// A file that is no whole Parquet file, or whose columns differ from the first one's.
    pub fn open(name: &str, paths: &[PathBuf], schema: Option<SchemaRef>) -> Result<Self> {
        let files = paths.iter().map(|path| TableFile::open(path)).collect::<Result<Vec<_>>>()?;
        let schema = match (files.first(), schema) {
            (Some(first), _) => normal_schema(first.metadata.schema()),
            (None, Some(schema)) => schema,
            (None, None) => SchemaRef::new(Schema::empty()),
        };
        let mut table = Self { name: name.to_owned(), schema, files, rows: 0 };
        table.check_schemas()?;
        table.rows = table.files.iter().map(TableFile::rows).sum();
        Ok(table)
    }

    fn check_schemas(&mut self) -> Result<()> {
        for file in &self.files {
            let schema = normal_schema(file.metadata.schema());
            if let Some(difference) = difference(&self.schema, &schema) {
                let place = file.path.display().to_string();
                let first = self.files[0].path.display().to_string();
                return Err(Error::SchemaDiffers { place, first, difference });
            }
        }
        Ok(())
    }

    /// What messages call it, such as `split.train`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns, each in its [normal form](crate::normal).
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn has_column(&self, name: &str) -> bool {
        self.schema.column_with_name(name).is_some()
    }

    /// The type of a column.
    ///
    /// # Errors
    /// [`Error::NoColumn`], with the nearest one.
    pub fn column_type(&self, name: &str) -> Result<&DataType> {
        match self.schema.column_with_name(name) {
            Some((_, field)) => Ok(field.data_type()),
            None => {
                let available = self.schema.fields().iter().map(|field| field.name().as_str());
                Err(Error::no_column(&self.name, name, available))
            }
        }
    }

    /// Reads the named columns, in the order named, of all rows in order; `threads` decode ahead of the reader.
    pub fn scan(&self, columns: &[&str], threads: usize) -> Result<Scan> {
        for column in columns {
            self.column_type(column)?;
        }
        Ok(Scan::start(self, columns, threads))
    }

    /// Reads all columns of all rows in order.
    pub fn scan_all(&self, threads: usize) -> Result<Scan> {
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        self.scan(&columns, threads)
    }
}

impl TableFile {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("opening", path))?;
        let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| {
            Error::Parquet { place: path.display().to_string(), cause: error.to_string() }
        })?;
        Ok(Self { path: path.to_owned(), metadata })
    }

    fn rows(&self) -> u64 {
        self.metadata.metadata().file_metadata().num_rows().max(0) as u64
    }
}

/// What the second schema lacks or has otherwise, in words; the order of columns does not count.
pub(crate) fn difference(first: &Schema, second: &Schema) -> Option<String> {
    for field in first.fields() {
        match second.column_with_name(field.name()) {
            None => return Some(format!("`{}` is missing", field.name())),
            Some((_, other)) if other.data_type() != field.data_type() => {
                return Some(format!(
                    "`{}` is {} there and {} here",
                    field.name(),
                    field.data_type(),
                    other.data_type()
                ));
            }
            Some(_) => {}
        }
    }
    let extra = second.fields().iter().find(|field| first.column_with_name(field.name()).is_none())?;
    Some(format!("`{}` is not there in the first", extra.name()))
}

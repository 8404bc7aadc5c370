//! Writing a table so that its bytes depend on its rows alone.

use std::collections::VecDeque;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::BatchCoalescer;
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use crate::error::{Error, Result};
use crate::scan::BATCH_ROWS;

/// Rows of one row group.
pub const ROW_GROUP_ROWS: usize = 16 * BATCH_ROWS;
/// Rows of one file; a longer table goes on in the next.
pub const FILE_ROWS: u64 = 64 * ROW_GROUP_ROWS as u64;

/// One file that a [`TableWriter`] wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub path: PathBuf,
    pub rows: u64,
}

/// Gives the path of the next file, by its number from 0.
type NextFile = Box<dyn FnMut(usize) -> Result<PathBuf> + Send>;

/// Writes batches as Parquet files of fixed row groups, encoded by several threads.
///
/// The same rows in the same order give the same bytes, however they were cut into batches and whatever the number
/// of threads: batches are cut anew to a fixed size, each row group is encoded by one thread, and the file names
/// neither a program version nor a time.
pub struct TableWriter {
    schema: SchemaRef,
    properties: Arc<WriterProperties>,
    threads: usize,
    next_file: NextFile,
    batches: BatchCoalescer,
    row_group: Vec<RecordBatch>,
    current: Option<OpenFile>,
    written: Vec<Written>,
}

struct OpenFile {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    factory: Arc<ArrowRowGroupWriterFactory>,
    encoding: VecDeque<JoinHandle<Result<Vec<ArrowColumnChunk>, ParquetError>>>,
    row_groups: usize,
    rows: u64,
}

impl TableWriter {
    /// A writer of one table; `next_file` names its files as they are needed. There always is a first one.
    pub fn new(
        schema: SchemaRef,
        threads: usize,
        next_file: impl FnMut(usize) -> Result<PathBuf> + Send + 'static,
    ) -> Self {
        Self {
            batches: BatchCoalescer::new(schema.clone(), BATCH_ROWS),
            properties: properties(&schema),
            schema,
            threads: threads.max(1),
            next_file: Box::new(next_file),
            row_group: Vec::new(),
            current: None,
            written: Vec::new(),
        }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())?;
        self.batches.push_batch(batch)?;
        self.take_completed()
    }

    /// Writes the rows for which `keep` is true.
    pub fn write_where(&mut self, batch: &RecordBatch, keep: &BooleanArray) -> Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())?;
        self.batches.push_batch_with_filter(batch, keep)?;
        self.take_completed()
    }

    /// Writes what is left and gives the files, in order.
    pub fn finish(mut self) -> Result<Vec<Written>> {
        self.batches.finish_buffered_batch()?;
        self.take_completed()?;
        if !self.row_group.is_empty() || self.written.is_empty() && self.current.is_none() {
            self.encode_row_group()?;
        }
        self.close_file()?;
        Ok(self.written)
    }

    fn take_completed(&mut self) -> Result<()> {
        while let Some(batch) = self.batches.next_completed_batch() {
            self.row_group.push(batch);
            if self.row_group.len() * BATCH_ROWS == ROW_GROUP_ROWS {
                self.encode_row_group()?;
            }
        }
        Ok(())
    }

    fn encode_row_group(&mut self) -> Result<()> {
        if self.current.as_ref().is_some_and(|file| file.rows >= FILE_ROWS) {
            self.close_file()?;
        }
        if self.current.is_none() {
            self.current = Some(self.open_file()?);
        }
        let file = self.current.as_mut().expect("it was just opened");
        let batches = std::mem::take(&mut self.row_group);
        if batches.is_empty() {
            return Ok(());
        }
        if file.encoding.len() >= self.threads {
            file.append_first()?;
        }
        file.rows += batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
        let (factory, index) = (file.factory.clone(), file.row_groups);
        file.row_groups += 1;
        file.encoding.push_back(thread::spawn(move || encode(&factory, index, &batches)));
        Ok(())
    }

    fn open_file(&mut self) -> Result<OpenFile> {
        let path = (self.next_file)(self.written.len())?;
        let file = File::create(&path).map_err(Error::io("creating", &path))?;
        let broken = |error: ParquetError| Error::Parquet {
            place: path.display().to_string(),
            cause: error.to_string(),
        };
        let parquet_schema = ArrowSchemaConverter::new().convert(&self.schema).map_err(broken)?;
        let writer =
            SerializedFileWriter::new(file, parquet_schema.root_schema_ptr(), self.properties.clone())
                .map_err(broken)?;
        let factory = Arc::new(ArrowRowGroupWriterFactory::new(&writer, self.schema.clone()));
        Ok(OpenFile { path, writer, factory, encoding: VecDeque::new(), row_groups: 0, rows: 0 })
    }

    fn close_file(&mut self) -> Result<()> {
        let Some(mut file) = self.current.take() else { return Ok(()) };
        while !file.encoding.is_empty() {
            file.append_first()?;
        }
        let OpenFile { path, writer, rows, .. } = file;
        writer.close().map_err(|error| write_error(&path, error))?;
        self.written.push(Written { path, rows });
        Ok(())
    }
}

impl OpenFile {
    /// Waits for the row group that was begun first and puts it into the file.
    fn append_first(&mut self) -> Result<()> {
        let Some(handle) = self.encoding.pop_front() else { return Ok(()) };
        let path = &self.path;
        let chunks = handle.join().map_err(|_| Error::Parquet {
            place: path.display().to_string(),
            cause: "the encoder panicked".to_owned(),
        })?;
        let chunks = chunks.map_err(|error| write_error(path, error))?;
        let mut row_group = self.writer.next_row_group().map_err(|error| write_error(path, error))?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group).map_err(|error| write_error(path, error))?;
        }
        row_group.close().map_err(|error| write_error(path, error))?;
        Ok(())
    }
}

fn encode(
    factory: &ArrowRowGroupWriterFactory,
    index: usize,
    batches: &[RecordBatch],
) -> Result<Vec<ArrowColumnChunk>, ParquetError> {
    let mut writers = factory.create_column_writers(index)?;
    for batch in batches {
        let mut next = writers.iter_mut();
        for (field, array) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, array)? {
                next.next().expect("there is a writer for each leaf").write(&leaf)?;
            }
        }
    }
    writers.into_iter().map(|writer| writer.close()).collect()
}

/// A full disk comes wrapped in a Parquet error; it has to keep its kind.
fn write_error(path: &std::path::Path, error: ParquetError) -> Error {
    if let ParquetError::External(cause) = &error
        && let Some(io) = cause.downcast_ref::<std::io::Error>()
    {
        let cause = std::io::Error::new(io.kind(), io.to_string());
        return Error::Io { doing: "writing", path: path.to_owned(), cause };
    }
    Error::Parquet { place: path.display().to_string(), cause: error.to_string() }
}

/// Numbers and times are packed without a dictionary: looking each value up costs more than the whole of the rest, and
/// saves little where ids hardly repeat within a row group. Text has one.
fn properties(schema: &SchemaRef) -> Arc<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_created_by("noctule".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a zstd level")))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for field in schema.fields() {
        let encoding = match field.data_type() {
            DataType::Timestamp(_, _) | DataType::Int64 => Encoding::DELTA_BINARY_PACKED,
            DataType::Float64 => Encoding::BYTE_STREAM_SPLIT,
            _ => continue,
        };
        let path = ColumnPath::new(vec![field.name().clone()]);
        builder =
            builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
    }
    let mut properties = builder.build();
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    Arc::new(properties)
}

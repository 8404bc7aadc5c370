//! Reading a table in order, decoded ahead by several threads.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{Error, Result};
use crate::normal::normal_batch;
use crate::table::{Table, TableFile};

/// Rows of one batch.
pub(crate) const BATCH_ROWS: usize = 8192;

/// An iterator over a table's batches, in the order of its rows.
///
/// Row groups are decoded by worker threads, as many at a time as there are threads plus one, so the memory held is
/// about that many decoded row groups.
pub struct Scan {
    schema: SchemaRef,
    /// One receiver per row group that is being decoded, in order.
    pending: std::collections::VecDeque<Receiver<Result<RecordBatch>>>,
    waiting: std::vec::IntoIter<RowGroup>,
    jobs: Option<Sender<Job>>,
    ahead: usize,
    failed: bool,
}

#[derive(Clone)]
struct RowGroup {
    file: Arc<TableFile>,
    index: usize,
}

struct Job {
    row_group: RowGroup,
    columns: Arc<SchemaRef>,
    out: Sender<Result<RecordBatch>>,
}

impl Scan {
    pub(crate) fn start(table: &Table, columns: &[&str], threads: usize) -> Self {
        let fields: Vec<_> = columns
            .iter()
            .map(|name| table.schema().field_with_name(name).expect("the table checked its columns").clone())
            .collect();
        let schema = SchemaRef::new(Schema::new(fields));
        let mut row_groups = Vec::new();
        for file in &table.files {
            let file = Arc::new(file.clone());
            let count = file.metadata.metadata().num_row_groups();
            row_groups.extend((0..count).map(|index| RowGroup { file: file.clone(), index }));
        }
        let threads = threads.clamp(1, row_groups.len().max(1));
        let mut scan = Self {
            schema,
            pending: Default::default(),
            waiting: row_groups.into_iter(),
            jobs: Some(start_workers(threads)),
            ahead: threads + 1,
            failed: false,
        };
        scan.hand_out();
        scan
    }

    /// The columns that are read, in order.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn hand_out(&mut self) {
        while self.pending.len() < self.ahead {
            let Some(row_group) = self.waiting.next() else {
                self.jobs = None;
                return;
            };
            let (out, receiver) = channel();
            let job = Job { row_group, columns: Arc::new(self.schema.clone()), out };
            if let Some(jobs) = &self.jobs {
                // A dead worker shows as a row group that ends early, which `next` tells.
                let _ = jobs.send(job);
            }
            self.pending.push_back(receiver);
        }
    }
}

impl Iterator for Scan {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            let front = self.pending.front()?;
            match front.recv() {
                Ok(Ok(batch)) => return Some(Ok(batch)),
                Ok(Err(error)) => {
                    self.failed = true;
                    return Some(Err(error));
                }
                Err(_) => {
                    self.pending.pop_front();
                    self.hand_out();
                }
            }
        }
        None
    }
}

/// Threads that decode row groups until the sender is dropped.
fn start_workers(threads: usize) -> Sender<Job> {
    let (jobs, queue) = channel::<Job>();
    let queue = Arc::new(std::sync::Mutex::new(queue));
    for _ in 0..threads {
        let queue = queue.clone();
        thread::spawn(move || {
            loop {
                let job = queue.lock().expect("no worker panics while it holds the queue").recv();
                let Ok(job) = job else { return };
                run(job);
            }
        });
    }
    jobs
}

/// Decodes one row group into its channel. A reader that went away ends the work.
fn run(job: Job) {
    let place = job.row_group.file.path.display().to_string();
    // A panic in a decoder, on a damaged file, must reach the reader as an error and not as an end of the rows.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| decode(&job, &place)));
    let error = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(_) => Error::Parquet { place, cause: "the decoder gave up on it".to_owned() },
    };
    let _ = job.out.send(Err(error));
}

fn decode(job: &Job, place: &str) -> Result<()> {
    let RowGroup { file, index } = &job.row_group;
    let unreadable =
        |error: &dyn std::fmt::Display| Error::Parquet { place: place.to_owned(), cause: error.to_string() };
    let handle = File::open(&file.path).map_err(Error::io("opening", &file.path))?;
    let columns: &SchemaRef = &job.columns;
    let found = file.metadata.schema();
    // The projection keeps the file's order of columns; the batch is put into the asked one afterwards.
    let wanted: Vec<usize> =
        columns.fields().iter().map(|field| found.index_of(field.name())).collect::<Result<_, _>>()?;
    let mask = ProjectionMask::roots(file.metadata.parquet_schema(), wanted.iter().copied());
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, file.metadata.clone())
        .with_row_groups(vec![*index])
        .with_projection(mask)
        .with_batch_size(BATCH_ROWS)
        .build()
        .map_err(|error| unreadable(&error))?;
    let mut sorted = wanted.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let order: Vec<usize> =
        wanted.iter().map(|column| sorted.binary_search(column).expect("it was just put in")).collect();
    for batch in reader {
        let batch = batch.map_err(|error| unreadable(&error))?;
        let batch = normal_batch(place, columns, &batch.project(&order)?)?;
        if job.out.send(Ok(batch)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

//! The window's cut through the rows of a part, and the same rows cut anew by another window.
//!
//! Which rows of a partition lie in the window depends on the night: rows that arrived late leave it earlier than
//! their partition does, rows with a time ahead of their partition's come into it later. So the rows of a dated
//! partition that lie outside are written beside the part, each with its place among all of the partition's good rows:
//! both files together are the partition whatever the window, and another night's part is made of them without
//! reading the source again.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{filter, filter_record_batch, interleave_record_batch, not};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::scan::Scan;
use crate::source::part::{PartOutcome, numbered};
use crate::source::partition::Partition;
use crate::table::Table;
use crate::write::{TableWriter, Written};

/// A half-open span of time in microseconds since 1970.
pub type Window = (i64, i64);

/// How many rows went where. Times are in microseconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCounts {
    pub read: u64,
    /// Dropped by the condition.
    pub unmatched: u64,
    pub rejected: u64,
    /// Left out because their users were erased.
    #[serde(default, skip_serializing_if = "none")]
    pub erased: u64,
    /// Left out because their time lies before the window, and the latest such time.
    pub before: u64,
    pub before_last: Option<i64>,
    /// Left out because their time lies at or after the window's end, and the earliest such time.
    pub after: u64,
    pub after_first: Option<i64>,
    pub kept: u64,
    /// Kept rows whose time lies before the partition's own span.
    pub late: u64,
    pub first: Option<i64>,
    pub last: Option<i64>,
}

fn none(number: &u64) -> bool {
    *number == 0
}

impl PartCounts {
    /// Takes note of a row's time; whether the row stays.
    fn note(&mut self, time: i64, window: Option<Window>, span: Option<Window>) -> bool {
        if let Some((start, end)) = window {
            if time < start {
                self.before += 1;
                self.before_last = self.before_last.max(Some(time));
                return false;
            }
            if time >= end {
                self.after += 1;
                self.after_first = Some(self.after_first.map_or(time, |first| first.min(time)));
                return false;
            }
        }
        self.late += u64::from(span.is_some_and(|(start, _)| time < start));
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = self.last.max(Some(time));
        true
    }

    /// Whether a part that was cut by one window is what another window would make of it.
    pub fn stands_in(&self, window: Option<Window>) -> bool {
        let Some((start, end)) = window else { return self.before == 0 && self.after == 0 };
        self.first.is_none_or(|first| first >= start)
            && self.last.is_none_or(|last| last < end)
            && self.before_last.is_none_or(|before| before < start)
            && self.after_first.is_none_or(|after| after >= end)
    }

    /// Rows outside of the window.
    pub fn outside(&self) -> u64 {
        self.before + self.after
    }
}

/// Files that rows go to; there are none until there is a row.
pub(crate) struct Sink {
    path: PathBuf,
    threads: usize,
    writer: Option<TableWriter>,
}

impl Sink {
    pub fn new(path: PathBuf, threads: usize) -> Self {
        Self { path, threads, writer: None }
    }

    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let writer = self.writer.get_or_insert_with(|| {
            let path = self.path.clone();
            TableWriter::new(rows.schema(), self.threads, move |number| Ok(numbered(&path, number)))
        });
        writer.write(rows)
    }

    fn finish(self) -> Result<Vec<Written>> {
        Ok(self.writer.map(TableWriter::finish).transpose()?.unwrap_or_default())
    }
}

/// Parts the good rows of a partition into those in the window and those outside.
pub(crate) struct WindowCut {
    pub window: Option<Window>,
    /// The partition's own span.
    pub span: Option<Window>,
    pub main: Sink,
    /// Where the rows outside go; without it they are dropped.
    pub outside: Option<Sink>,
    pub counts: PartCounts,
    places: i64,
}

impl WindowCut {
    pub fn new(window: Option<Window>, span: Option<Window>, main: Sink, outside: Option<Sink>) -> Self {
        Self { window, span, main, outside, counts: PartCounts::default(), places: 0 }
    }

    /// Takes the next good rows.
    pub fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        let first_place = self.places;
        self.places += rows.num_rows() as i64;
        let times = rows.column_by_name("time");
        let Some(times) = times.and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>()) else {
            self.counts.kept += rows.num_rows() as u64;
            return self.main.write(rows);
        };
        let (window, span) = (self.window, self.span);
        let inside: Vec<bool> =
            times.values().iter().map(|time| self.counts.note(*time, window, span)).collect();
        if inside.iter().all(|inside| *inside) {
            self.counts.kept += rows.num_rows() as u64;
            return self.main.write(rows);
        }
        let inside = BooleanArray::from(inside);
        let kept = filter_record_batch(rows, &inside)?;
        self.counts.kept += kept.num_rows() as u64;
        self.main.write(&kept)?;
        let Some(outside) = &mut self.outside else { return Ok(()) };
        let places = Int64Array::from_iter_values(first_place..self.places);
        outside.write(&with_places(rows, &places, &not(&inside)?)?)
    }

    /// The counts of the cut, and the files inside and outside.
    pub fn finish(self) -> Result<(PartCounts, Vec<Written>, Vec<Written>)> {
        let outside = self.outside.map(Sink::finish).transpose()?.unwrap_or_default();
        Ok((self.counts, self.main.finish()?, outside))
    }
}

fn with_places(rows: &RecordBatch, places: &Int64Array, which: &BooleanArray) -> Result<RecordBatch> {
    let mut columns = filter_record_batch(rows, which)?.columns().to_vec();
    columns.push(filter(places, which)?);
    Ok(RecordBatch::try_new(outside_schema(rows.schema_ref()), columns)?)
}

/// The columns of rows outside: those of the part, and as the last one each row's place among the partition's.
pub fn outside_schema(part: &SchemaRef) -> SchemaRef {
    let mut fields: Vec<Field> = part.fields().iter().map(|field| field.as_ref().clone()).collect();
    let mut name = "place".to_owned();
    while part.column_with_name(&name).is_some() {
        name.push('_');
    }
    fields.push(Field::new(name, DataType::Int64, false));
    Arc::new(Schema::new(fields))
}

/// A part of an earlier night, to be cut by tonight's window.
pub struct Recut<'a> {
    /// What the part had, inside and outside of its window.
    pub inside: &'a [PathBuf],
    pub outside: &'a [PathBuf],
    pub counts: PartCounts,
    pub partition: Partition,
    pub window: Window,
    pub zone: TimeZone,
    /// The files to write; none is made without a row.
    pub main: PathBuf,
    pub left_out: PathBuf,
    pub threads: usize,
}

/// Makes of an earlier part what reading its partition again would: the same rows in the same order, and so the same
/// bytes. What was rejected does not depend on the window, and is not among the outcome's files.
///
/// # Errors
/// A file of the part cannot be read.
pub fn recut(request: Recut<'_>) -> Result<PartOutcome> {
    let inside = Table::open("an earlier part", request.inside, None)?;
    let outside = Table::open("the rows outside of an earlier part", request.outside, None)?;
    let span = request.partition.span(&request.zone);
    let mut cut = WindowCut::new(
        Some(request.window),
        span.map(|(start, end)| (start.as_microsecond(), end.as_microsecond())),
        Sink::new(request.main, request.threads),
        Some(Sink::new(request.left_out, request.threads)),
    );
    let mut inside = Side::inside(inside.scan_all(request.threads)?);
    let mut outside = Side::outside(outside.scan_all(1)?);
    let mut schema = None;
    while let Some(rows) = merge(&mut inside, &mut outside, cut.places)? {
        schema = Some(rows.schema());
        cut.take(&rows)?;
    }
    let (counts, main, left_out) = cut.finish()?;
    let PartCounts { read, unmatched, rejected, erased, .. } = request.counts;
    Ok(PartOutcome {
        counts: PartCounts { read, unmatched, rejected, erased, ..counts },
        schema,
        main,
        outside: left_out,
        rejected: Vec::new(),
        examples: Vec::new(),
    })
}

/// The rows of one of a part's two tables, as far as they are not merged yet.
struct Side {
    scan: Scan,
    placed: bool,
    batch: Option<RecordBatch>,
    places: Option<Int64Array>,
    next: usize,
}

impl Side {
    fn inside(scan: Scan) -> Self {
        Self { scan, placed: false, batch: None, places: None, next: 0 }
    }

    fn outside(scan: Scan) -> Self {
        Self { scan, placed: true, batch: None, places: None, next: 0 }
    }

    /// The batch with the next row; `None` when there is no row left.
    fn load(&mut self) -> Result<Option<RecordBatch>> {
        while self.batch.as_ref().is_none_or(|batch| self.next == batch.num_rows()) {
            let Some(batch) = self.scan.next().transpose()? else { return Ok(None) };
            self.next = 0;
            self.batch = Some(match self.placed {
                false => batch,
                true => {
                    let last = batch.num_columns() - 1;
                    self.places = Some(batch.column(last).as_primitive::<Int64Type>().clone());
                    let columns: Vec<ArrayRef> = batch.columns()[..last].to_vec();
                    let fields = batch.schema_ref().fields()[..last].to_vec();
                    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?
                }
            });
        }
        Ok(self.batch.clone())
    }

    fn place(&self) -> Option<i64> {
        self.places.as_ref().filter(|places| self.next < places.len()).map(|places| places.value(self.next))
    }
}

/// The next rows of both sides in the order of their places, the first of which is `place`.
fn merge(inside: &mut Side, outside: &mut Side, mut place: i64) -> Result<Option<RecordBatch>> {
    let (own, other) = (inside.load()?, outside.load()?);
    let batches: Vec<&RecordBatch> = own.iter().chain(&other).collect();
    if batches.is_empty() {
        return Ok(None);
    }
    let is_left = |side: &Side, batch: &Option<RecordBatch>| {
        batch.as_ref().is_none_or(|batch| side.next < batch.num_rows())
    };
    let mut picks = Vec::new();
    // Until either batch ends: what stands in the one after it is not known yet.
    while is_left(inside, &own) && is_left(outside, &other) {
        let from_outside = own.is_none() || outside.place() == Some(place);
        let side = if from_outside { &mut *outside } else { &mut *inside };
        picks.push((usize::from(from_outside && own.is_some()), side.next));
        side.next += 1;
        place += 1;
    }
    Ok(Some(interleave_record_batch(&batches, &picks)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{StringArray, TimestampMicrosecondArray};
    use proptest::prelude::*;
    use std::path::Path;

    /// Rows of a partition in no order of time, in batches of odd sizes; more than the writer's batches hold.
    fn partition(times: &[i64]) -> Vec<RecordBatch> {
        let batch = |(number, times): (usize, &[i64])| {
            let names = (0..times.len()).map(|row| (row % 7 != 3).then(|| format!("row {number}-{row}")));
            let columns: Vec<(&str, ArrayRef, bool)> = vec![
                ("place", Arc::new(StringArray::from_iter(names)), true),
                (
                    "time",
                    Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC")),
                    false,
                ),
            ];
            RecordBatch::try_from_iter_with_nullable(columns).unwrap()
        };
        times.chunks(977).enumerate().map(batch).collect()
    }

    fn cut(folder: &Path, name: &str, rows: &[RecordBatch], window: Window) -> PartOutcome {
        let sink = |side: &str| Sink::new(folder.join(format!("{name}-{side}.parquet")), 1);
        let mut cut = WindowCut::new(Some(window), Some((0, 100)), sink("in"), Some(sink("out")));
        rows.iter().for_each(|rows| cut.take(rows).unwrap());
        let (counts, main, outside) = cut.finish().unwrap();
        PartOutcome { counts, schema: None, main, outside, rejected: Vec::new(), examples: Vec::new() }
    }

    fn again(folder: &Path, name: &str, earlier: &PartOutcome, window: Window) -> PartOutcome {
        let paths = |written: &[Written]| written.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        recut(Recut {
            inside: &paths(&earlier.main),
            outside: &paths(&earlier.outside),
            counts: earlier.counts.clone(),
            // Its span begins at 0, as in `cut`.
            partition: Partition::of_key("date=1970-01-01"),
            window,
            zone: TimeZone::UTC,
            main: folder.join(format!("{name}-in.parquet")),
            left_out: folder.join(format!("{name}-out.parquet")),
            threads: 2,
        })
        .unwrap()
    }

    fn bytes(written: &[Written]) -> Vec<(u64, Vec<u8>)> {
        written.iter().map(|file| (file.rows, std::fs::read(&file.path).unwrap())).collect()
    }

    fn window() -> impl Strategy<Value = Window> {
        (-60i64..160, 0i64..120).prop_map(|(start, length)| (start, start + length))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn cut_anew_is_as_if_read_again(
            few in prop::collection::vec(-50i64..150, 0..50),
            repeated in prop::sample::select(vec![1, 400]),
            windows in prop::collection::vec(window(), 1..4),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let times: Vec<i64> = (0..repeated).flat_map(|_| few.iter().copied()).collect();
            let rows = partition(&times);
            let mut part = cut(folder.path(), "first", &rows, windows[0]);
            for (number, window) in windows.into_iter().enumerate() {
                let (direct, next) = (format!("direct-{number}"), format!("again-{number}"));
                let direct = cut(folder.path(), &direct, &rows, window);
                part = again(folder.path(), &next, &part, window);
                prop_assert_eq!(&part.counts, &direct.counts);
                prop_assert_eq!(part.counts.kept + part.counts.outside(), times.len() as u64);
                prop_assert!(part.counts.stands_in(Some(window)));
                prop_assert_eq!(bytes(&part.main), bytes(&direct.main));
                prop_assert_eq!(bytes(&part.outside), bytes(&direct.outside));
            }
        }
    }
}

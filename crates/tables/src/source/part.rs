//! The objects of one partition, as rows of the columns that are asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use jiff::tz::TimeZone;

use crate::error::{Error, Result};
use crate::source::columns::ColumnWish;
use crate::source::convert::{Failure, Setting, convert};
use crate::source::erased::Erased;
use crate::source::fetch::{Content, Fetched};
use crate::source::partition::Partition;
use crate::source::rejects::{Reject, batch as rejects_batch, rejects_schema};
use crate::source::sql::{Condition, Ready};
use crate::source::textual::Textual;
use crate::source::typed::{Typed, names};
use crate::source::window::{PartCounts, Sink, Window, WindowCut};
use crate::source::{Format, Writing};
use crate::write::{TableWriter, Written};

/// Rejected rows that are kept for the message, beside the output of all of them.
const SHOWN: usize = 5;

/// What to read, and how.
pub struct PartRequest<'a> {
    pub objects: &'a [Fetched],
    pub partition: Partition,
    pub writing: &'a Writing,
    /// The columns to make; none means all of the source's own.
    pub wishes: Vec<ColumnWish>,
    pub condition: Option<&'a Condition>,
    /// Rows with a `time` outside this half-open span, in microseconds, are dropped and counted.
    pub window: Option<Window>,
    /// Users whose rows are left out.
    pub erased: Option<&'a Erased>,
    /// The zone of civil times.
    pub zone: TimeZone,
    /// The file to write; it is not made when no row is kept.
    pub main: PathBuf,
    /// The file for rows outside of the window, if they are wanted; it is not made when there are none.
    pub outside: Option<PathBuf>,
    /// The file for rejected rows; it is not made when there are none.
    pub rejected: PathBuf,
    pub threads: usize,
}

/// What came of a part.
#[derive(Debug, Default)]
pub struct PartOutcome {
    pub counts: PartCounts,
    /// The columns; unknown when there was no row at all to tell them by.
    pub schema: Option<SchemaRef>,
    pub main: Vec<Written>,
    /// Rows outside of the window, as [`outside_schema`](super::outside_schema) has them.
    pub outside: Vec<Written>,
    pub rejected: Vec<Written>,
    /// The first rejected rows.
    pub examples: Vec<Reject>,
}

/// Some rows of a source: its own columns, and where each row stands.
pub(crate) struct View {
    pub batch: RecordBatch,
    pub places: Vec<u64>,
    /// Values that could not be read, in the order of rows.
    pub failures: Vec<Failure>,
}

impl View {
    pub fn new(columns: Vec<(String, ArrayRef)>, places: Vec<u64>, failures: Vec<Failure>) -> Result<Self> {
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(places.len()));
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
        Ok(Self { batch, places, failures })
    }
}

/// Reads the objects of one partition and writes its part. The rows keep the order of the objects and of the rows in
/// them.
pub fn read_part(request: PartRequest<'_>) -> Result<PartOutcome> {
    let mut part = Part::new(&request);
    for fetched in request.objects {
        part.object(fetched)?;
        fetched.still_the_same()?;
    }
    part.finish()
}

struct Part<'a> {
    request: &'a PartRequest<'a>,
    wishes: Vec<ColumnWish>,
    ready: Option<(SchemaRef, Ready)>,
    counts: PartCounts,
    cut: WindowCut,
    schema: Option<SchemaRef>,
    rejects: Vec<Reject>,
    reject_writer: Option<TableWriter>,
    examples: Vec<Reject>,
}

impl<'a> Part<'a> {
    fn new(request: &'a PartRequest<'a>) -> Self {
        let span = request.partition.span(&request.zone);
        let span = span.map(|(start, end)| (start.as_microsecond(), end.as_microsecond()));
        let sink = |path: &PathBuf| Sink::new(path.clone(), request.threads);
        Self {
            request,
            wishes: request.wishes.clone(),
            ready: None,
            counts: PartCounts::default(),
            cut: WindowCut::new(
                request.window,
                span,
                sink(&request.main),
                request.outside.as_ref().map(sink),
            ),
            schema: None,
            rejects: Vec::new(),
            reject_writer: None,
            examples: Vec::new(),
        }
    }

    fn object(&mut self, fetched: &Fetched) -> Result<()> {
        let object = fetched.object().url.clone();
        let typed = match fetched.content() {
            Content::Demo { .. } => true,
            Content::File(_) => self.request.writing.format_of(&object)? == Format::Parquet,
        };
        if typed {
            let mut wanted = Vec::new();
            let mut reader = Typed::open(fetched, |schema| {
                wanted = self.wanted(&object, &names(schema), &[])?;
                Ok(wanted.clone())
            })?;
            while let Some(view) = reader.next(self.request, &object)? {
                self.view(&object, &wanted, view)?;
            }
        } else {
            let mut reader = Textual::open(fetched, self.request)?;
            let wanted = self.wanted(&object, reader.names(), reader.inside())?;
            reader.want(&wanted, &self.wishes);
            while let Some(view) = reader.next(&mut self.rejects)? {
                self.view(&object, &wanted, view)?;
            }
        }
        Ok(())
    }

    /// The source's columns that are needed, of those it has. Folders of the path stand for columns too, and in JSON
    /// `inside` are those within others, such as `user.id`.
    fn wanted(&mut self, object: &str, own: &[String], inside: &[String]) -> Result<Vec<String>> {
        if self.wishes.is_empty() {
            self.wishes = own.iter().map(|name| ColumnWish::same(name)).collect();
        }
        let mut all = own.to_vec();
        all.extend(self.request.partition.columns().map(|(name, _)| name.to_owned()));
        all.extend_from_slice(inside);
        // An object without any row has no columns either, and nothing to want of it.
        if own.is_empty() {
            return Ok(Vec::new());
        }
        let mut wanted = Vec::new();
        for wish in &self.wishes {
            if !all.contains(&wish.from) {
                return Err(Error::no_column(object, &wish.from, all.iter().map(String::as_str)));
            }
            wanted.push(wish.from.clone());
        }
        if let Some(condition) = self.request.condition {
            wanted.extend(condition.columns(&all)?);
        }
        wanted.sort();
        wanted.dedup();
        Ok(wanted)
    }

    fn view(&mut self, object: &str, wanted: &[String], view: View) -> Result<()> {
        let first = self.counts.read == 0;
        let rows = view.places.len();
        self.counts.read += (rows + self.take_malformed()) as u64;
        let view = self.with_folders(wanted, view)?;
        let matched = self.matched(&view.batch)?;
        let mut fate = Fate::new(rows);
        for failure in &view.failures {
            fate.blame(failure);
        }
        fate.drop_unmatched(matched.as_ref());
        self.counts.unmatched += fate.unmatched();
        let columns = self.convert(object, &view.batch, first, &mut fate)?;
        self.reject(object, &view.places, &fate)?;
        let good = self.good(columns, fate)?;
        self.cut.take(&good)
    }

    /// Lines that were no records count as read, too.
    fn take_malformed(&mut self) -> usize {
        let malformed = self.rejects.len();
        self.counts.rejected += malformed as u64;
        malformed
    }

    /// Adds the columns that the partition's folders stand for.
    fn with_folders(&self, wanted: &[String], view: View) -> Result<View> {
        let mut columns: Vec<(String, ArrayRef)> = view
            .batch
            .schema_ref()
            .fields()
            .iter()
            .zip(view.batch.columns())
            .map(|(field, array)| (field.name().clone(), array.clone()))
            .collect();
        for (name, value) in self.request.partition.columns() {
            if wanted.iter().any(|wanted| wanted == name) && !columns.iter().any(|(other, _)| other == name) {
                let array = StringArray::from_iter_values(std::iter::repeat_n(value, view.places.len()));
                columns.push((name.to_owned(), Arc::new(array)));
            }
        }
        View::new(columns, view.places, view.failures)
    }

    fn matched(&mut self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let Some(condition) = self.request.condition else { return Ok(None) };
        let schema = batch.schema();
        if self.ready.as_ref().is_none_or(|(known, _)| *known != schema) {
            self.ready = Some((schema.clone(), condition.ready(&schema)?));
        }
        let (_, ready) = self.ready.as_ref().expect("it was just made");
        ready.evaluate(batch).map(Some)
    }

    fn convert(
        &self,
        object: &str,
        batch: &RecordBatch,
        first: bool,
        fate: &mut Fate,
    ) -> Result<Vec<(String, ArrayRef)>> {
        let setting = Setting { object, zone: &self.request.zone, first };
        let mut failures = Vec::new();
        let mut columns = Vec::with_capacity(self.wishes.len());
        for wish in &self.wishes {
            let array = batch.column_by_name(&wish.from).ok_or_else(|| {
                let schema = batch.schema_ref();
                Error::no_column(
                    object,
                    &wish.from,
                    schema.fields().iter().map(|field| field.name().as_str()),
                )
            })?;
            let array = convert(wish, array, &setting, &mut failures)?;
            failures.drain(..).for_each(|failure| fate.blame(&failure));
            if wish.required() && array.null_count() > 0 {
                for row in (0..array.len()).filter(|row| array.is_null(*row)) {
                    let reason = format!("has no {}", wish.name);
                    fate.blame(&Failure { row, column: wish.from.clone(), reason, found: None });
                }
            }
            columns.push((wish.name.clone(), array));
        }
        Ok(columns)
    }

    /// Keeps aside the rows that somebody is to blame for, unless the condition has dropped them.
    fn reject(&mut self, object: &str, places: &[u64], fate: &Fate) -> Result<()> {
        for (row, blame) in fate.rejected() {
            self.rejects.push(Reject {
                object: object.to_owned(),
                place: places[row],
                column: Some(blame.column.clone()),
                reason: blame.reason.clone(),
                found: blame.found.as_deref().map(Reject::shorten),
            });
            self.counts.rejected += 1;
        }
        self.flush_rejects()
    }

    fn flush_rejects(&mut self) -> Result<()> {
        if self.rejects.is_empty() {
            return Ok(());
        }
        // Lines that were no records were met first; within an object rows come in order.
        self.rejects.sort_by(|a, b| (&a.object, a.place).cmp(&(&b.object, b.place)));
        let room = SHOWN.saturating_sub(self.examples.len());
        self.examples.extend(self.rejects.iter().take(room).cloned());
        let writer = self.reject_writer.get_or_insert_with(|| {
            let path = self.request.rejected.clone();
            TableWriter::new(rejects_schema(), 1, move |number| Ok(numbered(&path, number)))
        });
        writer.write(&rejects_batch(&self.rejects)?)?;
        self.rejects.clear();
        Ok(())
    }

    /// The rows that nobody is to blame for, that the condition has not dropped, and whose users are not erased.
    fn good(&mut self, columns: Vec<(String, ArrayRef)>, fate: Fate) -> Result<RecordBatch> {
        let mut good = fate.good();
        if let Some(erased) = self.request.erased {
            self.counts.erased += erased.drop_rows(&columns, &mut good)?;
        }
        let schema = self.schema_of(&columns)?;
        let arrays = columns.into_iter().map(|(_, array)| array).collect::<Vec<_>>();
        let options = RecordBatchOptions::new().with_row_count(Some(good.len()));
        let nullable = RecordBatch::try_new_with_options(lenient(&schema), arrays, &options)?;
        let good = filter_record_batch(&nullable, &BooleanArray::from(good))?;
        let options = RecordBatchOptions::new().with_row_count(Some(good.num_rows()));
        Ok(RecordBatch::try_new_with_options(schema, good.columns().to_vec(), &options)?)
    }

    /// The schema of the output; that of the first rows is that of all.
    fn schema_of(&mut self, columns: &[(String, ArrayRef)]) -> Result<SchemaRef> {
        let fields: Vec<Field> = columns
            .iter()
            .zip(&self.wishes)
            .map(|((name, array), wish)| Field::new(name, array.data_type().clone(), !wish.required()))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        match &self.schema {
            Some(known) => match crate::table::difference(known, &schema) {
                None => Ok(known.clone()),
                Some(difference) => {
                    let place =
                        self.request.objects.last().map_or_else(String::new, |o| o.object().url.clone());
                    let first =
                        self.request.objects.first().map_or_else(String::new, |o| o.object().url.clone());
                    Err(Error::SchemaDiffers { place, first, difference })
                }
            },
            None => {
                self.schema = Some(schema.clone());
                Ok(schema)
            }
        }
    }

    fn finish(mut self) -> Result<PartOutcome> {
        self.counts.read += self.take_malformed() as u64;
        self.flush_rejects()?;
        let PartCounts { read, unmatched, rejected, erased, .. } = self.counts;
        let (counts, main, outside) = self.cut.finish()?;
        Ok(PartOutcome {
            counts: PartCounts { read, unmatched, rejected, erased, ..counts },
            schema: self.schema,
            main,
            outside,
            rejected: self.reject_writer.map(TableWriter::finish).transpose()?.unwrap_or_default(),
            examples: self.examples,
        })
    }
}

/// What becomes of each row of a batch.
struct Fate {
    matched: Vec<bool>,
    /// Who is to blame for a row that cannot be used.
    blames: BTreeMap<usize, Failure>,
}

impl Fate {
    fn new(rows: usize) -> Self {
        Self { matched: vec![true; rows], blames: BTreeMap::new() }
    }

    /// The first one to blame stands.
    fn blame(&mut self, failure: &Failure) {
        self.blames.entry(failure.row).or_insert_with(|| failure.clone());
    }

    /// A row that the condition cannot judge is dropped, unless that is because a value of it could not be read.
    fn drop_unmatched(&mut self, matched: Option<&BooleanArray>) {
        let Some(matched) = matched else { return };
        for row in 0..matched.len() {
            self.matched[row] = match matched.is_null(row) {
                true => self.blames.contains_key(&row),
                false => matched.value(row),
            };
        }
    }

    fn unmatched(&self) -> u64 {
        self.matched.iter().filter(|matched| !**matched).count() as u64
    }

    fn rejected(&self) -> impl Iterator<Item = (usize, &Failure)> {
        self.blames.iter().filter(|(row, _)| self.matched[**row]).map(|(row, blame)| (*row, blame))
    }

    fn good(mut self) -> Vec<bool> {
        self.blames.keys().for_each(|row| self.matched[*row] = false);
        self.matched
    }
}

/// The schema with room for nulls, before the rows that have them are gone.
fn lenient(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

/// The path of a part's further files.
pub(crate) fn numbered(path: &std::path::Path, number: usize) -> PathBuf {
    match number {
        0 => path.to_owned(),
        _ => path.with_extension(format!("{number}.parquet")),
    }
}

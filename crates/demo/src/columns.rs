//! Rows of the event log gathered into Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};

use crate::fault::Malformed;
use crate::feed::Signal;
use crate::schema::events_schema;

#[derive(Clone, Copy)]
pub(crate) struct LogRow {
    pub event_id: i64,
    pub user_id: i64,
    pub item_id: Option<i64>,
    /// Microseconds since 1970-01-01 UTC.
    pub ts: Option<i64>,
    pub signal: Signal,
    pub watch: Option<Watch>,
}

#[derive(Clone, Copy)]
pub(crate) struct Watch {
    pub seconds: f64,
    pub duration: f64,
    pub share: f64,
}

impl Watch {
    /// From tenths of a second; the share is rounded to four places.
    pub fn new(watched_ds: u16, duration_ds: u16) -> Watch {
        let (watched, duration) = (u32::from(watched_ds), u32::from(duration_ds));
        let share = (watched * 20_000 / duration).div_ceil(2);
        Watch {
            seconds: f64::from(watched) / 10.0,
            duration: f64::from(duration) / 10.0,
            share: f64::from(share) / 10_000.0,
        }
    }
}

impl LogRow {
    pub fn spoil(&mut self, what: Malformed) {
        match (what, &mut self.watch) {
            (Malformed::NullItem, _) => self.item_id = None,
            (Malformed::NullTime, _) => self.ts = None,
            (Malformed::NegativeWatch, Some(watch)) => {
                watch.seconds = -watch.seconds;
                watch.share = -watch.share;
            }
            (Malformed::NanShare, Some(watch)) => watch.share = f64::NAN,
            (Malformed::NegativeWatch | Malformed::NanShare, None) => {
                unreachable!("only watch rows are spoilt")
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct Columns {
    rows: Vec<LogRow>,
    taken: usize,
}

impl Columns {
    pub fn push(&mut self, row: &LogRow) {
        self.rows.push(*row);
    }

    pub fn len(&self) -> usize {
        self.rows.len() - self.taken
    }

    /// The next `most` rows, or what is left; `None` when there are none.
    pub fn take_batch(&mut self, most: usize) -> Option<RecordBatch> {
        let rows = &self.rows[self.taken..];
        let rows = &rows[..rows.len().min(most)];
        if rows.is_empty() {
            return None;
        }
        let batch = batch_of(rows);
        self.taken += rows.len();
        self.rows.drain(..self.taken);
        self.taken = 0;
        Some(batch)
    }
}

fn batch_of(rows: &[LogRow]) -> RecordBatch {
    let n = rows.len();
    let mut event_id = Int64Builder::with_capacity(n);
    let mut user_id = Int64Builder::with_capacity(n);
    let mut item_id = Int64Builder::with_capacity(n);
    let mut ts = TimestampMicrosecondBuilder::with_capacity(n).with_timezone("UTC");
    let mut event = StringBuilder::with_capacity(n, n * 8);
    let mut seconds = Float64Builder::with_capacity(n);
    let mut duration = Float64Builder::with_capacity(n);
    let mut share = Float64Builder::with_capacity(n);
    for row in rows {
        event_id.append_value(row.event_id);
        user_id.append_value(row.user_id);
        item_id.append_option(row.item_id);
        ts.append_option(row.ts);
        event.append_value(row.signal.word());
        seconds.append_option(row.watch.map(|watch| watch.seconds));
        duration.append_option(row.watch.map(|watch| watch.duration));
        share.append_option(row.watch.map(|watch| watch.share));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(event_id.finish()),
        Arc::new(user_id.finish()),
        Arc::new(item_id.finish()),
        Arc::new(ts.finish()),
        Arc::new(event.finish()),
        Arc::new(seconds.finish()),
        Arc::new(duration.finish()),
        Arc::new(share.finish()),
    ];
    RecordBatch::try_new(events_schema(), columns).expect("the columns are the schema's")
}

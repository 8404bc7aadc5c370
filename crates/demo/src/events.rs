//! One day's partition of the event log, batch by batch.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::FusedIterator;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::catalogue::DayCatalogue;
use crate::columns::{Columns, LogRow, Watch};
use crate::draw::{Draw, Purpose};
use crate::fault::{Fault, Malformed};
use crate::feed::{Row, Signal, play};
use crate::population::{Day, MICROS_PER_DAY};
use crate::tally::BotTally;
use crate::visit::{Plan, SECONDS_PER_DAY};
use crate::world::World;

/// Rows of a batch, but for a day's last.
pub(crate) const BATCH_ROWS: usize = 65_536;
/// Rows that are made and sorted at one time, about.
const SLICE_ROWS: u64 = 16_384;

/// The event log of one day: an iterator of batches of 65,536 rows (the last has fewer), in
/// order of time but for planted faults.
///
/// Memory is bounded by the day's live items (some 60 bytes each), its visitors (60 bytes)
/// and visits (20 bytes), and two batches; not by the number of rows.
pub struct Events {
    world: Arc<World>,
    day: Day,
    catalogue: DayCatalogue,
    plan: Plan,
    next_visit: usize,
    slice: u32,
    slices: u32,
    /// Rows made but not yet due, since a later visit may still come before them.
    waiting: Vec<Row>,
    delayed: Delayed,
    columns: Columns,
    rows_logged: i64,
    /// Time within the day of the latest row written in order.
    latest: u64,
    rates: Rates,
    faults: Vec<Fault>,
    malformed: usize,
    bots: BotTally,
}

/// Probability of each planted fault; of `malformed`, per row that is watched at least half.
struct Rates {
    duplicate: f64,
    out_of_order: f64,
    late: f64,
    future: f64,
    malformed: f64,
}

impl Rates {
    /// A small log has more faults in proportion, so that it has some of each.
    fn new(world: &World) -> Rates {
        let rows = world.settings.events as f64;
        Rates {
            duplicate: f64::max(0.004, 5.0 / rows),
            out_of_order: f64::max(0.001, 5.0 / rows),
            late: f64::max(0.000_5, 5.0 / rows),
            future: f64::max(0.000_3, 5.0 / rows),
            malformed: f64::max(0.000_8, 100.0 / rows),
        }
    }
}

impl Events {
    pub(crate) fn new(world: Arc<World>, day: Day) -> Events {
        let slices = (world.settings.events / SLICE_ROWS).clamp(1, 1_440) as u32;
        Events {
            catalogue: DayCatalogue::new(&world, day),
            plan: Plan::new(&world, day),
            rates: Rates::new(&world),
            world,
            day,
            next_visit: 0,
            slice: 0,
            slices,
            waiting: Vec::new(),
            delayed: Delayed::default(),
            columns: Columns::default(),
            rows_logged: 0,
            latest: 0,
            faults: Vec::new(),
            malformed: 0,
            bots: BotTally::default(),
        }
    }

    /// The faults planted in the batches that were taken so far, in the order of their rows;
    /// bots are told when the last batch was taken.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    fn run_slice(&mut self) {
        let mut draw = Draw::new(self.world.seed(), Purpose::Events, self.day, i64::from(self.slice));
        self.slice += 1;
        let end = (u64::from(SECONDS_PER_DAY) * u64::from(self.slice) / u64::from(self.slices)) as u32;
        while let Some(visit) = self.plan.visits.get(self.next_visit) {
            if visit.start >= end {
                break;
            }
            play(visit, &self.plan.visitors, &self.catalogue, &mut draw, &mut self.waiting);
            self.next_visit += 1;
        }
        for row in take_due(&mut self.waiting, u64::from(end) * 1_000_000) {
            self.write(row, &mut draw);
        }
        if self.slice == self.slices {
            self.finish();
        }
    }

    /// Writes `row`, with the faults that it draws, and then what was held back until it.
    fn write(&mut self, row: Row, draw: &mut Draw) {
        self.rows_logged += 1;
        let event_id = (self.day << 32) + self.rows_logged;
        let mut log_row = self.log_row(&row, event_id);
        if row.is_bot {
            self.bots.count(log_row.user_id, row.at);
        } else if self.plant(&row, &mut log_row, draw) {
            return;
        }
        self.columns.push(&log_row);
        self.latest = row.at;
        while let Some(held) = self.delayed.pop_due(row.at) {
            self.write_held(held);
        }
    }

    fn log_row(&self, row: &Row, event_id: i64) -> LogRow {
        let item = self.catalogue.item(row.item);
        LogRow {
            event_id,
            user_id: self.plan.visitors[row.visitor as usize].user_id,
            item_id: Some(item.item_id),
            ts: Some(self.day * MICROS_PER_DAY + row.at as i64),
            signal: row.signal,
            watch: (row.signal == Signal::Watch).then(|| Watch::new(row.watched_ds, item.duration_ds)),
        }
    }

    /// Draws whether `row` carries a fault, and which; true when it is held back.
    fn plant(&mut self, row: &Row, log_row: &mut LogRow, draw: &mut Draw) -> bool {
        let event_id = log_row.event_id;
        let mut place = draw.unit();
        let mut falls_in = |share: f64| {
            place -= share;
            place < 0.0
        };
        if falls_in(self.rates.duplicate) {
            let times = if draw.chance(0.1) { 3 } else { 2 };
            for _ in 1..times {
                let until = row.at + (draw.between(1.0, 600.0) * 1e6) as u64;
                self.delayed.hold(until, *log_row, None);
            }
            self.faults.push(Fault::Duplicate { event_id, times });
        } else if falls_in(self.rates.out_of_order) {
            let until = row.at + (draw.between(300.0, 3_600.0) * 1e6) as u64;
            self.delayed.hold(until, *log_row, Some(row.at));
            return true;
        } else if falls_in(self.rates.late) {
            let before = (draw.between(1.0, 6.0 * 3_600.0) * 1e6) as i64;
            log_row.ts = Some(self.day * MICROS_PER_DAY - before);
            self.faults.push(Fault::Late { event_id });
        } else if falls_in(self.rates.future) {
            let days = if draw.chance(0.5) { draw.between(0.05, 2.0) } else { draw.between(2.0, 3_650.0) };
            let after = (days * MICROS_PER_DAY as f64) as i64;
            log_row.ts = Some((self.day + 1) * MICROS_PER_DAY + after);
            self.faults.push(Fault::Future { event_id });
        } else if log_row.watch.is_some_and(|watch| watch.share >= 0.5) && falls_in(self.rates.malformed) {
            // In turn, so that a small log has each kind.
            let what = Malformed::ALL[self.malformed % Malformed::ALL.len()];
            self.malformed += 1;
            log_row.spoil(what);
            self.faults.push(Fault::Malformed { event_id, what });
        }
        false
    }

    fn write_held(&mut self, held: Held) {
        // At the end of a thin day nothing may have happened since.
        if held.out_of_order_at.is_some_and(|at| at < self.latest) {
            let event_id = held.row.event_id;
            self.faults.push(Fault::OutOfOrder { event_id });
        }
        self.columns.push(&held.row);
    }

    fn finish(&mut self) {
        while let Some(held) = self.delayed.pop_due(u64::MAX) {
            self.write_held(held);
        }
        self.faults.extend(self.bots.faults());
    }
}

impl Iterator for Events {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        while self.columns.len() < BATCH_ROWS && self.slice < self.slices {
            self.run_slice();
        }
        self.columns.take_batch(BATCH_ROWS)
    }
}

impl FusedIterator for Events {}

/// Takes the rows that happened before `end` out of `waiting`, in order of time.
fn take_due(waiting: &mut Vec<Row>, end: u64) -> Vec<Row> {
    // A day has fewer than 2^37 microseconds, a slice fewer than 2^27 rows.
    let mut order: Vec<u64> = waiting
        .iter()
        .enumerate()
        .filter(|(_, row)| row.at < end)
        .map(|(index, row)| row.at << 27 | index as u64)
        .collect();
    order.sort_unstable();
    let due = order.iter().map(|key| waiting[(key & ((1 << 27) - 1)) as usize]).collect();
    waiting.retain(|row| row.at >= end);
    due
}

/// Rows that are written later than they happened.
#[derive(Default)]
struct Delayed {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    rows: std::collections::BTreeMap<u64, Held>,
    held: u64,
}

struct Held {
    row: LogRow,
    /// When the row happened, if being late in the file is its fault.
    out_of_order_at: Option<u64>,
}

impl Delayed {
    fn hold(&mut self, until: u64, row: LogRow, out_of_order_at: Option<u64>) {
        self.held += 1;
        self.heap.push(Reverse((until, self.held)));
        self.rows.insert(self.held, Held { row, out_of_order_at });
    }

    fn pop_due(&mut self, now: u64) -> Option<Held> {
        let Reverse((until, number)) = *self.heap.peek()?;
        if until > now {
            return None;
        }
        self.heap.pop();
        self.rows.remove(&number)
    }
}

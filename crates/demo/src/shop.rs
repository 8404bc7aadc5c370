//! The door: a shop, its tables by day, its faults.

use std::sync::Arc;

use arrow::array::RecordBatch;
use jiff::civil::Date;

use crate::broken::TextFaults;
use crate::events::Events;
use crate::fault::Fault;
use crate::population::day_number;
use crate::schema::Table;
use crate::settings::{Settings, SettingsError};
use crate::snapshot::{Items, Users, item_faults};
use crate::world::World;

/// A synthetic shop. Cloning is cheap; all readers are independent and may run on any thread.
#[derive(Clone)]
pub struct Shop {
    world: Arc<World>,
}

impl Shop {
    /// Refuses settings that are out of range.
    pub fn new(settings: Settings) -> Result<Shop, SettingsError> {
        settings.check()?;
        Ok(Shop { world: Arc::new(World::new(settings)) })
    }

    pub fn settings(&self) -> &Settings {
        &self.world.settings
    }

    /// The event log's partition of `day` (UTC). But for planted faults every `ts` lies in it.
    pub fn events(&self, day: Date) -> Events {
        Events::new(Arc::clone(&self.world), day_number(day))
    }

    /// The catalogue as it stands at the midnight (UTC) that ends `day`: exactly
    /// [`Settings::items`] rows. Every item that the log of this day or of the 60 days before
    /// it mentions is among them.
    pub fn items(&self, day: Date) -> Items {
        Items::new(Arc::clone(&self.world), day_number(day))
    }

    /// The user table as it stands at the midnight (UTC) that ends `day`: exactly
    /// [`Settings::users`] rows, and every user of the log of this day or of the 60 before.
    pub fn users(&self, day: Date) -> Users {
        Users::new(Arc::clone(&self.world), day_number(day))
    }

    /// The batches of any table.
    pub fn read(&self, table: Table, day: Date) -> Batches {
        match table {
            Table::Events => Batches::Events(Box::new(self.events(day))),
            Table::Items => Batches::Items(self.items(day)),
            Table::Users => Batches::Users(self.users(day)),
        }
    }

    /// Every fault planted in the event log of `day`, in the order of the rows, bots last.
    /// Costs as much as reading the day; [`Events::faults`] has them for nothing after a read.
    pub fn event_faults(&self, day: Date) -> Vec<Fault> {
        let mut events = self.events(day);
        events.by_ref().for_each(drop);
        events.faults().to_vec()
    }

    /// Plants broken lines in the event log of `day` as it is written as text.
    pub fn text_faults(&self, day: Date) -> TextFaults {
        TextFaults::new(&self.world, day)
    }

    /// Every fault of the catalogue as it stands at the end of `day`: twins, hard negatives
    /// and harmful items, in order of block.
    pub fn item_faults(&self, day: Date) -> Vec<Fault> {
        item_faults(&self.world, day_number(day))
    }

    /// A line that changes whenever the table's bytes for `day` may: generator, settings,
    /// table and day.
    pub fn partition_identity(&self, table: Table, day: Date) -> String {
        format!("{} table={} day={day}", self.settings().digest_text(), table.name())
    }
}

/// The batches of one table for one day.
pub enum Batches {
    Events(Box<Events>),
    Items(Items),
    Users(Users),
}

impl Iterator for Batches {
    type Item = RecordBatch;

    fn next(&mut self) -> Option<RecordBatch> {
        match self {
            Batches::Events(events) => events.next(),
            Batches::Items(items) => items.next(),
            Batches::Users(users) => users.next(),
        }
    }
}

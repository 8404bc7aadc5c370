//! The catalogue as a feed sees it on one day: what may be shown, and how often.

use crate::draw::{Alias, Draw, mix};
use crate::item::{Item, ItemBlock};
use crate::population::Day;
use crate::world::{CLUSTERS, Taste, World};

/// What an exposure needs to know of an item.
#[derive(Clone, Copy)]
pub(crate) struct Shown {
    pub item_id: i64,
    pub taste: Taste,
    /// What holds a viewer besides taste: quality, less what clickbait and length cost.
    pub pull: f32,
    pub clickbait: f32,
    pub duration_ds: u16,
    pub has_price: bool,
}

pub(crate) struct DayCatalogue {
    day: Day,
    /// In order of cluster, then of serial.
    shown: Vec<Shown>,
    /// The ids of `shown`, close together.
    ids: Vec<i64>,
    shelves: Vec<Shelf>,
    everything: Shelf,
}

/// Items that stand together, and the choice among them by popularity.
struct Shelf {
    /// Index of the first.
    start: u32,
    choice: Alias,
}

/// Picks before a shelf counts as having nothing new; of a full one, 98 in a hundred have.
const TRIES: u32 = 128;

impl DayCatalogue {
    pub fn new(world: &World, day: Day) -> DayCatalogue {
        let live = world.items.active(day);
        let mut by_cluster: Vec<Vec<(Shown, f64)>> = vec![Vec::new(); CLUSTERS];
        for block in ItemBlock::covering(&live) {
            for item in ItemBlock::draw(world, block).items {
                if live.contains(&item.serial) {
                    let entry = (shown(&item), item.weight_on(day));
                    by_cluster[item.cluster as usize].push(entry);
                }
            }
        }
        let mut all: Vec<Shown> = Vec::new();
        let mut weights = Vec::new();
        let mut shelves = Vec::new();
        for shelf in by_cluster {
            let own: Vec<f64> = shelf.iter().map(|(_, weight)| *weight).collect();
            shelves.push(Shelf { start: all.len() as u32, choice: Alias::new(&own) });
            all.extend(shelf.iter().map(|(item, _)| *item));
            weights.extend(own);
        }
        DayCatalogue {
            day,
            ids: all.iter().map(|item| item.item_id).collect(),
            shown: all,
            shelves,
            everything: Shelf { start: 0, choice: Alias::new(&weights) },
        }
    }

    pub fn item(&self, index: u32) -> &Shown {
        &self.shown[index as usize]
    }

    /// An item that the feed offers to `user`: of `cluster` when it is given and has something
    /// new, else of all; `None` when there is nothing new at all. `shown` is what this visit
    /// has had.
    ///
    /// A feed does not show what was seen lately. Without a memory of other days, each pair of
    /// user and item has one day in 32 on which it may meet; so a pair met in the past month is
    /// never met again in it.
    pub fn offer(&self, user: i64, cluster: Option<u8>, shown: &[u32], draw: &mut Draw) -> Option<u32> {
        let own = cluster.map(|cluster| &self.shelves[cluster as usize]);
        own.filter(|shelf| !shelf.choice.is_empty())
            .and_then(|shelf| self.pick_new(shelf, user, shown, draw))
            .or_else(|| self.pick_new(&self.everything, user, shown, draw))
    }

    fn pick_new(&self, shelf: &Shelf, user: i64, shown: &[u32], draw: &mut Draw) -> Option<u32> {
        (0..TRIES)
            .map(|_| shelf.start + shelf.choice.pick(draw))
            .find(|index| self.may_meet(user, self.ids[*index as usize]) && !shown.contains(index))
    }

    /// Any item, each as likely: what a bot watches.
    pub fn any(&self, draw: &mut Draw) -> u32 {
        draw.below(self.shown.len() as u32)
    }

    #[inline]
    fn may_meet(&self, user: i64, item: i64) -> bool {
        let phase = mix(user as u64, item as u64) as i64;
        phase.wrapping_add(self.day) & 31 == 0
    }
}

fn shown(item: &Item) -> Shown {
    let seconds = f64::from(item.duration_ds) / 10.0;
    let pull = item.quality - 1.1 * item.clickbait - 0.3 * libm::log2(seconds / 30.0);
    Shown {
        item_id: item.serial,
        taste: item.taste,
        pull: pull as f32,
        clickbait: item.clickbait as f32,
        duration_ds: item.duration_ds,
        has_price: item.price.is_some(),
    }
}

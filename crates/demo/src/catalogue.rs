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
    /// Per cluster, where its items begin in `shown`, and the choice among them.
    shelves: Vec<(u32, Alias)>,
    everything: Alias,
}

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
        let mut all = Vec::new();
        let mut weights = Vec::new();
        let mut shelves = Vec::new();
        for shelf in by_cluster {
            let own: Vec<f64> = shelf.iter().map(|(_, weight)| *weight).collect();
            shelves.push((all.len() as u32, Alias::new(&own)));
            all.extend(shelf.iter().map(|(item, _)| *item));
            weights.extend(own);
        }
        DayCatalogue { day, shown: all, shelves, everything: Alias::new(&weights) }
    }

    pub fn item(&self, index: u32) -> &Shown {
        &self.shown[index as usize]
    }

    /// An item that the feed offers to `user`: of `cluster` when one is given and has any,
    /// else of all.
    ///
    /// A feed does not show the same thing every day. Without a memory of other days, each
    /// pair of user and item is on for eight days in a row out of 32.
    pub fn offer(&self, user: i64, cluster: Option<u8>, draw: &mut Draw) -> u32 {
        let (base, alias) = match cluster.map(|cluster| &self.shelves[cluster as usize]) {
            Some((base, alias)) if !alias.is_empty() => (*base, alias),
            _ => (0, &self.everything),
        };
        let mut index = base + alias.pick(draw);
        for _ in 0..24 {
            if self.is_on(user, self.shown[index as usize].item_id) {
                break;
            }
            index = base + alias.pick(draw);
        }
        index
    }

    /// Any item, each as likely: what a bot watches.
    pub fn any(&self, draw: &mut Draw) -> u32 {
        draw.below(self.shown.len() as u32)
    }

    fn is_on(&self, user: i64, item: i64) -> bool {
        let phase = mix(user as u64, item as u64) as i64;
        phase.wrapping_add(self.day) & 31 < 8
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

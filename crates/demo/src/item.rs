//! Items: what they are like, and which of them belong together.
//!
//! Serials are drawn in blocks of 64. Some slots of a block form groups: the same item posted
//! twice (twins), or different items that look alike (sequels, episodes, remakes).

use crate::draw::{Draw, Purpose, mix};
use crate::population::{Day, MICROS_PER_DAY};
use crate::world::{Taste, World, unit_vector, wave};

pub(crate) const BLOCK: i64 = 64;
const SLOTS: usize = BLOCK as usize;

/// Above this an item is harmful. Scores keep clear of it on both sides.
pub(crate) const HARMFUL_ABOVE: f64 = 0.8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// The same item posted again with nearly the same words.
    Twin,
    /// The same item posted again in words that are further away than the threshold.
    FarTwin,
    Sequel,
    Episode,
    Remake,
}

impl Likeness {
    pub fn is_twin(self) -> bool {
        matches!(self, Likeness::Twin | Likeness::FarTwin)
    }
}

/// Slots of a block that go together, in order of serial; the first is the original.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub likeness: Likeness,
    pub slots: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub serial: i64,
    pub cluster: u8,
    pub taste: Taste,
    /// Popularity before drift and age.
    weight: f64,
    drift_period: f64,
    drift_phase: f64,
    /// How well it holds those who start to watch.
    pub quality: f64,
    /// How far its cover promises more than it holds, 0 to 1.
    pub clickbait: f64,
    /// Tenths of a second.
    pub duration_ds: u16,
    pub harm_score: f64,
    /// Cents.
    pub price: Option<u32>,
    pub creator_id: i64,
    pub posted_at_micros: i64,
    posted_on: Day,
}

impl Item {
    /// Relative popularity on `day`: a wave of some months, a boost while new, a slow fade.
    pub fn weight_on(&self, day: Day) -> f64 {
        let age = (day - self.posted_on).max(0) as f64;
        let drift = libm::exp(0.4 * wave(day, self.drift_period, self.drift_phase));
        let freshness = (1.0 + 0.5 * libm::exp(-age / 10.0)) * libm::exp(-age / 500.0);
        self.weight * drift * freshness
    }
}

/// The items with serials `64 * block ..`.
pub(crate) struct ItemBlock {
    pub items: Vec<Item>,
    pub groups: Vec<Group>,
}

impl ItemBlock {
    pub fn draw(world: &World, block: i64) -> ItemBlock {
        let mut draw = Draw::new(world.seed(), Purpose::Items, 0, block);
        let groups = draw_groups(&mut draw);
        let mut items: Vec<Item> =
            (block * BLOCK..(block + 1) * BLOCK).map(|serial| draw_item(world, serial, &mut draw)).collect();
        for group in &groups {
            let original = items[group.slots[0]].clone();
            for &slot in &group.slots[1..] {
                resemble(&mut items[slot], &original, group.likeness);
            }
        }
        ItemBlock { items, groups }
    }

    /// Blocks that cover `serials`.
    pub fn covering(serials: &std::ops::Range<i64>) -> std::ops::RangeInclusive<i64> {
        serials.start.div_euclid(BLOCK)..=(serials.end - 1).div_euclid(BLOCK)
    }
}

/// Likeness, how many slots, and how many blocks in a hundred have such a group.
const GROUPS: [(Likeness, usize, f64); 5] = [
    (Likeness::Twin, 2, 0.8),
    (Likeness::FarTwin, 2, 0.6),
    (Likeness::Sequel, 2, 0.5),
    (Likeness::Episode, 3, 0.4),
    (Likeness::Remake, 2, 0.4),
];

fn draw_groups(draw: &mut Draw) -> Vec<Group> {
    let mut free: Vec<usize> = (0..SLOTS).collect();
    let mut groups = Vec::new();
    for (likeness, size, share) in GROUPS {
        if !draw.chance(share) {
            continue;
        }
        let mut slots: Vec<usize> =
            (0..size).map(|_| free.swap_remove(draw.below(free.len() as u32) as usize)).collect();
        slots.sort_unstable();
        groups.push(Group { likeness, slots });
    }
    groups
}

fn draw_item(world: &World, serial: i64, draw: &mut Draw) -> Item {
    let cluster = world.supply.pick(draw) as u8;
    let centre = world.centres[cluster as usize];
    let taste = unit_vector(centre.map(|x| x + 0.25 * draw.normal() as f32));
    // The quantile function of a Zipf law with exponent 1, cut at one in five thousand.
    let weight = libm::pow(draw.unit().max(0.000_2), -1.0);
    let posted_on = world.items.birthday(serial);
    let harmful = draw.chance(0.015);
    Item {
        serial,
        cluster,
        taste,
        weight: if harmful { weight * 1.5 } else { weight },
        drift_period: draw.between(90.0, 400.0),
        drift_phase: draw.unit(),
        quality: 0.35 * draw.normal(),
        clickbait: if draw.chance(0.12) { draw.between(0.5, 1.0) } else { 0.15 * draw.unit() },
        duration_ds: draw_duration(cluster, draw),
        harm_score: draw_harm(harmful, draw),
        price: draw.chance(0.3).then(|| 99 + 100 * draw.below(60)),
        creator_id: creator(world, draw),
        posted_at_micros: posted_on * MICROS_PER_DAY + i64::from(draw.below(86_400)) * 1_000_000,
        posted_on,
    }
}

/// 6 to 180 seconds, log-uniform around a length that the cluster is used to.
fn draw_duration(cluster: u8, draw: &mut Draw) -> u16 {
    let usual = 12.0 + 3.0 * f64::from(mix(u64::from(cluster), 17) as u32 % 24);
    let seconds = usual * libm::exp(0.55 * draw.normal());
    (seconds.clamp(6.0, 180.0) * 10.0) as u16
}

/// In thousandths: harmful items have 0.82 to 1, all others at most 0.75, most near 0.
fn draw_harm(harmful: bool, draw: &mut Draw) -> f64 {
    let thousandths = if harmful {
        820 + draw.below(181)
    } else {
        let u = draw.unit();
        (u * u * u * 750.0) as u32
    };
    f64::from(thousandths) / 1_000.0
}

/// A few creators post much: the square root law of a uniform draw.
fn creator(world: &World, draw: &mut Draw) -> i64 {
    let creators = f64::from(world.settings.items / 8 + 1);
    let u = draw.unit();
    1 + (u * u * creators) as i64
}

/// Makes `item` like `original`: a twin is the same thing under another account and less
/// seen; a sequel shares the taste alone.
fn resemble(item: &mut Item, original: &Item, likeness: Likeness) {
    item.cluster = original.cluster;
    item.taste = original.taste;
    item.duration_ds = original.duration_ds;
    if likeness.is_twin() {
        item.weight = 0.6 * original.weight;
        item.drift_period = original.drift_period;
        item.drift_phase = original.drift_phase;
        item.quality = original.quality;
        item.clickbait = original.clickbait;
        item.harm_score = original.harm_score;
    }
}

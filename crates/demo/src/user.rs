//! Users: what they like, how often they come, and who only pretends to be one.

use crate::draw::{Draw, Purpose};
use crate::population::{Day, MICROS_PER_DAY};
use crate::world::{Taste, World, unit_vector, wave};

pub(crate) const BLOCK: i64 = 64;
/// Clusters that a user cares for.
pub(crate) const TASTES: usize = 3;
/// Share of users who drop in now and then; the others have the habit of coming.
const CASUAL: f64 = 0.38;
/// Visits of a casual user relative to the mean user's.
const CASUAL_ACTIVITY: f64 = 0.06;
/// Spread of the log-normal part of a regular's activity: a few are very heavy.
const ACTIVITY_SPREAD: f64 = 1.0;

#[derive(Clone, Debug)]
pub(crate) struct User {
    pub serial: i64,
    pub clusters: [u8; TASTES],
    leanings: [f64; TASTES],
    drift_period: f64,
    drift_phases: [f64; TASTES],
    own_taste: Taste,
    /// Visits relative to the mean user's.
    pub activity: f64,
    pub is_bot: bool,
    pub age_band: u8,
    pub country: u8,
    pub device: u8,
    pub signed_up_at_micros: i64,
}

impl User {
    /// Share of interest in each of `clusters` on `day`; sums to 1 and turns over months.
    pub fn leanings_on(&self, day: Day) -> [f64; TASTES] {
        let raw: [f64; TASTES] = std::array::from_fn(|k| {
            self.leanings[k] * (1.0 + 0.5 * wave(day, self.drift_period, self.drift_phases[k]))
        });
        let total: f64 = raw.iter().sum();
        raw.map(|share| share / total)
    }

    /// The unit taste vector that goes with `leanings`.
    pub fn taste(&self, world: &World, leanings: &[f64; TASTES]) -> Taste {
        let mut taste = self.own_taste;
        for (cluster, leaning) in self.clusters.iter().zip(leanings) {
            let centre = &world.centres[*cluster as usize];
            for (sum, x) in taste.iter_mut().zip(centre) {
                *sum += *leaning as f32 * x;
            }
        }
        unit_vector(taste)
    }
}

/// The users with serials `64 * block ..`, in order.
pub(crate) fn draw_block(world: &World, block: i64) -> Vec<User> {
    let mut draw = Draw::new(world.seed(), Purpose::Users, 0, block);
    (block * BLOCK..(block + 1) * BLOCK).map(|serial| draw_user(world, serial, &mut draw)).collect()
}

/// Blocks that cover `serials`.
pub(crate) fn blocks_covering(serials: &std::ops::Range<i64>) -> std::ops::RangeInclusive<i64> {
    serials.start.div_euclid(BLOCK)..=(serials.end - 1).div_euclid(BLOCK)
}

fn draw_user(world: &World, serial: i64, draw: &mut Draw) -> User {
    let clusters: [u8; TASTES] = std::array::from_fn(|_| world.demand.pick(draw) as u8);
    let first = clusters[0] as usize;
    let age_band = world.age_band(first, draw);
    let activity = draw_activity(draw);
    let signed_up_on = world.users.birthday(serial);
    User {
        serial,
        clusters,
        leanings: [1.0, draw.between(0.3, 0.9), draw.between(0.1, 0.5)],
        drift_period: draw.between(120.0, 500.0),
        drift_phases: std::array::from_fn(|_| draw.unit()),
        own_taste: std::array::from_fn(|_| 0.12 * draw.normal() as f32),
        activity,
        is_bot: serial.rem_euclid(bot_stride(world)) == 0,
        age_band,
        country: world.country(first, draw),
        device: world.device(age_band, draw),
        signed_up_at_micros: signed_up_on * MICROS_PER_DAY + i64::from(draw.below(86_400)) * 1_000_000,
    }
}

/// Relative to the mean user's, which is 1. Regulars have a floor, so that few of them waver
/// around what a pipeline may call active.
fn draw_activity(draw: &mut Draw) -> f64 {
    let (casual, normal) = (draw.chance(CASUAL), draw.normal());
    if casual {
        return CASUAL_ACTIVITY;
    }
    let tail = libm::exp(ACTIVITY_SPREAD * normal - 0.5 * ACTIVITY_SPREAD * ACTIVITY_SPREAD);
    (0.6 + 0.4 * tail) * (1.0 - CASUAL * CASUAL_ACTIVITY) / (1.0 - CASUAL)
}

/// One user in this many is a bot. A small shop always has one or two that are active.
fn bot_stride(world: &World) -> i64 {
    i64::from(world.settings.users / 2).min(2_500)
}

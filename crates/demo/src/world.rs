//! What the whole shop shares: taste clusters, and which people lean to which of them.

use crate::draw::{Alias, Draw, Purpose};
use crate::population::Population;
use crate::settings::Settings;

/// Dimensions of the taste space.
pub(crate) const DIMS: usize = 8;
pub(crate) const CLUSTERS: usize = 12;
pub(crate) type Taste = [f32; DIMS];

/// What each cluster is called.
pub(crate) const CATEGORIES: [&str; CLUSTERS] = [
    "cooking",
    "travel",
    "music",
    "fitness",
    "gaming",
    "gardening",
    "science",
    "fashion",
    "film",
    "crafts",
    "animals",
    "sport",
];
pub(crate) const AGE_BANDS: [&str; 6] = ["13-17", "18-24", "25-34", "35-44", "45-54", "55+"];
pub(crate) const COUNTRIES: [(&str, u32); 10] = [
    ("US", 18),
    ("BR", 21),
    ("GB", 0),
    ("DE", 1),
    ("FR", 1),
    ("TR", 3),
    ("IN", 5),
    ("ID", 7),
    ("JP", 9),
    ("AU", 10),
];
pub(crate) const DEVICES: [&str; 4] = ["ios", "android", "web", "tv"];

/// Days that an item is listed, and a user registered.
const ITEM_LIFETIME: u32 = 500;
const USER_LIFETIME: u32 = 2_000;

pub(crate) struct World {
    pub settings: Settings,
    pub items: Population,
    pub users: Population,
    /// Unit vectors.
    pub centres: [Taste; CLUSTERS],
    /// How many people lean to a cluster, and how much is posted in it.
    pub demand: Alias,
    pub supply: Alias,
    /// Per cluster, the mix of ages and countries of those whose first taste it is.
    ages: Vec<Alias>,
    countries: Vec<Alias>,
    /// Per age band, the mix of devices.
    devices: Vec<Alias>,
}

impl World {
    pub fn new(settings: Settings) -> World {
        let mut draw = Draw::new(settings.seed, Purpose::World, 0, 0);
        let mut centres = [[0.0; DIMS]; CLUSTERS];
        for centre in &mut centres {
            *centre = unit_vector(std::array::from_fn(|_| draw.normal() as f32));
        }
        let mut shares =
            |n: usize, low: f64, high: f64| -> Vec<f64> { (0..n).map(|_| draw.between(low, high)).collect() };
        let demand = Alias::new(&shares(CLUSTERS, 0.5, 2.0));
        let supply = Alias::new(&shares(CLUSTERS, 0.6, 1.6));
        let mut tables = |rows: usize, base: &[f64]| -> Vec<Alias> {
            (0..rows)
                .map(|_| {
                    let lean = shares(base.len(), 0.25, 1.75);
                    let weights: Vec<f64> = base.iter().zip(lean).map(|(b, l)| b * l).collect();
                    Alias::new(&weights)
                })
                .collect()
        };
        World {
            ages: tables(CLUSTERS, &[0.10, 0.26, 0.28, 0.17, 0.11, 0.08]),
            countries: tables(CLUSTERS, &[0.24, 0.12, 0.07, 0.08, 0.06, 0.05, 0.19, 0.09, 0.07, 0.03]),
            devices: tables(AGE_BANDS.len(), &[0.36, 0.47, 0.12, 0.05]),
            items: Population::new(settings.items, ITEM_LIFETIME),
            users: Population::new(settings.users, USER_LIFETIME),
            settings,
            centres,
            demand,
            supply,
        }
    }

    pub fn seed(&self) -> u64 {
        self.settings.seed
    }

    pub fn age_band(&self, cluster: usize, draw: &mut Draw) -> u8 {
        self.ages[cluster].pick(draw) as u8
    }

    pub fn country(&self, cluster: usize, draw: &mut Draw) -> u8 {
        self.countries[cluster].pick(draw) as u8
    }

    pub fn device(&self, age_band: u8, draw: &mut Draw) -> u8 {
        self.devices[age_band as usize].pick(draw) as u8
    }
}

/// The direction of `v`; a zero vector stays one.
pub(crate) fn unit_vector(v: Taste) -> Taste {
    let norm = dot(&v, &v).sqrt();
    if norm > 0.0 { v.map(|x| x / norm) } else { v }
}

#[inline]
pub(crate) fn dot(a: &Taste, b: &Taste) -> f32 {
    let mut sum = 0.0;
    for k in 0..DIMS {
        sum += a[k] * b[k];
    }
    sum
}

/// A slow wave with mean 0 and amplitude 1: how everything drifts.
pub(crate) fn wave(day: i64, period_days: f64, phase: f64) -> f64 {
    let turns = day as f64 / period_days + phase;
    libm::sin(2.0 * std::f64::consts::PI * (turns - turns.floor()))
}

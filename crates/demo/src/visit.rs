//! Who comes when on a day: the plan that the log is written from.

use crate::draw::{Alias, Draw, Purpose};
use crate::population::Day;
use crate::user::{self, TASTES, User};
use crate::world::{COUNTRIES, Taste, World};

pub(crate) const SECONDS_PER_DAY: u32 = 86_400;

/// Mean exposures in a visit, and rows that one exposure leaves in the log; measured, so that
/// `events` of the settings is met.
const EXPOSURES_A_VISIT: f64 = 7.0;
const ROWS_AN_EXPOSURE: f64 = 1.45;
const LONGEST_VISIT: u32 = 50;
/// Probability that a user comes on a day at all.
const COMING: f64 = 0.8;

/// Share of a day's visits by hour of the viewer's own clock.
const HOURS: [f64; 24] = [
    2.0, 1.2, 0.8, 0.6, 0.6, 1.0, 2.2, 3.6, 4.2, 3.8, 3.6, 3.8, 4.6, 4.4, 3.8, 3.8, 4.2, 5.0, 6.2, 7.4, 8.4,
    8.6, 6.6, 4.0,
];
/// Monday to Sunday.
const WEEKDAYS: [f64; 7] = [0.95, 0.93, 0.95, 0.97, 1.03, 1.12, 1.05];

/// A user who comes today, with the tastes of today.
pub(crate) struct Visitor {
    pub user_id: i64,
    pub clusters: [u8; TASTES],
    /// Upper bounds of the share of interest in each cluster, in 2^-32.
    pub bounds: [u32; TASTES],
    pub taste: Taste,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Visit {
    /// Seconds since midnight UTC.
    pub start: u32,
    /// The visitor's next visit, or midnight: until then this one must end.
    pub until: u32,
    /// Index among the day's visitors.
    pub visitor: u32,
    pub manner: Manner,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// A person's visit of so many exposures.
    Browse { exposures: u32 },
    /// A bot's burst of so many whole minutes.
    Burst { minutes: u32 },
}

/// The day's visitors, and their visits in order of start.
pub(crate) struct Plan {
    pub visitors: Vec<Visitor>,
    pub visits: Vec<Visit>,
}

impl Plan {
    pub fn new(world: &World, day: Day) -> Plan {
        let mut plan = Plan { visitors: Vec::new(), visits: Vec::new() };
        let hours = Alias::new(&HOURS);
        let mean_visits = mean_visits(world, day);
        let active = world.users.active(day);
        for block in user::blocks_covering(&active) {
            let mut draw = Draw::new(world.seed(), Purpose::Visits, day, block);
            for user in user::draw_block(world, block) {
                // Every user of the block draws, active or not, so that who else is
                // registered never changes a user's day.
                let visits = if user.is_bot {
                    draw_bursts(&mut draw)
                } else {
                    draw_visits(&user, mean_visits, &hours, &mut draw)
                };
                if active.contains(&user.serial) && !visits.is_empty() {
                    plan.add(world, day, &user, visits);
                }
            }
        }
        plan.visits.sort_unstable();
        plan
    }

    fn add(&mut self, world: &World, day: Day, user: &User, visits: Vec<Visit>) {
        let visitor = self.visitors.len() as u32;
        let leanings = user.leanings_on(day);
        let mut bound = 0.0;
        self.visitors.push(Visitor {
            user_id: user.serial,
            clusters: user.clusters,
            bounds: leanings.map(|share| {
                bound += share;
                (bound * 4_294_967_295.0) as u32
            }),
            taste: user.taste(world, &leanings),
        });
        self.visits.extend(visits.into_iter().map(|visit| Visit { visitor, ..visit }));
    }
}

/// Visits of the mean user on `day`.
fn mean_visits(world: &World, day: Day) -> f64 {
    let users = world.users.active(day);
    // 1970-01-01 was a Thursday.
    let weekday = WEEKDAYS[(day + 3).rem_euclid(7) as usize];
    let exposures = world.settings.events as f64 / ROWS_AN_EXPOSURE;
    weekday * exposures / EXPOSURES_A_VISIT / (users.end - users.start) as f64
}

fn draw_visits(user: &User, mean_visits: f64, hours: &Alias, draw: &mut Draw) -> Vec<Visit> {
    let mean = (user.activity * mean_visits).min(200.0);
    // People have habits: they come or not, and when they do, about as often as ever.
    let comes = draw.chance(COMING);
    let count = (mean / COMING + draw.unit()) as u32 * u32::from(comes);
    let offset = COUNTRIES[user.country as usize].1;
    let mut visits: Vec<Visit> = (0..count)
        .map(|_| {
            let local = hours.pick(draw) * 3_600 + draw.below(3_600);
            let length = -libm::log(1.0 - draw.unit()) * (EXPOSURES_A_VISIT - 0.5);
            Visit {
                start: (local + SECONDS_PER_DAY - offset % 24 * 3_600) % SECONDS_PER_DAY,
                until: SECONDS_PER_DAY,
                visitor: 0,
                manner: Manner::Browse { exposures: (1 + length as u32).min(LONGEST_VISIT) },
            }
        })
        .collect();
    visits.sort_unstable_by_key(|visit| visit.start);
    for next in 1..visits.len() {
        visits[next - 1].until = visits[next].start;
    }
    visits
}

/// One or two bursts of two minutes, each beginning on a full minute.
fn draw_bursts(draw: &mut Draw) -> Vec<Visit> {
    let mut minute = draw.below(700);
    (0..1 + draw.below(2))
        .map(|_| {
            let minutes = 2;
            let start = minute * 60;
            minute += 10 + draw.below(700);
            Visit { start, until: start + minutes * 60, visitor: 0, manner: Manner::Burst { minutes } }
        })
        .collect()
}

//! What a visit leaves behind: exposures, and how the viewer answers each.
//!
//! An item is offered by the viewer's leanings and its popularity. Whether it is watched, and
//! for how long, follows from taste and from what the item holds; whether it is clicked
//! follows more from what its cover promises. So clicks mislead, and watch time depends on
//! the item's length.

use crate::catalogue::{DayCatalogue, Shown};
use crate::draw::{Draw, squash};
use crate::visit::{Manner, Visit, Visitor};
use crate::world::dot;

/// In the order of their words in [`Signal::word`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    Impression,
    Click,
    Like,
    Share,
    Purchase,
    Watch,
}

impl Signal {
    pub fn word(self) -> &'static str {
        match self {
            Signal::Impression => "impression",
            Signal::Click => "click",
            Signal::Like => "like",
            Signal::Share => "share",
            Signal::Purchase => "purchase",
            Signal::Watch => "watch",
        }
    }
}

/// A row of the log before it has an id.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    /// Microseconds since midnight UTC.
    pub at: u64,
    pub visitor: u32,
    pub item: u32,
    pub signal: Signal,
    /// Tenths of a second; 0 unless watched.
    pub watched_ds: u16,
    pub is_bot: bool,
}

/// Share of exposures that come from the shop's general popularity, not the viewer's tastes.
const EXPLORED: f64 = 0.2;
const MICROS: f64 = 1_000_000.0;
/// Seconds between two exposures, at least: nobody sees more than six in a minute.
const SHORTEST_GAP: f64 = 12.0;

/// Appends the rows of `visit`, in no particular order.
pub(crate) fn play(
    visit: &Visit,
    visitors: &[Visitor],
    catalogue: &DayCatalogue,
    draw: &mut Draw,
    rows: &mut Vec<Row>,
) {
    match visit.manner {
        Manner::Browse { exposures } => {
            let visitor = &visitors[visit.visitor as usize];
            let mut at = f64::from(visit.start) + draw.unit();
            let mut shown = Vec::with_capacity(exposures as usize);
            for position in 0..exposures {
                let Some(item) = offer(visitor, catalogue, &shown, draw) else {
                    break;
                };
                shown.push(item);
                let watched_ds = watch(visitor, catalogue.item(item), position, draw);
                let seen = f64::from(watched_ds.unwrap_or(0)) / 10.0;
                let gap = (seen + 3.0 + 5.0 * draw.unit()).max(SHORTEST_GAP);
                if at + gap > f64::from(visit.until) {
                    break;
                }
                let row = |at: f64, signal, watched_ds| Row {
                    at: (at * MICROS) as u64,
                    visitor: visit.visitor,
                    item,
                    signal,
                    watched_ds,
                    is_bot: false,
                };
                rows.push(row(at, Signal::Impression, 0));
                respond(visitor, catalogue.item(item), watched_ds, draw, |after, signal, ds| {
                    rows.push(row(at + after, signal, ds));
                });
                at += gap;
            }
        }
        Manner::Burst { minutes } => burst(visit, minutes, catalogue, draw, rows),
    }
}

fn offer(visitor: &Visitor, catalogue: &DayCatalogue, shown: &[u32], draw: &mut Draw) -> Option<u32> {
    let cluster = if draw.chance(EXPLORED) {
        None
    } else {
        let bits = draw.bits32();
        let place = visitor.bounds.iter().position(|bound| bits <= *bound);
        Some(visitor.clusters[place.unwrap_or(0)])
    };
    catalogue.offer(visitor.user_id, cluster, shown, draw)
}

/// How long the item is watched, in tenths of a second; `None` when it is scrolled past.
/// Further down a visit more is.
fn watch(visitor: &Visitor, item: &Shown, position: u32, draw: &mut Draw) -> Option<u16> {
    let affinity = f64::from(dot(&visitor.taste, &item.taste));
    let patience = 1.0 / (1.0 + 0.02 * f64::from(position));
    if !draw.chance((0.66 + 0.33 * affinity) * patience) {
        return None;
    }
    let hold = 3.0 * (affinity - 0.35) + f64::from(item.pull) + 0.7 * draw.normal();
    let share = squash(hold);
    let share = if share > 0.93 { 1.0 } else { share };
    Some((share * f64::from(item.duration_ds) + 0.5) as u16)
}

/// Tells `log` what follows the impression: seconds after it, signal, tenths watched.
fn respond(
    visitor: &Visitor,
    item: &Shown,
    watched_ds: Option<u16>,
    draw: &mut Draw,
    mut log: impl FnMut(f64, Signal, u16),
) {
    let affinity = f64::from(dot(&visitor.taste, &item.taste)).max(0.0);
    if draw.chance(0.03 + 0.30 * f64::from(item.clickbait) + 0.05 * affinity) {
        log(0.2 + 0.7 * draw.unit(), Signal::Click, 0);
    }
    let Some(watched_ds) = watched_ds else {
        return;
    };
    let seen = f64::from(watched_ds) / 10.0;
    log(seen + 1.0, Signal::Watch, watched_ds);
    if watched_ds * 5 < item.duration_ds * 3 {
        return;
    }
    for (signal, share) in [(Signal::Like, 0.10), (Signal::Share, 0.02), (Signal::Purchase, 0.03)] {
        let possible = signal != Signal::Purchase || item.has_price;
        if draw.chance(share) && possible {
            log(seen + 1.0 + 2.0 * draw.unit(), signal, 0);
        }
    }
}

/// 80 to 130 whole watches in each minute, at an even pace, of anything.
fn burst(visit: &Visit, minutes: u32, catalogue: &DayCatalogue, draw: &mut Draw, rows: &mut Vec<Row>) {
    for minute in 0..minutes {
        let count = 80 + draw.below(51);
        for n in 0..count {
            let item = catalogue.any(draw);
            let second = 60.0 * (f64::from(n) + draw.unit()) / f64::from(count);
            let at = f64::from(visit.start + 60 * minute) + second;
            rows.push(Row {
                at: (at * MICROS) as u64,
                visitor: visit.visitor,
                item,
                signal: Signal::Watch,
                watched_ds: catalogue.item(item).duration_ds,
                is_bot: true,
            });
        }
    }
}

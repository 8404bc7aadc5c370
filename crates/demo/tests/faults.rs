//! Every planted fault is there, as the list says, and nothing else is.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use jiff::civil::{Date, date};
use noctule_demo::{Fault, HardNegative, Malformed, Settings, Shop};

const DAY: Date = date(2026, 10, 14);
const MICROS_PER_DAY: i64 = 86_400_000_000;
const MICROS_PER_MINUTE: i64 = 60_000_000;

fn shop() -> Shop {
    Shop::new(Settings { seed: 21, users: 4_000, items: 1_000, events: 56_000 }).unwrap()
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    event_id: i64,
    user_id: i64,
    item_id: Option<i64>,
    ts: Option<i64>,
    event: String,
    watch: Option<[f64; 3]>,
}

fn rows(shop: &Shop) -> Vec<Row> {
    shop.events(DAY)
        .flat_map(|batch| {
            let ids = |column: usize| batch.column(column).as_primitive::<Int64Type>().clone();
            let floats = |column: usize| batch.column(column).as_primitive::<Float64Type>().clone();
            let (event_id, user_id, item_id) = (ids(0), ids(1), ids(2));
            let ts = batch.column(3).as_primitive::<TimestampMicrosecondType>().clone();
            let event = batch.column(4).as_string::<i32>().clone();
            let (seconds, duration, share) = (floats(5), floats(6), floats(7));
            (0..batch.num_rows())
                .map(|row| Row {
                    event_id: event_id.value(row),
                    user_id: user_id.value(row),
                    item_id: item_id.is_valid(row).then(|| item_id.value(row)),
                    ts: ts.is_valid(row).then(|| ts.value(row)),
                    event: event.value(row).to_owned(),
                    watch: share
                        .is_valid(row)
                        .then(|| [seconds.value(row), duration.value(row), share.value(row)]),
                })
                .collect::<Vec<Row>>()
        })
        .collect()
}

fn day_start() -> i64 {
    DAY.duration_since(date(1970, 1, 1)).as_hours() / 24 * MICROS_PER_DAY
}

#[test]
fn duplicates_are_whole_rows_sent_again() {
    let shop = shop();
    let mut copies: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for row in rows(&shop) {
        copies.entry(row.event_id).or_default().push(row);
    }
    copies.retain(|_, rows| rows.len() > 1);
    let listed: BTreeMap<i64, usize> = shop
        .event_faults(DAY)
        .into_iter()
        .filter_map(|fault| match fault {
            Fault::Duplicate { event_id, times } => Some((event_id, times as usize)),
            _ => None,
        })
        .collect();
    assert!(listed.len() > 100);
    assert!(copies.values().all(|rows| rows.iter().all(|row| *row == rows[0])));
    let found: BTreeMap<i64, usize> = copies.iter().map(|(id, rows)| (*id, rows.len())).collect();
    assert_eq!(found, listed);
}

#[test]
fn malformed_rows_are_those_listed() {
    let shop = shop();
    let mut found = BTreeSet::new();
    for row in rows(&shop) {
        assert_eq!(row.watch.is_some(), row.event == "watch");
        let mut add = |what| found.insert((row.event_id, what));
        if row.item_id.is_none() {
            add(Malformed::NullItem);
        }
        if row.ts.is_none() {
            add(Malformed::NullTime);
        }
        let Some([seconds, duration, share]) = row.watch else {
            continue;
        };
        assert!((6.0..=180.0).contains(&duration));
        if share.is_nan() {
            add(Malformed::NanShare);
        } else if share < 0.0 && seconds < 0.0 {
            add(Malformed::NegativeWatch);
        } else {
            assert!((0.0..=1.0).contains(&share), "{share}");
            assert!((share - seconds / duration).abs() <= 0.000_051, "{row:?}");
        }
    }
    let listed: BTreeSet<(i64, Malformed)> = shop
        .event_faults(DAY)
        .into_iter()
        .filter_map(|fault| match fault {
            Fault::Malformed { event_id, what } => Some((event_id, what)),
            _ => None,
        })
        .collect();
    assert_eq!(found, listed);
    let kinds: BTreeSet<Malformed> = listed.iter().map(|(_, what)| *what).collect();
    assert_eq!(kinds.len(), 4, "each kind occurs");
}

#[test]
fn rows_outside_the_day_are_late_or_from_the_future() {
    let shop = shop();
    let (start, end) = (day_start(), day_start() + MICROS_PER_DAY);
    let mut found = [BTreeSet::new(), BTreeSet::new()];
    for row in rows(&shop) {
        match row.ts {
            Some(ts) if ts < start => found[0].insert(row.event_id),
            Some(ts) if ts >= end => found[1].insert(row.event_id),
            _ => continue,
        };
    }
    let mut listed = [BTreeSet::new(), BTreeSet::new()];
    for fault in shop.event_faults(DAY) {
        match fault {
            Fault::Late { event_id } => listed[0].insert(event_id),
            Fault::Future { event_id } => listed[1].insert(event_id),
            _ => continue,
        };
    }
    assert!(listed.iter().all(|ids| ids.len() > 5));
    assert_eq!(found, listed);
}

#[test]
fn the_log_is_in_order_but_for_those_listed() {
    let shop = shop();
    let faults = shop.event_faults(DAY);
    let moved: BTreeSet<i64> = faults
        .iter()
        .filter_map(|fault| match fault {
            Fault::Late { event_id } | Fault::Future { event_id } => Some(*event_id),
            _ => None,
        })
        .collect();
    let (mut latest, mut seen, mut found) = (i64::MIN, BTreeSet::new(), BTreeSet::new());
    for row in rows(&shop) {
        let first = seen.insert(row.event_id);
        let Some(ts) = row.ts.filter(|_| first && !moved.contains(&row.event_id)) else {
            continue;
        };
        if ts < latest {
            assert!(latest - ts >= 5 * MICROS_PER_MINUTE);
            found.insert(row.event_id);
        }
        latest = latest.max(ts);
    }
    let listed: BTreeSet<i64> = faults
        .iter()
        .filter_map(|fault| match fault {
            Fault::OutOfOrder { event_id } => Some(*event_id),
            _ => None,
        })
        .collect();
    assert!(listed.len() > 20);
    assert_eq!(found, listed);
}

#[test]
fn bots_alone_exceed_sixty_events_a_minute() {
    let shop = shop();
    let mut times: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for row in rows(&shop) {
        times.entry(row.user_id).or_default().extend(row.ts);
    }
    let mut fast = BTreeMap::new();
    for (user, mut times) in times {
        times.sort_unstable();
        // Sixty-one rows within less than a minute, wherever it begins.
        if times.windows(61).any(|w| w[60] - w[0] < MICROS_PER_MINUTE) {
            let mut by_minute: BTreeMap<i64, u32> = BTreeMap::new();
            for ts in &times {
                *by_minute.entry(ts / MICROS_PER_MINUTE).or_default() += 1;
            }
            fast.insert(user, (times.len() as u32, *by_minute.values().max().unwrap()));
        }
    }
    let listed: BTreeMap<i64, (u32, u32)> = shop
        .event_faults(DAY)
        .into_iter()
        .filter_map(|fault| match fault {
            Fault::Bot { user_id, events, peak_per_minute } => Some((user_id, (events, peak_per_minute))),
            _ => None,
        })
        .collect();
    assert!(!listed.is_empty());
    assert!(listed.values().all(|(_, peak)| *peak >= 80));
    assert_eq!(fast, listed);
}

/// Id, title and description of each item, and its harm score.
fn catalogue(shop: &Shop) -> Vec<(i64, String, String, f64)> {
    shop.items(DAY)
        .flat_map(|batch| {
            (0..batch.num_rows())
                .map(|row| {
                    (
                        batch.column(0).as_primitive::<Int64Type>().value(row),
                        batch.column(1).as_string::<i32>().value(row).to_owned(),
                        batch.column(2).as_string::<i32>().value(row).to_owned(),
                        batch.column(5).as_primitive::<Float64Type>().value(row),
                    )
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn harmful_items_are_those_listed() {
    let shop = shop();
    let found: BTreeSet<i64> =
        catalogue(&shop).iter().filter(|(_, _, _, harm)| *harm > 0.8).map(|item| item.0).collect();
    assert!(catalogue(&shop).iter().all(|item| item.3 <= 0.75 || item.3 >= 0.82));
    let listed: BTreeSet<i64> = shop
        .item_faults(DAY)
        .into_iter()
        .filter_map(|fault| match fault {
            Fault::Harmful { item_id, .. } => Some(item_id),
            _ => None,
        })
        .collect();
    assert!(!listed.is_empty());
    assert_eq!(found, listed);
}

/// Character 4-grams of the words, one space between.
fn grams(title: &str, description: &str) -> BTreeSet<String> {
    let text = format!("{title} {description}").to_lowercase();
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let chars: Vec<char> = words.join(" ").chars().collect();
    chars.windows(4).map(|gram| gram.iter().collect()).collect()
}

/// Sorted numbers of grams, so that comparing all pairs is quick.
fn numbered(items: &[(i64, String, String, f64)]) -> Vec<Vec<u32>> {
    let mut numbers: BTreeMap<String, u32> = BTreeMap::new();
    items
        .iter()
        .map(|(_, title, description, _)| {
            let mut set: Vec<u32> = grams(title, description)
                .into_iter()
                .map(|gram| {
                    let next = numbers.len() as u32;
                    *numbers.entry(gram).or_insert(next)
                })
                .collect();
            set.sort_unstable();
            set
        })
        .collect()
}

fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let shared = a.iter().filter(|gram| b.binary_search(gram).is_ok()).count();
    shared as f64 / (a.len() + b.len() - shared) as f64
}

#[test]
fn items_that_look_alike_are_those_listed() {
    let shop = shop();
    let items = catalogue(&shop);
    let sets = numbered(&items);
    let mut alike = BTreeSet::new();
    for a in 0..items.len() {
        for b in a + 1..items.len() {
            if jaccard(&sets[a], &sets[b]) >= 0.7 {
                alike.insert((items[a].0, items[b].0));
            }
        }
    }
    let place = |id: i64| items.iter().position(|item| item.0 == id).unwrap();
    let (mut listed, mut below, mut kinds) = (BTreeSet::new(), 0, BTreeSet::new());
    for fault in shop.item_faults(DAY) {
        let (first, second, stated) = match fault {
            Fault::Twins { first, second, jaccard } => (first, second, jaccard),
            Fault::HardNegative { first, second, jaccard, what } => {
                kinds.insert(what);
                let (a, b) = (&items[place(first)], &items[place(second)]);
                assert_ne!(a.1, b.1, "the titles differ in a number");
                assert_eq!(a.2, b.2);
                (first, second, jaccard)
            }
            _ => continue,
        };
        let exact = jaccard(&sets[place(first)], &sets[place(second)]);
        assert_eq!(stated, exact, "{first} and {second}");
        if stated >= 0.7 {
            listed.insert((first, second));
        } else {
            below += 1;
        }
    }
    assert_eq!(alike, listed);
    assert!(listed.len() > 20 && below > 3);
    let all = [HardNegative::Sequel, HardNegative::Episode, HardNegative::Remake];
    assert_eq!(kinds, BTreeSet::from(all));
}

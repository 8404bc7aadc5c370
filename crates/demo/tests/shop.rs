//! The shop as its readers see it: the same for ever, full on every date, and like a real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use jiff::ToSpan;
use jiff::civil::{Date, date};
use noctule_demo::{Address, Settings, Shop, Table};

const DAY: Date = date(2026, 10, 14);

fn settings() -> Settings {
    Settings { seed: 3, users: 3_000, items: 1_200, events: 42_000 }
}

fn shop() -> Shop {
    Shop::new(settings()).unwrap()
}

/// FNV-1a of the table written as CSV, times as microseconds.
fn digest(batches: impl Iterator<Item = RecordBatch>) -> u64 {
    let mut csv = Vec::new();
    let mut writer = arrow::csv::Writer::new(&mut csv);
    for batch in batches {
        let schema = batch.schema();
        let plain = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
            let column = match field.data_type() {
                DataType::Timestamp(..) => cast(column, &DataType::Int64).unwrap(),
                _ => Arc::clone(column),
            };
            (field.name().clone(), column, true)
        });
        writer.write(&RecordBatch::try_from_iter_with_nullable(plain).unwrap()).unwrap();
    }
    drop(writer);
    csv.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// When one of these changes, `VERSION` has to rise, so that what was read before is not
/// taken for the same.
#[test]
fn bytes_are_those_of_this_version() {
    assert_eq!(noctule_demo::VERSION, 1);
    let shop = shop();
    let digests = Table::ALL.map(|table| format!("{:016x}", digest(shop.read(table, DAY))));
    assert_eq!(digests, ["d89a9e1ed967597a", "2ef02d6563ee01e0", "0cdc8fa9fbc0712c"]);
    let default = Address::parse("demo://shop").unwrap().settings;
    let events = digest(Shop::new(default).unwrap().events(DAY));
    assert_eq!(format!("{events:016x}"), "4f998122f3f6d372");
}

#[test]
fn days_are_independent_of_threads_and_of_each_other() {
    let shop = shop();
    let days: Vec<Date> = (0..6).map(|n| DAY.checked_add(n.days()).unwrap()).collect();
    let alone: Vec<u64> = days.iter().rev().map(|day| digest(shop.events(*day))).collect();
    let together: Vec<u64> = std::thread::scope(|scope| {
        let readers: Vec<_> = days
            .iter()
            .map(|day| scope.spawn(|| digest(Shop::new(settings()).unwrap().events(*day))))
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    assert!(alone.iter().eq(together.iter().rev()));
    let distinct: BTreeSet<u64> = alone.into_iter().collect();
    assert_eq!(distinct.len(), days.len());
}

#[test]
fn seed_and_sizes_make_another_shop() {
    let other = |change: fn(&mut Settings)| {
        let mut settings = settings();
        change(&mut settings);
        digest(Shop::new(settings).unwrap().events(DAY))
    };
    let digests = BTreeSet::from([
        other(|_| ()),
        other(|s| s.seed += 1),
        other(|s| s.users += 1_000),
        other(|s| s.items += 1_000),
        other(|s| s.events += 10_000),
    ]);
    assert_eq!(digests.len(), 5);
}

#[test]
fn every_date_has_a_full_shop() {
    let settings = Settings { seed: 1, users: 300, items: 400, events: 4_000 };
    let shop = Shop::new(settings).unwrap();
    for day in [
        date(-9999, 1, 1),
        date(1, 1, 1),
        date(1900, 2, 28),
        date(1969, 12, 31),
        date(1970, 1, 1),
        date(2024, 2, 29),
        date(2100, 3, 1),
        date(9999, 12, 31),
    ] {
        let rows = |table| shop.read(table, day).map(|batch| batch.num_rows()).sum::<usize>();
        assert_eq!(rows(Table::Items), 400, "{day}");
        assert_eq!(rows(Table::Users), 300, "{day}");
        assert!(rows(Table::Events) > 1_000, "{day}: {}", rows(Table::Events));
    }
}

#[test]
fn the_smallest_shop_works() {
    let settings = Settings { seed: 0, users: 20, items: 50, events: 100 };
    let shop = Shop::new(settings).unwrap();
    let rows: usize = shop.events(DAY).map(|batch| batch.num_rows()).sum();
    assert!(rows > 0);
    assert_eq!(shop.items(DAY).map(|batch| batch.num_rows()).sum::<usize>(), 50);
}

#[test]
fn batches_have_their_schema_and_size() {
    let shop = Shop::new(Settings { events: 200_000, ..Settings::default() }).unwrap();
    for table in Table::ALL {
        let batches: Vec<RecordBatch> = shop.read(table, DAY).collect();
        assert!(batches.iter().all(|batch| batch.schema() == table.schema()));
        if table == Table::Events {
            let (last, full) = batches.split_last().unwrap();
            assert!(full.len() >= 2);
            assert!(full.iter().all(|batch| batch.num_rows() == 65_536));
            assert!((1..=65_536).contains(&last.num_rows()));
        }
    }
}

fn ids(batches: impl Iterator<Item = RecordBatch>, column: usize) -> BTreeSet<i64> {
    batches
        .flat_map(|batch| {
            let ids = batch.column(column).as_primitive::<Int64Type>().clone();
            (0..ids.len()).filter(|row| ids.is_valid(*row)).map(|row| ids.value(row)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn snapshots_hold_whatever_two_months_of_logs_mention() {
    let shop = shop();
    let (items, users) = (ids(shop.items(DAY), 0), ids(shop.users(DAY), 0));
    for days in [0, 1, 30, 60] {
        let day = DAY.checked_sub(days.days()).unwrap();
        assert!(ids(shop.events(day), 2).is_subset(&items), "{day}");
        assert!(ids(shop.events(day), 1).is_subset(&users), "{day}");
    }
    let tomorrow = ids(shop.items(DAY.checked_add(3.days()).unwrap()), 0);
    assert!(!tomorrow.is_subset(&items), "new items are posted");
}

#[test]
fn event_ids_are_unique_across_days() {
    let shop = shop();
    let today = ids(shop.events(DAY), 0);
    let tomorrow = ids(shop.events(DAY.checked_add(1.day()).unwrap()), 0);
    assert!(today.is_disjoint(&tomorrow));
    assert!(today.iter().chain(&tomorrow).all(|id| *id > 0 && *id < 1 << 53));
}

#[test]
fn a_week_has_about_the_events_that_were_asked_for() {
    let shop = Shop::new(Settings::default()).unwrap();
    let rows: usize = (0..7)
        .flat_map(|n| shop.events(DAY.checked_add(n.days()).unwrap()))
        .map(|batch| batch.num_rows())
        .sum();
    let share = rows as f64 / 7.0 / Settings::default().events as f64;
    assert!((0.93..1.07).contains(&share), "{share}");
}

/// A week's watch rows: user, item, seconds, length, share.
fn watches(shop: &Shop) -> Vec<(i64, i64, f64, f64, f64)> {
    (0..7)
        .flat_map(|n| shop.events(DAY.checked_add(n.days()).unwrap()))
        .flat_map(|batch| {
            let id = |column: usize| batch.column(column).as_primitive::<Int64Type>().clone();
            let float = |column: usize| batch.column(column).as_primitive::<Float64Type>().clone();
            let (user, item, seconds, length, share) = (id(1), id(2), float(5), float(6), float(7));
            (0..batch.num_rows())
                .filter(|row| item.is_valid(*row) && share.is_valid(*row) && share.value(*row) >= 0.0)
                .map(|row| {
                    (
                        user.value(row),
                        item.value(row),
                        seconds.value(row),
                        length.value(row),
                        share.value(row),
                    )
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn gini(mut counts: Vec<f64>) -> f64 {
    counts.sort_unstable_by(f64::total_cmp);
    let n = counts.len() as f64;
    let total: f64 = counts.iter().sum();
    let weighted: f64 = counts.iter().enumerate().map(|(rank, count)| (rank as f64 + 1.0) * count).sum();
    2.0 * weighted / (n * total) - (n + 1.0) / n
}

#[test]
fn popularity_has_a_long_tail_and_people_are_casual_or_heavy() {
    let shop = shop();
    let (mut by_item, mut by_user) = (BTreeMap::new(), BTreeMap::new());
    for (user, item, ..) in watches(&shop) {
        *by_item.entry(item).or_insert(0.0) += 1.0;
        *by_user.entry(user).or_insert(0.0) += 1.0;
    }
    let items = gini(by_item.into_values().collect());
    assert!((0.4..0.8).contains(&items), "Gini of items {items}");
    let mut users: Vec<f64> = by_user.into_values().collect();
    let spread = gini(users.clone());
    assert!((0.3..0.7).contains(&spread), "Gini of users {spread}");
    users.sort_unstable_by(f64::total_cmp);
    let (casual, heavy) = (users[users.len() / 10], users[users.len() * 99 / 100]);
    assert!(heavy > 10.0 * casual, "{casual} {heavy}");
}

#[test]
fn watch_time_depends_on_length_and_clicks_mislead() {
    let shop = shop();
    let (mut short, mut long) = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0));
    let mut shares: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (_, item, seconds, length, share) in watches(&shop) {
        let sums = if length < 20.0 { &mut short } else { &mut long };
        *sums = (sums.0 + 1.0, sums.1 + seconds, sums.2 + share);
        let sum = shares.entry(item).or_default();
        *sum = (sum.0 + 1.0, sum.1 + share);
    }
    assert!(long.1 / long.0 > 1.5 * short.1 / short.0, "long ones are watched for longer");
    assert!(long.2 / long.0 < 0.95 * short.2 / short.0, "and less of each");

    let (mut clicks, mut impressions) = (BTreeMap::new(), BTreeMap::new());
    for batch in (0..7).flat_map(|n| shop.events(DAY.checked_add(n.days()).unwrap())) {
        let items = batch.column(2).as_primitive::<Int64Type>();
        let events = batch.column(4).as_string::<i32>();
        for row in (0..batch.num_rows()).filter(|row| items.is_valid(*row)) {
            let count = match events.value(row) {
                "click" => &mut clicks,
                "impression" => &mut impressions,
                _ => continue,
            };
            *count.entry(items.value(row)).or_insert(0.0) += 1.0;
        }
    }
    let mut seen: Vec<(f64, f64)> = impressions
        .iter()
        .filter(|(_, count)| **count >= 60.0)
        .filter_map(|(item, count)| {
            let (watches, share) = shares.get(item)?;
            Some((clicks.get(item).unwrap_or(&0.0) / count, share / watches))
        })
        .collect();
    seen.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let mean = |part: &[(f64, f64)]| part.iter().map(|item| item.1).sum::<f64>() / part.len() as f64;
    let tenth = seen.len() / 10;
    let (bait, rest) = (mean(&seen[seen.len() - tenth..]), mean(&seen[..seen.len() - tenth]));
    assert!(bait < 0.85 * rest, "the most clicked are watched less: {bait} {rest}");
}

#[test]
fn tastes_go_with_attributes() {
    let shop = shop();
    let words = |batch: &RecordBatch, column: usize, row: usize| {
        batch.column(column).as_string::<i32>().value(row).to_owned()
    };
    let (mut category, mut age) = (BTreeMap::new(), BTreeMap::new());
    for batch in shop.items(DAY.checked_add(6.days()).unwrap()) {
        for row in 0..batch.num_rows() {
            let id = batch.column(0).as_primitive::<Int64Type>().value(row);
            category.insert(id, words(&batch, 3, row));
        }
    }
    for batch in shop.users(DAY.checked_add(6.days()).unwrap()) {
        for row in 0..batch.num_rows() {
            let id = batch.column(0).as_primitive::<Int64Type>().value(row);
            age.insert(id, words(&batch, 1, row));
        }
    }
    let (mut cells, mut ages, mut categories, mut total) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), 0.0);
    for (user, item, ..) in watches(&shop) {
        let (age, category) = (&age[&user], &category[&item]);
        *cells.entry((age, category)).or_insert(0.0) += 1.0;
        *ages.entry(age).or_insert(0.0) += 1.0;
        *categories.entry(category).or_insert(0.0) += 1.0;
        total += 1.0;
    }
    // Mutual information of age band and category, in bits: 0 if they had nothing in common.
    let information: f64 = cells
        .iter()
        .map(|((age, category), count)| {
            let expected: f64 = ages[age] * categories[category] / total;
            count / total * f64::log2(count / expected)
        })
        .sum();
    assert!(information > 0.01, "{information}");
}

//! The operators against plain loops over the same rows, in memory and with everything on disk.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use noctule_tables::rows::{
    Coded, Cut, ItemMap, Keep, PairList, PairRule, Parts, Times, cut, drop_repeated, resolve_pairs,
    write_kept,
};
use noctule_tables::{Budget, Error, Table, TableWriter};

#[derive(Debug, Clone, PartialEq)]
struct Row {
    user: String,
    item: i64,
    time: i64,
    value: f64,
    event: i64,
}

/// Rows in no order: few users and items, so that pairs repeat and times tie.
fn rows(count: usize) -> Vec<Row> {
    let mut state = 42u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..count)
        .map(|_| Row {
            user: format!("u{}", draw(997)),
            item: draw(499) as i64 - 250,
            time: draw(5_000) as i64 * 7_000_000,
            value: draw(40) as f64 / 4.0,
            event: draw(count as u64 * 9 / 10) as i64,
        })
        .collect()
}

fn table(folder: &Path, rows: &[Row]) -> Table {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("user", DataType::Utf8, false),
        Field::new("item", DataType::Int64, false),
        Field::new("time", time, false),
        Field::new("value", DataType::Float64, false),
        Field::new("event", DataType::Int64, false),
    ]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| &row.user))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.item))),
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.time)).with_timezone("UTC"),
        ),
        Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.value))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.event))),
    ];
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    written(folder, "input", schema, |writer| writer.write(&batch).unwrap())
}

fn written(folder: &Path, name: &str, schema: Arc<Schema>, write: impl FnOnce(&mut TableWriter)) -> Table {
    let (folder, stem) = (folder.to_owned(), name.to_owned());
    let mut writer =
        TableWriter::new(schema, 2, move |number| Ok(folder.join(format!("{stem}-{number}.parquet"))));
    write(&mut writer);
    let paths: Vec<_> = writer.finish().unwrap().into_iter().map(|file| file.path).collect();
    Table::open(name, &paths, None).unwrap()
}

fn read(table: &Table) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in table.scan_all(2).unwrap() {
        let batch = batch.unwrap();
        let users = batch.column_by_name("user").unwrap().as_string::<i32>();
        let items = batch.column_by_name("item").unwrap().as_primitive::<Int64Type>();
        let times = batch.column_by_name("time").unwrap().as_primitive::<TimestampMicrosecondType>();
        let values = batch.column_by_name("value").unwrap().as_primitive::<Float64Type>();
        let events = batch.column_by_name("event").unwrap().as_primitive::<Int64Type>();
        rows.extend((0..batch.num_rows()).map(|i| Row {
            user: users.value(i).to_owned(),
            item: items.value(i),
            time: times.value(i),
            value: values.value(i),
            event: events.value(i),
        }));
    }
    rows
}

/// Calls `check` with a budget that holds everything, and with one that sends all but a little to disk.
fn both_budgets(folder: &Path, check: impl Fn(&Budget)) {
    let large = Budget::new(1 << 30, 2, folder);
    check(&large);
    assert_eq!(large.spilled(), 0);
    let small = Budget::new(3 << 20, 2, folder);
    check(&small);
    assert!(small.spilled() > 0, "nothing went to disk");
}

const COUNT: usize = 200_000;

#[test]
fn pairs_are_resolved_as_a_loop_would() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(COUNT);
    let table = table(folder.path(), &rows);
    for rule in [PairRule::KeepLatest, PairRule::KeepFirst, PairRule::KeepMax, PairRule::Sum, PairRule::Count]
    {
        let wanted = naive_pairs(&rows, rule);
        both_budgets(folder.path(), |budget| {
            let keep = Keep::all(table.rows());
            let resolved = resolve_pairs(&table, &keep, &ItemMap::Identity, rule, budget).unwrap();
            let schema = resolved.schema(table.schema());
            let out = written(folder.path(), "out", schema, |writer| {
                resolved.write(&table, &ItemMap::Identity, budget, writer, |_| ()).unwrap();
            });
            assert_eq!(read(&out), wanted, "{rule:?}");
            let told = (rule != PairRule::KeepFirst).then(|| naive_first_times(&rows, &wanted));
            assert_eq!(first_times(&out), told, "{rule:?}");
        });
    }
}

#[test]
fn a_table_that_tells_first_times_keeps_its_earliest() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(COUNT);
    // Two tables, each with one row a pair, put together: as a first night's result and a second's.
    let halves = [&rows[..COUNT / 2], &rows[COUNT / 2..]].map(|half| {
        let table = table(folder.path(), half);
        let budget = Budget::new(1 << 30, 2, folder.path());
        let keep = Keep::all(table.rows());
        let resolved =
            resolve_pairs(&table, &keep, &ItemMap::Identity, PairRule::KeepLatest, &budget).unwrap();
        let name = format!("half-{}", half.as_ptr() as usize);
        written(folder.path(), &name, resolved.schema(table.schema()), |writer| {
            resolved.write(&table, &ItemMap::Identity, &budget, writer, |_| ()).unwrap();
        })
    });
    let both = written(folder.path(), "both", halves[0].schema().clone(), |writer| {
        for batch in halves.iter().flat_map(|half| half.scan_all(1).unwrap()) {
            writer.write(&batch.unwrap()).unwrap();
        }
    });
    let wanted = naive_pairs(&rows, PairRule::KeepLatest);
    let mut told: BTreeMap<(String, i64), i64> = BTreeMap::new();
    for (row, first) in wanted.iter().zip(naive_first_times(&rows, &wanted)) {
        told.insert((row.user.clone(), row.item), first);
    }
    for rule in [PairRule::KeepLatest, PairRule::KeepFirst] {
        both_budgets(folder.path(), |budget| {
            let keep = Keep::all(both.rows());
            let resolved = resolve_pairs(&both, &keep, &ItemMap::Identity, rule, budget).unwrap();
            let out = written(folder.path(), "out", resolved.schema(both.schema()), |writer| {
                resolved.write(&both, &ItemMap::Identity, budget, writer, |_| ()).unwrap();
            });
            let found = read(&out);
            assert_eq!(found.len(), told.len());
            for (row, first) in found.iter().zip(first_times(&out).unwrap()) {
                assert_eq!(first, told[&(row.user.clone(), row.item)]);
            }
        });
    }
}

/// The column `first_time`, if there is one.
fn first_times(table: &Table) -> Option<Vec<i64>> {
    table.schema().column_with_name("first_time")?;
    let mut times = Vec::new();
    for batch in table.scan(&["first_time"], 1).unwrap() {
        times.extend_from_slice(batch.unwrap().column(0).as_primitive::<TimestampMicrosecondType>().values());
    }
    Some(times)
}

/// For each of the kept rows the least time among the rows of its pair.
fn naive_first_times(rows: &[Row], kept: &[Row]) -> Vec<i64> {
    let mut first: HashMap<(&str, i64), i64> = HashMap::new();
    for row in rows {
        let time = first.entry((&row.user, row.item)).or_insert(row.time);
        *time = row.time.min(*time);
    }
    kept.iter().map(|row| first[&(row.user.as_str(), row.item)]).collect()
}

fn naive_pairs(rows: &[Row], rule: PairRule) -> Vec<Row> {
    let mut pairs: BTreeMap<(&str, i64), Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        pairs.entry((&row.user, row.item)).or_default().push(at);
    }
    let mut kept: Vec<(usize, Row)> = pairs
        .values()
        .map(|same| {
            let latest = |at: &usize| (rows[*at].time, (rows[*at].value * 4.0) as i64, *at);
            let best = match rule {
                PairRule::KeepFirst => *same.iter().min_by_key(|at| (rows[**at].time, **at)).unwrap(),
                PairRule::KeepMax => *same
                    .iter()
                    .max_by_key(|at| ((rows[**at].value * 4.0) as i64, rows[**at].time, **at))
                    .unwrap(),
                _ => *same.iter().max_by_key(|at| latest(at)).unwrap(),
            };
            let mut row = rows[best].clone();
            match rule {
                PairRule::Sum => row.value = same.iter().map(|at| rows[*at].value).sum(),
                PairRule::Count => row.value = same.len() as f64,
                _ => {}
            }
            (best, row)
        })
        .collect();
    kept.sort_by_key(|(at, _)| *at);
    kept.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn repeated_events_are_dropped_as_a_loop_would() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(COUNT);
    let table = table(folder.path(), &rows);
    let mut first: HashMap<i64, usize> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        let best = first.entry(row.event).or_insert(at);
        if row.time < rows[*best].time {
            *best = at;
        }
    }
    let kept: BTreeSet<usize> = first.into_values().collect();
    let wanted: Vec<Row> = kept.iter().map(|at| rows[*at].clone()).collect();
    // By the number itself, and by a hash of it together with what it implies.
    for key in [&["event"][..], &["event", "event"][..]] {
        both_budgets(folder.path(), |budget| {
            let mut keep = Keep::all(table.rows());
            drop_repeated(&table, key, &mut keep, budget).unwrap();
            let out = written(folder.path(), "out", table.schema().clone(), |writer| {
                write_kept(&table, &keep, budget, writer, |_| ()).unwrap();
            });
            assert_eq!(read(&out), wanted);
        });
    }
}

#[test]
fn pairs_are_counted_and_the_core_is_found_as_a_loop_would() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(COUNT);
    let table = table(folder.path(), &rows);
    let mut pairs: BTreeSet<(String, i64)> = rows.iter().map(|row| (row.user.clone(), row.item)).collect();
    let per = |pairs: &BTreeSet<(String, i64)>| {
        let (mut users, mut items) = (HashMap::new(), HashMap::new());
        for (user, item) in pairs {
            *users.entry(user.clone()).or_insert(0u64) += 1;
            *items.entry(*item).or_insert(0u64) += 1;
        }
        (users, items)
    };
    let (users, items) = per(&pairs);
    // Bounds near the middle, so that each round drops some.
    let (least_items, least_users) = (median(users.values()), median(items.values()));
    let before = pairs.clone();
    loop {
        let (users, items) = per(&pairs);
        let size = pairs.len();
        pairs.retain(|(user, item)| users[user] >= least_items && items[item] >= least_users);
        if pairs.len() == size {
            break;
        }
    }
    assert!(pairs.len() < before.len());
    both_budgets(folder.path(), |budget| {
        let coded = Coded::read(&table, Times::Own, &[], budget, |_, _| Ok(())).unwrap();
        let keep = Keep::all(table.rows());
        let list = PairList::distinct(&coded, &keep, None, budget).unwrap();
        for (code, count) in list.items_per_user().unwrap().into_iter().enumerate() {
            assert_eq!(count, users[&coded.users.text(code as u32)]);
        }
        let core = list.core(least_items, least_users).unwrap();
        let mut left = keep.clone();
        coded.keep_users(&mut left, &core.users).unwrap();
        coded.keep_items(&mut left, &core.items).unwrap();
        let counts = coded.counts(&left).unwrap();
        let wanted = rows.iter().filter(|row| pairs.contains(&(row.user.clone(), row.item))).count();
        assert_eq!(counts.rows, wanted as u64);
    });
}

fn median<'a>(counts: impl Iterator<Item = &'a u64>) -> u64 {
    let mut counts: Vec<u64> = counts.copied().collect();
    counts.sort_unstable();
    counts[counts.len() / 2]
}

#[test]
fn cuts_take_what_a_sort_would() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(COUNT);
    let table = table(folder.path(), &rows);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|at| (rows[*at].time, rows[*at].user.as_bytes(), rows[*at].item, *at));
    let mut last: HashMap<&str, usize> = HashMap::new();
    order.iter().for_each(|at| {
        last.insert(&rows[*at].user, *at);
    });
    both_budgets(folder.path(), |budget| {
        let coded = Coded::read(&table, Times::Own, &[], budget, |_, _| Ok(())).unwrap();
        let pool = Keep::all(table.rows());
        for share in [0.1, 0.333, 0.999, 1.0] {
            let taken = cut(&coded, &pool, Cut::TimeShare(share), budget).unwrap();
            let count = (rows.len() as f64 * share).floor() as usize;
            assert_eq!(taken.count(), count as u64);
            assert!(order[rows.len() - count..].iter().all(|at| taken.has(*at as u64)), "{share}");
        }
        let taken = cut(&coded, &pool, Cut::LastOfUser, budget).unwrap();
        assert_eq!(taken.count(), last.len() as u64);
        assert!(last.values().all(|at| taken.has(*at as u64)));
    });
}

#[test]
fn an_overlap_is_seen_and_unknown_rows_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(COUNT);
    let table = table(folder.path(), &rows);
    both_budgets(folder.path(), |budget| {
        let coded = Coded::read(&table, Times::Own, &[], budget, |_, _| Ok(())).unwrap();
        let pool = Keep::all(table.rows());
        let test = cut(&coded, &pool, Cut::TimeShare(0.5), budget).unwrap();
        let side = |at: usize| test.has(at as u64);
        let mut sides: HashMap<(&str, i64), [bool; 2]> = HashMap::new();
        for (at, row) in rows.iter().enumerate() {
            sides.entry((&row.user, row.item)).or_default()[usize::from(side(at))] = true;
        }
        let wanted = sides.values().filter(|sides| **sides == [true, true]).count();
        let parts = Parts::new(&pool, test.clone(), None);
        assert_eq!(parts.overlap(&coded, budget).unwrap().unwrap().pairs, wanted as u64);

        // A draw by pair keeps each pair's rows together.
        let drawn = cut(&coded, &pool, Cut::PairShare { share: 0.3, seed: 1 }, budget).unwrap();
        let parts = Parts::new(&pool, drawn, None);
        assert_eq!(parts.overlap(&coded, budget).unwrap(), None);
        assert!((parts.test.count() as f64 / COUNT as f64 - 0.3).abs() < 0.001);
    });
}

#[test]
fn too_many_ids_for_the_memory_are_told_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let many: Vec<Row> = rows(100_000)
        .into_iter()
        .enumerate()
        .map(|(at, row)| Row { user: format!("user number {at}"), ..row })
        .collect();
    let table = table(folder.path(), &many);
    let budget = Budget::new(2 << 20, 1, folder.path());
    let error = Coded::read(&table, Times::None, &[], &budget, |_, _| Ok(())).err().unwrap();
    assert!(
        matches!(error, Error::Memory { .. }) && error.to_string().contains("give the step more memory"),
        "{error}"
    );
}

#[test]
fn a_damaged_file_is_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), &rows(50_000));
    let path = folder.path().join("input-0.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&path, &bytes).unwrap();
    let outcome: Result<Vec<RecordBatch>, Error> = table.scan_all(2).unwrap().collect();
    assert!(outcome.err().unwrap().to_string().contains("input-0.parquet"));
    bytes.truncate(middle);
    std::fs::write(&path, &bytes).unwrap();
    let error = Table::open("input", &[path], None).err().unwrap().to_string();
    assert!(error.contains("is no readable Parquet file") && error.contains("write it again"), "{error}");
}

#[test]
fn batches_and_threads_leave_no_trace_in_the_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows(150_000);
    let table = table(folder.path(), &rows);
    let mut seen = BTreeSet::new();
    for (threads, piece) in [(1, 150_000), (2, 1000), (4, 77)] {
        let name = format!("out-{threads}");
        let (place, stem) = (folder.path().to_owned(), name.clone());
        let mut writer =
            TableWriter::new(table.schema().clone(), threads, move |n| Ok(place.join(format!("{stem}-{n}"))));
        for batch in table.scan_all(threads).unwrap() {
            let batch = batch.unwrap();
            for start in (0..batch.num_rows()).step_by(piece) {
                writer.write(&batch.slice(start, piece.min(batch.num_rows() - start))).unwrap();
            }
        }
        let files = writer.finish().unwrap();
        seen.insert(noctule_artifacts::Digest::of(&std::fs::read(&files[0].path).unwrap()).to_string());
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

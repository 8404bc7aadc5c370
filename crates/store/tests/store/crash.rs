//! A writer that is killed at any moment loses nothing that it was told is committed, and leaves nothing half done.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use noctule_artifacts::RunId;
use noctule_engine::RunStatus;
use noctule_store::{Location, RunFilter, Store};

use crate::child;
use crate::world::{address, after, begin, change, noted};

on_both! {
    async fn a_killed_writer_leaves_a_whole_store(world: World) {
        for commits in [1usize, 2, 4, 5, 7, 23] {
            let told = write_and_kill(&world.location, commits);
            let store = world.another().await;
            check(&store, &told).await;
            wipe(&world.location, store).await;
        }
    }

    async fn two_processes_write_at_once(world: World) {
        let start = |first| {
            let mut command = child::command_from(&address(&world.location), first);
            let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
            let lines = BufReader::new(process.stdout.take().unwrap()).lines();
            (process, lines)
        };
        for (mut process, lines) in [start(1), start(1000)] {
            let said: Vec<String> = lines.map_while(Result::ok).filter(|line| !line.is_empty()).take(30).collect();
            let committed = said.iter().filter(|line| line.starts_with("committed")).count();
            assert!(committed >= 20, "{said:?}");
            process.kill().unwrap();
            process.wait().unwrap();
        }
        let history = world.store.history(&"home-feed".parse().unwrap(), &"champion".parse().unwrap()).await.unwrap();
        assert!(history.rows().len() >= 4);
        assert_eq!(history.gaps().count(), 0);
    }
}

/// Kills a writer after so many commits, and says what it was told is committed: the last event of each run.
fn write_and_kill(location: &Location, commits: usize) -> BTreeMap<RunId, u64> {
    let mut child = child::command(&address(location)).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = BTreeMap::new();
    let mut seen = 0;
    let mut note = |line: &str| {
        if let Some(rest) = line.strip_prefix("committed ") {
            let (run, end) = rest.split_once(' ').unwrap();
            told.insert(run.parse().unwrap(), end.parse().unwrap());
            return true;
        }
        assert!(!line.starts_with("stopped"), "{line}");
        false
    };
    for line in lines.by_ref().map_while(Result::ok) {
        seen += usize::from(note(&line));
        if seen == commits {
            break;
        }
    }
    assert_eq!(seen, commits, "the writer ended by itself");
    // Somewhere within one of the next transactions.
    std::thread::sleep(Duration::from_micros(700 * commits as u64));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        note(&line);
    }
    told
}

pub async fn check(store: &Store, told: &BTreeMap<RunId, u64>) {
    let runs = store.runs(&RunFilter::default()).await.unwrap();
    let mut succeeded = 0;
    for run in &runs {
        let log = store.load(&run.run).await.unwrap();
        assert_eq!(log.len() as u64, run.last_event, "the log has no holes");
        assert!(run.last_event >= *told.get(&run.run).unwrap_or(&1), "what was committed is there");
        succeeded += usize::from(run.status == RunStatus::Succeeded);
        assert_eq!(run.status == RunStatus::Succeeded, run.last_event == 5);
    }
    assert!(told.keys().all(|run| runs.iter().any(|row| row.run == *run)));
    let model = "home-feed".parse().unwrap();
    let rows = match store.has_model(&model).await.unwrap() {
        true => store.promotions(&model).await.unwrap(),
        false => vec![],
    };
    let messages = store.waiting_messages().await.unwrap();
    assert_eq!(rows.len(), succeeded, "a run has succeeded if and only if its model was promoted");
    assert_eq!(messages.len(), succeeded, "and if and only if the pointer's message waits");
    assert!(rows.iter().map(|row| row.sequence).eq(1..=succeeded as u64));

    let next = begin(store, 9999).await;
    store.commit(&after(&next, 1), &change(9, vec![noted("it goes on")])).await.unwrap();
}

async fn wipe(location: &Location, store: Store) {
    store.close().await;
    match location {
        Location::File(path) => {
            for end in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{end}", path.display()));
            }
        }
        Location::Postgres(_) => crate::postgres::sql(location, "DROP SCHEMA noctule CASCADE"),
    }
}

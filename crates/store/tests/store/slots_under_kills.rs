//! Processes that take slots and are killed at any moment: no limit is ever exceeded, and nothing is lost.
//!
//! What the store says about itself is not enough here. Each process keeps a file for as long as it knows that it has a
//! slot; so the files are at any moment at most as many as the slots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use noctule_artifacts::RunId;
use noctule_store::{Location, SlotLimits, SlotWish, Store, StoreError};

use crate::slots::{give_back, gpu, take, wish};
use crate::world::{address, begin, block_on, run_id};

const LOCATION: &str = "NOCTULE_STORE_TAKER";
const FOLDER: &str = "NOCTULE_STORE_TAKER_FOLDER";
const RUN: &str = "NOCTULE_STORE_TAKER_RUN";
const SLOTS: u32 = 2;
const TAKERS: u32 = 5;

fn one_of_two(number: u32) -> SlotWish {
    SlotWish { priority: (number % 3) as i32, ..wish(SlotLimits { overall: Some(3), ..gpu(SLOTS) }) }
}

/// Takes a slot, holds it for a moment and gives it back, over and over.
#[test]
fn take_until_ended() {
    let Ok(text) = std::env::var(LOCATION) else { return };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let number: u32 = std::env::var(RUN).unwrap().parse().unwrap();
    block_on(async move {
        let location: Location = text.parse().unwrap();
        let store = Store::open(&location).await.unwrap();
        let run = begin(&store, number).await;
        let wish = one_of_two(number);
        let file = folder.join(run.as_str());
        for attempt in 1.. {
            while store.wait_for_slot(&run, &wish).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            match take(&store, &run, attempt, &wish).await {
                Ok(_) => {}
                Err(StoreError::NoSlot(_)) => continue,
                Err(error) => panic!("{error}"),
            }
            std::fs::write(&file, attempt.to_string()).unwrap();
            tokio::time::sleep(Duration::from_millis(u64::from(attempt * 7 + number) % 30)).await;
            std::fs::remove_file(&file).unwrap();
            give_back(&store, &run, attempt).await;
        }
    });
}

fn start(location: &Location, folder: &Path, number: u32) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["slots_under_kills::take_until_ended", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(LOCATION, address(location)).env(FOLDER, folder).env(RUN, number.to_string());
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// What whoever takes over from a dead process does: its attempts are seen gone, and their slots given back.
async fn take_over(store: &Store, folder: &Path, run: &RunId) {
    let _ = std::fs::remove_file(folder.join(run.as_str()));
    for slot in store.slots().await.unwrap().iter().filter(|slot| slot.run == *run) {
        give_back(store, run, slot.attempt.0).await;
    }
}

async fn look(store: &Store, folder: &Path) -> usize {
    // Files go before their slots do, and come after them.
    let files = std::fs::read_dir(folder).unwrap().count();
    assert!(files <= SLOTS as usize, "{files} have one of {SLOTS} slots");
    let slots = store.slots().await.unwrap();
    assert!(slots.len() <= SLOTS as usize, "{slots:?}");
    files
}

on_both! {
    async fn pools_are_never_exceeded_under_kills(world: World) {
        let folder = tempfile::tempdir().unwrap();
        let mut takers: BTreeMap<u32, Child> = BTreeMap::new();
        let (mut next, mut busy) = (1, 0);
        for round in 0..12u64 {
            while (takers.len() as u32) < TAKERS {
                takers.insert(next, start(&world.location, folder.path(), next));
                next += 1;
            }
            let until = Instant::now() + Duration::from_millis(150 + round * 37 % 100);
            while Instant::now() < until {
                busy += look(&world.store, folder.path()).await;
            }
            let victim = *takers.keys().nth(round as usize % TAKERS as usize).unwrap();
            let mut child = takers.remove(&victim).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            // The dead hold what they held until somebody has seen them gone.
            look(&world.store, folder.path()).await;
            take_over(&world.store, folder.path(), &run_id(victim)).await;
        }
        assert!(busy > 0, "slots were taken");
        for (number, mut child) in takers {
            child.kill().unwrap();
            child.wait().unwrap();
            take_over(&world.store, folder.path(), &run_id(number)).await;
        }
        assert!(world.store.slots().await.unwrap().is_empty(), "nothing was lost");
    }
}

//! Pools and limits: never exceeded, whoever is killed when; and the right one goes first.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Trigger;
use super::world::{Deed, World, at, name, plain, rounds, who};
use crate::Limits;

const NOON: &str = "2026-11-20T12:00:30Z";

fn pooled(pipeline: &str, keys: &str) -> String {
    format!(
        "noctule: 1\npipeline: {pipeline}\n{keys}steps:\n  train: {{uses: shell, pool: gpu, with: {{command: [x]}}}}\n"
    )
}

fn trigger(pipeline: &str) -> Trigger {
    Trigger { pipeline: name(pipeline), params: BTreeMap::new(), at: None }
}

#[tokio::test]
async fn a_pool_is_never_exceeded_whoever_is_killed_when() {
    use rand::{Rng as _, SeedableRng as _};
    for seed in 0..rounds(3) {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |most: u32| random.next_u32() % most;
        let mut world = World::new().await;
        world.limits = Limits { attempts: None, pools: BTreeMap::from([("gpu".to_owned(), 2)]) };
        world.write("a.yaml", &pooled("a", ""));
        world.launcher.takes(Duration::from_millis(15));
        let mut rig = world.server("0").await;
        rig.turn(at(NOON)).await;
        for _ in 0..8 {
            rig.desk.trigger(&trigger("a"), &who()).await.unwrap();
        }
        for server in 1..5u32 {
            for _ in 0..2 + pick(3) {
                rig.turn(at(NOON)).await;
                tokio::time::sleep(Duration::from_millis(u64::from(pick(25)))).await;
                assert!(world.store.slots().await.unwrap().len() <= 2, "seed {seed}");
            }
            rig.kill().await;
            rig = world.server(&server.to_string()).await;
        }
        rig.rest(at(NOON)).await;
        assert!(world.launcher.most("train") <= 2, "seed {seed}: {}", world.launcher.most("train"));
        assert_eq!(world.launcher.begun().len(), 8, "seed {seed}");
        assert!(world.store.slots().await.unwrap().is_empty());
        assert!(world.store.slot_waiters().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn limits_hold_for_a_pipeline_and_for_all() {
    let mut world = World::new().await;
    world.limits = Limits { attempts: Some(3), pools: BTreeMap::new() };
    world.write("a.yaml", &plain("a", "limits: {attempts: 1}\n"));
    world.write("b.yaml", &plain("b", ""));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    for pipeline in ["a", "a", "b", "b", "b"] {
        rig.desk.trigger(&trigger(pipeline), &who()).await.unwrap();
    }
    rig.until(at(NOON), "three run", async || world.launcher.live() == 3).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.turn(at(NOON)).await;
    let slots = world.store.slots().await.unwrap();
    assert_eq!(slots.len(), 3);
    assert!(slots.iter().filter(|slot| slot.pipeline == name("a")).count() <= 1);
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at(NOON)).await;
    assert_eq!(world.launcher.most("work"), 3);
}

#[tokio::test]
async fn the_higher_priority_goes_first() {
    let mut world = World::new().await;
    world.limits = Limits { attempts: None, pools: BTreeMap::from([("gpu".to_owned(), 1)]) };
    world.write("low.yaml", &pooled("low", "priority: -5\n"));
    world.write("high.yaml", &pooled("high", "priority: 5\n"));
    world.launcher.deed("train", Deed::Hang);
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    rig.desk.trigger(&trigger("low"), &who()).await.unwrap();
    rig.until(at(NOON), "it has the slot", async || world.launcher.live() == 1).await;
    let second = rig.desk.trigger(&trigger("low"), &who()).await.unwrap();
    rig.until(at(NOON), "it waits", async || world.store.slot_waiters().await.unwrap().len() == 1).await;
    let third = rig.desk.trigger(&trigger("high"), &who()).await.unwrap();
    rig.until(at(NOON), "both wait", async || world.store.slot_waiters().await.unwrap().len() == 2).await;
    world.launcher.deed("train", Deed::Succeed);
    rig.rest(at(NOON)).await;
    let order: Vec<_> = world.launcher.begun().into_iter().map(|key| key.run).collect();
    assert_eq!(order[1..], [third, second]);
}

#[tokio::test]
async fn what_waits_for_a_slot_can_be_cancelled() {
    let mut world = World::new().await;
    world.limits = Limits { attempts: Some(1), pools: BTreeMap::new() };
    world.write("a.yaml", &plain("a", ""));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    rig.desk.trigger(&trigger("a"), &who()).await.unwrap();
    rig.until(at(NOON), "one runs", async || world.launcher.live() == 1).await;
    let second = rig.desk.trigger(&trigger("a"), &who()).await.unwrap();
    rig.until(at(NOON), "the other waits", async || world.store.slot_waiters().await.unwrap().len() == 1)
        .await;
    rig.desk.cancel(&second, false, &who()).await.unwrap();
    rig.until(at(NOON), "it has ended", async || {
        world.store.run(&second).await.unwrap().status.is_terminal()
    })
    .await;
    assert!(world.store.slot_waiters().await.unwrap().is_empty());
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at(NOON)).await;
}

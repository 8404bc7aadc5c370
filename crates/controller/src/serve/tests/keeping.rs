//! What is cleared away, and what never is.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::layout;
use noctule_store::ArtifactState;

use super::super::Trigger;
use super::world::{Deed, World, at, name, plain, publishing, who};
use crate::ControllerError;
use crate::sweep::{self, MOURNING, Sweep};

const NOON: &str = "2026-11-20T12:00:30Z";

fn trigger(pipeline: &str, occurrence: &str) -> Trigger {
    Trigger { pipeline: name(pipeline), params: Default::default(), at: Some(at(occurrence)) }
}

async fn sweep_at(world: &World, now: Timestamp) -> Result<sweep::Swept, ControllerError> {
    let wish = Sweep { unused_since: now, now, dry_run: false };
    sweep::sweep(&world.controller(), wish).await
}

#[tokio::test]
async fn the_sweep_never_touches_what_a_version_or_a_live_run_needs() {
    let world = World::new().await;
    world.write("a.yaml", &publishing("a", "feed", ""));
    world.write("b.yaml", &plain("b", ""));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    let promoted = rig.desk.trigger(&trigger("a", "2026-11-01T03:00:00Z"), &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    let old = rig.desk.trigger(&trigger("b", "2026-11-01T03:00:00Z"), &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    let newer = rig.desk.trigger(&trigger("b", "2026-11-02T03:00:00Z"), &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    world.launcher.deed("work", Deed::Hang);
    let live = rig.desk.trigger(&trigger("b", "2026-11-03T03:00:00Z"), &who()).await.unwrap();
    rig.until(at(NOON), "it runs", async || world.launcher.live() == 1).await;

    let later = Timestamp::now() + SignedDuration::from_hours(1);
    let dry = Sweep { unused_since: later, now: later, dry_run: true };
    let would = sweep::sweep(&world.controller(), dry).await.unwrap();
    let swept = sweep_at(&world, later).await.unwrap();
    assert_eq!(would.marked, swept.marked);
    let manifest = |run, step: &str| {
        layout::attempt_manifest(run, &step.parse().unwrap(), noctule_artifacts::AttemptNumber(1))
    };
    assert_eq!(swept.marked, [manifest(&old, "work")]);
    let swept = sweep_at(&world, later + MOURNING).await.unwrap();
    assert_eq!(swept.deleted.len(), 1);
    let state = async |path: String| world.store.artifact(&path).await.unwrap().unwrap().state;
    assert_eq!(state(manifest(&old, "work")).await, ArtifactState::Expired);
    for kept in [manifest(&newer, "work"), manifest(&promoted, "model"), manifest(&promoted, "gate")] {
        assert_eq!(state(kept).await, ArtifactState::Live);
    }
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at(NOON)).await;
    assert!(world.store.run(&live).await.unwrap().status.is_good());
}

#[tokio::test]
async fn old_runs_are_forgotten_with_their_papers_and_the_last_good_one_stays() {
    let world = World::new().await;
    world.write("b.yaml", &plain("b", ""));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    let mut runs = Vec::new();
    for day in 1..4 {
        let occurrence = format!("2026-11-0{day}T03:00:00Z");
        runs.push(rig.desk.trigger(&trigger("b", &occurrence), &who()).await.unwrap());
        rig.rest(at(NOON)).await;
    }
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    assert_eq!(sweep::expire_runs(&world.controller(), later).await.unwrap(), 2);
    let kept = world.runs("b").await;
    assert_eq!(kept.iter().map(|row| &row.run).collect::<Vec<_>>(), [&runs[2]]);
    let papers = async |run| {
        let listed = world.depot.list(&format!("runs/{run}/")).await.unwrap();
        listed.iter().filter(|listed| listed.path.ends_with(".launch.json")).count()
    };
    assert_eq!((papers(&runs[0]).await, papers(&runs[2]).await), (0, 1));
}

#[tokio::test]
async fn what_attempts_left_without_an_artifact_goes_when_it_is_old() {
    let world = World::new().await;
    world.write("b.yaml", &plain("b", ""));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    let run = rig.desk.trigger(&trigger("b", "2026-11-01T03:00:00Z"), &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    world.launcher.deed("work", Deed::Hang);
    let live = rig.desk.trigger(&trigger("b", "2026-11-02T03:00:00Z"), &who()).await.unwrap();
    rig.until(at(NOON), "it runs", async || world.launcher.live() == 1).await;
    let left = |run, attempt: u32| format!("runs/{run}/work/{attempt}/main/part.parquet");
    for path in [left(&run, 7), left(&live, 1)] {
        world.depot.put_new(&path, "half").await.unwrap();
    }
    let controller = world.controller();
    let soon = Timestamp::now() - SignedDuration::from_hours(1);
    assert_eq!(sweep::clear_attempts(&controller, soon).await.unwrap(), 0);
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    assert_eq!(sweep::clear_attempts(&controller, later).await.unwrap(), 1);
    let there = async |path: &str| world.depot.stat(path).await.unwrap().is_some();
    assert!(!there(&left(&run, 7)).await && there(&left(&live, 1)).await);
    let first = layout::attempt_manifest(&run, &"work".parse().unwrap(), noctule_artifacts::AttemptNumber(1));
    assert!(there(&first).await);
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at(NOON)).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(sweep::forget_ended(&controller, |_| false).await.unwrap(), 0);
}

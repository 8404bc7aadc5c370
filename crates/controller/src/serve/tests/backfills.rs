//! Backfills: beside the schedule, some at a time, and without a promotion unless told to.

use std::collections::BTreeMap;

use noctule_engine::{Publication, RunStatus};
use noctule_store::{BackfillOrder, BackfillState};

use super::super::{BackfillWish, RequestError};
use super::world::{Deed, Rig, World, at, name, plain, publishing, who};

const NIGHTLY: &str = "schedule: {cron: '15 2 * * *'}\n";
const NOON: &str = "2026-11-20T12:00:30Z";

fn wish(pipeline: &str, from: &str, to: &str) -> BackfillWish {
    BackfillWish {
        pipeline: name(pipeline),
        from: at(from),
        to: at(to),
        order: BackfillOrder::OldestFirst,
        at_once: 2,
        promote: false,
        params: BTreeMap::new(),
    }
}

async fn started(world: &World, pipeline: &str) -> Rig {
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    assert!(rig.catalogue.borrow().get(&name(pipeline)).is_some(), "{:?}", rig.status.borrow().problems);
    rig
}

#[tokio::test]
async fn a_backfill_registers_and_never_promotes_unless_told_to() {
    let world = World::new().await;
    world.write("a.yaml", &publishing("a", "feed", ""));
    let mut rig = started(&world, "a").await;
    let champion = ("feed".parse().unwrap(), "champion".parse().unwrap());
    let mut wish = wish("a", "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z");
    rig.desk.create_backfill(&wish, &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    let runs = world.runs("a").await;
    assert_eq!(runs.len(), 2);
    for row in &runs {
        assert_eq!(row.status, RunStatus::Succeeded);
        let (_, run) = world.controller().fold(&row.run).await.unwrap();
        let publish = run.step(&"publish".parse().unwrap()).unwrap();
        assert!(matches!(publish.publication(), Some(Publication::Registered { .. })), "{publish:?}");
    }
    assert!(world.store.alias(&champion.0, &champion.1).await.unwrap().is_none());
    assert_eq!(world.store.versions(&champion.0).await.unwrap().len(), 2);
    // A resumed or repeated run of it promotes no more than it did.
    let who = who();
    rig.desk.rerun(&runs[0].run, &"publish".parse().unwrap(), &who).await.unwrap();
    rig.rest(at(NOON)).await;
    assert!(world.store.alias(&champion.0, &champion.1).await.unwrap().is_none());
    wish.promote = true;
    (wish.from, wish.to) = (at("2026-11-05T00:00:00Z"), at("2026-11-06T00:00:00Z"));
    rig.desk.create_backfill(&wish, &who).await.unwrap();
    rig.rest(at(NOON)).await;
    assert!(world.store.alias(&champion.0, &champion.1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_backfill_runs_its_range_some_at_a_time_and_leaves_the_watermark_alone() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", NIGHTLY));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = started(&world, "a").await;
    let before = world.store.schedule(&name("a")).await.unwrap();
    let mut wish = wish("a", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z");
    wish.order = BackfillOrder::NewestFirst;
    let planned = rig.desk.plan_backfill(&wish).await.unwrap();
    assert_eq!(planned.len(), 5);
    assert_eq!(planned[0].end, at("2026-11-06T00:00:00Z"));
    assert!(world.occurrences("a").await.is_empty(), "a plan enters nothing");
    let id = rig.desk.create_backfill(&wish, &who()).await.unwrap();
    rig.until(at(NOON), "two run", async || world.launcher.live() == 2).await;
    for _ in 0..5 {
        rig.turn(at(NOON)).await;
    }
    assert_eq!(world.runs("a").await.len(), 2);
    assert_eq!(world.runs("a").await[0].interval.end, at("2026-11-06T00:00:00Z"));
    rig.desk.pause_backfill(id, &who()).await.unwrap();
    world.launcher.deed("work", Deed::Succeed);
    rig.until(at(NOON), "both have ended", async || {
        world.launcher.live() == 0 && world.store.backfill(id).await.unwrap().progress.live == 0
    })
    .await;
    rig.turn(at(NOON)).await;
    assert_eq!(world.runs("a").await.len(), 2);
    rig.desk.resume_backfill(id, &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    rig.turn(at(NOON)).await;
    assert_eq!(world.runs("a").await.len(), 5);
    let backfill = world.store.backfill(id).await.unwrap();
    assert_eq!((backfill.state, backfill.progress.good), (BackfillState::Done, 5));
    assert_eq!(world.store.schedule(&name("a")).await.unwrap(), before);
    assert!(world.launcher.most("work") <= 2);
    let refused = rig.desk.cancel_backfill(id, &who()).await.unwrap_err();
    assert!(matches!(refused, RequestError::BackfillIs { .. }), "{refused}");
}

#[tokio::test]
async fn a_cancelled_backfill_skips_what_has_not_begun_and_ends_what_runs() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", NIGHTLY));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = started(&world, "a").await;
    let wish = wish("a", "2026-11-01T00:00:00Z", "2026-11-06T00:00:00Z");
    let id = rig.desk.create_backfill(&wish, &who()).await.unwrap();
    rig.until(at(NOON), "two run", async || world.launcher.live() == 2).await;
    rig.desk.cancel_backfill(id, &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    let runs = world.runs("a").await;
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.status == RunStatus::Cancelled));
    let skipped = world.stands("a").await.into_iter().filter(|(_, stands)| stands == "backfill-cancelled");
    assert_eq!(skipped.count(), 3);
    assert_eq!(world.store.backfill(id).await.unwrap().state, BackfillState::Cancelled);
}

#[tokio::test]
async fn the_schedule_goes_on_beside_a_backfill_and_a_restart_loses_none_of_it() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", NIGHTLY));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = started(&world, "a").await;
    let wish = wish("a", "2026-11-01T00:00:00Z", "2026-11-05T00:00:00Z");
    rig.desk.create_backfill(&wish, &who()).await.unwrap();
    rig.until(at(NOON), "two run", async || world.launcher.live() == 2).await;
    let night = at("2026-11-21T02:15:01Z");
    rig.until(night, "the night begins beside them", async || world.launcher.live() == 3).await;
    rig.kill().await;
    // The text that it began with holds, whatever the file says now.
    world.write("a.yaml", &plain("a", "params: {x: 1}\n").replace("[x]", "['{{ params.x }}']"));
    world.launcher.deed("work", Deed::Succeed);
    let mut rig = world.server("two").await;
    rig.rest(at("2026-11-21T03:00:00Z")).await;
    let runs = world.runs("a").await;
    assert_eq!(runs.len(), 5);
    assert!(runs.iter().all(|run| run.status == RunStatus::Succeeded));
    for run in runs {
        let definition = world.store.definition(&run.run).await.unwrap();
        assert!(!String::from_utf8(definition).unwrap().contains("params.x"));
    }
}

#[tokio::test]
async fn a_backfill_that_cannot_be_is_refused_before_anything_is_entered() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", NIGHTLY));
    let rig = started(&world, "a").await;
    let refused = async |change: &dyn Fn(&mut BackfillWish)| {
        let mut wish = wish("a", "2026-11-01T00:00:00Z", "2026-11-05T00:00:00Z");
        change(&mut wish);
        rig.desk.create_backfill(&wish, &who()).await.unwrap_err().to_string()
    };
    assert!(refused(&|wish| wish.at_once = 0).await.contains("at_once"));
    assert!(refused(&|wish| wish.to = at("2026-10-01T00:00:00Z")).await.contains("before it begins"));
    assert!(refused(&|wish| wish.to = at("2027-11-05T00:00:00Z")).await.contains("complete"));
    assert!(refused(&|wish| wish.to = at("2026-11-01T10:00:00Z")).await.contains("no whole interval"));
    assert!(refused(&|wish| wish.pipeline = name("b")).await.contains("no pipeline `b`"));
    assert!(refused(&|wish| drop(wish.params.insert("y".into(), "1".into()))).await.contains("y"));
    assert!(world.occurrences("a").await.is_empty());
    let audits = world.store.audits(&Default::default()).await.unwrap();
    assert_eq!(audits.len(), 6);
    assert!(audits.iter().all(|row| row.entry.outcome.starts_with("refused: ")));
}

//! Who leads, what becomes of what was begun, and how a server starts and stops.

use std::time::Duration;

use noctule_engine::RunStatus;
use noctule_store::StoreError;
use tokio::sync::watch;

use super::super::seat::{self, Reign};
use super::super::{Leadership, Settings, StartError, Trigger, start};
use super::world::{Deed, World, at, name, plain, who};
use crate::ControllerError;
use crate::holder::Bearer;

const NOON: &str = "2026-11-20T12:00:30Z";
const HOURLY: &str = "schedule: {cron: '0 * * * *'}\n";

fn trigger(pipeline: &str) -> Trigger {
    Trigger { pipeline: name(pipeline), params: Default::default(), at: None }
}

#[tokio::test]
async fn a_leader_that_was_frozen_does_no_harm_when_it_wakes_up() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", HOURLY));
    world.launcher.deed("work", Deed::Hang);
    let mut frozen = world.server("one").await;
    frozen.turn(at(NOON)).await;
    frozen.until(at("2026-11-20T13:00:01Z"), "it runs", async || world.launcher.live() == 1).await;
    let driven = frozen.fleet.live();
    // The other one takes the seat and the runs, while the first knows nothing of it.
    let mut rig = world.server("two").await;
    rig.until(at("2026-11-20T13:00:02Z"), "it drives", async || world.launcher.live() == 1).await;
    rig.turn(at("2026-11-20T13:00:03Z")).await;
    assert_eq!(rig.fleet.live().len(), 1);
    // The first wakes up and goes on as if nothing had been: its writes are refused.
    frozen.turn(at("2026-11-20T14:00:01Z")).await;
    assert!(frozen.status.borrow().store.is_none());
    assert_eq!(world.occurrences("a").await.len(), 1);
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at("2026-11-20T13:30:00Z")).await;
    frozen
        .until(at("2026-11-20T14:00:02Z"), "it has let go", async || frozen_is_idle(&driven, &world).await)
        .await;
    let runs = world.runs("a").await;
    assert_eq!((runs.len(), runs[0].status), (1, RunStatus::Succeeded));
    assert_eq!(world.launcher.begun().len(), 1);
    let definition = crate::Definition::new("a".into(), plain("a", ""), Default::default(), at(NOON), "0");
    let (_, beginning) = super::super::desk::beginning(&definition, 1).unwrap();
    let late = crate::drive::Beginning { under: Some(&frozen.lease), ..beginning };
    let refused = world.controller().begin(late).await.unwrap_err();
    assert!(matches!(refused, ControllerError::Store(StoreError::LeaseLost { .. })), "{refused}");
}

async fn frozen_is_idle(driven: &[super::super::LiveRun], world: &World) -> bool {
    let run = &driven[0].run;
    world.store.run(run).await.unwrap().status.is_terminal()
}

#[tokio::test]
async fn a_server_that_loses_the_seat_drops_its_drives_and_takes_them_up_again() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", ""));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    rig.desk.trigger(&trigger("a"), &who()).await.unwrap();
    rig.until(at(NOON), "it runs", async || world.launcher.live() == 1).await;
    rig.server.turn(&Reign::Nobody, at(NOON)).await;
    assert!(rig.fleet.live().is_empty());
    assert!(matches!(rig.status.borrow().leadership, Leadership::StandingBy { .. }));
    assert_eq!(world.launcher.live(), 1, "its attempt goes on");
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at(NOON)).await;
    assert!(matches!(rig.status.borrow().leadership, Leadership::Leading { .. }));
    assert_eq!(world.launcher.begun().len(), 1);
    assert_eq!(rig.tally.lock().unwrap().elections, 2);
}

#[tokio::test]
async fn the_seat_is_taken_renewed_and_given_back() {
    let world = World::new().await;
    let (tell, mut reign) = watch::channel(Reign::Nobody);
    let (stop, told) = watch::channel(false);
    let keeper = tokio::spawn(seat::keep(world.store.clone(), Bearer::server("a"), tell, told));
    reign.wait_for(|reign| matches!(reign, Reign::Ours(_))).await.unwrap();
    let (other_tell, mut other) = watch::channel(Reign::Nobody);
    let (other_stop, other_told) = watch::channel(false);
    let second = tokio::spawn(seat::keep(world.store.clone(), Bearer::server("b"), other_tell, other_told));
    other.wait_for(|reign| matches!(reign, Reign::Theirs(_))).await.unwrap();
    stop.send_replace(true);
    keeper.await.unwrap();
    assert_eq!(*reign.borrow(), Reign::Nobody);
    let taken =
        tokio::time::timeout(Duration::from_secs(5), other.wait_for(|reign| matches!(reign, Reign::Ours(_))));
    taken.await.unwrap().unwrap();
    // Somebody else takes the lease away: it is seen, and stepped down from.
    let Reign::Ours(lease) = other.borrow().clone() else { panic!() };
    world.store.release(&lease).await.unwrap();
    world.store.acquire("leader", "a third", Duration::from_secs(60)).await.unwrap();
    let lost = tokio::time::timeout(
        Duration::from_secs(6),
        other.wait_for(|reign| matches!(reign, Reign::Theirs(_))),
    );
    lost.await.unwrap().unwrap();
    other_stop.send_replace(true);
    second.await.unwrap();
}

#[tokio::test]
async fn a_second_server_is_refused_where_only_one_may_be() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", HOURLY));
    let observe = || world.launcher.observe();
    let one = start(world.controller(), observe(), world.objects.clone(), world.settings()).await.unwrap();
    let wait = Duration::from_secs(10);
    let leads = async {
        while !matches!(one.status().leadership, Leadership::Leading { .. }) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(wait, leads).await.unwrap();
    let refused = start(world.controller(), observe(), world.objects.clone(), world.settings()).await;
    let refused = refused.err().unwrap();
    assert!(matches!(refused, StartError::AnotherServer { .. }), "{refused}");
    assert!(refused.to_string().contains("SQLite"), "{refused}");
    one.stop().await;
    let two = start(world.controller(), observe(), world.objects.clone(), world.settings()).await.unwrap();
    two.stop().await;
    let mut settings = world.settings();
    settings.folder = world.folder.path().join("nowhere");
    let nowhere = start(world.controller(), observe(), world.objects.clone(), settings).await.err().unwrap();
    assert!(matches!(nowhere, StartError::Folder { .. }), "{nowhere}");
}

#[tokio::test]
async fn a_server_that_stops_leaves_its_attempts_and_the_next_takes_them_up() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", ""));
    world.launcher.deed("work", Deed::Hang);
    let observe = || world.launcher.observe();
    let one = start(world.controller(), observe(), world.objects.clone(), world.settings()).await.unwrap();
    one.reload(&who()).await.unwrap();
    let run = begin(&one).await;
    until("it runs", || world.launcher.live() == 1).await;
    let begun = std::time::Instant::now();
    one.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(one.status().leadership, Leadership::Stopping);
    assert_eq!(world.launcher.live(), 1);
    assert_eq!(world.store.run(&run).await.unwrap().status, RunStatus::Running);
    assert!(world.store.holder(&crate::definition::lease_name(&run)).await.unwrap().is_none());
    assert!(world.store.holder("leader").await.unwrap().is_none());
    world.launcher.deed("work", Deed::Succeed);
    let two = start(world.controller(), observe(), world.objects.clone(), world.settings()).await.unwrap();
    let ended = async {
        while !world.store.run(&run).await.unwrap().status.is_terminal() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert_eq!(world.store.run(&run).await.unwrap().status, RunStatus::Succeeded);
    assert_eq!(world.launcher.begun().len(), 1);
    until("it is ready", || two.status().is_ready()).await;
    two.stop().await;
}

/// The leader may still be on its way into the store.
async fn begin(server: &super::super::Handle) -> noctule_artifacts::RunId {
    for _ in 0..200 {
        if let Ok(run) = server.desk().trigger(&trigger("a"), &who()).await {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it was never begun");
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to be that {what}");
}

#[tokio::test]
async fn a_server_that_stands_by_takes_over_the_seat_and_the_runs_of_one_that_is_gone() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", ""));
    // A server on a machine that nobody here can look at died a moment ago, and left a run.
    let gone = "server gone: process 1, started 1, boot elsewhere";
    world.store.acquire("leader", gone, Duration::from_secs(2)).await.unwrap();
    let definition =
        crate::Definition::new("a".into(), plain("a", ""), Default::default(), at(NOON), "0.1.0");
    let (run, beginning) = super::super::desk::beginning(&definition, 1).unwrap();
    world.controller().begin(beginning).await.unwrap();
    let lease = crate::definition::lease_name(&run);
    world.store.acquire(&lease, gone, Duration::from_secs(600)).await.unwrap();
    world.launcher.share();
    let settings = Settings { shared_database: true, ..world.settings() };
    let begun = std::time::Instant::now();
    let server =
        start(world.controller(), world.launcher.observe(), world.objects.clone(), settings).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "it stands by");
    for _ in 0..1000 {
        if world.store.run(&run).await.unwrap().status.is_terminal() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.store.run(&run).await.unwrap().status, RunStatus::Succeeded);
    assert!(begun.elapsed() > Duration::from_secs(1), "not before the seat was free");
    server.stop().await;
}

#[tokio::test]
async fn one_run_that_cannot_be_driven_does_not_hold_up_the_others() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", HOURLY));
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    // A run of a text that this program does not accept.
    let definition =
        crate::Definition::new("x".into(), plain("a", ""), Default::default(), at(NOON), "9.9.9");
    let (bad, beginning) = super::super::desk::beginning(&definition, 1).unwrap();
    let unreadable = crate::Definition { text: "steps: [".into(), ..definition.clone() };
    let beginning = crate::drive::Beginning { definition: &unreadable, ..beginning };
    world.controller().begin(beginning).await.unwrap();
    rig.until(at("2026-11-20T13:00:01Z"), "the others run", async || {
        world.runs("a").await.iter().filter(|run| run.status == RunStatus::Succeeded).count() == 1
    })
    .await;
    rig.turn(at("2026-11-20T13:00:02Z")).await;
    let troubled = rig.status.borrow().troubled.clone();
    assert!(troubled[&bad].what.contains("no longer accepted"), "{troubled:?}");
}

//! What people ask of runs, wherever they ask it.

use std::collections::BTreeMap;

use noctule_artifacts::RunId;
use noctule_engine::{Event, RunStatus};

use super::super::{Desk, RequestError, RequestTrouble, Sent, Trigger};
use super::world::{Deed, World, at, attempts, name, plain, who};
use crate::holder::Bearer;
use crate::watch::Watch;

const NOON: &str = "2026-11-20T12:00:30Z";

const TWO: &str = "noctule: 1
pipeline: two
steps:
  first: {uses: shell, with: {command: [x]}}
  second: {uses: shell, needs: [first], retry: {attempts: 1}, with: {command: [x]}}
  third: {uses: shell, needs: [second], with: {command: [x]}}
";

fn trigger(pipeline: &str) -> Trigger {
    Trigger { pipeline: name(pipeline), params: BTreeMap::new(), at: None }
}

async fn status(world: &World, run: &RunId) -> RunStatus {
    world.store.run(run).await.unwrap().status
}

#[tokio::test]
async fn a_run_is_triggered_cancelled_resumed_and_every_word_is_kept() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", "params: {x: 1}\n").replace("[x]", "['{{ params.x }}']"));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    let mut wish = trigger("a");
    wish.params.insert("x".into(), "7".into());
    let run = rig.desk.trigger(&wish, &who()).await.unwrap();
    rig.until(at(NOON), "it runs", async || world.launcher.live() == 1).await;
    let sent = rig.desk.cancel(&run, false, &who()).await.unwrap();
    assert_eq!(sent, Sent::Written);
    rig.rest(at(NOON)).await;
    assert_eq!(status(&world, &run).await, RunStatus::Cancelled);
    let log = world.store.load(&run).await.unwrap();
    assert!(log.iter().any(|logged| matches!(
        &logged.event,
        Event::CancelRequested { by, why: Some(why), .. } if by == "ann" && why == "a test"
    )));
    assert!(matches!(
        rig.desk.cancel(&run, false, &who()).await.unwrap_err().trouble(),
        RequestTrouble::Conflict
    ));
    world.launcher.deed("work", Deed::Succeed);
    rig.desk.resume(&run, &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    assert_eq!(status(&world, &run).await, RunStatus::Succeeded);
    assert!(rig.desk.resume(&run, &who()).await.is_err());
    let definition = String::from_utf8(world.store.definition(&run).await.unwrap()).unwrap();
    assert!(definition.contains(r#""x":"7""#) && definition.contains(r#""by":"ann""#), "{definition}");
    let audits = world.store.audits(&Default::default()).await.unwrap();
    let actions: Vec<_> =
        audits.iter().rev().map(|row| (row.entry.action.as_str(), row.entry.outcome.as_str())).collect();
    assert_eq!(actions[0].0, "run.trigger");
    assert_eq!(actions[1], ("run.cancel", "done"));
    assert!(actions[2].1.starts_with("refused: "));
    assert_eq!(actions[3], ("run.resume", "done"));
}

#[tokio::test]
async fn a_failed_step_is_ignored_and_a_step_runs_again_with_what_follows() {
    let world = World::new().await;
    world.write("two.yaml", TWO);
    world.launcher.deed("second", Deed::Fail(1));
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    let run = rig.desk.trigger(&trigger("two"), &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    assert_eq!(status(&world, &run).await, RunStatus::Failed);
    let silent = super::super::Who { why: None, ..who() };
    let second = "second".parse().unwrap();
    assert!(matches!(rig.desk.ignore(&run, &second, &silent).await, Err(RequestError::NoReason { .. })));
    rig.desk.ignore(&run, &second, &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    assert_eq!(attempts(&world, &run, "third").len(), 1);
    assert!(rig.desk.ignore(&run, &"first".parse().unwrap(), &who()).await.is_err());
    let nowhere = rig.desk.rerun(&run, &"nowhere".parse().unwrap(), &who()).await.unwrap_err();
    assert_eq!(nowhere.trouble(), RequestTrouble::NotFound, "{nowhere}");
    world.launcher.deed("second", Deed::Succeed);
    rig.desk.rerun(&run, &second, &who()).await.unwrap();
    rig.rest(at(NOON)).await;
    assert_eq!(status(&world, &run).await, RunStatus::Succeeded);
    assert_eq!(attempts(&world, &run, "first").len(), 1);
    assert_eq!(attempts(&world, &run, "second").len(), 2);
    assert_eq!(attempts(&world, &run, "third").len(), 2);
}

#[tokio::test]
async fn what_another_process_drives_is_told_through_the_store() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", ""));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    let run = rig.desk.trigger(&trigger("a"), &who()).await.unwrap();
    rig.until(at(NOON), "it runs", async || world.launcher.live() == 1).await;
    // A desk of another process: it knows no drives.
    let elsewhere = Desk::new(world.controller(), 4);
    let sent = elsewhere.cancel(&run, false, &who()).await.unwrap();
    assert!(matches!(sent, Sent::Told { .. }), "{sent:?}");
    rig.rest(at(NOON)).await;
    assert_eq!(status(&world, &run).await, RunStatus::Cancelled);
    assert!(world.store.waiting_messages().await.unwrap().is_empty());
    // What cannot be is said in the run's log.
    let run = rig.desk.trigger(&trigger("a"), &who()).await.unwrap();
    rig.until(at(NOON), "it runs", async || world.launcher.live() == 1).await;
    elsewhere.rerun(&run, &"work".parse().unwrap(), &who()).await.unwrap();
    rig.until(at(NOON), "it was refused", async || {
        let log = world.store.load(&run).await.unwrap();
        log.iter().any(
            |logged| matches!(&logged.event, Event::Noted { text, .. } if text.contains("rerun was asked")),
        )
    })
    .await;
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at(NOON)).await;
}

#[tokio::test]
async fn what_is_unknown_is_refused_by_name() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", ""));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    let unknown = rig.desk.trigger(&trigger("b"), &who()).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no pipeline `b`: there are a");
    assert_eq!(unknown.trouble(), RequestTrouble::NotFound);
    let run = RunId::from_random(5);
    assert_eq!(rig.desk.cancel(&run, true, &who()).await.unwrap_err().trouble(), RequestTrouble::NotFound);
    assert_eq!(rig.desk.resume(&run, &who()).await.unwrap_err().trouble(), RequestTrouble::NotFound);
    let mut wish = trigger("a");
    wish.params.insert("nonsense".into(), "1".into());
    let refused = rig.desk.trigger(&wish, &who()).await.unwrap_err();
    assert_eq!(refused.trouble(), RequestTrouble::Invalid);
    assert!(refused.to_string().contains("nonsense"));
    assert!(matches!(rig.desk.pause(&name("a"), &who()).await, Err(RequestError::NoSchedule { .. })));
    let talkative = super::super::Who { why: Some("x".repeat(3000)), ..who() };
    assert!(matches!(rig.desk.trigger(&trigger("a"), &talkative).await, Err(RequestError::TooLong { .. })));
    assert!(world.runs("a").await.is_empty());
}

#[tokio::test]
async fn a_run_that_another_version_began_says_so_once() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", ""));
    world.launcher.deed("work", Deed::Hang);
    let mut rig = world.server("one").await;
    rig.turn(at(NOON)).await;
    let definition =
        crate::Definition::new("a.yaml".into(), plain("a", ""), BTreeMap::new(), at(NOON), "0.0.1");
    let (run, beginning) = super::super::desk::beginning(&definition, 2).unwrap();
    world.controller().begin(beginning).await.unwrap();
    rig.until(at(NOON), "it runs", async || world.launcher.live() == 1).await;
    rig.kill().await;
    let mut rig = world.server("two").await;
    rig.until(at(NOON), "it is driven", async || !rig_is_idle(&world, &run).await).await;
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at(NOON)).await;
    let log = world.store.load(&run).await.unwrap();
    let said = log.iter().filter(|logged| {
        matches!(&logged.event, Event::Noted { text, .. } if text.contains("which noctule 0.0.1 began"))
    });
    assert_eq!(said.count(), 1);
    let read = crate::Definition::from_json(&run, &world.store.definition(&run).await.unwrap()).unwrap();
    assert_eq!(read.share.unwrap().threads, 2);
}

async fn rig_is_idle(world: &World, run: &RunId) -> bool {
    world.store.holder(&crate::definition::lease_name(run)).await.unwrap().is_none()
}

#[tokio::test]
async fn a_run_by_hand_is_left_to_its_process() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", ""));
    world.launcher.deed("work", Deed::Hang);
    let definition =
        crate::Definition::new("a.yaml".into(), plain("a", ""), BTreeMap::new(), at(NOON), "0.1.0");
    let (run, beginning) = super::super::desk::beginning(&definition, 2).unwrap();
    let controller = world.controller();
    controller.begin(beginning).await.unwrap();
    let drive = controller.open(&run, None, world.launcher.observe(), Watch::default()).await.unwrap();
    let (_cancels, hears) = tokio::sync::mpsc::unbounded_channel();
    let driving = tokio::spawn(drive.to_end(hears));
    let mut rig = world.server("one").await;
    rig.until(at(NOON), "it runs", async || world.launcher.live() == 1).await;
    for _ in 0..5 {
        rig.turn(at(NOON)).await;
    }
    assert!(rig.fleet.live().is_empty());
    let holder = world.store.holder(&crate::definition::lease_name(&run)).await.unwrap().unwrap().0.holder;
    assert_eq!(holder, Bearer::process().text);
    let sent = rig.desk.cancel(&run, false, &who()).await.unwrap();
    assert!(matches!(sent, Sent::Told { .. }));
    assert_eq!(driving.await.unwrap().unwrap().status, RunStatus::Cancelled);
}

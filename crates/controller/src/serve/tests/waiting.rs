//! Occurrences that wait for data, and those that follow promotions.

use noctule_engine::RunStatus;

use super::super::Trigger;
use super::world::{World, at, name, plain, publishing, who};

const WAITS: &str = "schedule:
  cron: '0 2 * * *'
  on: {data: 's3://x/date={{ interval.start | date }}/_SUCCESS', poll: 5m, give_up: 1h}
";

#[tokio::test]
async fn a_run_begins_when_its_data_have_landed() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", WAITS));
    let mut rig = world.server("one").await;
    rig.rest(at("2026-11-20T12:00:00Z")).await;
    let night = at("2026-11-21T02:00:01Z");
    rig.until(night, "somebody looked", async || !world.objects.looks.lock().unwrap().is_empty()).await;
    rig.rest(night).await;
    assert_eq!(world.objects.looks.lock().unwrap()[0], "s3://x/date=2026-11-20/_SUCCESS");
    assert_eq!(world.stands("a").await[0].1, "waiting");
    rig.rest(at("2026-11-21T02:04:00Z")).await;
    assert_eq!(world.objects.looks.lock().unwrap().len(), 1, "it is not yet time to look again");
    // A restart forgets nothing.
    rig.kill().await;
    let mut rig = world.server("two").await;
    world.objects.there.lock().unwrap().insert("s3://x/date=2026-11-20/_SUCCESS".to_owned());
    rig.until(at("2026-11-21T02:10:00Z"), "it ran", async || world.runs("a").await.len() == 1).await;
    rig.rest(at("2026-11-21T02:10:00Z")).await;
    let runs = world.runs("a").await;
    assert_eq!((runs[0].status, runs[0].interval.end), (RunStatus::Succeeded, at("2026-11-21T00:00:00Z")));
}

#[tokio::test]
async fn data_that_do_not_land_are_given_up_after_a_last_look() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", WAITS));
    let mut rig = world.server("one").await;
    rig.rest(at("2026-11-20T12:00:00Z")).await;
    let night = at("2026-11-21T02:00:01Z");
    rig.until(night, "somebody looked", async || world.objects.looks.lock().unwrap().len() == 1).await;
    *world.objects.fails.lock().unwrap() = true;
    let late = at("2026-11-21T03:00:01Z");
    rig.until(late, "it was given up", async || world.stands("a").await[0].1 == "gave-up").await;
    let row = &world.occurrences("a").await[0];
    let noctule_store::OccurrenceState::Skipped(skip) = &row.state else { panic!("{row:?}") };
    assert!(skip.detail.as_ref().unwrap().contains("_SUCCESS"), "{skip:?}");
    // After a night in which nothing ran, one look decides.
    *world.objects.fails.lock().unwrap() = false;
    world.objects.there.lock().unwrap().insert("s3://x/date=2026-11-21/_SUCCESS".to_owned());
    rig.kill().await;
    let mut rig = world.server("two").await;
    let noon = at("2026-11-22T12:00:00Z");
    rig.until(noon, "it ran", async || world.runs("a").await.len() == 1).await;
    rig.rest(noon).await;
}

#[tokio::test]
async fn a_promotion_makes_another_pipeline_due_once() {
    let world = World::new().await;
    world.write("a.yaml", &publishing("a", "feed", ""));
    world.write("b.yaml", &plain("b", "schedule: {on: {promotion: feed}}\n"));
    let mut rig = world.server("one").await;
    let now = at("2026-11-20T12:00:00Z");
    rig.rest(now).await;
    assert!(world.occurrences("b").await.is_empty());
    let trigger = |day: &str| Trigger {
        pipeline: name("a"),
        params: Default::default(),
        at: Some(at(&format!("{day}T03:00:00Z"))),
    };
    rig.desk.trigger(&trigger("2026-11-10"), &who()).await.unwrap();
    rig.rest(now).await;
    rig.rest(now).await;
    assert_eq!(world.stands("b").await, [("promotion/1".to_owned(), "started".to_owned())]);
    rig.kill().await;
    let mut rig = world.server("two").await;
    rig.rest(now).await;
    rig.desk.trigger(&trigger("2026-11-11"), &who()).await.unwrap();
    rig.rest(now).await;
    rig.rest(now).await;
    let ids: Vec<_> = world.stands("b").await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["promotion/1", "promotion/2"]);
    assert_eq!(world.runs("b").await.len(), 2);
    // One that begins to follow it now does not run what was before.
    world.write("c.yaml", &plain("c", "schedule: {on: {promotion: feed}}\n"));
    rig.rest(now).await;
    rig.rest(now).await;
    assert!(world.occurrences("c").await.is_empty());
}

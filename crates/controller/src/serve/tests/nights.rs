//! Schedules, night after night: every occurrence gets one run or a reason.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use noctule_engine::RunStatus;

use super::world::{Deed, World, at, name, plain, rounds, who};

const NIGHTLY: &str = "schedule: {cron: '15 2 * * *', timezone: Europe/Berlin}\n";

fn pairs(stands: &[(String, String)]) -> Vec<(&str, &str)> {
    stands.iter().map(|(id, stands)| (id.as_str(), stands.as_str())).collect()
}

#[tokio::test]
async fn a_new_pipeline_does_not_run_the_past_and_then_runs_every_night() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", NIGHTLY));
    let mut rig = world.server("one").await;
    rig.rest(at("2026-11-20T12:00:00Z")).await;
    assert!(world.runs("a").await.is_empty());
    let next = rig.status.borrow().pipelines[0].next.unwrap();
    assert_eq!(next.at, at("2026-11-21T01:15:00Z"));
    for day in 21..24 {
        rig.rest(at(&format!("2026-11-{day}T01:15:01Z"))).await;
    }
    let runs = world.runs("a").await;
    assert_eq!(runs.len(), 3);
    assert!(runs.iter().all(|run| run.status == RunStatus::Succeeded));
    let occurrences: Vec<_> = runs.iter().filter_map(|run| run.occurrence.as_deref()).collect();
    assert_eq!(occurrences, ["2026-11-21T02:15", "2026-11-22T02:15", "2026-11-23T02:15"]);
    // A run covers the last whole day.
    assert_eq!(runs[0].interval.end, at("2026-11-21T00:00:00Z"));
    assert_eq!(rig.tally.lock().unwrap().runs_begun[&name("a")], 3);
}

#[tokio::test]
async fn after_downtime_the_latest_runs_and_every_other_has_its_reason() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", NIGHTLY));
    world.write("b.yaml", &plain("b", "schedule: {cron: '15 2 * * *', misfire: run-all}\n"));
    world.write("c.yaml", &plain("c", "schedule: {cron: '15 2 * * *', misfire: skip}\n"));
    let mut rig = world.server("one").await;
    rig.rest(at("2026-11-20T12:00:00Z")).await;
    rig.kill().await;
    let mut rig = world.server("two").await;
    rig.rest(at("2026-11-23T12:00:00Z")).await;
    assert_eq!(
        pairs(&world.stands("a").await),
        [
            ("2026-11-21T02:15", "superseded"),
            ("2026-11-22T02:15", "superseded"),
            ("2026-11-23T02:15", "started"),
        ]
    );
    assert!(world.stands("b").await.iter().all(|(_, stands)| stands == "started"));
    assert!(world.stands("c").await.iter().all(|(_, stands)| stands == "missed"));
    assert_eq!(world.runs("b").await.len(), 3);
}

#[tokio::test]
async fn overlap_skips_queues_or_replaces() {
    let world = World::new().await;
    for overlap in ["skip", "queue", "replace"] {
        world.write(
            &format!("{overlap}.yaml"),
            &plain(overlap, &format!("schedule: {{cron: '0 * * * *', overlap: {overlap}}}\n")),
        );
    }
    world.launcher.deed("work", Deed::Hang);
    let mut rig = world.server("one").await;
    rig.turn(at("2026-11-20T12:30:00Z")).await;
    rig.until(at("2026-11-20T13:00:01Z"), "all run", async || world.launcher.live() == 3).await;
    rig.until(at("2026-11-20T14:00:01Z"), "the old one was replaced", async || {
        world.runs("replace").await.len() == 2 && world.launcher.live() == 3
    })
    .await;
    world.launcher.deed("work", Deed::Succeed);
    rig.rest(at("2026-11-20T14:10:00Z")).await;
    assert_eq!(
        pairs(&world.stands("skip").await),
        [("2026-11-20T13:00", "started"), ("2026-11-20T14:00", "overlap")]
    );
    let status =
        |rows: Vec<noctule_store::RunRow>| rows.into_iter().map(|row| row.status).collect::<Vec<_>>();
    assert_eq!(status(world.runs("queue").await), [RunStatus::Succeeded, RunStatus::Succeeded]);
    assert_eq!(status(world.runs("replace").await), [RunStatus::Cancelled, RunStatus::Succeeded]);
    let replaced = world.runs("replace").await[0].run.clone();
    let (_, run) = world.controller().fold(&replaced).await.unwrap();
    assert_eq!(run.cancelled_by(), Some("the schedule of replace"));
    assert!(run.cancelled_why().unwrap().contains("2026-11-20T14:00"));
}

#[tokio::test]
async fn a_pause_begins_nothing_and_says_so() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", NIGHTLY));
    let mut rig = world.server("one").await;
    rig.rest(at("2026-11-20T12:00:00Z")).await;
    rig.desk.pause(&name("a"), &who()).await.unwrap();
    assert!(rig.desk.pause(&name("a"), &who()).await.is_err());
    rig.rest(at("2026-11-21T01:15:01Z")).await;
    assert!(rig.status.borrow().pipelines[0].paused);
    rig.desk.resume_schedule(&name("a"), &who()).await.unwrap();
    rig.rest(at("2026-11-22T01:15:01Z")).await;
    assert_eq!(
        pairs(&world.stands("a").await),
        [("2026-11-21T02:15", "paused"), ("2026-11-22T02:15", "started")]
    );
}

#[tokio::test]
async fn a_new_cron_line_holds_from_now_on_and_what_was_due_by_the_old_one_is_not_lost() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", NIGHTLY));
    let mut rig = world.server("one").await;
    rig.rest(at("2026-11-20T12:00:00Z")).await;
    rig.kill().await;
    // While nothing runs a night passes, and the line is changed to a time that has passed today.
    world.write("a.yaml", &plain("a", "schedule: {cron: '0 9 * * *', timezone: Europe/Berlin}\n"));
    let mut rig = world.server("two").await;
    rig.rest(at("2026-11-21T12:00:00Z")).await;
    assert_eq!(pairs(&world.stands("a").await), [("2026-11-21T02:15", "started")]);
    rig.rest(at("2026-11-22T08:00:01Z")).await;
    assert_eq!(
        pairs(&world.stands("a").await),
        [("2026-11-21T02:15", "started"), ("2026-11-22T09:00", "started")]
    );
}

#[tokio::test]
async fn a_clock_that_goes_back_doubles_nothing_and_one_that_jumps_a_year_is_told_of() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", "schedule: {cron: '* * * * *'}\n"));
    let mut rig = world.server("one").await;
    rig.rest(at("2026-11-20T12:00:30Z")).await;
    for minute in 1..6 {
        rig.rest(at(&format!("2026-11-20T12:0{minute}:01Z"))).await;
    }
    assert_eq!(world.runs("a").await.len(), 5);
    rig.rest(at("2026-11-20T12:01:30Z")).await;
    assert!(rig.status.borrow().clock.is_some());
    for minute in 2..7 {
        rig.rest(at(&format!("2026-11-20T12:0{minute}:01Z"))).await;
    }
    assert_eq!(world.runs("a").await.len(), 6);
    rig.rest(at("2027-11-20T12:00:30Z")).await;
    let rows = world.occurrences("a").await;
    assert!(rows.len() < 1100, "{}", rows.len());
    let told = rows.iter().map(|row| row.stands_for).sum::<u64>();
    assert!(told > 525_000, "{told}");
    assert_eq!(world.runs("a").await.len(), 7);
}

/// Whatever the moment at which servers are killed, every occurrence gets exactly one run.
#[tokio::test]
async fn across_random_stops_and_starts_each_occurrence_gets_one_run() {
    use rand::{Rng as _, SeedableRng as _};
    for seed in 0..rounds(3) {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut pick = |most: u32| random.next_u32() % most;
        let world = World::new().await;
        world.write("all.yaml", &plain("all", "schedule: {cron: '*/10 * * * *', misfire: run-all}\n"));
        world.write("late.yaml", &plain("late", "schedule: {cron: '*/10 * * * *', overlap: queue}\n"));
        world.launcher.takes(Duration::from_millis(u64::from(pick(8))));
        let begin = at("2026-11-20T12:00:01Z");
        let mut now = begin;
        let mut rig = world.server("0").await;
        rig.rest(now).await;
        for server in 1..8u32 {
            for _ in 0..pick(6) {
                now += SignedDuration::from_secs(i64::from(pick(900)));
                rig.turn(now).await;
                tokio::time::sleep(Duration::from_millis(u64::from(pick(6)))).await;
            }
            match pick(3) {
                0 => rig.fleet.leave(Duration::from_secs(5)).await,
                _ => rig.kill().await,
            }
            now += SignedDuration::from_secs(i64::from(pick(2000)));
            rig = world.server(&server.to_string()).await;
            rig.turn(now).await;
        }
        rig.rest(now).await;
        let due = u64::try_from((now.as_second() - begin.as_second()) / 600).unwrap();
        for pipeline in ["all", "late"] {
            let stands = world.stands(pipeline).await;
            assert_eq!(stands.len() as u64, expected(begin, now), "seed {seed}, {due} or so were due");
            let started = stands.iter().filter(|(_, stands)| stands == "started").count();
            let runs = world.runs(pipeline).await;
            assert_eq!(runs.len(), started, "seed {seed}");
            let mut by_occurrence: BTreeMap<String, usize> = BTreeMap::new();
            for run in &runs {
                assert_eq!(run.status, RunStatus::Succeeded, "seed {seed}");
                *by_occurrence.entry(run.occurrence.clone().unwrap()).or_default() += 1;
            }
            assert!(by_occurrence.values().all(|runs| *runs == 1), "seed {seed}");
            if pipeline == "all" {
                assert_eq!(started, stands.len(), "seed {seed}: {stands:?}");
            }
        }
        // Nothing was begun twice either: the attempts of a run are one.
        assert_eq!(
            world.launcher.begun().len(),
            world.runs("all").await.len() + world.runs("late").await.len()
        );
    }
}

/// How many times of a line that is due every ten minutes lie between two instants.
fn expected(after: Timestamp, until: Timestamp) -> u64 {
    u64::try_from(until.as_second() / 600 - after.as_second() / 600).unwrap()
}

//! The folder: files that break, vanish, and get in each other's way.

use super::world::{World, at, name, plain, publishing};

const HOURLY: &str = "schedule: {cron: '0 * * * *'}\n";
const NOON: &str = "2026-11-20T12:00:30Z";

fn status(rig: &super::world::Rig, pipeline: &str) -> super::super::PipelineStatus {
    let status = rig.status.borrow().clone();
    status.pipelines.iter().find(|row| row.name == name(pipeline)).expect("it is listed").clone()
}

#[tokio::test]
async fn a_file_that_breaks_keeps_its_last_good_version_also_across_a_restart() {
    let world = World::new().await;
    world.write("good.yaml", &plain("good", HOURLY));
    world.write("bad.yaml", &plain("bad", HOURLY));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    world.write("bad.yaml", &plain("bad", "schedule: {cron: '0 * * * *', overlp: skip}\n"));
    rig.rest(at("2026-11-20T13:00:01Z")).await;
    let problem = status(&rig, "bad").problem.unwrap();
    assert!(problem.text.contains("bad.yaml:3:"), "{}", problem.text);
    assert!(problem.text.contains("overlp"), "{}", problem.text);
    assert_eq!((world.runs("good").await.len(), world.runs("bad").await.len()), (1, 1));
    rig.kill().await;
    let mut rig = world.server("two").await;
    rig.rest(at("2026-11-20T14:00:01Z")).await;
    assert!(status(&rig, "bad").problem.is_some());
    assert_eq!(status(&rig, "bad").problem.unwrap().since, problem.since);
    assert_eq!(world.runs("bad").await.len(), 2);
    let rows = world.store.pipelines().await.unwrap();
    assert!(rows.iter().any(|row| row.broken.is_some() && row.good.is_some()));
    world.write("bad.yaml", &plain("bad", HOURLY));
    rig.rest(at("2026-11-20T15:00:01Z")).await;
    assert!(status(&rig, "bad").problem.is_none());
    assert!(world.store.pipelines().await.unwrap().iter().all(|row| row.broken.is_none()));
}

#[tokio::test]
async fn a_new_file_that_is_broken_is_told_of_and_the_others_go_on() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", HOURLY));
    world.write("b.yaml", "noctule: 1\npipeline: b\nsteps: {work: {uses: shel}}\n");
    world.write("never.yaml", &plain("never", "schedule: {cron: '0 0 30 2 *'}\n"));
    world.write("zone.yaml", &plain("zone", "schedule: {cron: '0 0 * * *', timezone: Europe/Berlino}\n"));
    std::os::unix::fs::symlink("nowhere", world.dags().join("link.yaml")).unwrap();
    std::fs::write(world.dags().join("large.yaml"), vec![b'#'; 2 << 20]).unwrap();
    std::fs::write(world.dags().join("bytes.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    let problems = rig.status.borrow().problems.clone();
    let of = |file: &str| problems.iter().find(|problem| problem.file == file).map(|problem| &problem.text);
    assert!(of("b.yaml").unwrap().contains("b.yaml:3:"));
    assert!(of("never.yaml").unwrap().contains("never"));
    assert!(of("zone.yaml").unwrap().contains("Berlino"));
    assert!(of("link.yaml").unwrap().contains("leads nowhere"));
    assert!(of("large.yaml").unwrap().contains("larger"));
    assert!(of("bytes.yaml").is_some());
    rig.rest(at("2026-11-20T13:00:01Z")).await;
    assert_eq!(world.runs("a").await.len(), 1);
}

#[tokio::test]
async fn of_two_files_with_one_name_the_one_that_ran_before_goes_on() {
    let world = World::new().await;
    world.write("a.yaml", &plain("same", HOURLY));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    world.write("b.yaml", &plain("same", "schedule: {cron: '*/5 * * * *'}\n"));
    rig.rest(at("2026-11-20T13:00:01Z")).await;
    assert_eq!(world.runs("same").await.len(), 1);
    let status_now = rig.status.borrow().clone();
    assert_eq!(status_now.pipelines.len(), 1);
    assert_eq!(status_now.pipelines[0].file, "a.yaml");
    let [problem] = &status_now.problems[..] else { panic!("{:?}", status_now.problems) };
    assert!(problem.text.contains("b.yaml") && problem.text.contains("a.yaml"), "{}", problem.text);
    // Two newcomers of one name: neither is taken.
    world.write("c.yaml", &plain("new", HOURLY));
    world.write("d.yaml", &plain("new", HOURLY));
    rig.rest(at("2026-11-20T13:10:00Z")).await;
    assert!(rig.catalogue.borrow().get(&name("new")).is_none());
    world.remove("d.yaml");
    rig.rest(at("2026-11-20T13:20:00Z")).await;
    assert!(rig.catalogue.borrow().get(&name("new")).is_some());
}

#[tokio::test]
async fn two_pipelines_never_publish_one_alias() {
    let world = World::new().await;
    world.write("a.yaml", &publishing("a", "feed", ""));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    world.write("b.yaml", &publishing("b", "feed", ""));
    rig.rest(at(NOON)).await;
    assert!(rig.catalogue.borrow().get(&name("b")).is_none());
    let text = rig.status.borrow().problems[0].text.clone();
    assert!(text.contains("`b` publishes feed@champion") && text.contains("`a` (a.yaml)"), "{text}");
    // The alias changes hands when the one lets go of it in the same look.
    world.write("a.yaml", &publishing("a", "other", ""));
    rig.rest(at(NOON)).await;
    assert!(rig.catalogue.borrow().get(&name("b")).is_some());
    assert!(rig.status.borrow().problems.is_empty());
    // One that ran takes an alias that another has: its last good version goes on.
    world.write("a.yaml", &publishing("a", "feed", ""));
    rig.rest(at(NOON)).await;
    let catalogue = rig.catalogue.borrow().clone();
    let entry = catalogue.get(&name("a")).unwrap();
    assert!(entry.problem.is_some());
    assert!(entry.version.text.contains("other"));
}

#[tokio::test]
async fn a_file_that_vanishes_stops_its_schedule_and_one_that_comes_back_goes_on() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", HOURLY));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    world.remove("a.yaml");
    rig.rest(at("2026-11-20T13:00:01Z")).await;
    assert!(status(&rig, "a").gone && status(&rig, "a").next.is_none());
    assert!(status(&rig, "a").problem.unwrap().text.contains("the file is gone"));
    assert!(world.runs("a").await.is_empty());
    rig.kill().await;
    let mut rig = world.server("two").await;
    rig.rest(at("2026-11-20T13:30:00Z")).await;
    assert!(status(&rig, "a").gone);
    world.write("a.yaml", &plain("a", HOURLY));
    rig.rest(at("2026-11-20T14:00:01Z")).await;
    assert!(!status(&rig, "a").gone);
    assert_eq!(world.runs("a").await.len(), 1);
}

#[tokio::test]
async fn a_link_of_the_whole_folder_that_is_swapped_is_seen() {
    let world = World::new().await;
    let root = world.folder.path().to_owned();
    for (revision, cron) in [("one", "0 1 * * *"), ("two", "0 2 * * *")] {
        let folder = root.join(revision);
        std::fs::create_dir(&folder).unwrap();
        let text = plain("a", &format!("schedule: {{cron: '{cron}'}}\n"));
        std::fs::write(folder.join("a.yaml"), text).unwrap();
    }
    std::fs::remove_dir(world.dags()).unwrap();
    std::os::unix::fs::symlink("one", world.dags()).unwrap();
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    assert_eq!(status(&rig, "a").next.unwrap().at, at("2026-11-21T01:00:00Z"));
    std::os::unix::fs::symlink("two", root.join("next")).unwrap();
    std::fs::rename(root.join("next"), world.dags()).unwrap();
    rig.rest(at(NOON)).await;
    assert_eq!(status(&rig, "a").next.unwrap().at, at("2026-11-21T02:00:00Z"));
    // A mount that is away for a while stops nothing.
    std::fs::remove_file(world.dags()).unwrap();
    rig.rest(at("2026-11-21T02:00:01Z")).await;
    assert!(rig.status.borrow().folder.as_ref().unwrap().what.contains("cannot be read"));
    assert_eq!(world.runs("a").await.len(), 1);
}

#[tokio::test]
async fn a_file_that_is_broken_and_another_of_its_name_are_both_told_of() {
    let world = World::new().await;
    world.write("a.yaml", &plain("a", HOURLY));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    world.write("copy.yaml", &plain("a", "nonsense: 1\n"));
    rig.rest(at(NOON)).await;
    assert!(status(&rig, "a").problem.is_none());
    assert!(rig.status.borrow().problems[0].text.contains("copy.yaml:3:"));
}

#[tokio::test]
async fn a_pipeline_under_a_new_name_lets_go_of_its_alias() {
    let world = World::new().await;
    world.write("a.yaml", &publishing("old", "feed", ""));
    let mut rig = world.server("one").await;
    rig.rest(at(NOON)).await;
    world.write("a.yaml", &publishing("new", "feed", ""));
    rig.rest(at(NOON)).await;
    assert!(status(&rig, "old").gone);
    assert!(status(&rig, "old").problem.unwrap().text.contains("no longer holds"));
    assert!(!status(&rig, "new").gone);
}

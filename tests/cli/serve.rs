//! `noctule serve`: schedules, the folder, and restarts.

use crate::house::{House, shipped};
use crate::server::{OPEN, Server, command, until};
use crate::shop::{states, step};

#[test]
fn a_schedule_fires_once_at_its_civil_time_and_says_what_it_did() {
    let house = House::new();
    house.file(
        "dags/tick.yaml",
        command("tick", "schedule: {cron: \"* * * * *\", timezone: Europe/Berlin}\n", "[\"true\"]"),
    );
    let server = Server::start(&house, OPEN);
    let shown = server.document("/pipelines/tick/schedule");
    assert_eq!(shown["next"].as_array().unwrap().len(), 20);
    let run = until("the schedule fires", || server.newest("tick"));
    let run = server.wait(run["run"].as_str().unwrap(), "succeeded");
    assert_eq!(states(&run), ["work=done", "after=done"]);
    let occurrences = server.document("/occurrences?pipeline=tick&state=started");
    let first = occurrences["occurrences"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(first["run"], run["run"], "{occurrences:#}");
    assert_eq!(first["id"], run["occurrence"]);
    // It was one of those that were announced.
    let announced: Vec<_> = shown["next"].as_array().unwrap().iter().map(|next| &next["id"]).collect();
    assert!(announced.contains(&&first["id"]), "{first}");
    let figures = server.get("/metrics").text();
    for wanted in [
        "noctule_leader 1",
        "noctule_schedule_next_seconds{pipeline=\"tick\"}",
        "noctule_runs_ended_total{pipeline=\"tick\",status=\"succeeded\"}",
        "# EOF",
    ] {
        assert!(figures.contains(wanted), "{wanted} is missing from\n{figures}");
    }
    let past = house.noctule(&["schedule", "tick", "--past", "--config", "noctule.yaml"]).expect(0).stdout;
    assert!(past.contains("started") && past.contains(first["id"].as_str().unwrap()), "{past}");

    server.noctule(&["pause", "tick", "--why", "looked into"]).expect(0);
    let paused = server.document("/pipelines/tick");
    assert_eq!(paused["pipeline"]["paused"]["why"], "looked into");
    let again = server.noctule(&["pause", "tick", "--why", "x"]).expect(2);
    assert!(again.stderr.contains("paused already"), "{}", again.stderr);
    assert_eq!(server.stop(), 0);
}

#[test]
fn an_unreadable_file_keeps_the_last_good_version_and_says_where_it_is_wrong() {
    let house = House::new();
    house.file("dags/good.yaml", command("good", "", "[\"true\"]"));
    house.file("dags/job.yaml", command("job", "", "[\"echo\", \"first\"]"));
    let server = Server::start(&house, OPEN);
    let before = server.document("/pipelines/job")["pipeline"]["digest"].clone();
    house.file("dags/job.yaml", "noctule: 1\npipeline: job\nsteps:\n  work:\n    uses: shel\n");
    let broken = until("the broken file is noticed", || {
        let shown = server.document("/pipelines/job")["pipeline"].clone();
        shown["problem"].is_object().then_some(shown)
    });
    let text = broken["problem"]["text"].as_str().unwrap();
    assert!(text.contains("job.yaml:5:11") && text.contains("`shell`"), "{text}");
    assert_eq!(broken["digest"], before);
    let run = server.trigger("job");
    server.wait(&run, "succeeded");
    let log = server.noctule(&["logs", &run, "work"]).expect(0).stdout;
    assert!(log.contains("first"), "{log}");

    // The last good version outlives the server, too.
    assert_eq!(server.stop(), 0);
    let server = Server::again(&house);
    let shown = until("the pipelines are loaded", || {
        let shown = server.document("/pipelines");
        (shown["pipelines"].as_array().unwrap().len() == 2).then_some(shown)
    });
    assert!(shown["pipelines"][1]["problem"].is_object(), "{shown:#}");
    let page = server.noctule(&["pipelines"]).expect(0).stdout;
    assert!(page.contains("broken, see below") && page.contains("job.yaml:5:11"), "{page}");
    let run = server.trigger("job");
    server.wait(&run, "succeeded");

    house.file("dags/job.yaml", command("job", "", "[\"echo\", \"second\"]"));
    until("the mended file is taken over", || {
        server.document("/pipelines/job")["pipeline"]["problem"].is_null().then_some(())
    });
    let run = server.trigger("job");
    server.wait(&run, "succeeded");
    let log = server.noctule(&["logs", &run, "work"]).expect(0).stdout;
    assert!(log.contains("second"), "{log}");
}

#[test]
fn two_pipelines_of_one_name_or_one_alias_are_refused_by_name() {
    let house = House::new();
    house.file("dags/a.yaml", command("twin", "", "[\"true\"]"));
    house.file("dags/b.yaml", command("twin", "", "[\"false\"]"));
    let nightly = std::fs::read_to_string(shipped("nightly.yaml")).unwrap();
    house.file("dags/one.yaml", &nightly);
    house.file("dags/two.yaml", nightly.replace("pipeline: nightly-recs", "pipeline: other-recs"));
    let server = Server::start(&house, OPEN);
    let problems = until("the files are refused", || {
        let shown = server.document("/pipelines");
        (shown["problems"].as_array().unwrap().len() == 4).then_some(shown["problems"].to_string())
    });
    for wanted in ["`twin`", "a.yaml", "b.yaml", "one.yaml", "two.yaml", "home-feed@champion"] {
        assert!(problems.contains(wanted), "{wanted} is missing from {problems}");
    }
    assert_eq!(server.document("/pipelines")["pipelines"], serde_json::json!([]));
}

const WAITS: &str = "[\"sh\", \"-c\", \"echo begun >> $PWD/begun; sleep 6; echo over\"]";

/// How often the command has been begun, whoever began it.
fn begun(house: &House) -> usize {
    let mut count = 0;
    let mut open = vec![house.path().to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().is_some_and(|name| name == "begun") {
                count += std::fs::read_to_string(path).unwrap_or_default().lines().count();
            }
        }
    }
    count
}

#[test]
fn a_stop_in_order_and_a_restart_continue_every_run() {
    let house = House::new();
    house.file("dags/long.yaml", command("long", "", WAITS));
    let server = Server::start(&house, OPEN);
    let run = server.trigger("long");
    server.wait_step(&run, "work", "running");
    assert_eq!(server.stop(), 0);
    let server = Server::again(&house);
    let document = server.wait(&run, "succeeded");
    assert_eq!(step(&document, "work")["attempts"].as_array().unwrap().len(), 1, "{document:#}");
    assert!(begun(&house) <= 1);
}

#[test]
fn kill_9_and_a_restart_continue_every_run() {
    let house = House::new();
    house.file("dags/long.yaml", command("long", "", WAITS));
    let server = Server::start(&house, OPEN);
    let run = server.trigger("long");
    server.wait_step(&run, "work", "running");
    server.kill();
    let server = Server::again(&house);
    let document = server.wait(&run, "succeeded");
    assert_eq!(step(&document, "work")["attempts"].as_array().unwrap().len(), 1, "{document:#}");
    assert!(begun(&house) <= 1);
}

#[test]
fn a_second_server_on_one_sqlite_database_is_refused_with_the_reason() {
    let house = House::new();
    house.file("dags/job.yaml", command("job", "", "[\"true\"]"));
    let _server = Server::start(&house, OPEN);
    let second = house.noctule(&["serve", "--config", "noctule.yaml"]).expect(2);
    assert!(second.stderr.contains("SQLite"), "{}", second.stderr);
}

#[test]
fn a_backfill_runs_every_interval_and_can_be_paused_and_cancelled() {
    let house = House::new();
    house.file("dags/job.yaml", command("job", "", "[\"true\"]"));
    let server = Server::start(&house, OPEN);
    let range = ["backfill", "job", "--from", "2026-10-01", "--to", "2026-10-04"];
    let dry = server.noctule(&[&range[..], &["--dry-run"]].concat()).expect(0);
    assert_eq!(dry.stdout.lines().count(), 3, "{}", dry.stdout);
    assert_eq!(server.document("/backfills")["backfills"], serde_json::json!([]));
    server.noctule(&[&range[..], &["--at-once", "2", "--why", "new column"]].concat()).expect(0);
    let done = until("the backfill is done", || {
        let shown = server.document("/backfills/1");
        (shown["state"] == "done").then_some(shown)
    });
    assert_eq!((done["progress"]["good"].clone(), done["why"].clone()), (3.into(), "new column".into()));
    let listed = server.noctule(&["backfill", "list"]).expect(0).stdout;
    assert!(listed.contains("done"), "{listed}");

    house.file("dags/slow.yaml", command("slow", "", "[\"sleep\", \"30\"]"));
    until("the new file is loaded", || (server.get("/api/v1/pipelines/slow").status == 200).then_some(()));
    server.noctule(&["backfill", "slow", "--from", "2026-10-01", "--to", "2026-10-06"]).expect(0);
    let live = until("its first run goes", || server.newest("slow"));
    server.noctule(&["backfill", "pause", "2", "--why", "wait"]).expect(0);
    assert_eq!(server.document("/backfills/2")["state"], "paused");
    server.noctule(&["backfill", "cancel", "2", "--why", "enough"]).expect(0);
    server.wait(live["run"].as_str().unwrap(), "cancelled");
    let skipped = server.document("/occurrences?backfill=2&state=skipped");
    assert_eq!(skipped["occurrences"].as_array().unwrap().len(), 4, "{skipped:#}");
    assert_eq!(skipped["occurrences"][0]["reason"], "backfill-cancelled");
    let again = server.noctule(&["backfill", "resume", "2", "--why", "x"]).expect(2);
    assert!(again.stderr.contains("cancelled"), "{}", again.stderr);
}

#[test]
fn a_failed_step_is_run_again_or_ignored_with_a_reason() {
    let house = House::new();
    let fails = command("fails", "defaults: {retry: {attempts: 1}}\n", "[\"test\", \"-e\", \"mended\"]");
    house.file("dags/fails.yaml", fails.replace("\"mended\"", &format!("{:?}", house.path().join("mended"))));
    let server = Server::start(&house, OPEN);
    let run = server.trigger("fails");
    let failed = server.wait(&run, "failed");
    assert_eq!(states(&failed), ["work=failed", "after=skipped"]);
    let ignored =
        server.noctule(&["ignore", &run, "work", "--why", "it is only a check", "--json"]).expect(0).json();
    assert_eq!(states(&ignored), ["work=ignored", "after=done"]);
    house.file("mended", "");
    let again = server.noctule(&["rerun", &run, "work", "--why", "mended", "--json"]).expect(0).json();
    assert_eq!(states(&again), ["work=done", "after=done"]);
    let events = server.document(&format!("/runs/{run}/events")).to_string();
    assert!(events.contains("it is only a check") && events.contains("mended"), "{events}");
    let audit = server.noctule(&["admin", "audit", "--about", &run]).expect(0).stdout;
    assert!(audit.contains("run.ignore") && audit.contains("run.rerun"), "{audit}");
    let unknown = server.noctule(&["rerun", &run, "nothing", "--why", "x"]).expect(2);
    assert!(unknown.stderr.contains("it has: work, after"), "{}", unknown.stderr);
}

//! The local launcher with real processes.
//!
//! The supervisor is this test binary itself, called back with an environment variable set; attempts are shell
//! scripts, or this binary again where one has to use memory.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use noctule_artifacts::line::Report;
use noctule_artifacts::{AttemptNumber, Digest, RegistryId, RunId, layout};
use noctule_depot::{Depot, Options};
use noctule_engine::{Evidence, Handle};
use noctule_launcher::local::{Config, Machine, Program, check_state_folder, supervise};
use noctule_launcher::{
    AttemptKey, Launch, LaunchError, Launcher, LocalLauncher, Observation, Observations, Seen, SeenState,
    Started,
};
use rustix::process::{Pid, Signal, kill_process};

#[path = "../../../tests/support/note.rs"]
mod note;
#[path = "../../../tests/support/skip.rs"]
mod skip;

const ROLE: &str = "NOCTULE_TEST_ROLE";
const PATIENCE: Duration = Duration::from_secs(60);

/// What the test binary does when it is called back. Without the variable it is an empty test.
#[test]
fn called_back() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let arguments: Vec<OsString> = std::env::args_os().skip_while(|a| a != "--").skip(1).collect();
    match role.as_str() {
        "supervisor" => {
            let (folder, command) = arguments.split_first().unwrap();
            let folder = PathBuf::from(folder);
            let code = supervise(&folder, command);
            std::process::exit(i32::from(code != std::process::ExitCode::SUCCESS));
        }
        "orchestrator" => {
            let home = PathBuf::from(std::env::var_os("NOCTULE_TEST_HOME").unwrap());
            let script = std::env::var("NOCTULE_TEST_SCRIPT").unwrap();
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let (launcher, _observations) = Home::at(&home).launcher(&script);
                launcher.start(&key(1), &launch(None)).await.unwrap();
                println!("started");
                std::future::pending::<()>().await;
            });
        }
        other => panic!("no role {other}"),
    }
}

/// Memory for a hog: touched, so that it is really there.
#[test]
fn hog() {
    let Ok(mebibytes) = std::env::var("NOCTULE_TEST_HOG") else { return };
    let mut held: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mebibytes.parse::<usize>().unwrap() / 8 {
        held.push(vec![1; 8 << 20]);
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_secs(60));
    assert!(!held.is_empty());
}

fn own_binary() -> PathBuf {
    std::env::current_exe().unwrap()
}

fn called_back_as(role: &str) -> Program {
    Program {
        path: own_binary(),
        arguments: ["called_back", "--exact", "--nocapture", "--"].map(OsString::from).into(),
        environment: vec![(ROLE.into(), role.into())],
    }
}

struct Home {
    path: PathBuf,
    _kept: Option<tempfile::TempDir>,
}

impl Home {
    fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        Self { path: kept.path().to_owned(), _kept: Some(kept) }
    }

    fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), _kept: None }
    }

    fn depot(&self) -> Depot {
        let options = Options { create: true, ..Options::from_environment() };
        Depot::open(self.path.join("store").to_str().unwrap(), &options).unwrap()
    }

    /// A launcher whose attempts run this script with `sh`; `$1` to `$4` are what the launcher appends.
    fn launcher(&self, script: &str) -> (LocalLauncher, Observations) {
        LocalLauncher::new(self.config(script, self.depot()))
    }

    fn config(&self, script: &str, depot: Depot) -> Config {
        let script = script.replace("$HOME_DIR", self.path.to_str().unwrap());
        Config {
            registry: RegistryId::from_random(1),
            state: self.path.join("state"),
            depot,
            supervisor: called_back_as("supervisor"),
            attempt: Program {
                path: "sh".into(),
                arguments: vec!["-c".into(), format!("unset {ROLE}; {script}").into(), "attempt".into()],
                environment: vec![("NOCTULE_TEST_EXTRA".into(), "extra".into())],
            },
        }
    }

    fn log(&self, attempt: u32) -> Vec<u8> {
        let key = key(attempt);
        fs::read(self.path.join("store").join(layout::attempt_log(&key.run, &key.step, key.attempt))).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn key(attempt: u32) -> AttemptKey {
    AttemptKey { run: RunId::from_random(5), step: "train".parse().unwrap(), attempt: AttemptNumber(attempt) }
}

fn launch(memory_bytes: Option<u64>) -> Launch {
    Launch::new(&key(1), Digest::of(b"launch"), memory_bytes)
}

/// Waits for the end of an attempt: its evidence, its last word, its peak, and what was reported.
async fn end_of(
    observations: &mut Observations,
    attempt: u32,
) -> (Evidence, Option<String>, Option<u64>, Vec<Report>) {
    let mut reports = Vec::new();
    loop {
        let seen =
            tokio::time::timeout(PATIENCE, observations.recv()).await.expect("it ends in time").unwrap();
        if seen.key != key(attempt) {
            continue;
        }
        match seen.what {
            Observation::Ended { evidence, message, peak_bytes } => {
                return (evidence, message, peak_bytes, reports);
            }
            Observation::Report(report) => reports.push(report),
            _ => {}
        }
    }
}

async fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn number_in(path: &Path) -> Option<i32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn pid_of(started: &Started) -> i32 {
    match started {
        Started::Begun { handle: Handle::Process { pid, .. } }
        | Started::AlreadyThere { handle: Some(Handle::Process { pid, .. }) } => *pid as i32,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn exit_codes_signals_and_reports_arrive() {
    let home = Home::new();
    for (attempt, script, evidence) in [
        (1, "exit 0", Evidence::Exited { code: 0 }),
        (2, "exit 65", Evidence::Exited { code: 65 }),
        (3, "kill -SEGV $$", Evidence::Signalled { signal: 11 }),
        (4, "kill -9 $$", Evidence::Signalled { signal: 9 }),
    ] {
        let (launcher, mut observations) = home.launcher(script);
        launcher.start(&key(attempt), &launch(None)).await.unwrap();
        assert_eq!(end_of(&mut observations, attempt).await.0, evidence, "{script}");
    }
    let script = r#"
        echo "args $*"; echo "extra $NOCTULE_TEST_EXTRA"; echo oops >&2
        echo '::noctule:1 {"metric":{"name":"rows","value":3.0}}'
        echo '::noctule:1 {"failure":{"message":"the column `x` is not there"}}'
        echo '::noctule:1 {"metric":{"name":"forged","value":1.0}}' >&2
        cat; exit 65"#;
    let (launcher, mut observations) = home.launcher(script);
    launcher.start(&key(9), &launch(None)).await.unwrap();
    let (evidence, message, _, reports) = end_of(&mut observations, 9).await;
    assert_eq!(evidence, Evidence::Exited { code: 65 });
    assert_eq!(message.as_deref(), Some("the column `x` is not there"));
    assert_eq!(reports.len(), 2, "what is written to standard error is no report: {reports:?}");
    let log = String::from_utf8(home.log(9)).unwrap();
    let document = launch(None).document;
    let digest = Digest::of(b"launch");
    assert!(log.contains(&format!("args --launch {document} --digest {digest}\n")), "{log}");
    assert!(
        log.contains("extra extra\n") && log.contains("oops\n") && log.contains("failed: the column"),
        "{log}"
    );
    assert!(!log.contains("rows"), "{log}");
    assert_eq!(launcher.log_file(&key(9)).map(|p| fs::read(p).unwrap()), Some(home.log(9)));
}

#[tokio::test]
async fn starting_twice_is_starting_once() {
    let home = Home::new();
    let script = "echo run >> $HOME_DIR/runs; sleep 1";
    let (launcher, mut observations) = home.launcher(script);
    let (other, mut other_observations) = home.launcher(script);
    // Two launchers at once, each twice.
    let (key, launch) = (key(1), launch(None));
    let (a, b, c, d) = tokio::join!(
        launcher.start(&key, &launch),
        other.start(&key, &launch),
        launcher.start(&key, &launch),
        other.start(&key, &launch),
    );
    let all = [a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap()];
    let begun = all.iter().filter(|started| matches!(started, Started::Begun { .. })).count();
    assert_eq!(begun, 1, "{all:?}");
    assert_eq!(end_of(&mut observations, 1).await.0, Evidence::Exited { code: 0 });
    assert_eq!(end_of(&mut other_observations, 1).await.0, Evidence::Exited { code: 0 });

    // After its end it is still the same attempt.
    let again = launcher.start(&key, &launch).await.unwrap();
    assert!(matches!(again, Started::AlreadyThere { .. }));
    assert_eq!(end_of(&mut observations, 1).await.0, Evidence::Exited { code: 0 });
    assert_eq!(fs::read_to_string(home.file("runs")).unwrap(), "run\n");

    // Another launch document under the same name is another attempt.
    let wrong = Launch { digest: Digest::of(b"other"), ..launch.clone() };
    assert!(matches!(launcher.start(&key, &wrong).await, Err(LaunchError::Taken { .. })));

    let ended = SeenState::Ended { evidence: Evidence::Exited { code: 0 } };
    let seen = vec![Seen { key: key.clone(), launch: launch.digest, state: ended }];
    assert_eq!(launcher.list().await.unwrap(), seen);
    launcher.forget(&key).await.unwrap();
    assert_eq!(launcher.list().await.unwrap(), []);
    assert!(!launcher.adopt(&key).await.unwrap());
}

#[tokio::test]
async fn stopping_asks_first_and_forces_then() {
    let home = Home::new();
    let polite = "trap 'echo bye; exit 0' TERM; echo ready > $HOME_DIR/ready; while :; do sleep 0.1; done";
    let (launcher, mut observations) = home.launcher(polite);
    launcher.start(&key(1), &launch(None)).await.unwrap();
    wait_for("the trap", || home.file("ready").exists()).await;
    launcher.stop(&key(1), Duration::from_secs(30)).await.unwrap();
    assert_eq!(end_of(&mut observations, 1).await.0, Evidence::StopRequested);
    assert!(String::from_utf8(home.log(1)).unwrap().contains("bye"));

    let stubborn = "trap '' TERM; echo ready > $HOME_DIR/ready2; while :; do sleep 0.1; done";
    let (launcher, mut observations) = home.launcher(stubborn);
    launcher.start(&key(2), &launch(None)).await.unwrap();
    wait_for("the trap", || home.file("ready2").exists()).await;
    let begin = Instant::now();
    launcher.stop(&key(2), Duration::from_secs(600)).await.unwrap();
    launcher.stop(&key(2), Duration::from_millis(700)).await.unwrap();
    assert_eq!(end_of(&mut observations, 2).await.0, Evidence::StopRequested);
    assert!(begin.elapsed() >= Duration::from_millis(600), "{:?}", begin.elapsed());

    launcher.start(&key(3), &launch(None)).await.unwrap();
    launcher.kill(&key(3)).await.unwrap();
    assert_eq!(end_of(&mut observations, 3).await.0, Evidence::StopRequested);

    // Of what is not here it is said that it is gone.
    launcher.stop(&key(4), Duration::from_secs(1)).await.unwrap();
    let seen = tokio::time::timeout(PATIENCE, observations.recv()).await.unwrap().unwrap();
    assert_eq!((seen.key, seen.what), (key(4), Observation::Gone));
}

#[tokio::test]
async fn nothing_of_an_attempt_outlives_it() {
    let home = Home::new();
    // One grandchild in the background, one in a session of its own whose parent is gone.
    let script = "sleep 600 & echo $! > $HOME_DIR/a; \
                  setsid sh -c 'trap \"\" TERM; echo $$ > $HOME_DIR/b; sleep 600; true' & \
                  while [ ! -s $HOME_DIR/b ]; do sleep 0.05; done; exit 7";
    let (launcher, mut observations) = home.launcher(script);
    launcher.start(&key(1), &launch(None)).await.unwrap();
    assert_eq!(end_of(&mut observations, 1).await.0, Evidence::Exited { code: 7 });
    for name in ["a", "b"] {
        let pid = number_in(&home.file(name)).unwrap();
        assert!(!is_alive(pid), "{name}: {pid}");
    }
}

#[tokio::test]
async fn a_group_over_its_memory_is_ended_with_evidence() {
    let home = Home::new();
    let binary = own_binary();
    // The hog is a grandchild: it is the group that counts.
    let script = format!("NOCTULE_TEST_HOG=400 {} hog --exact & wait", binary.display());
    let (launcher, mut observations) = home.launcher(&script);
    let limit = 150 << 20;
    launcher.start(&key(1), &launch(Some(limit))).await.unwrap();
    let (evidence, _, peak, _) = end_of(&mut observations, 1).await;
    let Evidence::MemoryLimit { limit_bytes: Some(told), peak_bytes: Some(seen) } = evidence else {
        panic!("{evidence:?}")
    };
    assert_eq!(told, limit);
    assert!(seen > limit && seen < 400 << 20, "{seen}");
    assert_eq!(peak, Some(seen));
    assert!(String::from_utf8(home.log(1)).unwrap().contains("resources.memory"));
}

#[tokio::test]
async fn attempts_survive_their_orchestrator_and_are_adopted() {
    let home = Home::new();
    let script = "echo '::noctule:1 {\"note\":{\"text\":\"before\"}}'; echo up > $HOME_DIR/up; \
                  while [ ! -e $HOME_DIR/go ]; do sleep 0.05; done; \
                  echo '::noctule:1 {\"note\":{\"text\":\"after\"}}'; exit 3";
    let callback = called_back_as("orchestrator");
    let mut orchestrator = std::process::Command::new(&callback.path)
        .args(&callback.arguments)
        .envs(callback.environment)
        .env("NOCTULE_TEST_HOME", &home.path)
        .env("NOCTULE_TEST_SCRIPT", script)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the attempt", || home.file("up").exists()).await;
    orchestrator.kill().unwrap();
    orchestrator.wait().unwrap();

    let (launcher, mut observations) = home.launcher(script);
    let seen = launcher.list().await.unwrap();
    assert!(matches!(&seen[..], [Seen { state: SeenState::Running { .. }, .. }]), "{seen:?}");
    assert!(launcher.forget(&key(1)).await.is_err(), "a running attempt is not forgotten");
    assert!(launcher.adopt(&key(1)).await.unwrap());
    fs::write(home.file("go"), "").unwrap();
    let (evidence, _, _, reports) = end_of(&mut observations, 1).await;
    assert_eq!(evidence, Evidence::Exited { code: 3 });
    let notes = ["before", "after"].map(|text| Report::Note { text: text.into() });
    assert_eq!(reports, notes);
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_attempt_along() {
    let home = Home::new();
    let script = "echo $$ > $HOME_DIR/main; sleep 600 & echo $! > $HOME_DIR/child; wait";
    let (launcher, mut observations) = home.launcher(script);
    let started = launcher.start(&key(1), &launch(None)).await.unwrap();
    wait_for("the child", || number_in(&home.file("child")).is_some()).await;
    let (main, child) = (number_in(&home.file("main")).unwrap(), number_in(&home.file("child")).unwrap());
    kill(pid_of(&started), Signal::KILL);
    assert_eq!(end_of(&mut observations, 1).await.0, Evidence::Lost);
    assert!(!is_alive(main) && !is_alive(child));

    // The same again with nobody watching: what is found later is lost too, and is cleaned up.
    let script = script.replace("main", "main2").replace("child", "child2");
    let (launcher, observations) = home.launcher(&script);
    let started = launcher.start(&key(2), &launch(None)).await.unwrap();
    wait_for("the child", || number_in(&home.file("child2")).is_some()).await;
    drop((launcher, observations));
    kill(pid_of(&started), Signal::KILL);
    let child = number_in(&home.file("child2")).unwrap();
    wait_for("the main process's end", || !is_alive(number_in(&home.file("main2")).unwrap())).await;
    let (launcher, mut observations) = home.launcher(&script);
    assert!(launcher.adopt(&key(2)).await.unwrap());
    assert_eq!(end_of(&mut observations, 2).await.0, Evidence::Lost);
    assert!(!is_alive(child));
    let seen = launcher.list().await.unwrap();
    assert!(seen.iter().all(|one| one.state == SeenState::Ended { evidence: Evidence::Lost }), "{seen:?}");
    assert_eq!(launcher.sweep(|key| key.attempt == AttemptNumber(1)).unwrap(), 1);
    assert_eq!(launcher.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_supervisor_that_hangs_does_not_keep_its_attempt_alive() {
    let home = Home::new();
    let (launcher, mut observations) = home.launcher("echo $$ > $HOME_DIR/main; sleep 600; true");
    let started = launcher.start(&key(1), &launch(None)).await.unwrap();
    wait_for("the attempt", || number_in(&home.file("main")).is_some()).await;
    kill(pid_of(&started), Signal::STOP);
    launcher.kill(&key(1)).await.unwrap();
    assert_eq!(end_of(&mut observations, 1).await.0, Evidence::StopRequested);
    assert!(!is_alive(number_in(&home.file("main")).unwrap()));
}

#[tokio::test]
async fn a_supervisor_that_is_told_to_end_ends_its_attempt_first() {
    let home = Home::new();
    let script = "trap 'exit 0' TERM; echo $$ > $HOME_DIR/main; while :; do sleep 0.05; done";
    let (launcher, mut observations) = home.launcher(script);
    let started = launcher.start(&key(1), &launch(None)).await.unwrap();
    wait_for("the attempt", || number_in(&home.file("main")).is_some()).await;
    kill(pid_of(&started), Signal::TERM);
    assert_eq!(end_of(&mut observations, 1).await.0, Evidence::StopRequested);
}

#[tokio::test]
async fn logs_may_hold_anything() {
    let home = Home::new();
    let script = "head -c 3000000 /dev/zero | tr '\\0' a; printf '\\n\\377\\376\\n'; \
                  printf '::noctule:1 {\"note\":'; head -c 200000 /dev/zero | tr '\\0' b; echo; \
                  echo '::noctule:1 {\"note\":{\"text\":\"ok\"}}'; printf 'no line feed'";
    let (launcher, mut observations) = home.launcher(script);
    launcher.start(&key(1), &launch(None)).await.unwrap();
    let (evidence, _, _, reports) = end_of(&mut observations, 1).await;
    assert_eq!(evidence, Evidence::Exited { code: 0 });
    assert_eq!(reports, [Report::Note { text: "ok".into() }]);
    let log = home.log(1);
    assert!(log.len() > 3_200_000);
    assert!(log.windows(3).any(|bytes| bytes == b"\xff\xfe\n"));
    assert!(log.ends_with(b"no line feed"));
}

#[tokio::test]
async fn what_cannot_be_spawned_says_why() {
    let home = Home::new();
    let mut config = home.config("true", home.depot());
    config.attempt.path = "/no/such/program".into();
    let (launcher, mut observations) = LocalLauncher::new(config.clone());
    launcher.start(&key(1), &launch(None)).await.unwrap();
    let (evidence, ..) = end_of(&mut observations, 1).await;
    let Evidence::NotSpawned { message } = evidence else { panic!("{evidence:?}") };
    assert!(message.contains("/no/such/program"), "{message}");

    config.supervisor.path = "/no/such/supervisor".into();
    let (launcher, _observations) = LocalLauncher::new(config.clone());
    let error = launcher.start(&key(2), &launch(None)).await.unwrap_err();
    assert!(matches!(error.evidence(), Some(Evidence::NotSpawned { .. })), "{error}");
    assert!(error.to_string().contains("/no/such/supervisor"), "{error}");

    config.supervisor = Program {
        path: "sh".into(),
        arguments: vec!["-c".into(), "echo 'no such command' >&2; exit 2".into()],
        environment: vec![],
    };
    let (launcher, mut observations) = LocalLauncher::new(config);
    let error = launcher.start(&key(3), &launch(None)).await.unwrap_err();
    assert!(error.to_string().contains("no such command"), "{error}");

    // What was ordered and never begun can be stopped for good, and is then never begun.
    launcher.stop(&key(3), Duration::from_secs(5)).await.unwrap();
    assert_eq!(end_of(&mut observations, 3).await.0, Evidence::StopRequested);
    let (launcher, mut observations) = home.launcher("echo ran > $HOME_DIR/ran");
    assert!(matches!(launcher.start(&key(3), &launch(None)).await.unwrap(), Started::AlreadyThere { .. }));
    assert_eq!(end_of(&mut observations, 3).await.0, Evidence::StopRequested);
    assert!(!home.file("ran").exists());
}

#[tokio::test]
async fn the_log_of_an_attempt_reaches_a_remote_store_before_its_end_is_told() {
    let home = Home::new();
    let cache = home.path.join("cache");
    let options = Options { environment: vec![], cache, ..Options::from_environment() };
    let depot = Depot::open("memory://", &options).unwrap();
    let (launcher, mut observations) = LocalLauncher::new(home.config("echo hello", depot.clone()));
    launcher.start(&key(1), &launch(None)).await.unwrap();
    end_of(&mut observations, 1).await;
    let key = key(1);
    let place = layout::attempt_log(&key.run, &key.step, key.attempt);
    assert!(depot.read(&place).await.unwrap().ends_with(b"hello\n"));
    // Forgetting brings a log that was not brought yet, and no other.
    depot.delete(&place).await.unwrap();
    launcher.forget(&key).await.unwrap();
    assert_eq!(depot.stat(&place).await.unwrap(), None);
}

#[tokio::test]
async fn a_full_disk_costs_the_log_and_not_the_evidence() {
    let kept = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"])
        .arg(kept.path())
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        skip::skipped(
            "a_full_disk_costs_the_log_and_not_the_evidence",
            "mounting a small file system needs root; run it as root",
        );
        return;
    }
    let home = Home::at(kept.path());
    let (launcher, mut observations) = home.launcher("head -c 6000000 /dev/zero; exit 65");
    launcher.start(&key(1), &launch(None)).await.unwrap();
    let (evidence, ..) = end_of(&mut observations, 1).await;
    let log = home.log(1).len();
    let _ = std::process::Command::new("umount").arg("-l").arg(kept.path()).status();
    assert_eq!(evidence, Evidence::Exited { code: 65 });
    assert!(log > 1_000_000 && log < 2 << 20, "{log}");
}

#[tokio::test]
async fn another_registry_sees_nothing_here() {
    let home = Home::new();
    let (launcher, mut observations) = home.launcher("exit 0");
    launcher.start(&key(1), &launch(None)).await.unwrap();
    end_of(&mut observations, 1).await;
    let config = Config { registry: RegistryId::from_random(2), ..home.config("exit 0", home.depot()) };
    let (other, _observations) = LocalLauncher::new(config);
    assert_eq!(other.list().await.unwrap(), []);
    assert!(!other.adopt(&key(1)).await.unwrap());
    assert!(matches!(other.start(&key(1), &launch(None)).await, Err(LaunchError::Taken { .. })));
    assert_eq!(other.sweep(|_| false).unwrap(), 0);
    assert_eq!(launcher.sweep(|_| false).unwrap(), 1);
}

#[tokio::test]
async fn many_attempts_run_side_by_side() {
    let home = Home::new();
    let (launcher, mut observations) = home.launcher("sleep 0.3; exit 4");
    for attempt in 1..=12 {
        launcher.start(&key(attempt), &launch(Some(1 << 30))).await.unwrap();
    }
    let mut ended = 0;
    while ended < 12 {
        let seen = tokio::time::timeout(PATIENCE, observations.recv()).await.unwrap().unwrap();
        if let Observation::Ended { evidence, .. } = seen.what {
            assert_eq!(evidence, Evidence::Exited { code: 4 });
            ended += 1;
        }
    }
}

#[test]
fn the_state_folder_and_the_machine_are_checked() {
    let home = Home::new();
    check_state_folder(&home.path).unwrap();
    assert_eq!(fs::read_dir(home.path.join("attempts")).unwrap().count(), 0);
    assert!(Machine::here().threads >= 1);
}

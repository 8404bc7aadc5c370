//! Disks that are full and files that may not be touched: what a run says of them, and that it can go on afterwards.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::house::{Finished, House};
use crate::shop::step;
use crate::skip::skipped;

const NIGHT: &str = r#"noctule: 1
pipeline: tight
defaults: {retry: {attempts: 2, backoff: {initial: 1s}}}
steps:
  events:
    uses: extract
    with:
      source: "demo://shop/events?users=800&items=200&events=4000&seed=5"
      window: 7d
      where: "event = 'watch'"
      columns: {user: user_id, item: item_id, time: ts}
  unique:
    uses: dedup
    with: {input: events, pairs: keep-latest}
  split:
    uses: split
    with: {input: unique, by: time, test: 1d}
  model:
    uses: train
    with: {input: split.train, algorithm: ials, factors: 16, epochs: 2}
  quality:
    uses: evaluate
    with: {model: model, history: split.train, test: split.test, metrics: [ndcg@20]}
  gate:
    uses: gate
    with: {evaluation: quality, require: [{metric: ndcg@20, min: 0.001}]}
  publish:
    uses: publish
    with: {model: model, gate: gate, name: feed, alias: champion}
"#;

/// A house on a small disk of its own, which goes with it.
struct Small {
    house: House,
}

impl Small {
    /// `None`, and said so, where this user may not mount.
    fn mount(test: &str, size: &str) -> Option<Self> {
        let house = House::new();
        match mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], house.path()) {
            true => Some(Self { house }),
            false => {
                skipped(test, "mounting a small file system needs root; run it as root");
                None
            }
        }
    }

    fn grow(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], self.house.path()));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.house.path()).output();
    }
}

fn mount(options: &[&str], at: &Path) -> bool {
    Command::new("mount").args(options).arg(at).output().is_ok_and(|output| output.status.success())
}

/// What a folder of the store holds, by name.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_disk_that_fills_up_ends_a_run_and_space_lets_it_go_on() {
    // From no room for the state itself to no room for the last steps.
    for size in ["60k", "300k", "600k", "1000k"] {
        let Some(small) = Small::mount("a_disk_that_fills_up_ends_a_run_and_space_lets_it_go_on", size)
        else {
            return;
        };
        let house = &small.house;
        let pipeline = tempfile::tempdir().unwrap();
        let pipeline = pipeline.path().join("p.yaml");
        std::fs::write(&pipeline, NIGHT).unwrap();
        let run = ["run", pipeline.to_str().unwrap(), "--at", "2026-11-20"];

        let full = house.noctule(&run);
        // What the run itself could no longer write down is noctule's own trouble; else the step has failed.
        assert!([1, 7].contains(&full.code), "{size}: {} {}", full.code, full.stderr);
        let said = full.stderr.to_lowercase();
        assert!(said.contains("no space") && said.contains("free some there"), "{size}: {}", full.stderr);
        let aliases = house.path().join(".noctule/store/models/feed/aliases");
        assert_eq!(names(&aliases), Vec::<String>::new(), "{size}: nothing is half-published");

        small.grow("40m");
        let resumed = house.noctule(&["resume", "--json"]);
        if resumed.code == 2 {
            assert!(resumed.stderr.contains("there are no runs yet"), "{}", resumed.stderr);
            house.noctule(&run).expect(0);
        } else {
            assert_eq!(resumed.expect(0).json()["published"]["version"], 1);
        }
        assert_eq!(house.json(0, &["models", "history", "feed"]).as_array().unwrap().len(), 1);
        house.noctule(&["models", "verify"]).expect(0);
    }
}

/// A command that root's rights do not help: permissions bite. `None`, and said so, where they cannot be given up.
fn unprivileged(house: &House, test: &str, arguments: &[&str]) -> Option<Command> {
    let plain = house.command(arguments);
    if !rustix::process::geteuid().is_root() {
        return Some(plain);
    }
    let wrap = |program: &std::ffi::OsStr| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-dac_override,-dac_read_search"]).arg(program);
        command
    };
    if !wrap("true".as_ref()).output().is_ok_and(|output| output.status.success()) {
        skipped(
            test,
            "install setpriv (Debian package util-linux), or run it as a user without root's rights",
        );
        return None;
    }
    let mut command = wrap(plain.get_program());
    command.args(plain.get_args()).current_dir(house.path()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Some(command)
}

fn permit(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_source_that_may_not_be_read_is_named() {
    let test = "a_source_that_may_not_be_read_is_named";
    let house = House::new();
    let extract = |source: &str| {
        format!("noctule: 1\npipeline: p\nsteps:\n  events: {{uses: extract, with: {{source: {source}}}}}\n")
    };
    for (source, denied) in [
        ("log.csv", "log.csv"),
        ("days/", "days/date=2026-11-01"),
        ("shut/log.csv", "shut/log.csv"),
        ("shut/*.csv", "shut"),
    ] {
        house.file("log.csv", "user,item\n1,2\n");
        house.file("days/date=2026-11-01/a.csv", "user,item\n1,2\n");
        house.file("shut/log.csv", "user,item\n1,2\n");
        let shut = ["log.csv", "days/date=2026-11-01", "shut"].map(|name| house.path().join(name));
        shut.iter().for_each(|path| permit(path, 0));
        house.file("p.yaml", extract(source));
        let run = unprivileged(&house, test, &["run", "p.yaml", "--json"]);
        let output = run.map(|mut command| command.output().unwrap());
        shut.iter().for_each(|path| permit(path, 0o755));
        let Some(output) = output else { return };
        let document = Finished::from(output).expect(1).json();
        let attempt = &step(&document, "events")["attempts"][0];
        let message = attempt["message"].as_str().unwrap_or_default();
        assert_eq!(attempt["class"], "invalid", "{document:#}");
        assert!(message.contains(denied) && message.contains("may not be read"), "{source}: {message}");
        assert!(message.contains("give this user"), "{source}: {message}");
    }
}

#[test]
fn state_store_and_pipeline_that_may_not_be_touched_are_named() {
    let test = "state_store_and_pipeline_that_may_not_be_touched_are_named";
    let house = House::new();
    house.file("p.yaml", NIGHT);
    house.file("config.yaml", "store: elsewhere\n");
    std::fs::create_dir(house.path().join("elsewhere")).unwrap();
    let said = |shut: &str, mode: u32, code: i32, arguments: &[&str]| {
        let shut = house.path().join(shut);
        permit(&shut, mode);
        let run = unprivileged(&house, test, arguments).map(|mut command| command.output().unwrap());
        permit(&shut, 0o755);
        run.map(|output| Finished::from(output).expect(code).stderr)
    };
    let run = ["run", "p.yaml", "--at", "2026-11-20"];
    let Some(pipeline) = said("p.yaml", 0, 2, &run) else { return };
    assert!(pipeline.contains("`p.yaml`") && pipeline.contains("no permission to read it"), "{pipeline}");
    // No state can be made, there is a store and it is not ours, and the state is another's.
    let state = said("", 0o555, 7, &run).unwrap();
    assert!(state.contains(".noctule") && state.contains("give this user the right"), "{state}");
    let with_config = [&run[..], &["--config", "config.yaml"]].concat();
    let store = said("elsewhere", 0o555, 2, &with_config).unwrap();
    assert!(store.contains("elsewhere") && store.contains("give this user"), "{store}");
    permit(&house.path().join(".noctule/noctule.db"), 0o444);
    let database = said(".noctule", 0o555, 7, &with_config).unwrap();
    assert!(database.contains("noctule.db") && database.contains("give this user the right"), "{database}");
}

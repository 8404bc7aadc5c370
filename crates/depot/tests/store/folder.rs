//! What only a folder can do wrong: full disks, missing rights, leftovers of killed processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use noctule_depot::{Depot, Error, Options, Trouble};

use crate::lab::{Lab, contents, drafted, main_output, manifest_path, prefix, record};

/// A small file system of its own, unmounted on drop.
struct Small {
    at: PathBuf,
    _home: tempfile::TempDir,
}

impl Small {
    /// `None`, and said so, where this user may not mount.
    fn mount(test: &str) -> Option<Self> {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().join("small");
        fs::create_dir(&at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { at, _home: home }),
            _ => {
                crate::skip::skipped(test, "mounting a small file system needs root; run it as root");
                None
            }
        }
    }

    fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        let done = Command::new("mount").args(["-o", &option]).arg(&self.at).status().unwrap();
        assert!(done.success());
    }

    fn open(&self) -> Depot {
        let options = Options { create: true, ..Options::from_environment() };
        Depot::open(self.at.join("store").to_str().unwrap(), &options).unwrap()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn a_full_disk_is_said_to_be_full_and_nothing_is_half_there() {
    let Some(small) = Small::mount("a_full_disk_is_said_to_be_full_and_nothing_is_half_there") else {
        return;
    };
    let depot = small.open();
    let error = depot.put_new("a/big", vec![7; 3 << 20]).await.unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert_eq!(error.trouble(), Trouble::Temporary);
    assert_eq!(files_below(&small.at), Vec::<PathBuf>::new(), "the temporary file is gone");

    // The files still fit, the manifest does not.
    let draft = drafted(&depot, "events", 1, &[("a", &[1; 1 << 20])]);
    let filler = small.at.join("filler");
    let _ = fs::write(&filler, vec![0; 2 << 20]);
    let error = draft.commit(contents(), record("events", 1)).await.unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert_eq!(depot.committed(&manifest_path("events", 1)).await.unwrap(), None);

    // With space again the next attempt goes through.
    fs::remove_file(&filler).unwrap();
    let draft = drafted(&depot, "events", 2, &[("a", b"a")]);
    draft.commit(contents(), record("events", 2)).await.unwrap();
}

#[tokio::test]
async fn a_store_that_may_not_be_written_says_so() {
    let Some(small) = Small::mount("a_store_that_may_not_be_written_says_so") else { return };
    let depot = small.open();
    depot.put_new("there", "x").await.unwrap();
    small.remount("ro");
    for error in [
        depot.put_new("x", "x").await.unwrap_err(),
        depot.delete("there").await.unwrap_err(),
        depot.probe().await.unwrap_err(),
        depot.draft(&prefix("events", 1)).unwrap_err(),
    ] {
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
        assert_eq!(error.trouble(), Trouble::BadConfig);
    }
    assert_eq!(depot.read("there").await.unwrap(), "x");
    small.remount("rw");
}

#[tokio::test]
async fn files_are_renamed_into_the_store_and_not_copied() {
    use std::os::unix::fs::MetadataExt;
    let lab = Lab::folder().await;
    let depot = lab.open();
    let mut draft = depot.draft(&prefix("events", 1)).unwrap();
    let written = draft.create(&main_output(), "a").unwrap();
    fs::write(&written, "abc").unwrap();
    let inode = fs::metadata(&written).unwrap().ino();
    let committed = draft.commit(contents(), record("events", 1)).await.unwrap();
    let entry = &committed.manifest.identity.files[0];
    let read = depot.fetch(&committed.manifest, &committed.path, entry).await.unwrap();
    assert_eq!(read, fs::canonicalize(lab.behind(&format!("{}main/a", prefix("events", 1)))).unwrap());
    assert_eq!(fs::metadata(read).unwrap().ino(), inode);
}

#[tokio::test]
async fn left_overs_of_a_killed_process_are_swept() {
    let lab = Lab::folder().await;
    let depot = lab.open();
    let alive = drafted(&depot, "events", 1, &[("a", b"a")]);
    let scratch = lab.behind(".scratch");
    fs::create_dir_all(scratch.join("dead/files")).unwrap();
    fs::write(scratch.join("dead.lock"), "").unwrap();
    assert_eq!(lab.open().sweep_scratch().await.unwrap(), 1);
    assert!(!scratch.join("dead").exists());
    alive.commit(contents(), record("events", 1)).await.unwrap();
    assert_eq!(files_below(&scratch), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn an_address_with_a_scheme_and_a_plain_path_are_the_same_store() {
    let lab = Lab::folder().await;
    lab.open().put_new("x", "x").await.unwrap();
    let address = format!("file://{}", lab.behind("").display());
    assert_eq!(lab.open_at(&address, &[]).read("x").await.unwrap(), "x");
}

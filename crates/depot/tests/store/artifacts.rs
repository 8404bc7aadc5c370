//! Drafts, commits and checked reading.

use std::fs;

use noctule_artifacts::{AttemptNumber, Digest, Manifest};
use noctule_depot::{Depot, Error, file_path};

use crate::lab::{Lab, contents, drafted, main_output, manifest_path, prefix, record, run};

crate::on_every_store!(
    a_committed_draft_is_read_back,
    a_folder_becomes_an_output_as_it_is,
    a_dropped_draft_leaves_nothing,
    a_crash_before_the_manifest_harms_nothing,
    the_same_attempt_twice_is_one_artifact,
    two_results_of_one_attempt_have_one_winner,
    damage_and_loss_are_named,
    parts_are_taken_over_without_a_copy,
    an_expired_artifact_says_so,
    attempts_are_listed_for_the_sweep,
    a_manifest_that_is_none_is_refused,
);

async fn committed(depot: &Depot, step: &str, attempt: u32, files: &[(&str, &[u8])]) -> Manifest {
    let draft = drafted(depot, step, attempt, files);
    draft.commit(contents(), record(step, attempt)).await.unwrap().manifest
}

async fn a_committed_draft_is_read_back(lab: &Lab) {
    let depot = lab.open();
    // More than one part of an upload, and not a whole number of them.
    let big: Vec<u8> = (0..20_000_003u32).map(|i| (i >> 8) as u8 ^ i as u8).collect();
    let mut draft =
        drafted(&depot, "events", 1, &[("big.bin", &big), ("date=2026-11-01/a b.parquet", b"abc")]);
    draft.set_rows(&main_output(), "date=2026-11-01/a b.parquet", 3);
    fs::write(draft.spill_folder().unwrap().join("spill"), "no output").unwrap();
    assert!(draft.create(&main_output(), "big.bin").is_err(), "a name is given once");
    assert_eq!(depot.committed(&manifest_path("events", 1)).await.unwrap(), None);
    let committed = draft.commit(contents(), record("events", 1)).await.unwrap();
    assert!(!committed.already);
    assert_eq!(committed.path, manifest_path("events", 1));

    let reader = lab.open();
    let manifest = reader.manifest_with(&committed.path, committed.digest).await.unwrap();
    assert_eq!(manifest, committed.manifest);
    let names: Vec<_> = manifest.identity.files.iter().map(|f| (f.name.as_str(), f.size, f.rows)).collect();
    assert_eq!(names, [("main/big.bin", 20_000_003, None), ("main/date=2026-11-01/a b.parquet", 3, Some(3))]);
    assert_eq!(manifest.identity.files[1].sha256, Digest::of(b"abc"));
    for (entry, bytes) in manifest.identity.files.iter().zip([&big[..], b"abc"]) {
        let local = reader.fetch(&manifest, &committed.path, entry).await.unwrap();
        assert!(fs::read(&local).unwrap() == bytes);
        assert_eq!(reader.fetch(&manifest, &committed.path, entry).await.unwrap(), local);
    }
    assert!(reader.verify(&manifest, &committed.path).await.unwrap().is_empty());
    assert!(reader.is_whole(&manifest, &committed.path).await.unwrap());
    let other = Digest::of(b"other");
    assert!(matches!(reader.manifest_with(&committed.path, other).await, Err(Error::Damaged { .. })));
}

async fn a_folder_becomes_an_output_as_it_is(lab: &Lab) {
    let depot = lab.open();
    let mut draft = depot.draft(&prefix("shell", 1)).unwrap();
    let folder = draft.folder(&main_output()).unwrap();
    fs::create_dir_all(folder.join("deep/er")).unwrap();
    fs::create_dir_all(folder.join("empty")).unwrap();
    fs::write(folder.join("deep/er/x"), "x").unwrap();
    fs::write(folder.join(".hidden"), "").unwrap();
    let committed = draft.commit(contents(), record("shell", 1)).await.unwrap();
    let names: Vec<_> = committed.manifest.identity.files.iter().map(|f| f.name.clone()).collect();
    assert_eq!(names, ["main/.hidden", "main/deep/er/x"]);
    assert!(depot.verify(&committed.manifest, &committed.path).await.unwrap().is_empty());

    for attempt in [2, 3, 5] {
        let mut draft = depot.draft(&prefix("shell", attempt)).unwrap();
        let folder = draft.folder(&main_output()).unwrap();
        match attempt {
            2 => std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap(),
            3 => fs::write(folder.join("line\nfeed"), "").unwrap(),
            _ => {
                fs::remove_dir(&folder).unwrap();
                std::os::unix::fs::symlink("/etc", &folder).unwrap();
            }
        }
        let error = draft.commit(contents(), record("shell", attempt)).await.unwrap_err();
        assert!(matches!(error, Error::BadName { .. }), "{error}");
        assert_eq!(depot.committed(&manifest_path("shell", attempt)).await.unwrap(), None);
    }

    // A second name of a file is no way to change it later.
    let mut draft = depot.draft(&prefix("shell", 6)).unwrap();
    let folder = draft.folder(&main_output()).unwrap();
    let outside = lab.home().join("outside");
    fs::write(&outside, "first").unwrap();
    fs::hard_link(&outside, folder.join("linked")).unwrap();
    let committed = draft.commit(contents(), record("shell", 6)).await.unwrap();
    fs::write(&outside, "later").unwrap();
    assert!(lab.open().verify(&committed.manifest, &committed.path).await.unwrap().is_empty());

    // No files at all is a result too.
    let empty = depot.draft(&prefix("shell", 4)).unwrap();
    empty.commit(contents(), record("shell", 4)).await.unwrap();
}

async fn a_dropped_draft_leaves_nothing(lab: &Lab) {
    let depot = lab.open();
    let draft = drafted(&depot, "events", 1, &[("a", b"a")]);
    let spill = draft.spill_folder().unwrap();
    drop(draft);
    assert!(!spill.exists());
    assert_eq!(depot.list("").await.unwrap(), []);

    let mut unwritten = depot.draft(&prefix("events", 2)).unwrap();
    unwritten.create(&main_output(), "never-written").unwrap();
    let error = unwritten.commit(contents(), record("events", 2)).await.unwrap_err();
    assert!(error.to_string().contains("never-written"), "{error}");
    assert_eq!(depot.list("").await.unwrap(), []);
}

async fn a_crash_before_the_manifest_harms_nothing(lab: &Lab) {
    let depot = lab.open();
    // What a process leaves that was killed after its first file: its claim, and the file.
    depot.put_new(&format!("{}first.json", prefix("events", 1)), r#"{"draft":"dead"}"#).await.unwrap();
    depot.put_new(&format!("{}main/a", prefix("events", 1)), "half").await.unwrap();
    assert_eq!(depot.committed(&manifest_path("events", 1)).await.unwrap(), None);

    // Its twin writes beside that, and is whole.
    let manifest = committed(&depot, "events", 1, &[("a", b"whole"), ("b", b"bb")]).await;
    assert_eq!(depot.read(&format!("{}main/a", prefix("events", 1))).await.unwrap(), "half");
    let reader = lab.open();
    assert!(reader.verify(&manifest, &manifest_path("events", 1)).await.unwrap().is_empty());
    let local =
        reader.fetch(&manifest, &manifest_path("events", 1), &manifest.identity.files[0]).await.unwrap();
    assert_eq!(fs::read(local).unwrap(), b"whole");
    // Where the files lie does not change what the artifact is.
    let plain = committed(&depot, "events", 2, &[("a", b"whole"), ("b", b"bb")]).await;
    assert_eq!(plain.digest(), manifest.digest());
    assert!(plain.record.elsewhere.is_empty());
}

async fn the_same_attempt_twice_is_one_artifact(lab: &Lab) {
    let twins = (0..4).map(|_| {
        let depot = lab.open();
        tokio::spawn(async move {
            let draft = drafted(&depot, "events", 1, &[("a", b"a"), ("b", b"b")]);
            draft.commit(contents(), record("events", 1)).await.unwrap()
        })
    });
    let mut first = 0;
    for twin in twins.collect::<Vec<_>>() {
        first += u32::from(!twin.await.unwrap().already);
    }
    assert_eq!(first, 1);
    let depot = lab.open();
    let manifest = depot.manifest(&manifest_path("events", 1)).await.unwrap();
    assert!(depot.verify(&manifest, &manifest_path("events", 1)).await.unwrap().is_empty());
}

async fn two_results_of_one_attempt_have_one_winner(lab: &Lab) {
    let twins = (0..4u8).map(|i| {
        let depot = lab.open();
        tokio::spawn(async move {
            let draft = drafted(&depot, "events", 1, &[("a", &[i; 100])]);
            draft.commit(contents(), record("events", 1)).await
        })
    });
    let mut won = Vec::new();
    for twin in twins.collect::<Vec<_>>() {
        match twin.await.unwrap() {
            Ok(committed) => won.push(committed.manifest),
            Err(Error::Conflict { theirs, ours, .. }) => assert_ne!(theirs, ours),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(won.len(), 1);
    let depot = lab.open();
    assert_eq!(depot.manifest(&manifest_path("events", 1)).await.unwrap(), won[0]);
    assert!(depot.verify(&won[0], &manifest_path("events", 1)).await.unwrap().is_empty());
}

async fn damage_and_loss_are_named(lab: &Lab) {
    let path = manifest_path("events", 1);
    let manifest =
        committed(&lab.open(), "events", 1, &[("a", b"aaaa"), ("b", b"bbbb"), ("c", b"cccc")]).await;
    let behind = |entry: usize| lab.behind(&file_path(&manifest, &path, &manifest.identity.files[entry]));
    fs::write(behind(0), "aaaX").unwrap();
    fs::write(behind(1), "bb").unwrap();
    fs::remove_file(behind(2)).unwrap();

    let depot = lab.open();
    let faults = depot.verify(&manifest, &path).await.unwrap();
    let texts: Vec<_> = faults.iter().map(|fault| fault.error.to_string()).collect();
    assert_eq!(faults.len(), 3, "{texts:?}");
    assert!(matches!(faults[0].error, Error::Damaged { .. }), "{texts:?}");
    assert!(texts[0].contains(&Digest::of(b"aaaX").to_string()), "{texts:?}");
    assert!(texts[1].contains("2 bytes where the manifest says 4 bytes"), "{texts:?}");
    assert!(matches!(faults[2].error, Error::Missing { .. }), "{texts:?}");
    for (entry, name) in manifest.identity.files.iter().zip(["main/a", "main/b", "main/c"]) {
        let error = depot.fetch(&manifest, &path, entry).await.unwrap_err();
        assert!(error.to_string().contains(name) && error.to_string().contains(&path), "{error}");
    }
    assert!(!depot.is_whole(&manifest, &path).await.unwrap());

    // Repaired from a copy, it is whole again.
    for (entry, bytes) in ["aaaa", "bbbb", "cccc"].iter().enumerate() {
        fs::write(behind(entry), bytes).unwrap();
    }
    let depot = lab.open();
    assert!(depot.verify(&manifest, &path).await.unwrap().is_empty());
    depot.fetch(&manifest, &path, &manifest.identity.files[0]).await.unwrap();
}

async fn parts_are_taken_over_without_a_copy(lab: &Lab) {
    let depot = lab.open();
    let (first_path, second_path) = (manifest_path("events", 1), manifest_path("events", 2));
    let first = committed(&depot, "events", 1, &[("day1", b"1"), ("day2", b"22")]).await;
    let mut draft = drafted(&depot, "events", 2, &[("day3", b"333")]);
    draft.take_over(&first.identity.files[1], &first, &first_path).unwrap();
    assert!(draft.create(&main_output(), "day2").is_err());
    assert!(draft.take_over(&first.identity.files[1], &first, &first_path).is_err());
    let second = draft.commit(contents(), record("events", 2)).await.unwrap().manifest;
    let elsewhere = format!("{}main/day2", prefix("events", 1));
    assert_eq!(second.record.elsewhere.get("main/day2"), Some(&elsewhere));

    // A third takes over what the second took over.
    let mut draft = depot.draft(&prefix("events", 3)).unwrap();
    draft.take_over(&second.identity.files[0], &second, &second_path).unwrap();
    let third = draft.commit(contents(), record("events", 3)).await.unwrap().manifest;
    assert_eq!(third.record.elsewhere.get("main/day2"), Some(&elsewhere));
    let third_path = manifest_path("events", 3);
    let reader = lab.open();
    let local = reader.fetch(&third, &third_path, &third.identity.files[0]).await.unwrap();
    assert_eq!(fs::read(local).unwrap(), b"22");

    // What is not there any more cannot be taken over.
    fs::remove_file(lab.behind(&elsewhere)).unwrap();
    let mut draft = depot.draft(&prefix("events", 4)).unwrap();
    draft.take_over(&second.identity.files[0], &second, &second_path).unwrap();
    let error = draft.commit(contents(), record("events", 4)).await.unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    assert_eq!(depot.committed(&manifest_path("events", 4)).await.unwrap(), None);
}

async fn an_expired_artifact_says_so(lab: &Lab) {
    let depot = lab.open();
    let path = manifest_path("events", 1);
    let manifest = committed(&depot, "events", 1, &[("a", b"a")]).await;
    let step = "events".parse().unwrap();
    for _ in 0..2 {
        depot.expire(&run(), &step, AttemptNumber(1), "2026-11-01T00:00Z".parse().unwrap()).await.unwrap();
    }
    assert_eq!(depot.manifest(&path).await.unwrap(), manifest, "what it was can still be told");
    let faults = depot.verify(&manifest, &path).await.unwrap();
    assert!(matches!(faults[0].error, Error::Expired { .. }), "{}", faults[0].error);
    let error = depot.fetch(&manifest, &path, &manifest.identity.files[0]).await.unwrap_err();
    assert!(matches!(error, Error::Expired { .. }), "{error}");
    assert!(!depot.is_whole(&manifest, &path).await.unwrap());
}

async fn attempts_are_listed_for_the_sweep(lab: &Lab) {
    let depot = lab.open();
    committed(&depot, "events", 1, &[("a", b"a")]).await;
    committed(&depot, "events", 2, &[("a", b"aa")]).await;
    depot.put_new(&format!("{}main/x", prefix("train", 1)), "unfinished").await.unwrap();
    depot.put_new(&format!("runs/{}/train/1.launch.json", run()), "{}").await.unwrap();
    depot.put_new("runs/stranger", "not ours").await.unwrap();
    let step = "events".parse().unwrap();
    depot.expire(&run(), &step, AttemptNumber(1), "2026-11-01T00:00Z".parse().unwrap()).await.unwrap();

    let found = depot.attempts().await.unwrap();
    let shown: Vec<_> =
        found.iter().map(|a| (a.step.as_str(), a.attempt.0, a.committed, a.expired)).collect();
    let expected = [("events", 1, true, true), ("events", 2, true, false), ("train", 1, false, false)];
    assert_eq!(shown, expected);
    assert_eq!((found[2].files, found[2].bytes), (1, 10));

    depot.delete_prefix(&prefix("events", 2)).await.unwrap();
    depot.delete_prefix(&format!("runs/{}/", run())).await.unwrap();
    assert_eq!(depot.attempts().await.unwrap(), []);
    assert_eq!(depot.list("runs/").await.unwrap().len(), 1);
}

async fn a_manifest_that_is_none_is_refused(lab: &Lab) {
    let depot = lab.open();
    let path = manifest_path("events", 1);
    for text in ["", "{", "[]", r#"{"format":99}"#] {
        depot.delete(&path).await.unwrap();
        depot.put_new(&path, text).await.unwrap();
        let error = depot.manifest(&path).await.unwrap_err();
        assert!(matches!(&error, Error::Unreadable { .. }) && error.to_string().contains(&path), "{error}");
    }
    let manifest = committed(&depot, "events", 2, &[("a", b"a")]).await;
    let mut hostile = manifest.clone();
    hostile.record.elsewhere.insert("main/a".into(), "../../etc/passwd".into());
    depot.delete(&path).await.unwrap();
    depot.put_new(&path, hostile.to_json()).await.unwrap();
    assert!(matches!(depot.manifest(&path).await, Err(Error::Unreadable { .. })));
    assert!(depot.fetch(&hostile, &path, &hostile.identity.files[0]).await.is_err());
}

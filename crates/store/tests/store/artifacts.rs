use noctule_artifacts::RunId;
use noctule_engine::RunStatus;
use noctule_store::{ArtifactState, Change, NewArtifact, Reference, Store, StoreError, Tombstone};

use crate::world::{after, artifact, at, begin, change, digest, ended, noted};

async fn commit_artifact(
    store: &Store,
    run: &RunId,
    end: u64,
    artifact: &NewArtifact,
) -> Result<u64, StoreError> {
    let mut change = change(5, vec![noted("an artifact")]);
    change.effects.artifacts = vec![artifact.clone()];
    store.commit(&after(run, end), &change).await
}

fn reusing(second: i64, step: &str, manifest: &str) -> Change {
    let mut change = change(second, vec![noted("reused")]);
    change.effects.reused = vec![(step.parse().unwrap(), manifest.to_owned())];
    change
}

/// A run that made one artifact and ended, and a later good run, so that nothing protects the first any more.
async fn swept_night(store: &Store) -> NewArtifact {
    let run = begin(store, 1).await;
    let made = artifact(&run, "events", "a");
    commit_artifact(store, &run, 1, &made).await.unwrap();
    store.commit(&after(&run, 2), &ended(10, RunStatus::Succeeded)).await.unwrap();
    let later = begin(store, 2).await;
    store.commit(&after(&later, 1), &ended(20, RunStatus::Succeeded)).await.unwrap();
    made
}

on_both! {
    async fn an_artifact_is_found_by_its_fingerprint(world: World) {
        let store = &world.store;
        let run = begin(store, 1).await;
        let mut older = artifact(&run, "events", "a");
        let mut newer = NewArtifact { manifest: format!("runs/{run}/events/2/manifest.json"), ..older.clone() };
        (older.created, newer.created) = (at(5), at(6));
        commit_artifact(store, &run, 1, &older).await.unwrap();
        commit_artifact(store, &run, 2, &newer).await.unwrap();
        // Told again after a restart: no harm.
        commit_artifact(store, &run, 3, &newer).await.unwrap();

        let found = store.reusable(older.fingerprint).await.unwrap();
        let manifests: Vec<_> = found.iter().map(|artifact| &artifact.manifest).collect();
        assert_eq!(manifests, [&newer.manifest, &older.manifest]);
        assert_eq!((found[0].digest, found[0].outcome, found[0].state), (newer.digest, newer.outcome, ArtifactState::Live));
        assert!(store.reusable(digest("other")).await.unwrap().is_empty());

        let (pipeline, step) = ("nightly".parse().unwrap(), "events".parse().unwrap());
        assert_eq!(store.earlier(&pipeline, &step, 1).await.unwrap()[0].manifest, newer.manifest);
        assert_eq!(store.artifacts_of(&run).await.unwrap().len(), 2);
        assert_eq!(store.artifact("nowhere").await.unwrap(), None);

        let forged = NewArtifact { digest: digest("b"), ..newer };
        let error = commit_artifact(store, &run, 4, &forged).await.unwrap_err();
        assert!(matches!(error, StoreError::ArtifactDiffers { .. }));
    }

    async fn what_is_needed_keeps_its_artifacts(world: World) {
        let store = &world.store;
        let run = begin(store, 1).await;
        let made = artifact(&run, "events", "a");
        commit_artifact(store, &run, 1, &made).await.unwrap();
        let tombstone = async || store.set_tombstone(&made.manifest, at(100)).await.unwrap();

        assert_eq!(tombstone().await, Tombstone::Kept(Reference::LiveRun(run.clone())));
        store.commit(&after(&run, 2), &ended(10, RunStatus::Succeeded)).await.unwrap();
        assert_eq!(tombstone().await, Tombstone::Kept(Reference::LastGood(run.clone())));
        // A failed night does not take the last good one's place.
        let failed = begin(store, 2).await;
        store.commit(&after(&failed, 1), &ended(20, RunStatus::Failed)).await.unwrap();
        assert_eq!(tombstone().await, Tombstone::Kept(Reference::LastGood(run.clone())));

        let good = begin(store, 3).await;
        let mut borrower = artifact(&good, "events", "b");
        borrower.borrows = vec![made.manifest.clone()];
        commit_artifact(store, &good, 1, &borrower).await.unwrap();
        store.commit(&after(&good, 2), &ended(30, RunStatus::Succeeded)).await.unwrap();
        assert_eq!(tombstone().await, Tombstone::Kept(Reference::Borrower(borrower.manifest.clone())));
        assert_eq!(
            store.reference_to(&borrower.manifest).await.unwrap(),
            Some(Reference::LastGood(good.clone()))
        );
        assert_eq!(store.set_tombstone("nowhere", at(100)).await.unwrap(), Tombstone::Unknown);
    }

    async fn a_sweep_takes_two_steps(world: World) {
        let store = &world.store;
        let made = swept_night(store).await;
        assert!(store.unused_since(at(10), 10).await.unwrap().is_empty(), "its run ended at 10");
        assert_eq!(store.unused_since(at(11), 10).await.unwrap()[0].manifest, made.manifest);

        assert_eq!(store.set_tombstone(&made.manifest, at(100)).await.unwrap(), Tombstone::Set);
        assert!(store.unused_since(at(11), 10).await.unwrap().is_empty());
        assert!(matches!(
            store.set_tombstone(&made.manifest, at(200)).await.unwrap(),
            Tombstone::NotLive(ArtifactState::Tombstone { since }) if since == at(100)
        ));
        assert!(store.deletable(at(99)).await.unwrap().is_empty());
        assert!(!store.begin_deletion(&made.manifest, at(99)).await.unwrap());
        assert_eq!(store.deletable(at(100)).await.unwrap()[0].manifest, made.manifest);
        assert!(store.begin_deletion(&made.manifest, at(100)).await.unwrap());
        // A sweeper that died half way is taken up again.
        assert_eq!(store.deletable(at(0)).await.unwrap()[0].state, ArtifactState::Deleting);
        assert!(store.begin_deletion(&made.manifest, at(0)).await.unwrap());
        assert!(store.reusable(made.fingerprint).await.unwrap().is_empty());
        let run = begin(store, 3).await;
        let late = store.commit(&after(&run, 1), &reusing(300, "events", &made.manifest)).await.unwrap_err();
        assert!(matches!(late, StoreError::ArtifactGone { .. }));

        store.end_deletion(&made.manifest).await.unwrap();
        assert!(store.deletable(at(999)).await.unwrap().is_empty());
        let gone = store.artifact(&made.manifest).await.unwrap().unwrap();
        assert_eq!(gone.state, ArtifactState::Expired, "it is known to be swept, not lost");
    }

    async fn a_reuse_takes_the_tombstone_off(world: World) {
        let store = &world.store;
        let made = swept_night(store).await;
        store.set_tombstone(&made.manifest, at(100)).await.unwrap();
        assert_eq!(store.reusable(made.fingerprint).await.unwrap().len(), 1);
        let run = begin(store, 3).await;
        store.commit(&after(&run, 1), &reusing(200, "again", &made.manifest)).await.unwrap();
        assert!(!store.begin_deletion(&made.manifest, at(500)).await.unwrap());
        let revived = store.artifact(&made.manifest).await.unwrap().unwrap();
        assert_eq!(revived.state, ArtifactState::Live);
        let uses = store.artifacts_of(&run).await.unwrap();
        assert_eq!((uses[0].0.as_str(), &uses[0].1.manifest), ("again", &made.manifest));
        assert_eq!(
            store.set_tombstone(&made.manifest, at(300)).await.unwrap(),
            Tombstone::Kept(Reference::LiveRun(run))
        );
    }

    async fn a_reuse_and_a_sweep_that_meet_never_both_win(world: World) {
        let made = swept_night(&world.store).await;
        for round in 0..20 {
            world.store.set_tombstone(&made.manifest, at(100)).await.unwrap();
            let number = 10 + round;
            let run = begin(&world.store, number).await;
            let (sweeper, reuser) = (world.another().await, world.another().await);
            let manifest = made.manifest.clone();
            let sweep = tokio::spawn(async move { sweeper.begin_deletion(&manifest, at(100)).await.unwrap() });
            let (manifest, position) = (made.manifest.clone(), after(&run, 1));
            let reuse =
                tokio::spawn(async move { reuser.commit(&position, &reusing(200, "events", &manifest)).await });
            let (swept, reused) = (sweep.await.unwrap(), reuse.await.unwrap());
            assert_ne!(swept, reused.is_ok(), "round {round}");
            if swept {
                assert!(matches!(reused, Err(StoreError::ArtifactGone { .. })));
                return;
            }
            world.store.commit(&after(&run, 2), &ended(300, RunStatus::Failed)).await.unwrap();
        }
    }
}

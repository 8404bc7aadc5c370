use noctule_artifacts::RunId;
use noctule_engine::RunStatus;
use noctule_engine::schedule::NotRun;
use noctule_store::{
    BackfillState, Fate, NewRun, Note, OccurrenceFilter, OccurrenceState, Reference, RunFilter, Skip, Store,
    StoreError, Tombstone,
};

use crate::registry::{candidate, publishing, wish};
use crate::world::{
    after, artifact, at, begin, begin_for, change, day, due, ended, enter, new_run, noted, run_id,
};

async fn end(store: &Store, run: &RunId, second: i64, status: RunStatus) {
    let last = store.run(run).await.unwrap().last_event;
    store.commit(&after(run, last), &ended(second, status)).await.unwrap();
}

async fn left(store: &Store) -> Vec<RunId> {
    let mut runs: Vec<_> =
        store.runs(&RunFilter::default()).await.unwrap().into_iter().map(|row| row.run).collect();
    runs.reverse();
    runs
}

on_both! {
    async fn old_runs_are_forgotten_in_batches(world: World) {
        let store = &world.store;
        for number in 1..=5 {
            let run = begin(store, number).await;
            let mut with_artifact = change(2, vec![noted("made")]);
            with_artifact.effects.artifacts = vec![artifact(&run, "events", &number.to_string())];
            store.commit(&after(&run, 1), &with_artifact).await.unwrap();
            store.note(&run, &Note { step: None, at: at(3), text: "x".to_owned() }).await.unwrap();
            end(store, &run, i64::from(number) * 10, RunStatus::Failed).await;
        }
        let live = begin(store, 6).await;
        let expired = store.expire_runs(at(41), 3).await.unwrap();
        assert_eq!((expired.runs, expired.more), (vec![run_id(1), run_id(2), run_id(3)], true));
        let expired = store.expire_runs(at(41), 3).await.unwrap();
        assert_eq!((expired.runs, expired.more), (vec![run_id(4)], false));
        assert!(store.expire_runs(at(41), 3).await.unwrap().runs.is_empty());
        assert_eq!(left(store).await, [run_id(5), live]);
        assert!(matches!(store.load(&run_id(1)).await, Err(StoreError::NoSuchRun { .. })));
        assert!(store.notes(&run_id(1)).await.unwrap().is_empty());
        assert!(store.artifacts_of(&run_id(1)).await.unwrap().is_empty());
        // What it made is still known, and the sweep's to judge.
        let made = artifact(&run_id(1), "events", "1");
        assert_eq!(store.artifact(&made.manifest).await.unwrap().unwrap().digest, made.digest);
        assert_eq!(store.unused_since(at(41), 10).await.unwrap().len(), 4);
        assert_eq!(store.set_tombstone(&made.manifest, at(100)).await.unwrap(), Tombstone::Set);
    }

    async fn what_is_needed_is_never_forgotten(world: World) {
        let store = &world.store;
        // One that made a version, long ago and superseded since.
        let publisher = begin(store, 1).await;
        let version = store.reserve_version(&wish(&publisher, "model 1")).await.unwrap();
        let wanted = publishing(candidate(&publisher, version, "model 1"), None);
        store.publish(&after(&publisher, 1), &wanted, crate::registry::published).await.unwrap();
        // Good ones, of which the last is kept, and a later failure, which is not.
        let good = [begin(store, 2).await, begin(store, 3).await];
        for run in &good {
            end(store, run, 20, RunStatus::Succeeded).await;
        }
        let failed = begin(store, 4).await;
        end(store, &failed, 30, RunStatus::Failed).await;
        let live = begin(store, 5).await;
        let weekly = begin_for(store, 6, "weekly", day(1)).await;
        end(store, &weekly, 40, RunStatus::Succeeded).await;

        let expired = store.expire_runs(at(1_000_000_000), 100).await.unwrap();
        assert_eq!(expired.runs, [good[0].clone(), failed]);
        assert_eq!(left(store).await, [publisher.clone(), good[1].clone(), live, weekly]);
        assert_eq!(store.load(&publisher).await.unwrap().len(), 2);
        let next = store.last_good(&"nightly".parse().unwrap(), day(50).start).await.unwrap().unwrap();
        assert_eq!(next.run, good[1], "the last good run is the same as before");
    }

    async fn a_reused_artifact_outlives_the_run_that_made_it(world: World) {
        let store = &world.store;
        let maker = begin(store, 1).await;
        let made = artifact(&maker, "events", "a");
        let mut making = change(2, vec![noted("made")]);
        making.effects.artifacts = vec![made.clone()];
        store.commit(&after(&maker, 1), &making).await.unwrap();
        end(store, &maker, 10, RunStatus::Failed).await;
        let user = begin(store, 2).await;
        let mut using = change(20, vec![noted("reused")]);
        using.effects.reused = vec![("events".parse().unwrap(), made.manifest.clone())];
        store.commit(&after(&user, 1), &using).await.unwrap();

        assert_eq!(store.expire_runs(at(1_000), 10).await.unwrap().runs, [maker]);
        assert!(store.unused_since(at(1_000), 10).await.unwrap().is_empty());
        assert_eq!(store.set_tombstone(&made.manifest, at(1_000)).await.unwrap(), Tombstone::Kept(Reference::LiveRun(user.clone())));
        assert_eq!(store.artifacts_of(&user).await.unwrap().len(), 1);
        assert_eq!(store.reusable(made.fingerprint).await.unwrap().len(), 1);
    }

    async fn settled_occurrences_are_forgotten_after_their_runs(world: World) {
        let store = &world.store;
        let skip = Fate::Skip(Skip { reason: NotRun::Missed, detail: None });
        let rows = vec![due(1, "a", skip), due(2, "b", Fate::Queue), due(3, "c", Fate::Queue), due(4, "d", Fate::Wait)];
        enter(store, "nightly", rows).await;
        let answering = |number, id: &str| NewRun { occurrence: Some(id.to_owned()), ..new_run(number, "nightly", day(1)) };
        store.create_run(&answering(1, "b"), &change(5, vec![noted("begun")])).await.unwrap();
        end(store, &run_id(1), 6, RunStatus::Failed).await;
        assert_eq!(store.expire_occurrences(at(100), 10).await.unwrap(), 1, "of the others, one has a run");
        store.expire_runs(at(100), 10).await.unwrap();
        let row = store.occurrence(&"nightly".parse().unwrap(), "b").await.unwrap().unwrap();
        assert_eq!(row.state, OccurrenceState::Started { run: run_id(1), status: None });
        let error = store.create_run(&answering(2, "b"), &change(7, vec![])).await.unwrap_err();
        assert!(matches!(error, StoreError::OccurrenceSettled { .. }), "it had its run: {error}");
        assert_eq!(store.expire_occurrences(at(2), 10).await.unwrap(), 0, "it was due at 2");
        assert_eq!(store.expire_occurrences(at(100), 10).await.unwrap(), 1);
        let open: Vec<_> = store.occurrences(&OccurrenceFilter::default()).await.unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(open, ["d", "c"], "what is not settled stays");
    }

    async fn a_backfill_that_goes_on_keeps_its_runs(world: World) {
        let store = &world.store;
        let id = store.create_backfill(&crate::backfills::backfill(2), None).await.unwrap();
        let run = NewRun { occurrence: Some(id.occurrence("day 0")), ..new_run(1, "nightly", day(0)) };
        store.create_run(&run, &change(10, vec![noted("begun")])).await.unwrap();
        end(store, &run.run, 20, RunStatus::Failed).await;
        assert!(store.expire_runs(at(100_000_000), 10).await.unwrap().runs.is_empty());
        assert_eq!(store.expire_occurrences(at(100_000_000), 10).await.unwrap(), 0);
        store.change_backfill(id, BackfillState::Running, BackfillState::Cancelled, "ada", None, at(30), None).await.unwrap();
        assert_eq!(store.expire_runs(at(100_000_000), 10).await.unwrap().runs, [run.run]);
        assert_eq!(store.expire_occurrences(at(100_000_000), 10).await.unwrap(), 2);
    }
}

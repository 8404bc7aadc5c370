use noctule_engine::RunStatus;
use noctule_store::{Acquired, Fate, NewRun, Position, Store, StoreError};
use std::time::Duration;

use crate::events;
use crate::world::{after, at, begin, change, day, due, enter, new_run, noted, run_id};

on_both! {
    async fn a_log_is_read_as_it_was_written(world: World) {
        let store = &world.store;
        let new = new_run(1, "nightly", day(1));
        let exact = at(1) + jiff::SignedDuration::from_nanos(123_456_789);
        let mut first = change(1, events::all());
        first.at = exact;
        let last = store.create_run(&new, &first).await.unwrap();
        assert_eq!(last, events::all().len() as u64);
        let next = store.commit(&after(&new.run, last), &change(2, vec![noted("more")])).await.unwrap();
        assert_eq!(next, last + 1);

        let log = world.another().await.load(&new.run).await.unwrap();
        let expected = events::all().into_iter().chain([noted("more")]);
        assert!(log.iter().map(|logged| &logged.event).eq(expected.collect::<Vec<_>>().iter()));
        assert!(log.iter().map(|logged| logged.sequence).eq(1..=next));
        assert_eq!((log[0].at, log.last().unwrap().at), (exact, at(2)));

        let rest = store.load_after(&new.run, last).await.unwrap();
        assert_eq!(rest, log[log.len() - 1..]);
        assert!(store.load_after(&new.run, next).await.unwrap().is_empty());
        assert_eq!(store.definition(&new.run).await.unwrap(), new.definition);
    }

    async fn a_writer_that_is_behind_is_told(world: World) {
        let run = begin(&world.store, 1).await;
        world.store.commit(&after(&run, 1), &change(2, vec![noted("a")])).await.unwrap();
        for behind in [0, 1, 3] {
            let error = world.store.commit(&after(&run, behind), &change(3, vec![noted("b")])).await.unwrap_err();
            assert!(
                matches!(error, StoreError::MovedOn { expected, found: 2, .. } if expected == behind),
                "{error}"
            );
        }
        assert_eq!(world.store.load(&run).await.unwrap().len(), 2);
        let missing = world.store.load(&run_id(99)).await.unwrap_err();
        assert!(matches!(missing, StoreError::NoSuchRun { .. }));
        let missing = world.store.commit(&after(&run_id(99), 0), &change(3, vec![])).await.unwrap_err();
        assert!(matches!(missing, StoreError::NoSuchRun { .. }));
    }

    async fn of_two_appenders_one_fails(world: World) {
        let run = begin(&world.store, 1).await;
        let others = [world.store.clone(), world.another().await, world.another().await, world.another().await];
        let tasks = others.map(|store| tokio::spawn(append_ten(store, run.clone())));
        let mut beaten = 0;
        for task in tasks {
            beaten += task.await.unwrap();
        }
        let log = world.store.load(&run).await.unwrap();
        assert_eq!(log.len(), 41, "each appended ten, and none was lost or written twice");
        assert!(beaten > 0, "they met");
    }

    async fn a_run_is_created_once(world: World) {
        for pipeline in ["nightly", "weekly"] {
            enter(&world.store, pipeline, vec![due(1, "2026-11-01T02:15", Fate::Queue)]).await;
        }
        let first = NewRun { occurrence: Some("2026-11-01T02:15".into()), ..new_run(1, "nightly", day(1)) };
        world.store.create_run(&first, &change(1, vec![noted("begun")])).await.unwrap();
        let again = world.store.create_run(&first, &change(1, vec![noted("begun")])).await.unwrap_err();
        assert!(matches!(again, StoreError::RunExists { .. }));
        let second = NewRun { run: run_id(2), ..first.clone() };
        let taken = world.store.create_run(&second, &change(1, vec![])).await.unwrap_err();
        assert!(matches!(taken, StoreError::OccurrenceTaken { run, .. } if run == first.run));
        let other = NewRun { run: run_id(3), pipeline: "weekly".parse().unwrap(), ..first };
        world.store.create_run(&other, &change(1, vec![])).await.unwrap();
        // By hand there may be many for one interval.
        for number in 4..6 {
            begin(&world.store, number).await;
        }
    }

    async fn a_leader_that_was_replaced_cannot_append(world: World) {
        let run = begin(&world.store, 1).await;
        let name = format!("run/{run}");
        let Acquired::Held(old) = world.store.acquire(&name, "old", Duration::ZERO).await.unwrap() else {
            panic!("nobody holds it")
        };
        let under = |lease| Position { run: run.clone(), after: 1, lease: Some(lease) };
        let Acquired::Held(new) = world.store.acquire(&name, "new", Duration::from_secs(60)).await.unwrap() else {
            panic!("it has run out")
        };
        let error = world.store.commit(&under(old.clone()), &change(2, vec![noted("late")])).await.unwrap_err();
        assert!(matches!(error, StoreError::LeaseLost { ours, now, .. } if ours == old.token && now == new.token));
        world.store.commit(&under(new), &change(2, vec![noted("mine")])).await.unwrap();
        assert_eq!(world.store.load(&run).await.unwrap().len(), 2);
    }

    async fn a_change_is_all_or_nothing(world: World) {
        let run = begin(&world.store, 1).await;
        let mut bad = change(2, vec![noted("a"), noted("b")]);
        bad.status = RunStatus::Succeeded;
        bad.effects.reused = vec![("events".parse().unwrap(), "runs/nowhere/manifest.json".into())];
        let error = world.store.commit(&after(&run, 1), &bad).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSuchArtifact { .. }));
        assert_eq!(world.store.load(&run).await.unwrap().len(), 1);
        assert_eq!(world.store.run(&run).await.unwrap().status, RunStatus::Running);
    }
}

async fn append_ten(store: Store, run: noctule_artifacts::RunId) -> u32 {
    let (mut done, mut beaten, mut end) = (0, 0, 1);
    while done < 10 {
        match store.commit(&after(&run, end), &change(2, vec![noted("x")])).await {
            Ok(last) => (done, end) = (done + 1, last),
            Err(StoreError::MovedOn { found, .. }) => (beaten, end) = (beaten + 1, found),
            Err(error) => panic!("{error}"),
        }
    }
    beaten
}

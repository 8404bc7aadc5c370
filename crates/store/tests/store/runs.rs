use noctule_engine::{Held, Rejection, RunStatus};
use noctule_store::{Note, RunFilter, StoreError};

use crate::world::{after, at, begin, begin_for, day, ended, run_id};

const ENDS: &[(RunStatus, bool)] = &[
    (RunStatus::Succeeded, true),
    (RunStatus::Failed, false),
    (RunStatus::DataStop, false),
    (RunStatus::GateRejected(Rejection::Fail), true),
    (RunStatus::GateRejected(Rejection::Inconclusive), true),
    (RunStatus::Held(Held::Pinned), true),
    (RunStatus::Held(Held::Moved), true),
    (RunStatus::Cancelled, false),
];

on_both! {
    async fn runs_are_listed_newest_first(world: World) {
        for number in 1..=4 {
            let pipeline = if number == 3 { "weekly" } else { "nightly" };
            begin_for(&world.store, number, pipeline, day(i64::from(number))).await;
        }
        world.store.commit(&after(&run_id(2), 1), &ended(9, RunStatus::Failed)).await.unwrap();
        let list = async |filter: RunFilter| -> Vec<_> {
            world.store.runs(&filter).await.unwrap().into_iter().map(|row| row.run).collect()
        };
        let ids = |numbers: &[u32]| numbers.iter().map(|number| run_id(*number)).collect::<Vec<_>>();
        assert_eq!(list(RunFilter::default()).await, ids(&[4, 3, 2, 1]));
        assert_eq!(list(RunFilter { limit: Some(2), ..RunFilter::default() }).await, ids(&[4, 3]));
        let nightly = Some("nightly".parse().unwrap());
        assert_eq!(list(RunFilter { pipeline: nightly.clone(), ..RunFilter::default() }).await, ids(&[4, 2, 1]));
        assert_eq!(list(RunFilter { pipeline: nightly, live: true, ..RunFilter::default() }).await, ids(&[4, 1]));

        let row = world.store.run(&run_id(2)).await.unwrap();
        assert_eq!((row.status, row.interval, row.last_event), (RunStatus::Failed, day(2), 2));
        assert_eq!((row.created, row.changed, row.ended), (at(2), at(9), Some(at(9))));
        assert_eq!(world.store.run(&run_id(1)).await.unwrap().ended, None);
    }

    async fn every_status_is_kept(world: World) {
        for (number, (status, _)) in (1..).zip(ENDS) {
            let run = begin(&world.store, number).await;
            world.store.commit(&after(&run, 1), &ended(9, *status)).await.unwrap();
            assert_eq!(world.store.run(&run).await.unwrap().status, *status);
        }
    }

    async fn a_run_is_found_by_the_beginning_of_its_id(world: World) {
        let (one, two) = (begin(&world.store, 1).await, begin(&world.store, 2).await);
        assert_eq!(world.store.find_run(one.as_str()).await.unwrap(), one);
        assert_eq!(world.store.find_run(&one.as_str()[..4]).await.unwrap(), one);
        assert_eq!(world.store.find_run(&two.as_str()[1..5].to_uppercase()).await.unwrap(), two);
        let many = world.store.find_run("r").await.unwrap_err();
        assert!(matches!(many, StoreError::AmbiguousRun { found: 2, .. }), "{many}");
        for nothing in ["", "  ", "rzzzz", "r%", "_", "../..", &"r".repeat(9999), "é"] {
            let error = world.store.find_run(nothing).await.unwrap_err();
            assert!(matches!(error, StoreError::NoSuchRun { .. }), "{nothing}: {error}");
            assert!(error.to_string().len() < 300);
        }
    }

    async fn the_last_good_run_is_for_an_earlier_interval(world: World) {
        let last_good = async |day_number: i64| {
            let found = world.store.last_good(&"nightly".parse().unwrap(), day(day_number).start).await.unwrap();
            found.map(|row| row.run)
        };
        assert_eq!(last_good(100).await, None);
        for (number, (status, _)) in (1..).zip(ENDS) {
            let run = begin(&world.store, number).await;
            world.store.commit(&after(&run, 1), &ended(9, *status)).await.unwrap();
        }
        begin(&world.store, 50).await;
        let other = begin_for(&world.store, 60, "weekly", day(60)).await;
        world.store.commit(&after(&other, 1), &ended(9, RunStatus::Succeeded)).await.unwrap();
        assert_eq!(last_good(1).await, None);
        for day_number in 2i64..60 {
            let expected = (1..).zip(ENDS).filter(|(number, (_, good))| *good && *number < day_number).last();
            assert_eq!(last_good(day_number).await, expected.map(|(number, _)| run_id(number as u32)));
        }
        // Of two for one interval, the newer.
        let again = begin_for(&world.store, 70, "nightly", day(7)).await;
        world.store.commit(&after(&again, 1), &ended(99, RunStatus::Succeeded)).await.unwrap();
        assert_eq!(last_good(8).await, Some(again));
    }

    async fn notes_keep_their_order(world: World) {
        let run = begin(&world.store, 1).await;
        let notes: Vec<Note> = (0..3)
            .map(|i| Note {
                step: (i == 1).then(|| "events".parse().unwrap()),
                at: at(-i),
                text: format!("note {i} 'quoted' \u{1f987}"),
            })
            .collect();
        for note in &notes {
            world.store.note(&run, note).await.unwrap();
        }
        assert_eq!(world.store.notes(&run).await.unwrap(), notes);
        let nul = Note { step: None, at: at(0), text: "a\0b".to_owned() };
        world.store.note(&run, &nul).await.unwrap();
        assert_eq!(world.store.notes(&run).await.unwrap()[3].text, "a\u{fffd}b");
        assert!(world.store.notes(&run_id(9)).await.unwrap().is_empty());
        assert!(matches!(world.store.note(&run_id(9), &notes[0]).await, Err(StoreError::NoSuchRun { .. })));
    }
}

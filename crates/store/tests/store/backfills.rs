use noctule_artifacts::launch::Interval;
use noctule_engine::RunStatus;
use noctule_engine::schedule::NotRun;
use noctule_store::{
    BackfillId, BackfillInterval, BackfillOrder, BackfillProgress, BackfillState, NewBackfill, NewRun,
    OccurrenceFilter, OccurrenceState, Skip, Store, StoreError,
};

use crate::world::{after, at, change, day, ended, new_run, noted, run_id};

pub fn backfill(days: i64) -> NewBackfill {
    let intervals =
        (0..days).map(|number| BackfillInterval { due: day(number).end, civil: format!("day {number}") });
    NewBackfill {
        pipeline: "nightly".parse().unwrap(),
        range: Interval { start: day(0).start, end: day(days).start },
        order: BackfillOrder::NewestFirst,
        at_once: 2,
        promote: false,
        by: "ada".to_owned(),
        why: Some("a new feature".to_owned()),
        definition: b"as it was".to_vec(),
        intervals: intervals.collect(),
        at: at(7),
    }
}

async fn begin(store: &Store, id: BackfillId, number: u32) {
    let run = NewRun {
        occurrence: Some(id.occurrence(&format!("day {number}"))),
        ..new_run(number + 1, "nightly", day(i64::from(number)))
    };
    store.create_run(&run, &change(10, vec![noted("begun")])).await.unwrap();
}

on_both! {
    async fn a_backfill_is_kept_with_its_intervals(world: World) {
        let store = &world.store;
        let id = store.create_backfill(&backfill(4), None).await.unwrap();
        let row = store.backfill(id).await.unwrap();
        assert_eq!((row.state, row.order, row.at_once, row.promote), (BackfillState::Running, BackfillOrder::NewestFirst, 2, false));
        assert_eq!((row.by.as_str(), row.why.as_deref(), row.created), ("ada", Some("a new feature"), at(7)));
        assert_eq!(row.progress, BackfillProgress { queued: 4, ..Default::default() });
        assert_eq!(store.backfill_definition(id).await.unwrap(), b"as it was");
        assert_eq!(store.schedule(&row.pipeline).await.unwrap().watermark, None, "the schedule is left alone");
        assert_eq!(store.going(&row.pipeline).await.unwrap(), Default::default());

        for number in 0..3 {
            begin(store, id, number).await;
        }
        store.commit(&after(&run_id(1), 1), &ended(11, RunStatus::Succeeded)).await.unwrap();
        store.commit(&after(&run_id(2), 1), &ended(11, RunStatus::DataStop)).await.unwrap();
        let progress = store.backfill(id).await.unwrap().progress;
        assert_eq!(progress, BackfillProgress { queued: 1, live: 1, good: 1, bad: 1, skipped: 0 });

        let other = store.create_backfill(&backfill(4), None).await.unwrap();
        assert_ne!(other, id, "the same range may be filled again");
        let ids = store.backfills(None, true, None).await.unwrap().iter().map(|row| row.id).collect::<Vec<_>>();
        assert_eq!(ids, [other, id]);
        assert!(store.backfills(Some(&"weekly".parse().unwrap()), false, None).await.unwrap().is_empty());
        let missing = store.backfill(BackfillId(99)).await.unwrap_err();
        assert!(matches!(missing, StoreError::NoSuchBackfill { .. }));
        assert!(matches!(store.backfill_definition(BackfillId(99)).await, Err(StoreError::NoSuchBackfill { .. })));
    }

    async fn an_interval_that_stands_twice_is_refused(world: World) {
        let mut twice = backfill(2);
        twice.intervals.push(twice.intervals[0].clone());
        let error = world.store.create_backfill(&twice, None).await.unwrap_err();
        assert!(error.to_string().contains("stands twice"), "{error}");
        assert!(world.store.backfills(None, false, None).await.unwrap().is_empty());
        assert!(world.store.occurrences(&OccurrenceFilter::default()).await.unwrap().is_empty());
    }

    async fn a_cancelled_backfill_begins_nothing_more(world: World) {
        let store = &world.store;
        let id = store.create_backfill(&backfill(3), None).await.unwrap();
        begin(store, id, 0).await;
        let turn = async |from, to| store.change_backfill(id, from, to, "eve", Some("enough"), at(20), None).await;
        turn(BackfillState::Running, BackfillState::Paused).await.unwrap();
        let error = turn(BackfillState::Running, BackfillState::Paused).await.unwrap_err();
        assert!(matches!(error, StoreError::BackfillIs { found: "paused", .. }), "{error}");
        turn(BackfillState::Paused, BackfillState::Running).await.unwrap();
        turn(BackfillState::Running, BackfillState::Cancelled).await.unwrap();
        let row = store.backfill(id).await.unwrap();
        assert_eq!((row.state, row.changed_by.as_str(), row.changed_why.as_deref()), (BackfillState::Cancelled, "eve", Some("enough")));
        assert_eq!(row.progress, BackfillProgress { live: 1, skipped: 2, ..Default::default() });
        let filter = OccurrenceFilter { backfill: Some(id), ..Default::default() };
        let states: Vec<_> = store.occurrences(&filter).await.unwrap().into_iter().map(|row| row.state).collect();
        let cancelled = OccurrenceState::Skipped(Skip { reason: NotRun::BackfillCancelled, detail: None });
        assert_eq!((&states[0], &states[1]), (&cancelled, &cancelled));
        assert!(matches!(states[2], OccurrenceState::Started { .. }), "what has begun is the caller's to cancel");

        let run = NewRun { occurrence: Some(id.occurrence("day 1")), ..new_run(9, "nightly", day(1)) };
        let error = store.create_run(&run, &change(30, vec![])).await.unwrap_err();
        assert!(matches!(error, StoreError::OccurrenceSettled { .. }), "{error}");
        for to in BackfillState::ALL {
            let error = turn(BackfillState::Cancelled, to).await.unwrap_err();
            assert!(matches!(error, StoreError::BackfillIs { .. }), "one that ended stays so: {error}");
        }
        assert!(store.backfills(None, true, None).await.unwrap().is_empty());
        assert_eq!(store.backfills(None, false, Some(1)).await.unwrap().len(), 1);
    }
}

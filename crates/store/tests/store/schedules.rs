use std::time::Duration;

use noctule_engine::schedule::NotRun;
use noctule_store::{
    Acquired, Advance, Fate, OccurrenceFilter, OccurrenceStage, OccurrenceState, Skip, Store, StoreError,
    Watermark,
};

use crate::world::{at, due, enter, lead, new_run};

fn mark(second: i64) -> Watermark {
    Watermark::Time(at(second))
}

fn skipped(reason: NotRun) -> Fate {
    Fate::Skip(Skip { reason, detail: None })
}

async fn states(store: &Store) -> Vec<(String, OccurrenceState)> {
    let filter = OccurrenceFilter { oldest_first: true, ..OccurrenceFilter::default() };
    store.occurrences(&filter).await.unwrap().into_iter().map(|row| (row.id, row.state)).collect()
}

on_both! {
    async fn a_schedule_moves_on_with_what_was_decided(world: World) {
        let store = &world.store;
        let lease = lead(store).await;
        let pipeline: noctule_artifacts::PipelineName = "nightly".parse().unwrap();
        let row = store.schedule(&pipeline).await.unwrap();
        assert_eq!((row.watermark, row.paused), (None, None));

        let first = Advance {
            occurrences: vec![due(10, "a", skipped(NotRun::Missed)), due(20, "b", Fate::Queue)],
            ..Advance::new(pipeline.clone(), None, mark(25), at(26))
        };
        assert!(store.advance(&first, &lease).await.unwrap().is_empty());
        assert_eq!(store.schedule(&pipeline).await.unwrap().watermark, Some(mark(25)));
        assert_eq!(store.schedules().await.unwrap().len(), 1);

        // Who saw it where it was before has been overtaken, and enters nothing.
        let late = Advance { occurrences: vec![due(30, "c", Fate::Queue)], ..first.clone() };
        let error = store.advance(&late, &lease).await.unwrap_err();
        assert!(matches!(error, StoreError::ScheduleMoved { .. }), "{error}");
        assert_eq!(states(store).await.len(), 2);

        // A watermark is compared as it is kept, whatever the digits below a microsecond.
        let exact = Watermark::Time(at(40) + jiff::SignedDuration::from_nanos(1_234_567));
        let next = Advance::new(pipeline.clone(), Some(mark(25)), exact.clone(), at(41));
        store.advance(&next, &lease).await.unwrap();
        let next = Advance::new(pipeline.clone(), Some(exact), mark(50), at(51));
        store.advance(&next, &lease).await.unwrap();
        let follow = Watermark::Promotion { model: "home-feed".parse().unwrap(), sequence: 17 };
        let next = Advance::new(pipeline.clone(), Some(mark(50)), follow.clone(), at(52));
        store.advance(&next, &lease).await.unwrap();
        assert_eq!(world.another().await.schedule(&pipeline).await.unwrap().watermark, Some(follow));
    }

    async fn a_double_fire_cannot_be_stored(world: World) {
        let first = enter(&world.store, "nightly", vec![due(10, "2026-11-24T02:15", Fate::Queue)]).await;
        assert!(first.is_empty());
        let again = vec![
            due(10, "2026-11-24T02:15", skipped(NotRun::Missed)),
            due(20, "2026-11-25T02:15", Fate::Queue),
        ];
        assert_eq!(enter(&world.store, "nightly", again).await, ["2026-11-24T02:15"]);
        let found = states(&world.store).await;
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].1, OccurrenceState::Queued, "it stays as it was");
        // Another pipeline may be due at the same civil time.
        assert!(enter(&world.store, "weekly", vec![due(10, "2026-11-24T02:15", Fate::Queue)]).await.is_empty());
    }

    async fn of_many_that_advance_one_does(world: World) {
        let lease = lead(&world.store).await;
        for round in 0..5 {
            let from = world.store.schedule(&"nightly".parse().unwrap()).await.unwrap().watermark;
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let (store, lease, from) = (world.store.clone(), lease.clone(), from.clone());
                    tokio::spawn(async move {
                        let advance = Advance {
                            occurrences: vec![due(round, &format!("civil {round}"), Fate::Queue)],
                            ..Advance::new("nightly".parse().unwrap(), from, mark(round), at(round))
                        };
                        store.advance(&advance, &lease).await.is_ok()
                    })
                })
                .collect();
            let mut done = 0;
            for task in tasks {
                done += u32::from(task.await.unwrap());
            }
            assert_eq!(done, 1);
        }
        assert_eq!(states(&world.store).await.len(), 5);
    }

    async fn a_frozen_leader_that_wakes_up_can_do_no_harm(world: World) {
        let store = &world.store;
        let Acquired::Held(frozen) = store.acquire("leader", "one", Duration::ZERO).await.unwrap() else {
            panic!("nobody holds it")
        };
        enter_under(store, &frozen, None, 10, "a").await.unwrap();
        let Acquired::Held(new) = store.acquire("leader", "two", Duration::from_secs(60)).await.unwrap() else {
            panic!("it has run out")
        };
        let is_lost = |error: StoreError| assert!(matches!(error, StoreError::LeaseLost { .. }), "{error}");
        is_lost(enter_under(store, &frozen, Some(mark(10)), 20, "b").await.unwrap_err());
        let run = noctule_store::NewRun {
            occurrence: Some("a".to_owned()),
            lease: Some(frozen.clone()),
            ..new_run(1, "nightly", crate::world::day(1))
        };
        let change = crate::world::change(11, vec![]);
        is_lost(store.create_run(&run, &change).await.unwrap_err());
        let pipeline = "nightly".parse().unwrap();
        let settled = store
            .settle_occurrence(&pipeline, "a", OccurrenceStage::Queued, &skipped(NotRun::Paused), at(1), Some(&frozen))
            .await;
        is_lost(settled.unwrap_err());
        is_lost(store.put_pipeline(&pipeline, "x.yaml", b"x", at(1), Some(&frozen)).await.unwrap_err());
        assert_eq!(states(store).await, [("a".to_owned(), OccurrenceState::Queued)]);
        assert!(store.runs(&Default::default()).await.unwrap().is_empty());
        enter_under(store, &new, Some(mark(10)), 20, "b").await.unwrap();
        let mine = noctule_store::NewRun { lease: Some(new), ..run };
        store.create_run(&mine, &change).await.unwrap();
    }

    async fn a_schedule_is_paused_by_somebody(world: World) {
        let (store, pipeline) = (&world.store, "nightly".parse().unwrap());
        assert!(store.pause_schedule(&pipeline, "ada", Some("a new source"), at(5)).await.unwrap());
        assert!(!store.pause_schedule(&pipeline, "eve", None, at(6)).await.unwrap());
        let row = store.schedule(&pipeline).await.unwrap();
        let pause = row.paused.unwrap();
        assert_eq!((pause.by.as_str(), pause.why.as_deref(), pause.at), ("ada", Some("a new source"), at(5)));
        // A pause leaves the watermark alone, and an advance the pause.
        assert_eq!(row.watermark, None);
        enter(store, "nightly", vec![due(10, "a", skipped(NotRun::Paused))]).await;
        assert!(store.schedule(&pipeline).await.unwrap().paused.is_some());
        assert!(store.resume_schedule(&pipeline).await.unwrap());
        assert!(!store.resume_schedule(&pipeline).await.unwrap());
        assert_eq!(store.schedule(&pipeline).await.unwrap().paused, None);
    }

    async fn what_is_replaced_is_skipped_in_the_same_transaction(world: World) {
        let store = &world.store;
        let lease = lead(store).await;
        let old = vec![due(1, "a", Fate::Queue), due(2, "b", Fate::Wait), due(3, "c", skipped(NotRun::Missed))];
        enter(store, "nightly", old).await;
        let replaced = Skip { reason: NotRun::Replaced, detail: Some("by d".to_owned()) };
        let advance = Advance {
            occurrences: vec![due(4, "d", Fate::Queue)],
            skip: ["a", "b", "c", "nowhere"].map(|id| (id.to_owned(), replaced.clone())).to_vec(),
            ..Advance::new("nightly".parse().unwrap(), Some(mark(3)), mark(4), at(5))
        };
        store.advance(&advance, &lease).await.unwrap();
        let missed = Skip { reason: NotRun::Missed, detail: None };
        let expected = [
            ("a".to_owned(), OccurrenceState::Skipped(replaced.clone())),
            ("b".to_owned(), OccurrenceState::Skipped(replaced)),
            ("c".to_owned(), OccurrenceState::Skipped(missed)),
            ("d".to_owned(), OccurrenceState::Queued),
        ];
        assert_eq!(states(store).await, expected);
    }

    async fn a_clock_that_went_back_lets_what_had_not_begun_be_decided_anew(world: World) {
        let store = &world.store;
        let lease = lead(store).await;
        let old = vec![
            due(10, "a", Fate::Queue),
            due(20, "b", Fate::Queue),
            due(30, "c", skipped(NotRun::Missed)),
            due(40, "d", Fate::Queue),
        ];
        enter(store, "nightly", old).await;
        let started = noctule_store::NewRun { occurrence: Some("d".to_owned()), ..new_run(1, "nightly", crate::world::day(1)) };
        store.create_run(&started, &crate::world::change(41, vec![])).await.unwrap();
        let back = Advance {
            take_back_after: Some(at(15)),
            ..Advance::new("nightly".parse().unwrap(), Some(mark(40)), mark(15), at(15))
        };
        store.advance(&back, &lease).await.unwrap();
        let clock = OccurrenceState::Skipped(Skip { reason: NotRun::Clock, detail: None });
        let found = states(store).await;
        assert_eq!(found[0].1, OccurrenceState::Queued, "it is due before");
        assert_eq!((&found[1].1, &found[2].1), (&clock, &clock));
        assert!(matches!(found[3].1, OccurrenceState::Started { .. }), "what has begun goes on");

        let again = vec![due(20, "b", Fate::Queue), due(30, "c", Fate::Queue), due(40, "d", Fate::Queue)];
        assert_eq!(enter(store, "nightly", again).await, ["d"], "a time that has its run gets no second one");
        let found = states(store).await;
        assert_eq!((&found[1].1, &found[2].1), (&OccurrenceState::Queued, &OccurrenceState::Queued));
        assert_eq!(found.len(), 4);
    }
}

async fn enter_under(
    store: &Store,
    lease: &noctule_store::Lease,
    from: Option<Watermark>,
    to: i64,
    id: &str,
) -> Result<Vec<String>, StoreError> {
    let advance = Advance {
        occurrences: vec![due(to, id, Fate::Queue)],
        ..Advance::new("nightly".parse().unwrap(), from, mark(to), at(to))
    };
    store.advance(&advance, lease).await
}

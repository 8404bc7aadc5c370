use noctule_engine::RunStatus;
use noctule_engine::schedule::NotRun;
use noctule_store::{
    Fate, NewOccurrence, NewRun, OccurrenceFilter, OccurrenceKind, OccurrenceStage, OccurrenceState, Skip,
    StoreError,
};

use crate::world::{after, at, change, day, due, ended, enter, new_run, noted, run_id};

fn answering(number: u32, id: &str) -> NewRun {
    NewRun { occurrence: Some(id.to_owned()), ..new_run(number, "nightly", day(i64::from(number))) }
}

on_both! {
    async fn a_run_answers_its_occurrence_in_one_transaction(world: World) {
        let (store, pipeline) = (&world.store, "nightly".parse().unwrap());
        let begun = change(5, vec![noted("begun")]);
        enter(store, "nightly", vec![due(1, "a", Fate::Queue), due(2, "b", Fate::Queue)]).await;
        let error = store.create_run(&answering(1, "nowhere"), &begun).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSuchOccurrence { .. }), "{error}");
        assert!(store.run(&run_id(1)).await.is_err(), "nothing of it is there");

        store.create_run(&answering(1, "a"), &begun).await.unwrap();
        let row = store.occurrence(&pipeline, "a").await.unwrap().unwrap();
        let status = Some(RunStatus::Running);
        assert_eq!((row.state, row.changed), (OccurrenceState::Started { run: run_id(1), status }, at(5)));
        let error = store.create_run(&answering(2, "a"), &begun).await.unwrap_err();
        assert!(matches!(error, StoreError::OccurrenceTaken { run, .. } if run == run_id(1)));

        store.commit(&after(&run_id(1), 1), &ended(9, RunStatus::Failed)).await.unwrap();
        let row = store.occurrence(&pipeline, "a").await.unwrap().unwrap();
        assert!(matches!(row.state, OccurrenceState::Started { status: Some(RunStatus::Failed), .. }));

        let skip = Fate::Skip(Skip { reason: NotRun::Paused, detail: Some("by ada".to_owned()) });
        assert!(store.settle_occurrence(&pipeline, "b", OccurrenceStage::Queued, &skip, at(6), None).await.unwrap());
        let error = store.create_run(&answering(3, "b"), &begun).await.unwrap_err();
        assert!(matches!(error, StoreError::OccurrenceSettled { state: "skipped", .. }), "{error}");
    }

    async fn an_occurrence_is_settled_from_where_it_was_seen(world: World) {
        let (store, pipeline) = (&world.store, "nightly".parse().unwrap());
        let mut waiting = due(1, "a", Fate::Wait);
        waiting.give_up = Some(at(100));
        enter(store, "nightly", vec![waiting]).await;
        let settle = async |from, to: Fate| store.settle_occurrence(&pipeline, "a", from, &to, at(7), None).await.unwrap();
        assert_eq!(store.occurrence(&pipeline, "a").await.unwrap().unwrap().give_up, Some(at(100)));
        assert!(!settle(OccurrenceStage::Queued, Fate::Queue).await);
        assert!(settle(OccurrenceStage::Waiting, Fate::Queue).await);
        assert!(!settle(OccurrenceStage::Waiting, Fate::Queue).await, "somebody else was faster");
        let gave_up = Skip { reason: NotRun::GaveUp, detail: Some("no \0 object".to_owned()) };
        assert!(settle(OccurrenceStage::Queued, Fate::Skip(gave_up)).await);
        assert!(!settle(OccurrenceStage::Skipped, Fate::Queue).await, "a settled one stays");
        let row = store.occurrence(&pipeline, "a").await.unwrap().unwrap();
        let OccurrenceState::Skipped(skip) = row.state else { panic!("{:?}", row.state) };
        assert_eq!((skip.reason, skip.detail.as_deref()), (NotRun::GaveUp, Some("no \u{fffd} object")));
        let missing = store
            .settle_occurrence(&pipeline, "b", OccurrenceStage::Queued, &Fate::Queue, at(7), None)
            .await;
        assert!(matches!(missing, Err(StoreError::NoSuchOccurrence { .. })));
        assert_eq!(store.occurrence(&pipeline, "b").await.unwrap(), None);
    }

    async fn odd_ids_are_refused(world: World) {
        for id in ["", "a\nb", "a\0b", &"x".repeat(201)] {
            let pipeline: noctule_artifacts::PipelineName = "nightly".parse().unwrap();
            let advance = noctule_store::Advance {
                occurrences: vec![due(1, id, Fate::Queue)],
                ..noctule_store::Advance::new(pipeline, None, noctule_store::Watermark::Time(at(1)), at(1))
            };
            let lease = crate::world::lead(&world.store).await;
            let error = world.store.advance(&advance, &lease).await.unwrap_err();
            assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        }
        let hostile = vec![due(1, "'; DROP TABLE occurrences; --", Fate::Queue)];
        enter(&world.store, "nightly", hostile).await;
        assert_eq!(world.store.occurrences(&OccurrenceFilter::default()).await.unwrap().len(), 1);
    }

    async fn occurrences_are_listed_in_pages(world: World) {
        let store = &world.store;
        let skip = |reason| Fate::Skip(Skip { reason, detail: None });
        for pipeline in ["nightly", "weekly"] {
            let summary = NewOccurrence { stands_for: 999, ..due(0, "a..b", skip(NotRun::Missed)) };
            let promotion = NewOccurrence { kind: OccurrenceKind::Promotion, ..due(3, "promotion/1", Fate::Queue) };
            let rows = vec![summary, due(1, "c", Fate::Queue), due(2, "d", skip(NotRun::Overlap)), promotion];
            enter(store, pipeline, rows).await;
        }
        let list = async |filter: OccurrenceFilter| store.occurrences(&filter).await.unwrap();
        let all = list(OccurrenceFilter::default()).await;
        assert_eq!(all.len(), 8);
        assert!(all.is_sorted_by(|a, b| a.due >= b.due));
        assert_eq!(all.last().unwrap().stands_for, 999);
        for oldest_first in [false, true] {
            let mut paged = vec![];
            loop {
                let after = paged.last().map(noctule_store::OccurrenceRow::cursor);
                let page = list(OccurrenceFilter { oldest_first, after, limit: Some(3), ..Default::default() }).await;
                if page.is_empty() {
                    break;
                }
                paged.extend(page);
            }
            assert_eq!(paged, list(OccurrenceFilter { oldest_first, ..Default::default() }).await);
        }
        let nightly = Some("nightly".parse().unwrap());
        assert_eq!(list(OccurrenceFilter { pipeline: nightly, ..Default::default() }).await.len(), 4);
        let stages = vec![OccurrenceStage::Queued, OccurrenceStage::Waiting];
        assert_eq!(list(OccurrenceFilter { stages, ..Default::default() }).await.len(), 4);
        let kinds = vec![OccurrenceKind::Promotion];
        assert_eq!(list(OccurrenceFilter { kinds, ..Default::default() }).await.len(), 2);
    }

    async fn what_a_schedule_has_going_is_told_apart_from_runs_by_hand(world: World) {
        let store = &world.store;
        let rows = vec![
            due(1, "a", Fate::Queue),
            due(2, "b", Fate::Queue),
            due(3, "c", Fate::Queue),
            due(4, "d", Fate::Wait),
        ];
        enter(store, "nightly", rows).await;
        crate::world::begin(store, 9).await;
        for (number, id) in [(1, "a"), (2, "b")] {
            store.create_run(&answering(number, id), &change(5, vec![noted("begun")])).await.unwrap();
        }
        let going = async || store.going(&"nightly".parse().unwrap()).await.unwrap();
        assert_eq!(going().await.live, [run_id(1), run_id(2)]);
        assert_eq!((going().await.queued, going().await.waiting), (1, 1));
        store.commit(&after(&run_id(1), 1), &ended(9, RunStatus::Succeeded)).await.unwrap();
        assert_eq!(going().await.live, [run_id(2)]);
        assert_eq!(store.going(&"weekly".parse().unwrap()).await.unwrap(), Default::default());
    }
}

use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, RunId};
use noctule_engine::RunStatus;
use noctule_store::{Limit, NoSlot, Pool, SlotLimits, SlotWish, Store, StoreError, TakeSlot};

use crate::world::{after, at, begin, begin_for, change, day, ended, noted};

pub fn wish(limits: SlotLimits) -> SlotWish {
    SlotWish { step: "train".parse().unwrap(), limits, priority: 0, deadline: None }
}

pub fn gpu(slots: u32) -> SlotLimits {
    SlotLimits { pool: Some(Pool { name: "gpu".to_owned(), slots }), ..SlotLimits::default() }
}

/// Commits an event that takes a slot, after the last one of the run's log.
pub async fn take(store: &Store, run: &RunId, attempt: u32, wish: &SlotWish) -> Result<u64, StoreError> {
    let last = store.run(run).await.unwrap().last_event;
    let mut change = change(5, vec![noted("intended")]);
    change.effects.take = Some(TakeSlot { attempt: AttemptNumber(attempt), wish: wish.clone() });
    store.commit(&after(run, last), &change).await
}

pub async fn give_back(store: &Store, run: &RunId, attempt: u32) {
    let last = store.run(run).await.unwrap().last_event;
    let mut change = change(6, vec![noted("ended")]);
    change.effects.release = vec![("train".parse().unwrap(), AttemptNumber(attempt))];
    store.commit(&after(run, last), &change).await.unwrap();
}

async fn refused(store: &Store, run: &RunId, wish: &SlotWish) -> NoSlot {
    match take(store, run, 1, wish).await {
        Err(StoreError::NoSlot(why)) => *why,
        other => panic!("{other:?}"),
    }
}

on_both! {
    async fn each_limit_is_kept(world: World) {
        let store = &world.store;
        let mut runs = vec![];
        for number in 1..=4 {
            let pipeline = if number == 4 { "weekly" } else { "nightly" };
            runs.push(begin_for(store, number, pipeline, day(i64::from(number))).await);
        }
        let limits = |overall, pipeline, pool: Option<u32>| SlotLimits {
            overall,
            pipeline,
            pool: pool.map(|slots| Pool { name: "gpu".to_owned(), slots }),
        };
        take(store, &runs[0], 1, &wish(limits(None, None, Some(9)))).await.unwrap();
        take(store, &runs[1], 1, &wish(limits(None, None, None))).await.unwrap();

        let why = refused(store, &runs[2], &wish(limits(Some(9), Some(9), Some(1)))).await;
        assert_eq!((&why.limit, why.slots, why.holders.len(), why.ahead), (&Limit::Pool("gpu".to_owned()), 1, 1, 0));
        assert_eq!(why.to_string(), format!("the pool `gpu` (1) leaves no slot: {}/train holds it", runs[0]));
        let why = refused(store, &runs[2], &wish(limits(Some(9), Some(2), Some(9)))).await;
        assert_eq!((why.limit, why.slots, why.holders.len()), (Limit::Pipeline("nightly".parse().unwrap()), 2, 2));
        let why = refused(store, &runs[3], &wish(limits(Some(2), Some(1), Some(9)))).await;
        assert_eq!((why.limit, why.slots), (Limit::Overall, 2));
        assert_eq!(store.run(&runs[3]).await.unwrap().last_event, 1, "nothing was committed");
        take(store, &runs[3], 1, &wish(limits(Some(3), Some(1), Some(2)))).await.unwrap();

        let slots = store.slots().await.unwrap();
        assert_eq!(slots.len(), 3);
        let first = &slots[0];
        assert_eq!((&first.run, first.step.as_str(), first.attempt), (&runs[0], "train", AttemptNumber(1)));
        assert_eq!((first.pipeline.as_str(), first.pool.as_deref()), ("nightly", Some("gpu")));
    }

    async fn a_slot_is_given_back_with_the_end(world: World) {
        let store = &world.store;
        let (one, two) = (begin(store, 1).await, begin(store, 2).await);
        let only = wish(gpu(1));
        take(store, &one, 1, &only).await.unwrap();
        refused(store, &two, &only).await;
        give_back(store, &one, 7).await;
        refused(store, &two, &only).await;
        give_back(store, &one, 1).await;
        take(store, &two, 1, &only).await.unwrap();
        // A retry takes its own, in the event that also ended the try before.
        let mut next = change(7, vec![noted("again")]);
        next.effects.release = vec![("train".parse().unwrap(), AttemptNumber(1))];
        next.effects.take = Some(TakeSlot { attempt: AttemptNumber(2), wish: only.clone() });
        store.commit(&after(&two, 2), &next).await.unwrap();
        // A run that ended holds nothing and wants nothing, whatever was forgotten.
        store.wait_for_slot(&two, &SlotWish { step: "split".parse().unwrap(), ..only.clone() }).await.unwrap();
        store.commit(&after(&two, 3), &ended(9, RunStatus::Failed)).await.unwrap();
        assert!(store.slots().await.unwrap().is_empty());
        assert!(store.slot_waiters().await.unwrap().is_empty());
        take(store, &one, 2, &only).await.unwrap();
    }

    async fn who_comes_first_is_served_first(world: World) {
        let store = &world.store;
        let holder = begin(store, 99).await;
        take(store, &holder, 1, &wish(gpu(1))).await.unwrap();
        let urgent = |priority, deadline: Option<i64>| SlotWish {
            priority,
            deadline: deadline.map(at),
            ..wish(gpu(1))
        };
        // From the last to the first: they come in the order in which they are not to go.
        let wishes = [
            urgent(-1, Some(1)),
            urgent(0, None),
            urgent(0, None),
            urgent(0, Some(50)),
            urgent(0, Some(40)),
            urgent(7, None),
        ];
        let mut runs = vec![];
        for (number, wish) in (1..).zip(&wishes) {
            let run = begin(store, number).await;
            let why = store.wait_for_slot(&run, wish).await.unwrap().unwrap();
            assert_eq!(why.limit, Limit::Pool("gpu".to_owned()));
            runs.push(run);
        }
        let order = [5, 4, 3, 1, 2, 0];
        let waiting: Vec<RunId> = store.slot_waiters().await.unwrap().into_iter().map(|waiter| waiter.run).collect();
        assert_eq!(waiting, order.map(|index| runs[index].clone()));
        give_back(store, &holder, 1).await;
        for (turn, index) in order.into_iter().enumerate() {
            for later in &order[turn + 1..] {
                let why = refused(store, &runs[*later], &wishes[*later]).await;
                assert!(why.ahead > 0, "{why}");
                assert!(why.to_string().contains("that come first wait for it"), "{why}");
            }
            // Somebody who has not said so before comes last among its equals.
            let stranger = begin(store, 200 + turn as u32).await;
            refused(store, &stranger, &SlotWish { priority: -1, ..wish(gpu(1)) }).await;
            assert_eq!(store.wait_for_slot(&runs[index], &wishes[index]).await.unwrap(), None);
            take(store, &runs[index], 1, &wishes[index]).await.unwrap();
            refused(store, &stranger, &wish(gpu(1))).await;
            give_back(store, &runs[index], 1).await;
        }
        assert!(store.slot_waiters().await.unwrap().is_empty());
    }

    async fn who_is_not_seen_holds_up_nobody(world: World) {
        let store = &world.store;
        let (dead, alive) = (begin(store, 1).await, begin(store, 2).await);
        let first = SlotWish { priority: 9, ..wish(gpu(1)) };
        assert_eq!(store.wait_for_slot(&dead, &first).await.unwrap(), None);
        refused(store, &alive, &wish(gpu(1))).await;
        world.sql("UPDATE slot_waits SET seen = seen - 14000000").await;
        refused(store, &alive, &wish(gpu(1))).await;
        world.sql("UPDATE slot_waits SET seen = seen - 1500000").await;
        assert!(store.slot_waiters().await.unwrap().is_empty());
        take(store, &alive, 1, &wish(gpu(1))).await.unwrap();
        // It was not dead after all, and kept its age.
        give_back(store, &alive, 1).await;
        let same = wish(gpu(1));
        assert_eq!(store.wait_for_slot(&dead, &same).await.unwrap(), None);
        assert_eq!(store.wait_for_slot(&alive, &same).await.unwrap().unwrap().ahead, 1);
        store.stop_waiting(&dead, &same.step).await.unwrap();
        take(store, &alive, 2, &same).await.unwrap();
    }

    async fn a_free_slot_is_not_kept_for_somebody_who_cannot_use_it(world: World) {
        let store = &world.store;
        let (holder, stuck, free) = (begin(store, 1).await, begin(store, 2).await, begin(store, 3).await);
        let both = |priority| SlotWish {
            priority,
            ..wish(SlotLimits { overall: Some(2), ..gpu(1) })
        };
        take(store, &holder, 1, &both(0)).await.unwrap();
        let why = store.wait_for_slot(&stuck, &both(50)).await.unwrap().unwrap();
        assert_eq!(why.limit, Limit::Pool("gpu".to_owned()));
        // The second slot overall is of no use to who waits for the pool.
        let plain = wish(SlotLimits { overall: Some(2), ..SlotLimits::default() });
        take(store, &free, 1, &plain).await.unwrap();
        // Once the pool is free, it is kept for who comes first.
        give_back(store, &holder, 1).await;
        let why = refused(store, &holder, &both(0)).await;
        assert_eq!((why.ahead, why.limit), (1, Limit::Pool("gpu".to_owned())));
        take(store, &stuck, 1, &both(50)).await.unwrap();
    }

    async fn nothing_waits_for_a_run_that_is_not_there(world: World) {
        let missing = crate::world::run_id(9);
        let error = world.store.wait_for_slot(&missing, &wish(gpu(1))).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSuchRun { .. }));
        world.store.stop_waiting(&missing, &"train".parse().unwrap()).await.unwrap();
    }

    async fn many_takers_never_exceed_a_limit(world: World) {
        let mut tasks = vec![];
        for number in 1..=6 {
            let (store, watcher) = (world.another().await, world.store.clone());
            let run = begin(&store, number).await;
            tasks.push(tokio::spawn(async move {
                let wish = wish(SlotLimits { overall: Some(3), ..gpu(2) });
                for attempt in 1..=4 {
                    while store.wait_for_slot(&run, &wish).await.unwrap().is_some()
                        || take(&store, &run, attempt, &wish).await.is_err()
                    {
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    }
                    let held = watcher.slots().await.unwrap().len();
                    assert!((1..=2).contains(&held), "{held}");
                    give_back(&store, &run, attempt).await;
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(world.store.slots().await.unwrap().is_empty());
    }
}

#[test]
fn a_deadline_may_lie_anywhere() {
    crate::world::on_sqlite(async |world| {
        let run = begin(&world.store, 1).await;
        for deadline in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            let wish = SlotWish { deadline: Some(deadline), ..wish(gpu(1)) };
            assert_eq!(world.store.wait_for_slot(&run, &wish).await.unwrap(), None);
            world.store.slot_waiters().await.unwrap();
        }
    });
}

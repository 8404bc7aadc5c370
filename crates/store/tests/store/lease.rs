use std::time::Duration;

use noctule_store::{Acquired, Lease, Store, StoreError};

const LONG: Duration = Duration::from_secs(600);

async fn take(store: &Store, holder: &str, lasting: Duration) -> Option<Lease> {
    match store.acquire("leader", holder, lasting).await.unwrap() {
        Acquired::Held(lease) => Some(lease),
        Acquired::Taken { .. } => None,
    }
}

on_both! {
    async fn a_lease_has_one_holder(world: World) {
        let store = &world.store;
        assert_eq!(store.holder("leader").await.unwrap(), None);
        let first = take(store, "one", LONG).await.unwrap();
        let Acquired::Taken { by, runs_out_in } = store.acquire("leader", "two", LONG).await.unwrap() else {
            panic!("it is held")
        };
        assert_eq!(by, first);
        assert!(runs_out_in <= LONG && runs_out_in > LONG / 2);
        assert_eq!(store.holder("leader").await.unwrap().unwrap().0, first);
        store.renew(&first, LONG).await.unwrap();

        store.release(&first).await.unwrap();
        assert_eq!(store.holder("leader").await.unwrap(), None);
        let second = take(store, "two", LONG).await.unwrap();
        assert!(second.token > first.token);
        assert!(matches!(store.renew(&first, LONG).await, Err(StoreError::LeaseLost { .. })));
        store.release(&first).await.unwrap();
        assert!(take(store, "three", LONG).await.is_none(), "the old holder cannot give away the new one's");
    }

    async fn a_lease_that_runs_out_can_be_taken(world: World) {
        let first = take(&world.store, "one", Duration::ZERO).await.unwrap();
        world.store.renew(&first, Duration::ZERO).await.unwrap();
        let second = take(&world.another().await, "two", LONG).await.unwrap();
        assert_eq!(second.token, first.token + 1);
        assert!(matches!(world.store.renew(&first, LONG).await, Err(StoreError::LeaseLost { .. })));
    }

    async fn of_many_that_ask_one_gets_it(world: World) {
        let mut stores = vec![world.store.clone()];
        for _ in 0..3 {
            stores.push(world.another().await);
        }
        let tasks: Vec<_> = stores
            .into_iter()
            .enumerate()
            .map(|(i, store)| tokio::spawn(async move { take(&store, &format!("holder {i}"), LONG).await }))
            .collect();
        let mut held = 0;
        for task in tasks {
            held += usize::from(task.await.unwrap().is_some());
        }
        assert_eq!(held, 1);
    }
}

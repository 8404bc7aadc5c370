use std::time::Duration;

use noctule_store::{Message, Store};

const LONG: Duration = Duration::from_secs(600);

fn message(kind: &str, payload: &[u8]) -> Message {
    Message { kind: kind.to_owned(), about: "home-feed@champion".to_owned(), payload: payload.to_vec() }
}

async fn claim(store: &Store, patience: Duration) -> Vec<u64> {
    let claimed = store.claim_messages("pointer", patience, 10).await.unwrap();
    claimed.into_iter().map(|waiting| waiting.id).collect()
}

on_both! {
    async fn a_message_waits_until_it_is_settled(world: World) {
        let store = &world.store;
        let opaque: Vec<u8> = (0..=255).collect();
        store.put_messages(&[message("pointer", &opaque), message("slack", b"hi"), message("pointer", b"")]).await.unwrap();
        let claimed = store.claim_messages("pointer", LONG, 10).await.unwrap();
        assert_eq!(claimed.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((&claimed[0].message, claimed[0].tries), (&message("pointer", &opaque), 1));
        assert!(claim(store, LONG).await.is_empty(), "somebody has them");

        store.settle_message(1).await.unwrap();
        store.fail_message(3, &"é".repeat(9999), Duration::ZERO).await.unwrap();
        let again = store.claim_messages("pointer", LONG, 10).await.unwrap();
        assert_eq!((again.len(), again[0].id, again[0].tries), (1, 3, 2));
        assert_eq!(again[0].last_error.as_ref().unwrap().chars().count(), 2000);
        store.fail_message(3, "away", LONG).await.unwrap();
        assert!(claim(store, LONG).await.is_empty(), "not yet due");
        let waiting = store.waiting_messages().await.unwrap();
        assert_eq!(waiting.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), [2, 3]);
    }

    async fn a_sender_that_died_is_succeeded(world: World) {
        world.store.put_messages(&[message("pointer", b"x")]).await.unwrap();
        assert_eq!(claim(&world.store, Duration::ZERO).await, [1]);
        assert_eq!(claim(&world.another().await, LONG).await, [1]);
    }

    async fn of_two_senders_one_gets_a_message(world: World) {
        let messages: Vec<_> = (0..40u8).map(|i| message("pointer", &[i])).collect();
        world.store.put_messages(&messages).await.unwrap();
        let tasks = [world.another().await, world.another().await].map(|store| {
            tokio::spawn(async move {
                let mut mine = vec![];
                loop {
                    let claimed = store.claim_messages("pointer", LONG, 3).await.unwrap();
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed.into_iter().map(|waiting| waiting.id));
                }
            })
        });
        let mut all = vec![];
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all.sort_unstable();
        assert!(all.into_iter().eq(1..=40));
    }
}

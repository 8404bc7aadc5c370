use std::collections::BTreeSet;

use noctule_store::{StoreError, TokenRole};

use crate::world::at;

fn roles(words: &[&str]) -> BTreeSet<TokenRole> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

on_both! {
    async fn a_token_is_known_again_by_its_clear_text_alone(world: World) {
        let store = &world.store;
        let granted = roles(&["read", "promote:home-feed"]);
        let (row, clear) = store.create_token("ci", &granted, "ada", at(1)).await.unwrap();
        assert!(clear.reveal().starts_with("noctule_") && clear.reveal().len() == 51, "{}", clear.reveal());
        assert_eq!(format!("{clear:?}"), "ClearToken(…)");
        let (other, second) = store.create_token("ops", &roles(&["operate"]), "ada", at(2)).await.unwrap();
        assert_ne!((row.id, clear.reveal()), (other.id, second.reveal()));

        let found = world.another().await.find_token(clear.reveal(), at(3)).await.unwrap().unwrap();
        assert_eq!((found.id, &found.name, &found.roles, &found.created_by), (row.id, &"ci".to_owned(), &granted, &"ada".to_owned()));
        let mut cut = clear.reveal().to_owned();
        cut.pop();
        for wrong in ["", "noctule_", cut.as_str(), &clear.reveal().to_uppercase(), &"x".repeat(100_000), "a\0b"] {
            assert_eq!(store.find_token(wrong, at(3)).await.unwrap(), None, "{wrong:.60}");
        }
        let hash = noctule_artifacts::Digest::of(clear.reveal().as_bytes()).to_string();
        assert_eq!(store.find_token(&hash, at(3)).await.unwrap(), None, "its hash is no token");
    }

    async fn a_revoked_token_is_none(world: World) {
        let store = &world.store;
        let (_, clear) = store.create_token("ci", &roles(&["read"]), "ada", at(1)).await.unwrap();
        let taken = store.create_token("ci", &roles(&["read"]), "eve", at(2)).await.unwrap_err();
        assert!(matches!(taken, StoreError::TokenNameTaken { .. }));
        let gone = store.revoke_token("ci", at(3)).await.unwrap();
        assert_eq!(gone.revoked, Some(at(3)));
        assert_eq!(store.find_token(clear.reveal(), at(4)).await.unwrap(), None);
        assert!(matches!(store.revoke_token("ci", at(5)).await, Err(StoreError::NoSuchToken { .. })));
        // The name is free again, and the old token stays what it is.
        let (_, fresh) = store.create_token("ci", &roles(&["operate"]), "ada", at(6)).await.unwrap();
        assert_eq!(store.find_token(clear.reveal(), at(7)).await.unwrap(), None);
        assert!(store.find_token(fresh.reveal(), at(7)).await.unwrap().is_some());
        let revoked: Vec<_> = store.tokens().await.unwrap().iter().map(|token| token.revoked).collect();
        assert_eq!(revoked, [Some(at(3)), None]);
    }

    async fn when_a_token_was_last_used_is_known_to_a_minute(world: World) {
        let store = &world.store;
        let (row, clear) = store.create_token("ci", &roles(&["read"]), "ada", at(1)).await.unwrap();
        assert_eq!(row.last_used, None);
        let last = async || store.tokens().await.unwrap()[0].last_used;
        for (now, known) in [(10, 10), (69, 10), (70, 70), (20, 70), (3600, 3600)] {
            store.find_token(clear.reveal(), at(now)).await.unwrap().unwrap();
            assert_eq!(last().await, Some(at(known)), "{now}");
        }
    }

    async fn a_token_has_a_name_and_a_role(world: World) {
        let store = &world.store;
        for (name, words) in [("", &["read"][..]), ("  ", &["read"]), ("a\nb", &["read"]), ("a\0", &["read"]), ("ci", &[])] {
            let error = store.create_token(name, &roles(words), "ada", at(1)).await.unwrap_err();
            assert!(matches!(error, StoreError::Refused { .. }), "{name:?}: {error}");
        }
        assert!(store.create_token(&"x".repeat(101), &roles(&["read"]), "ada", at(1)).await.is_err());
        assert!(store.tokens().await.unwrap().is_empty());
    }
}

#[test]
fn tokens_lie_hashed_in_the_file() {
    crate::world::on_sqlite(async |world| {
        let (_, clear) = world.store.create_token("ci", &roles(&["read"]), "ada", at(1)).await.unwrap();
        world.store.find_token(clear.reveal(), at(2)).await.unwrap().unwrap();
        let noctule_store::Location::File(path) = &world.location else { unreachable!() };
        let secret = clear.reveal().strip_prefix("noctule_").unwrap().as_bytes();
        for end in ["", "-wal"] {
            let bytes = std::fs::read(format!("{}{end}", path.display())).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "in the file{end}");
        }
    });
}

//! The audit table, and the list of erased users.

use noctule_store::{AuditEntry, AuditFilter, StoreError, Via};

use crate::world::at;

fn entry(second: i64, who: &str, action: &str, about: &str) -> AuditEntry {
    AuditEntry {
        at: at(second),
        who: who.to_owned(),
        via: Via::Api,
        action: action.to_owned(),
        about: about.to_owned(),
        why: Some("because".to_owned()),
        outcome: "begun".to_owned(),
    }
}

on_both! {
    async fn what_was_done_is_read_latest_first(world: World) {
        let store = &world.store;
        let entries = [
            entry(1, "ada", "run.cancel", "rabc"),
            entry(2, "eve", "run.cancel", "rdef"),
            AuditEntry { via: Via::Server, why: None, ..entry(3, "noctule", "schedule.fire", "nightly") },
            entry(4, "ada", "model.promote", "home-feed@champion"),
        ];
        let mut ids = vec![];
        for entry in &entries {
            ids.push(store.audit(entry).await.unwrap());
        }
        assert!(ids.is_sorted());
        store.audit_outcome(ids[1], "refused: it has ended").await.unwrap();
        let list = async |filter: AuditFilter| -> Vec<u64> {
            store.audits(&filter).await.unwrap().into_iter().map(|row| row.id).collect()
        };
        assert_eq!(list(AuditFilter::default()).await, [ids[3], ids[2], ids[1], ids[0]]);
        assert_eq!(list(AuditFilter { who: Some("ada".into()), ..Default::default() }).await, [ids[3], ids[0]]);
        assert_eq!(list(AuditFilter { action: Some("run.cancel".into()), ..Default::default() }).await, [ids[1], ids[0]]);
        assert_eq!(list(AuditFilter { about: Some("nightly".into()), ..Default::default() }).await, [ids[2]]);
        assert_eq!(list(AuditFilter { before: Some(ids[2]), limit: Some(1), ..Default::default() }).await, [ids[1]]);
        assert!(list(AuditFilter { who: Some("' OR 1=1 --".into()), ..Default::default() }).await.is_empty());
        let rows = store.audits(&AuditFilter::default()).await.unwrap();
        assert_eq!(rows[1].entry, entries[2]);
        assert_eq!(rows[2].entry.outcome, "refused: it has ended");
    }

    async fn hostile_lengths_are_cut(world: World) {
        let long = "\0é".repeat(50_000);
        let id = world.store.audit(&entry(1, &long, &long, &long)).await.unwrap();
        world.store.audit_outcome(id, &long).await.unwrap();
        let row = &world.store.audits(&AuditFilter::default()).await.unwrap()[0];
        assert_eq!(row.entry.who.chars().count(), 200);
        assert!(row.entry.outcome.chars().count() == 2000 && !row.entry.outcome.contains('\0'));
    }

    async fn erased_users_are_listed_once(world: World) {
        let store = &world.store;
        let users = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        assert_eq!(store.erase_users(&users(&["42", "é'; --", "7"]), "ada", Some("asked"), at(1)).await.unwrap(), 3);
        assert_eq!(store.erase_users(&users(&["7", "8", "8"]), "eve", None, at(2)).await.unwrap(), 1);
        let list = store.erased_users().await.unwrap();
        let shown: Vec<_> = list.iter().map(|user| (user.user.as_str(), user.by.as_str(), user.at)).collect();
        assert_eq!(shown, [("42", "ada", at(1)), ("7", "ada", at(1)), ("8", "eve", at(2)), ("é'; --", "ada", at(1))]);
        for bad in ["", "a\0b", &"x".repeat(1001)] {
            let error = store.erase_users(&users(&["new", bad]), "ada", None, at(3)).await.unwrap_err();
            assert!(matches!(error, StoreError::Refused { .. }), "{error}");
        }
        assert_eq!(store.erased_users().await.unwrap().len(), 4, "all or none");
    }
}

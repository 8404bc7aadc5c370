use noctule_artifacts::version::{AliasPointer, PromotionRecord, VersionManifest};
use noctule_artifacts::{Outcome, RegistryId, RunId, VersionNumber};
use noctule_engine::RunStatus;
use noctule_registry::recover::{Found, Recovered, recover};
use noctule_registry::version::Registration;
use noctule_registry::{Decision, Held, PassedGate, Person, Refusal, Version, pointer};
use noctule_store::{ByHand, Change, Message, Publishing, Reference, Reserve, Store, StoreError};

use crate::world::{after, artifact, at, begin, change, day, digest, ended, new_run, noted, run_id};

pub fn wish(run: &RunId, content: &str) -> Reserve {
    Reserve {
        model: "home-feed".parse().unwrap(),
        run: run.clone(),
        step: "publish".parse().unwrap(),
        digest: digest(content),
        in_store: false,
        at: at(1),
    }
}

pub fn candidate(run: &RunId, number: VersionNumber, content: &str) -> Version {
    Version {
        model: "home-feed".parse().unwrap(),
        number,
        digest: digest(content),
        pipeline: "nightly".parse().unwrap(),
        run: run.clone(),
        step: "model".parse().unwrap(),
        gate: Some(digest("gate")),
        created: at(1) + jiff::SignedDuration::from_nanos(1),
    }
}

pub fn publishing(candidate: Version, compared: Option<VersionNumber>) -> Publishing {
    Publishing {
        gate: PassedGate::new(digest("gate"), Outcome::Ok, candidate.digest).unwrap(),
        candidate,
        alias: "champion".parse().unwrap(),
        compared,
        at: at(2) + jiff::SignedDuration::from_nanos(7),
    }
}

/// The change of a run whose publishing step succeeded, with the pointer's message when the alias moved.
pub fn published(decision: &Decision) -> Change {
    let mut change = ended(3, RunStatus::Succeeded);
    if let Decision::Promoted(row) = decision {
        let payload = row.sequence.to_string().into_bytes();
        change.effects.outbox =
            vec![Message { kind: "pointer".to_owned(), about: "home-feed@champion".to_owned(), payload }];
    }
    change
}

/// A night that publishes the model with this content.
async fn night(store: &Store, number: u32, content: &str, compared: Option<u32>) -> Decision {
    let run = begin(store, number).await;
    let number = store.reserve_version(&wish(&run, content)).await.unwrap();
    let wanted = publishing(candidate(&run, number, content), compared.map(VersionNumber));
    store.publish(&after(&run, 1), &wanted, published).await.unwrap().1
}

fn by_hand(seen: Option<Option<u32>>) -> ByHand {
    ByHand {
        model: "home-feed".parse().unwrap(),
        alias: "champion".parse().unwrap(),
        person: Person::new("ada", "it loops").unwrap(),
        seen: seen.map(|seen| seen.map(VersionNumber)),
        at: at(50),
    }
}

async fn champion(store: &Store) -> Option<u32> {
    let found = store.alias(&"home-feed".parse().unwrap(), &"champion".parse().unwrap()).await.unwrap();
    found.map(|(state, version)| {
        assert_eq!(state.version, version.number);
        version.number.0
    })
}

fn announce(row: &noctule_registry::Promotion, version: &Version) -> Vec<Message> {
    let payload = pointer::pointer(row, version).to_json();
    vec![Message { kind: "pointer".to_owned(), about: "home-feed@champion".to_owned(), payload }]
}

/// What the depot keeps beside the versions.
async fn kept_in_store(store: &Store, registry: &RegistryId) -> Found {
    let model = "home-feed".parse().unwrap();
    let manifests = store.versions(&model).await.unwrap().into_iter().map(|version| VersionManifest {
        format: noctule_artifacts::version::FORMAT,
        registry: registry.clone(),
        model: version.model,
        version: version.number,
        digest: version.digest,
        files: vec![],
        pipeline: version.pipeline,
        run: version.run,
        step: version.step,
        gate: version.gate,
        created: version.created,
    });
    let manifests = manifests.collect();
    let rows = store.promotions(&model).await.unwrap();
    let last = rows.last().unwrap();
    let holder = store.version(&model, last.to).await.unwrap();
    let pointers: Vec<AliasPointer> = vec![pointer::pointer(last, &holder)];
    let promotions: Vec<PromotionRecord> = rows.iter().map(|row| row.to_record()).collect();
    Found { manifests, promotions, pointers, highest_folder: None }
}

on_both! {
    async fn a_night_publishes_in_one_transaction(world: World) {
        let store = &world.store;
        assert_eq!(champion(store).await, None);
        let Decision::Promoted(row) = night(store, 1, "a", None).await else { panic!("nothing stands in its way") };
        assert_eq!((row.sequence, row.from, row.to), (1, None, VersionNumber(1)));
        assert_eq!(champion(store).await, Some(1));
        assert_eq!(store.run(&run_id(1)).await.unwrap().status, RunStatus::Succeeded);
        let waiting = store.waiting_messages().await.unwrap();
        assert_eq!(waiting.iter().map(|waiting| &waiting.message.payload[..]).collect::<Vec<_>>(), [b"1"]);
        assert_eq!(store.promotions(&row.model).await.unwrap(), std::slice::from_ref(&row), "exact to the nanosecond");
        assert_eq!(store.version(&row.model, row.to).await.unwrap(), candidate(&run_id(1), row.to, "a"));

        assert!(matches!(night(store, 2, "b", Some(1)).await, Decision::Promoted(_)));
        let same = night(store, 3, "b", Some(2)).await;
        assert_eq!(same, Decision::AlreadyChampion { version: VersionNumber(2) });
        assert_eq!(store.versions(&row.model).await.unwrap().len(), 2, "no new version");
        let moved = night(store, 4, "c", Some(1)).await;
        let expected = Held::Moved { expected: Some(VersionNumber(1)), found: Some(VersionNumber(2)) };
        assert_eq!(moved, Decision::Held(expected));
        assert_eq!(champion(store).await, Some(2));
        assert_eq!(store.waiting_messages().await.unwrap().len(), 2);
        assert_eq!(
            store.version_of_digest(&row.model, digest("c")).await.unwrap().unwrap().number,
            VersionNumber(4),
            "a held candidate is registered"
        );
    }

    async fn nothing_is_promoted_when_its_run_cannot_be_written(world: World) {
        let store = &world.store;
        let run = begin(store, 1).await;
        let number = store.reserve_version(&wish(&run, "a")).await.unwrap();
        let wanted = publishing(candidate(&run, number, "a"), None);
        let behind = store.publish(&after(&run, 0), &wanted, published).await.unwrap_err();
        assert!(matches!(behind, StoreError::MovedOn { .. }));
        let broken = |_: &Decision| {
            let mut change = published(&Decision::AlreadyChampion { version: VersionNumber(1) });
            change.effects.reused = vec![("x".parse().unwrap(), "nowhere".to_owned())];
            change
        };
        let error = store.publish(&after(&run, 1), &wanted, broken).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSuchArtifact { .. }));
        let off = store.publish(&after(&run, 1), &wanted, |_: &Decision| None::<Change>).await.unwrap_err();
        assert!(matches!(off, StoreError::CalledOff));
        assert_eq!(champion(store).await, None);
        assert!(store.versions(&wanted.candidate.model).await.unwrap().is_empty());
        assert_eq!(store.load(&run).await.unwrap().len(), 1);
        // The same wish succeeds afterwards, with the first number of the history.
        let (last, decision) = store.publish(&after(&run, 1), &wanted, published).await.unwrap();
        assert_eq!(last, 2);
        assert!(matches!(decision, Decision::Promoted(row) if row.sequence == 1));
    }

    async fn of_two_candidates_at_once_one_is_promoted(world: World) {
        for round in 0..5u32 {
            let compared = champion(&world.store).await;
            let numbers = [10 + 2 * round, 11 + 2 * round];
            let tasks = [numbers[0], numbers[1]].map(|number| {
                let store = world.store.clone();
                tokio::spawn(async move { night(&store, number, &format!("model {number}"), compared).await })
            });
            let mut promoted = 0;
            for task in tasks {
                match task.await.unwrap() {
                    Decision::Promoted(_) => promoted += 1,
                    Decision::Held(Held::Moved { expected, .. }) => assert_eq!(expected.map(|v| v.0), compared),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(promoted, 1);
        }
        let history = world
            .store
            .history(&"home-feed".parse().unwrap(), &"champion".parse().unwrap())
            .await
            .unwrap();
        assert!(history.rows().iter().map(|row| row.sequence).eq(1..=5));
        assert_eq!(history.gaps().count(), 0);
    }

    async fn every_candidate_has_a_number_of_its_own(world: World) {
        let runs = [run_id(1), run_id(2), run_id(3), run_id(4), run_id(5), run_id(6)];
        let tasks = runs.clone().map(|run| {
            let store = world.store.clone();
            tokio::spawn(async move {
                let first = store.reserve_version(&wish(&run, "a")).await.unwrap();
                assert_eq!(store.reserve_version(&wish(&run, "a")).await.unwrap(), first, "asked again");
                first
            })
        });
        let mut numbers = vec![];
        for task in tasks {
            numbers.push(task.await.unwrap().0);
        }
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        let rebuilt = world.store.reserve_version(&wish(&runs[0], "another model")).await.unwrap();
        assert_eq!(rebuilt, VersionNumber(7), "a run that trained again has another candidate");
        assert!(world.store.has_model(&"home-feed".parse().unwrap()).await.unwrap());
    }

    async fn a_model_that_only_the_store_knows_gets_no_number(world: World) {
        let orphan = Reserve { in_store: true, ..wish(&run_id(1), "a") };
        let error = world.store.reserve_version(&orphan).await.unwrap_err();
        assert!(matches!(error, StoreError::Registry(Refusal::Orphaned { .. })));
        assert!(!world.store.has_model(&orphan.model).await.unwrap());
        world.store.reserve_version(&wish(&run_id(1), "a")).await.unwrap();
        // A crash between the reservation and the version leaves files, and the model is known.
        world.store.reserve_version(&Reserve { in_store: true, ..wish(&run_id(2), "a") }).await.unwrap();
    }

    async fn versions_never_change(world: World) {
        let store = &world.store;
        night(store, 1, "a", None).await;
        let run = begin(store, 2).await;
        let forged = candidate(&run, VersionNumber(1), "b");
        let position = after(&run, 1);
        let wanted = publishing(forged, Some(VersionNumber(1)));
        let error = store.publish(&position, &wanted, published).await.unwrap_err();
        assert!(matches!(error, StoreError::Registry(Refusal::Occupied { .. })));
        let unreserved = candidate(&run, VersionNumber(9), "b");
        let wanted = publishing(unreserved, Some(VersionNumber(1)));
        let error = store.publish(&position, &wanted, published).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }));
        let known = store.register_import(&candidate(&run, VersionNumber(1), "a")).await.unwrap();
        assert_eq!(known, Registration::Known);
        assert_eq!(store.load(&run).await.unwrap().len(), 1);
    }

    async fn a_backfill_registers_and_does_not_promote(world: World) {
        let store = &world.store;
        night(store, 1, "a", None).await;
        let run = begin(store, 2).await;
        let number = store.reserve_version(&wish(&run, "b")).await.unwrap();
        let version = candidate(&run, number, "b");
        let last = store.register(&after(&run, 1), &version, &change(3, vec![noted("registered")])).await.unwrap();
        assert_eq!((last, champion(store).await), (2, Some(1)));
        assert_eq!(store.version(&version.model, number).await.unwrap(), version);
    }

    async fn people_promote_roll_back_and_unpin(world: World) {
        let store = &world.store;
        for (number, content) in [(1, "a"), (2, "b"), (3, "c")] {
            night(store, number, content, number.checked_sub(1).filter(|n| *n > 0)).await;
        }
        let before = store.waiting_messages().await.unwrap().len();
        let rolled = store.roll_back(by_hand(Some(Some(3))), None, announce).await.unwrap();
        assert!(matches!(rolled, Decision::Promoted(row) if row.to == VersionNumber(2) && row.pinned));
        let second = store.roll_back(by_hand(Some(Some(3))), None, announce).await.unwrap_err();
        assert!(matches!(second, StoreError::Registry(Refusal::Moved { .. })));
        assert_eq!(
            night(store, 4, "d", Some(2)).await,
            Decision::Held(Held::Pinned { at: VersionNumber(2) })
        );
        let moved = store.promote(by_hand(None), VersionNumber(4), announce).await.unwrap();
        assert!(matches!(moved, Decision::Promoted(row) if row.pinned));
        let same = store.promote(by_hand(None), VersionNumber(4), announce).await.unwrap();
        assert_eq!(same, Decision::AlreadyChampion { version: VersionNumber(4) });
        let row = store.unpin(by_hand(None), announce).await.unwrap();
        assert_eq!((row.to, row.pinned), (VersionNumber(4), false));
        assert!(matches!(night(store, 5, "e", Some(4)).await, Decision::Promoted(_)));

        assert_eq!(store.waiting_messages().await.unwrap().len(), before + 4);
        let models = store.models().await.unwrap();
        assert_eq!((models.len(), models[0].versions, models[0].aliases.len()), (1, 5, 1));
        assert_eq!(models[0].aliases[0].1.version, VersionNumber(5));
        let rows = store.promotions(&models[0].model).await.unwrap();
        assert!(rows.iter().map(|row| row.sequence).eq(1..=7));

        for error in [
            store.promote(by_hand(None), VersionNumber(99), announce).await.unwrap_err(),
            store.roll_back(by_hand(None), Some(VersionNumber(99)), announce).await.unwrap_err(),
            store.unpin(by_hand(None), announce).await.unwrap_err(),
            store.versions(&"nothing".parse().unwrap()).await.unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Registry(_)), "{error}");
        }
    }

    async fn a_registered_model_keeps_its_artifact(world: World) {
        let store = &world.store;
        let run = begin(store, 1).await;
        let mut trained = change(2, vec![noted("trained")]);
        trained.effects.artifacts = vec![artifact(&run, "model", "a")];
        store.commit(&after(&run, 1), &trained).await.unwrap();
        let number = store.reserve_version(&wish(&run, "a")).await.unwrap();
        store.publish(&after(&run, 2), &publishing(candidate(&run, number, "a"), None), published).await.unwrap();
        night(store, 2, "b", Some(1)).await;
        let reference = store.reference_to(&artifact(&run, "model", "a").manifest).await.unwrap();
        assert_eq!(reference, Some(Reference::Version("home-feed".parse().unwrap(), VersionNumber(1))));
    }

    async fn a_lost_registry_is_rebuilt(world: World) {
        let old = &world.store;
        for (number, content) in [(1, "a"), (2, "b"), (3, "c")] {
            night(old, number, content, number.checked_sub(1).filter(|n| *n > 0)).await;
        }
        old.roll_back(by_hand(None), None, announce).await.unwrap();
        let id = old.registry_id().await.unwrap();
        let model = "home-feed".parse().unwrap();
        let recovered: Recovered = recover(&id, &model, kept_in_store(old, &id).await).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let location = noctule_store::Location::file(folder.path().join("new.db"));
        let new = Store::open(&location).await.unwrap();
        assert_ne!(new.registry_id().await.unwrap(), id);
        new.adopt_registry(&id).await.unwrap();
        assert_eq!(new.registry_id().await.unwrap(), id);
        assert_eq!(new.recover(&recovered, at(99)).await.unwrap(), (3, 4));
        assert_eq!(new.recover(&recovered, at(99)).await.unwrap(), (0, 0), "twice is once");
        assert_eq!(new.promotions(&model).await.unwrap(), old.promotions(&model).await.unwrap());
        assert_eq!(new.versions(&model).await.unwrap(), old.versions(&model).await.unwrap());
        assert_eq!(champion(&new).await, Some(2));
        assert_eq!(new.reserve_version(&wish(&run_id(9), "z")).await.unwrap(), VersionNumber(4));
        let row = new.unpin(by_hand(None), announce).await.unwrap();
        assert_eq!(row.sequence, 5);

        let error = new.recover(&recovered, at(99)).await.unwrap_err();
        assert!(matches!(error, StoreError::Unrecoverable { .. }), "its history has gone on");
        let mut forged = recovered.clone();
        forged.versions[0].digest = digest("forged");
        let error = old.recover(&forged, at(99)).await.unwrap_err();
        assert!(matches!(error, StoreError::Registry(Refusal::Occupied { .. })));
    }

    async fn only_an_empty_database_adopts_a_registry(world: World) {
        let id = world.store.registry_id().await.unwrap();
        let other = RegistryId::from_random(1);
        world.store.create_run(&new_run(1, "nightly", day(1)), &change(1, vec![])).await.unwrap();
        assert!(matches!(world.store.adopt_registry(&other).await, Err(StoreError::InUse)));
        world.store.adopt_registry(&id).await.unwrap();
        assert_eq!(world.another().await.registry_id().await.unwrap(), id);
    }
}

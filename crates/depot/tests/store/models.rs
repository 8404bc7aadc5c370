//! Published versions, pointers, promotions, and versions carried as folders.

use std::fs;

use jiff::Timestamp;
use noctule_artifacts::version::{AliasPointer, FORMAT, PromotedBy, PromotionRecord, VersionManifest};
use noctule_artifacts::{Digest, Manifest, RegistryId, VersionNumber, layout};
use noctule_depot::{Depot, Error, Pointed, read_export};

use crate::lab::{Lab, contents, drafted, manifest_path, record, run};

crate::on_every_store!(
    publishing_copies_and_repeats,
    a_version_number_holds_one_artifact,
    a_damaged_model_is_not_published,
    a_pointer_never_goes_back,
    promotions_are_kept_in_order,
    a_version_travels_as_a_folder,
);

async fn model(depot: &Depot, attempt: u32, factors: &[u8]) -> Manifest {
    let draft = drafted(depot, "model", attempt, &[("card.json", b"{}"), ("items.safetensors", factors)]);
    draft.commit(contents(), record("model", attempt)).await.unwrap().manifest
}

fn version(model: &Manifest, number: u32) -> VersionManifest {
    VersionManifest {
        format: FORMAT,
        registry: RegistryId::from_random(1),
        model: "home-feed".parse().unwrap(),
        version: VersionNumber(number),
        digest: model.digest(),
        files: model.identity.files.clone(),
        pipeline: "p".parse().unwrap(),
        run: run(),
        step: "publish".parse().unwrap(),
        gate: Some(Digest::of(b"gate")),
        created: Timestamp::UNIX_EPOCH,
    }
}

fn pointer(sequence: u64) -> AliasPointer {
    AliasPointer {
        format: FORMAT,
        sequence,
        model: "home-feed".parse().unwrap(),
        alias: "champion".parse().unwrap(),
        version: VersionNumber(sequence as u32),
        digest: Digest::of(&sequence.to_le_bytes()),
        prefix: layout::version_prefix(&"home-feed".parse().unwrap(), VersionNumber(sequence as u32)),
    }
}

async fn publishing_copies_and_repeats(lab: &Lab) {
    let depot = lab.open();
    let manifest = model(&depot, 1, b"factors").await;
    let wanted = version(&manifest, 1);
    let first = depot.publish(&manifest, &manifest_path("model", 1), wanted.clone()).await.unwrap();
    assert!(!first.already);
    // A second try comes later, and changes nothing.
    let later = VersionManifest { created: "2026-11-02T00:00Z".parse().unwrap(), ..wanted.clone() };
    let again = lab.open().publish(&manifest, &manifest_path("model", 1), later).await.unwrap();
    assert!(again.already);
    assert_eq!(again.version, wanted);

    let name = "home-feed".parse().unwrap();
    let reader = lab.open();
    assert_eq!(reader.versions(&name).await.unwrap(), [VersionNumber(1)]);
    assert_eq!(reader.models().await.unwrap(), std::slice::from_ref(&name));
    let read = reader.version(&name, VersionNumber(1)).await.unwrap();
    assert_eq!(read, wanted);
    // A copy of its own: the run's files may be swept.
    depot.delete_prefix("runs/").await.unwrap();
    assert!(reader.verify_version(&read).await.unwrap().is_empty());
    let local = reader.fetch_version(&read, &read.files[1]).await.unwrap();
    assert_eq!(fs::read(local).unwrap(), b"factors");
    let path = format!("{}{}", layout::version_prefix(&name, VersionNumber(1)), read.files[1].name);
    fs::write(lab.behind(&path), "FACTORS").unwrap();
    let faults = lab.open().verify_version(&read).await.unwrap();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].file, "main/items.safetensors");
    assert!(matches!(reader.version(&name, VersionNumber(2)).await, Err(Error::NotFound { .. })));
}

async fn a_version_number_holds_one_artifact(lab: &Lab) {
    let depot = lab.open();
    let (one, two) = (model(&depot, 1, b"one").await, model(&depot, 2, b"two").await);
    let (a, b) = tokio::join!(
        async { depot.publish(&one, &manifest_path("model", 1), version(&one, 7)).await },
        async { lab.open().publish(&two, &manifest_path("model", 2), version(&two, 7)).await },
    );
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    let error = a.err().or(b.err()).unwrap();
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    let stands = depot.version(&"home-feed".parse().unwrap(), VersionNumber(7)).await.unwrap();
    assert!(depot.verify_version(&stands).await.unwrap().is_empty());
}

async fn a_damaged_model_is_not_published(lab: &Lab) {
    let depot = lab.open();
    let manifest = model(&depot, 1, b"factors").await;
    fs::write(lab.behind("runs").join(format!("{}/model/1/main/items.safetensors", run())), "FACTORS")
        .unwrap();
    let error =
        depot.publish(&manifest, &manifest_path("model", 1), version(&manifest, 1)).await.unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let name = "home-feed".parse().unwrap();
    assert_eq!(depot.versions(&name).await.unwrap(), [], "nothing half-published is a version");
}

async fn a_pointer_never_goes_back(lab: &Lab) {
    let writers = [3, 1, 9, 4, 7, 2].map(|sequence| {
        let depot = lab.open();
        tokio::spawn(async move { depot.point(&pointer(sequence)).await.unwrap() })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    let depot = lab.open();
    let (name, alias) = ("home-feed".parse().unwrap(), "champion".parse().unwrap());
    assert_eq!(depot.pointer(&name, &alias).await.unwrap(), Some(pointer(9)));
    assert_eq!(depot.point(&pointer(9)).await.unwrap(), Pointed::Same);
    assert_eq!(depot.point(&pointer(8)).await.unwrap(), Pointed::Newer(pointer(9)));
    assert_eq!(depot.point(&pointer(10)).await.unwrap(), Pointed::Written);
    assert_eq!(depot.pointer(&name, &"other".parse().unwrap()).await.unwrap(), None);
    fs::write(lab.behind("models/home-feed/aliases/champion.json"), "nonsense").unwrap();
    assert!(matches!(lab.open().point(&pointer(11)).await, Err(Error::Unreadable { .. })));
}

async fn promotions_are_kept_in_order(lab: &Lab) {
    let depot = lab.open();
    let promotion = |sequence: u64, to: u32| PromotionRecord {
        format: FORMAT,
        sequence,
        model: "home-feed".parse().unwrap(),
        alias: "champion".parse().unwrap(),
        from: None,
        to: VersionNumber(to),
        at: Timestamp::UNIX_EPOCH,
        by: PromotedBy::Person { name: "ann".into(), reason: "first".into() },
        pinned: false,
    };
    for sequence in [10, 2, 10] {
        depot.record_promotion(&promotion(sequence, 1)).await.unwrap();
    }
    assert!(matches!(depot.record_promotion(&promotion(2, 5)).await, Err(Error::Conflict { .. })));
    let kept = depot.promotions(&"home-feed".parse().unwrap()).await.unwrap();
    assert_eq!(kept, [promotion(2, 1), promotion(10, 1)]);
}

async fn a_version_travels_as_a_folder(lab: &Lab) {
    let depot = lab.open();
    let manifest = model(&depot, 1, b"factors").await;
    let published =
        depot.publish(&manifest, &manifest_path("model", 1), version(&manifest, 1)).await.unwrap();
    let folder = lab.home().join("export");
    depot.export_version(&published.version, &folder).await.unwrap();
    let error = depot.export_version(&published.version, &folder).await.unwrap_err();
    assert!(matches!(error, Error::BadName { .. }), "{error}");

    let other = Lab::folder().await;
    let exported = read_export(&folder).unwrap();
    assert_eq!(exported, published.version);
    let ours = VersionManifest {
        registry: RegistryId::from_random(2),
        version: VersionNumber(5),
        gate: None,
        ..exported
    };
    let target = other.open();
    assert!(!target.import_version(&folder, ours.clone()).await.unwrap().already);
    assert!(target.import_version(&folder, ours.clone()).await.unwrap().already);
    assert!(target.verify_version(&ours).await.unwrap().is_empty());

    fs::write(folder.join("main/card.json"), "{ }").unwrap();
    assert!(matches!(read_export(&folder), Err(Error::Damaged { .. })));
    fs::remove_file(folder.join("main/card.json")).unwrap();
    assert!(matches!(read_export(&folder), Err(Error::Missing { .. })));
    let text = fs::read_to_string(folder.join("version.json")).unwrap();
    fs::write(folder.join("version.json"), text.replace("main/card.json", "../../etc/passwd")).unwrap();
    assert!(matches!(read_export(&folder), Err(Error::Unreadable { .. })));
    assert!(read_export(&lab.home().join("absent")).is_err());
}

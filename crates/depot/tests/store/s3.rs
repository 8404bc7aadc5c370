//! What only a remote store can do wrong.

use std::time::{Duration, Instant};

use noctule_depot::{Error, Trouble};

use crate::lab::{Conditions, Lab, contents, drafted, manifest_path, record};

#[tokio::test]
async fn a_wrong_secret_is_a_matter_of_permission() {
    let lab = Lab::s3().await;
    let depot = lab.open_with(&[("AWS_SECRET_ACCESS_KEY", "wrong")]);
    for error in [
        depot.read("x").await.unwrap_err(),
        depot.put_new("x", "x").await.unwrap_err(),
        depot.probe().await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::PermissionDenied { .. }), "{error}");
        assert_eq!(error.trouble(), Trouble::BadConfig);
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_to_be_missing() {
    let lab = Lab::s3().await;
    let depot = lab.open_at("s3://absent/prefix", &[]);
    let error = depot.probe().await.unwrap_err();
    assert!(matches!(error, Error::NoStore { .. }), "{error}");
    assert_eq!(error.trouble(), Trouble::BadConfig);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for_and_then_temporary() {
    let lab = Lab::s3().await;
    // Nothing listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let depot = lab.open_with(&[("AWS_ENDPOINT", &format!("http://127.0.0.1:{port}"))]);
    let begin = Instant::now();
    let error = depot.read("x").await.unwrap_err();
    assert!(matches!(error, Error::Away { .. }), "{error}");
    assert_eq!(error.trouble(), Trouble::Temporary);
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_store_without_conditions_is_refused() {
    let lab = Lab::s3().await;
    let error = lab.open_with(&[("AWS_CONDITIONAL_PUT", "disabled")]).probe().await.unwrap_err();
    assert!(matches!(error, Error::Unsuitable { .. }), "{error}");

    let careless = Lab::s3_with(Conditions::Ignored).await;
    let error = careless.open().probe().await.unwrap_err();
    assert!(matches!(error, Error::Unsuitable { .. }), "{error}");
    assert!(error.to_string().contains("put-if-absent"), "{error}");
    assert_eq!(error.trouble(), Trouble::BadConfig);
}

#[tokio::test]
async fn what_was_downloaded_is_found_in_the_cache_and_checked_again() {
    let lab = Lab::s3().await;
    let depot = lab.open();
    let draft = drafted(&depot, "events", 1, &[("a", b"contents")]);
    let manifest = draft.commit(contents(), record("events", 1)).await.unwrap().manifest;
    let path = manifest_path("events", 1);
    let entry = &manifest.identity.files[0];
    let first = lab.open();
    let local = first.fetch(&manifest, &path, entry).await.unwrap();
    drop(first);
    assert!(!local.exists(), "a reader's link goes with it");

    // Another process is served from the cache: the object behind it may be any bytes of that size.
    std::fs::write(lab.behind(&format!("{}main/a", crate::lab::prefix("events", 1))), "CONTENTS").unwrap();
    let second = lab.open();
    assert_eq!(std::fs::read(second.fetch(&manifest, &path, entry).await.unwrap()).unwrap(), b"contents");
    // But a verification looks at the store itself.
    assert_eq!(second.verify(&manifest, &path).await.unwrap().len(), 1);
}

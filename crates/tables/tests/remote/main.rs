//! Sources in an object store and behind HTTP, each served by this process.

mod servers;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::launch::{Interval, Listing};
use noctule_tables::source::{
    Access, Address, ColumnWish, Fetched, PartOutcome, PartRequest, Partition, SourceError, Wanted, Writing,
    list, read_part,
};
use noctule_tables::{Class, Table};
use servers::{Page, Web, s3};

const WRITING: Writing = Writing {
    format: None,
    delimiter: None,
    header: true,
    names: None,
    quote: Some(b'"'),
    latin1: false,
    compression: None,
};

async fn listed(address: &str, wanted: Wanted, access: &Access) -> Result<Listing, SourceError> {
    let address = Address::parse(address, "/".as_ref()).unwrap();
    let end: Timestamp = "2026-11-03T00:00:00Z".parse().unwrap();
    let interval = Interval { start: end - SignedDuration::from_hours(24), end };
    list(&address, wanted, interval, &TimeZone::UTC, access).await
}

/// Reads everything that was listed as one part; gives the kept rows of a column `item`.
async fn items(listing: &Listing, access: &Access) -> Result<Vec<i64>, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let mut objects = Vec::new();
    for object in &listing.objects {
        objects.push(Fetched::get(object, folder.path(), access).await?);
    }
    let outcome: PartOutcome = read_part(PartRequest {
        erased: None,
        objects: &objects,
        partition: Partition::of_key(""),
        writing: &WRITING,
        wishes: vec![ColumnWish::same("item")],
        condition: None,
        window: None,
        zone: TimeZone::UTC,
        main: folder.path().join("main.parquet"),
        outside: None,
        rejected: folder.path().join("rejected.parquet"),
        threads: 1,
    })
    .unwrap();
    let paths: Vec<_> = outcome.main.iter().map(|file| file.path.clone()).collect();
    let table = Table::open("items", &paths, None).unwrap();
    let mut items = Vec::new();
    for batch in table.scan(&["item"], 1).unwrap() {
        let batch = batch.unwrap();
        let column: &arrow::array::Int64Array = arrow::array::AsArray::as_primitive(batch.column(0));
        items.extend(column.values().iter());
    }
    Ok(items)
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_in_an_object_store_are_listed_pruned_and_read() {
    let s3 = s3().await;
    for (day, item) in [("2026-10-31", 1), ("2026-11-01", 2), ("2026-11-02", 3), ("2026-11-03", 4)] {
        s3.put(&format!("logs/date={day}/a.csv"), &format!("item\n{item}\n")).await;
    }
    s3.put("logs/_SUCCESS", "").await;
    let window = Wanted::Window(SignedDuration::from_hours(48));
    let listing = listed("s3://bucket/logs", window, &s3.access).await.unwrap();
    let partitions: Vec<&str> = listing.objects.iter().map(|object| object.partition.as_str()).collect();
    assert_eq!(partitions, ["date=2026-11-01", "date=2026-11-02"]);
    assert_eq!(items(&listing, &s3.access).await.unwrap(), [2, 3]);

    let glob = listed("s3://bucket/logs/date=2026-11-*/*.csv", Wanted::All, &s3.access).await.unwrap();
    assert_eq!(glob.objects.len(), 3);
    let one = listed("s3://bucket/logs/date=2026-11-01/a.csv", Wanted::All, &s3.access).await.unwrap();
    assert_eq!(one.objects.len(), 1);
    let latest = listed("s3://bucket/logs/", Wanted::Latest, &s3.access).await.unwrap();
    assert_eq!(latest.objects[0].partition, "date=2026-11-02");

    // The same again is the same; another content is another tag, and the listed one is gone.
    assert_eq!(listed("s3://bucket/logs", window, &s3.access).await.unwrap(), listing);
    s3.put("logs/date=2026-11-02/a.csv", "item\n9\n").await;
    let error = items(&listing, &s3.access).await.unwrap_err();
    assert!(matches!(error, SourceError::Changed { .. }) && error.class() == Class::Temporary, "{error}");
    assert_ne!(listed("s3://bucket/logs", window, &s3.access).await.unwrap(), listing);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_not_allowed_in_an_object_store_is_told_apart() {
    let s3 = s3().await;
    let error = listed("s3://bucket/nothing", Wanted::All, &s3.access).await.unwrap_err();
    assert!(matches!(error, SourceError::Missing { .. }), "{error}");
    let mut stranger = s3.access.clone();
    stranger.environment.retain(|(name, _)| name != "AWS_SECRET_ACCESS_KEY");
    stranger.environment.push(("AWS_SECRET_ACCESS_KEY".to_owned(), "guess".to_owned()));
    let error = listed("s3://bucket/logs", Wanted::All, &stranger).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }) && error.class() == Class::Configuration, "{error}");
}

fn page(text: &str, etag: Option<&str>) -> Page {
    Page { text: text.to_owned(), etag: etag.map(str::to_owned), dated: true }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_read_as_it_was_listed() {
    let web = Web::serve().await;
    web.put("/data/items.csv", page("item\n1\n2\n", Some("\"a\"")));
    let address = web.address("/data/items.csv");
    let access = Access::default();
    let listing = listed(&address, Wanted::All, &access).await.unwrap();
    assert_eq!(items(&listing, &access).await.unwrap(), [1, 2]);

    // This server ignores conditions; its answer tells of the change.
    web.put("/data/items.csv", page("item\n3\n4\n", Some("\"b\"")));
    let error = items(&listing, &access).await.unwrap_err();
    assert!(matches!(error, SourceError::Changed { .. }), "{error}");
    let error = listed(&web.address("/nothing.csv"), Wanted::All, &access).await.unwrap_err();
    assert!(matches!(error, SourceError::Missing { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_an_etag_is_known_by_size_and_date() {
    let web = Web::serve().await;
    web.put("/items.csv", page("item\n1\n", None));
    let access = Access::default();
    let listing = listed(&web.address("/items.csv"), Wanted::All, &access).await.unwrap();
    assert_eq!(items(&listing, &access).await.unwrap(), [1]);
    web.put("/items.csv", page("item\n10\n", None));
    assert!(matches!(items(&listing, &access).await, Err(SourceError::Changed { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_part_of_the_address_and_a_weak_etag_is_no_condition() {
    let web = Web::serve().await;
    web.put("/items.csv?table=1", page("item\n1\n", Some("W/\"a\"")));
    web.put("/items.csv?table=2", page("item\n2\n", Some("W/\"a\"")));
    let access = Access::default();
    let one = listed(&web.address("/items.csv?table=1"), Wanted::All, &access).await.unwrap();
    let two = listed(&web.address("/items.csv?table=2"), Wanted::All, &access).await.unwrap();
    assert_eq!(items(&one, &access).await.unwrap(), [1]);
    assert_eq!(items(&two, &access).await.unwrap(), [2]);
    assert_ne!(one.objects[0].identity(), two.objects[0].identity());
    web.put("/items.csv?table=1", page("item\n7\n", Some("W/\"b\"")));
    assert!(matches!(items(&one, &access).await, Err(SourceError::Changed { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_nothing_tells_from_another_is_read_anew_each_time() {
    let web = Web::serve().await;
    web.put("/items.csv", Page { dated: false, ..page("item\n1\n", None) });
    let access = Access::default();
    let one = listed(&web.address("/items.csv"), Wanted::All, &access).await.unwrap();
    let two = listed(&web.address("/items.csv"), Wanted::All, &access).await.unwrap();
    assert_eq!(items(&one, &access).await.unwrap(), [1]);
    assert_ne!(one.objects[0].identity(), two.objects[0].identity());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_an_object_store_may_hold_any_sign() {
    let s3 = s3().await;
    for name in ["logs/a b#1?.csv", "logs/50%41.csv", "logs/日本.csv"] {
        s3.put(name, "item\n5\n").await;
    }
    let listing = listed("s3://bucket/logs", Wanted::All, &s3.access).await.unwrap();
    assert_eq!(listing.objects.len(), 3);
    assert_eq!(items(&listing, &s3.access).await.unwrap(), [5, 5, 5]);
    let one = listed("s3://bucket/logs/a ??1?.csv", Wanted::All, &s3.access).await.unwrap();
    assert_eq!(one.objects.len(), 1);
}

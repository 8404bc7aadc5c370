//! Put-if-absent, conditional replace, listing, claims, names.

use noctule_artifacts::RegistryId;
use noctule_depot::{Claim, Error, Put, Replace};

use crate::lab::Lab;

crate::on_every_store!(
    a_store_is_probed_and_left_clean,
    a_store_belongs_to_one_registry,
    a_taken_place_is_not_written_over,
    concurrent_puts_have_one_winner,
    concurrent_replacements_lose_nothing,
    a_replacement_needs_what_it_read,
    listing_and_deleting_keep_to_the_prefix,
    hostile_names_are_refused_everywhere,
    logs_can_be_brought_and_brought_again,
);

async fn a_store_is_probed_and_left_clean(lab: &Lab) {
    let depot = lab.open();
    depot.probe().await.unwrap();
    depot.probe().await.unwrap();
    assert_eq!(depot.list("").await.unwrap(), []);
    assert!(matches!(depot.read("absent").await, Err(Error::NotFound { .. })));
    assert_eq!(depot.stat("absent").await.unwrap(), None);
}

async fn a_store_belongs_to_one_registry(lab: &Lab) {
    let (ours, theirs) = (RegistryId::from_random(1), RegistryId::from_random(2));
    let depot = lab.open();
    assert_eq!(depot.registry().await.unwrap(), None);
    assert_eq!(depot.claim(&ours).await.unwrap(), Claim::Made);
    assert_eq!(lab.open().claim(&ours).await.unwrap(), Claim::Ours);
    assert_eq!(lab.open().registry().await.unwrap(), Some(ours.clone()));
    let error = lab.open().claim(&theirs).await.unwrap_err();
    assert!(matches!(&error, Error::OtherRegistry { found, .. } if *found == ours), "{error}");
    std::fs::write(lab.behind("registry.json"), "nonsense").unwrap();
    assert!(matches!(lab.open().claim(&ours).await, Err(Error::Unreadable { .. })));
}

async fn a_taken_place_is_not_written_over(lab: &Lab) {
    let depot = lab.open();
    assert_eq!(depot.put_new("a/b", "one").await.unwrap(), Put::Created);
    assert_eq!(depot.put_new("a/b", "one").await.unwrap(), Put::Same);
    assert_eq!(depot.put_new("a/b", "two").await.unwrap(), Put::Other("one".into()));
    assert_eq!(depot.put_new("a/empty", "").await.unwrap(), Put::Created);
    assert_eq!(depot.read("a/b").await.unwrap(), "one");
    assert_eq!(depot.read("a/empty").await.unwrap(), "");
    assert_eq!(depot.stat("a/b").await.unwrap(), Some(3));
}

async fn concurrent_puts_have_one_winner(lab: &Lab) {
    let puts = (0..8).map(|i| {
        let depot = lab.open();
        tokio::spawn(async move { depot.put_new("place", format!("writer {i}")).await.unwrap() })
    });
    let mut created = 0;
    for put in puts.collect::<Vec<_>>() {
        match put.await.unwrap() {
            Put::Created => created += 1,
            Put::Other(_) => {}
            Put::Same => panic!("no two wrote the same"),
        }
    }
    assert_eq!(created, 1);
}

async fn concurrent_replacements_lose_nothing(lab: &Lab) {
    lab.open().put_new("counter", "0").await.unwrap();
    let writers = (0..4).map(|writer| {
        let depot = lab.open();
        tokio::spawn(async move {
            let mut added = 0;
            while added < 5 {
                let (bytes, tag) = depot.read_tagged("counter").await.unwrap();
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let count: u32 = text.split(' ').next().unwrap().parse().unwrap();
                // Each content names its writer: equal contents would count as one write.
                let next = format!("{} by {writer}", count + 1);
                match depot.replace_if("counter", &tag, next).await.unwrap() {
                    Replace::Replaced => added += 1,
                    Replace::Changed => {}
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let end = lab.open().read("counter").await.unwrap();
    assert!(end.starts_with(b"20 by "), "{end:?}");
}

async fn a_replacement_needs_what_it_read(lab: &Lab) {
    let depot = lab.open();
    depot.put_new("x", "one").await.unwrap();
    let (_, first) = depot.read_tagged("x").await.unwrap();
    assert_eq!(depot.replace_if("x", &first, "two").await.unwrap(), Replace::Replaced);
    assert_eq!(depot.replace_if("x", &first, "three").await.unwrap(), Replace::Changed);
    assert_eq!(depot.replace_if("x", &first, "two").await.unwrap(), Replace::Replaced, "a repeated write");
    depot.delete("x").await.unwrap();
    depot.delete("x").await.unwrap();
    assert_eq!(depot.replace_if("x", &first, "four").await.unwrap(), Replace::Changed);
    assert_eq!(depot.stat("x").await.unwrap(), None);
}

async fn listing_and_deleting_keep_to_the_prefix(lab: &Lab) {
    let depot = lab.open();
    for path in ["runs/a/1", "runs/a/2/x", "runs/ab/1", "models/m"] {
        depot.put_new(path, path.to_owned()).await.unwrap();
    }
    let paths = |listed: Vec<noctule_depot::Listed>| listed.into_iter().map(|l| l.path).collect::<Vec<_>>();
    assert_eq!(paths(depot.list("runs/a/").await.unwrap()), ["runs/a/1", "runs/a/2/x"]);
    assert_eq!(paths(depot.list("absent/").await.unwrap()), Vec::<String>::new());
    let listed = depot.list("models/").await.unwrap();
    assert_eq!(listed[0].size, 8);
    assert!(listed[0].modified > "2020-01-01T00:00Z".parse().unwrap());
    depot.delete_prefix("runs/a/").await.unwrap();
    depot.delete_prefix("runs/a/").await.unwrap();
    assert_eq!(paths(depot.list("").await.unwrap()), ["models/m", "runs/ab/1"]);
}

async fn hostile_names_are_refused_everywhere(lab: &Lab) {
    let depot = lab.open();
    for bad in ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".lock", "a\0b", "a\nb", "a\\b"] {
        let refused = |error: Option<Error>| assert!(matches!(error, Some(Error::BadName { .. })), "{bad:?}");
        refused(depot.read(bad).await.err());
        refused(depot.put_new(bad, "x").await.err());
        refused(depot.stat(bad).await.err());
        refused(depot.delete(bad).await.err());
        refused(depot.list(&format!("{bad}/")).await.err());
        refused(depot.delete_prefix(&format!("{bad}/")).await.err());
        refused(depot.draft(&format!("{bad}/")).err());
        refused(depot.local_path(bad).err());
    }
    // Any other text is a name.
    for good in ["a/é ü", "a/100% #1", "a/x?y=z&w", "a/日本.parquet", "a/.hidden", "a/b+c~d"] {
        assert_eq!(depot.put_new(good, good.to_owned()).await.unwrap(), Put::Created, "{good}");
        assert_eq!(depot.read(good).await.unwrap(), good);
    }
    assert_eq!(depot.list("a/").await.unwrap().len(), 6);
}

async fn logs_can_be_brought_and_brought_again(lab: &Lab) {
    let depot = lab.open();
    let path = "runs/r/step/1.log";
    let local = depot.log_file(path).unwrap().unwrap_or_else(|| lab.home().join("log"));
    for text in ["one\n", "one\ntwo\n"] {
        std::fs::write(&local, text).unwrap();
        depot.upload_log(path, &local).await.unwrap();
        assert_eq!(depot.read(path).await.unwrap(), text);
    }
    let elsewhere = lab.home().join("other");
    std::fs::write(&elsewhere, "three").unwrap();
    depot.upload_log(path, &elsewhere).await.unwrap();
    assert_eq!(depot.read(path).await.unwrap(), "three");
}

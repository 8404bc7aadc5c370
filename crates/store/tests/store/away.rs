//! A database that goes away and comes back, and a writer that is frozen in the middle of writing.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use noctule_store::{
    Advance, AuditEntry, Fate, NewRun, OccurrenceFilter, OccurrenceStage, Store, StoreError, Via, Watermark,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::slots::{gpu, take, wish};
use crate::world::{
    address, at, block_on, change, day, due, enter, lead, new_run, noted, on_postgres, run_id,
};
use crate::{child, postgres};

fn entry() -> AuditEntry {
    AuditEntry {
        at: at(1),
        who: "ada".to_owned(),
        via: Via::Cli,
        action: "look".to_owned(),
        about: "it".to_owned(),
        why: None,
        outcome: "done".to_owned(),
    }
}

/// What a server does all the time; each has its result.
async fn everything(store: &Store) -> Vec<Result<(), StoreError>> {
    let (pipeline, run) = ("nightly".parse().unwrap(), run_id(1));
    let lease = noctule_store::Lease { name: "leader".into(), holder: "the test".into(), token: 1 };
    let mark = |second| Watermark::Time(at(second));
    let advance = Advance {
        occurrences: vec![due(2, "b", Fate::Queue)],
        ..Advance::new("nightly".parse().unwrap(), Some(mark(1)), mark(2), at(2))
    };
    let begin =
        NewRun { occurrence: Some("a".into()), lease: Some(lease.clone()), ..new_run(2, "nightly", day(1)) };
    vec![
        store.renew(&lease, Duration::from_secs(600)).await,
        store.schedule(&pipeline).await.map(drop),
        store.advance(&advance, &lease).await.map(drop),
        store.occurrences(&OccurrenceFilter::default()).await.map(drop),
        store.going(&pipeline).await.map(drop),
        store.create_run(&begin, &change(3, vec![noted("begun")])).await.map(drop),
        store
            .settle_occurrence(&pipeline, "b", OccurrenceStage::Queued, &Fate::Queue, at(3), Some(&lease))
            .await
            .map(drop),
        store.wait_for_slot(&run, &wish(gpu(1))).await.map(drop),
        store.slots().await.map(drop),
        store.find_token("noctule_x", at(1)).await.map(drop),
        store.audit(&entry()).await.map(drop),
        store.pipelines().await.map(drop),
        store.backfills(None, true, None).await.map(drop),
        store.erased_users().await.map(drop),
        store.expire_runs(at(0), 10).await.map(drop),
        store.rebuild(|_, _, _| None).await.map(drop),
        store.runs(&Default::default()).await.map(drop),
    ]
}

#[test]
fn a_database_that_goes_away_and_comes_back_is_waited_for() {
    let Some(mut server) = postgres::Server::start() else {
        let name = "away::a_database_that_goes_away_and_comes_back_is_waited_for";
        return postgres::skipped(name, "install Debian package postgresql");
    };
    block_on(async {
        let store = Store::open(&server.database()).await.unwrap();
        lead(&store).await;
        enter(&store, "nightly", vec![due(1, "a", Fate::Queue)]).await;
        crate::world::begin(&store, 1).await;
        for _ in 0..2 {
            server.stop();
            let begun = Instant::now();
            for (number, result) in everything(&store).await.into_iter().enumerate() {
                let error = result.expect_err("the database is away");
                assert!(error.is_temporary(), "{number}: {error:?}");
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "nobody waits for long: {:?}",
                begun.elapsed()
            );
            server.go_on();
            // The same store goes on, and nothing was half done.
            assert_eq!(
                store.schedule(&"nightly".parse().unwrap()).await.unwrap().watermark,
                Some(Watermark::Time(at(1)))
            );
            assert_eq!(store.runs(&Default::default()).await.unwrap().len(), 1);
        }
        for (number, result) in everything(&store).await.into_iter().enumerate() {
            result.unwrap_or_else(|error| panic!("{number}: {error}"));
        }
        take(&store, &run_id(1), 1, &wish(gpu(1))).await.unwrap();
    });
}

#[test]
fn a_writer_that_is_frozen_in_the_middle_holds_nobody_up_for_long() {
    on_postgres("away::a_writer_that_is_frozen_in_the_middle_holds_nobody_up_for_long", async |world| {
        let mut waits = vec![];
        for round in 0..2u32 {
            let mut command = child::command_from(&address(&world.location), 1 + round * 1000);
            let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
            assert!(lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("committed")));
            let reader = std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
            tokio::time::sleep(Duration::from_millis(u64::from(20 + round * 7))).await;
            let pid = Pid::from_child(&process);
            kill_process(pid, Signal::STOP).unwrap();
            let begun = Instant::now();
            world.store.audit(&entry()).await.unwrap();
            waits.push(begun.elapsed());
            process.kill().unwrap();
            process.wait().unwrap();
            reader.join().unwrap();
        }
        // Frozen with the writers' lock in its hand or without; in neither case past the end of a leader's lease.
        assert!(waits.iter().all(|wait| *wait < Duration::from_secs(9)), "{waits:?}");
    });
}

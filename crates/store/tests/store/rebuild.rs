use jiff::Timestamp;
use noctule_artifacts::{AttemptNumber, RunId, StepName};
use noctule_engine::{Event, Run, RunStatus};
use noctule_store::{Fate, NewArtifact, NewRun, Rebuilt, Store, TakeSlot};

use crate::golden::night;
use crate::slots::{gpu, wish};
use crate::world::{after, day, due, enter, new_run, run_id};

/// Writes a log as a controller does: event by event, with the status that each leads to and what goes with it.
async fn write(store: &Store, new: NewRun, log: &[(Timestamp, Event)]) -> RunId {
    let id = new.run.clone();
    let mut run: Option<Run> = None;
    for (sequence, (at, event)) in (0..).zip(log) {
        let mut event = event.clone();
        if let Event::RunCreated { plan } = &mut event {
            plan.run = id.clone();
        }
        let mut change = noctule_store::Change::new(*at, vec![event.clone()], RunStatus::Queued);
        match &event {
            Event::RunCreated { plan } => run = Some(Run::begin(*at, (**plan).clone()).unwrap().0),
            event => drop(run.as_mut().unwrap().apply(*at, event).unwrap()),
        }
        change.status = run.as_ref().unwrap().status();
        match &event {
            Event::AttemptIntended { step, attempt, .. } => {
                let wish = noctule_store::SlotWish { step: step.clone(), ..wish(gpu(99)) };
                change.effects.take = Some(TakeSlot { attempt: *attempt, wish });
            }
            Event::AttemptFailed { step, attempt, .. } => {
                change.effects.release = vec![(step.clone(), *attempt)];
            }
            Event::AttemptSucceeded { step, attempt, artifact, .. } => {
                change.effects.release = vec![(step.clone(), *attempt)];
                change.effects.artifacts = vec![made(&id, step, *attempt, &artifact.manifest)];
            }
            Event::StepReused { step, artifact, .. } => {
                change.effects.reused = vec![(step.clone(), artifact.manifest.clone())];
            }
            _ => {}
        }
        match sequence {
            0 => store.create_run(&new, &change).await.unwrap(),
            _ => store.commit(&after(&id, sequence), &change).await.unwrap(),
        };
    }
    id
}

fn made(run: &RunId, step: &StepName, attempt: AttemptNumber, manifest: &str) -> NewArtifact {
    NewArtifact {
        manifest: manifest.to_owned(),
        step: step.clone(),
        attempt,
        ..crate::world::artifact(run, "model", "the same content")
    }
}

async fn rebuild(store: &Store) -> Rebuilt {
    store
        .rebuild(|_, definition, step| {
            assert_eq!(definition, b"pipeline: nightly");
            (step.as_str() == "model").then(|| "gpu".to_owned())
        })
        .await
        .unwrap()
}

/// A run that succeeded and answers an occurrence, and one in the middle of its second training attempt.
async fn two_runs(store: &Store) -> (RunId, RunId) {
    enter(store, "nightly", vec![due(1, "a", Fate::Queue), due(2, "b", Fate::Queue)]).await;
    let log = night();
    let done = NewRun { occurrence: Some("a".to_owned()), ..new_run(1, "nightly", day(1)) };
    let done = write(store, done, &log).await;
    let live = NewRun { occurrence: Some("b".to_owned()), ..new_run(2, "nightly", day(1)) };
    let live = write(store, live, &log[..8]).await;
    (done, live)
}

/// Everything that a rebuild puts right, as it stands.
async fn picture(store: &Store) -> String {
    let mut text = String::new();
    for row in store.runs(&Default::default()).await.unwrap() {
        text += &format!("{row:?}\n{:?}\n", store.artifacts_of(&row.run).await.unwrap());
    }
    for slot in store.slots().await.unwrap() {
        text += &format!("{:?}\n", (slot.run, slot.step, slot.attempt, slot.pipeline, slot.pool));
    }
    text + &format!("{:?}", store.occurrences(&Default::default()).await.unwrap())
}

on_both! {
    async fn a_whole_store_has_nothing_to_rebuild(world: World) {
        let (done, live) = two_runs(&world.store).await;
        assert_eq!(world.store.run(&done).await.unwrap().status, RunStatus::Succeeded);
        assert_eq!(world.store.run(&live).await.unwrap().status, RunStatus::Running);
        assert_eq!(world.store.slots().await.unwrap().len(), 1);
        let before = picture(&world.store).await;
        assert_eq!(rebuild(&world.store).await, Rebuilt { runs: 2, ..Rebuilt::default() });
        assert_eq!(picture(&world.store).await, before);
    }

    async fn a_rebuild_puts_right_what_was_damaged(world: World) {
        let (done, live) = two_runs(&world.store).await;
        let before = picture(&world.store).await;
        let damages = [
            "UPDATE runs SET status = 'failed', ended = NULL, changed = 5",
            "UPDATE runs SET created = 7, interval_start = 8, interval_end = 9, pipeline = 'weekly', last_event = 2",
            "DELETE FROM slots",
            "INSERT INTO slots (run, step, attempt, pipeline, pool, taken) \
             SELECT run, 'gate', 9, 'nightly', 'gpu', 1 FROM runs",
            "DELETE FROM artifact_uses",
            "UPDATE occurrences SET state = 'queued', run = NULL",
            "UPDATE runs SET occurrence = NULL",
            "UPDATE occurrences SET state = 'skipped', reason = 'missed', run = NULL WHERE id = 'b'",
        ];
        for damage in damages {
            world.sql(damage).await;
            assert_ne!(picture(&world.store).await, before, "{damage}");
            let rebuilt = rebuild(&world.store).await;
            assert!(!rebuilt.differences.is_empty() && rebuilt.left.is_empty(), "{damage}: {rebuilt:?}");
            let unchanged = |text: &str| text.split("changed:").map(|part| part.split_once(' ').unwrap().1.to_owned()).collect::<String>();
            assert_eq!(unchanged(&picture(&world.store).await), unchanged(&before), "{damage}");
            assert!(rebuild(&world.store).await.differences.is_empty(), "{damage}");
        }
        for damage in &damages[..6] {
            world.sql(damage).await;
        }
        let rebuilt = rebuild(&world.store).await;
        let told = |about: &str| rebuilt.differences.iter().find(|difference| difference.about == about);
        let status = told(&format!("status of run {done}")).unwrap();
        assert_eq!((status.found.as_deref(), status.rebuilt.as_deref()), (Some("failed"), Some("succeeded")));
        let slot = told(&format!("slot of attempt 2 of {live}/model")).unwrap();
        assert_eq!((slot.found.as_deref(), slot.rebuilt.as_deref()), (None, Some("taken")));
        assert!(told(&format!("slot of attempt 9 of {done}/gate")).unwrap().rebuilt.is_none());
        assert_eq!(told("occurrence `a`").unwrap().rebuilt, Some(format!("started as {done}")));
    }

    async fn a_log_that_does_not_fold_is_left_and_named(world: World) {
        let (done, live) = two_runs(&world.store).await;
        world.sql("UPDATE runs SET status = 'failed'").await;
        world.sql(&format!("DELETE FROM events WHERE run = '{live}' AND sequence = 3")).await;
        let rebuilt = rebuild(&world.store).await;
        assert_eq!(rebuilt.left, [format!("run {live}: event 3 is missing from its log")]);
        assert_eq!(rebuilt.differences.len(), 1);
        assert_eq!(world.store.run(&done).await.unwrap().status, RunStatus::Succeeded);
        assert_eq!(world.store.run(&live).await.unwrap().status, RunStatus::Failed, "it was left as it is");
        world.sql(&format!("DELETE FROM events WHERE run = '{live}'")).await;
        assert_eq!(rebuild(&world.store).await.left, [format!("run {live}: its log is empty")]);
    }
}

#[test]
fn a_log_without_a_row_is_named() {
    crate::world::on_sqlite(async |world| {
        let (done, _) = two_runs(&world.store).await;
        world.sql(&format!("DELETE FROM runs WHERE run = '{done}'")).await;
        let rebuilt = rebuild(&world.store).await;
        assert_eq!((rebuilt.runs, rebuilt.left.len()), (1, 1));
        assert!(rebuilt.left[0].contains("its definition is lost"), "{:?}", rebuilt.left);
        assert_eq!(done, run_id(1));
    });
}

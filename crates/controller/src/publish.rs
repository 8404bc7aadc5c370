//! The end of a publishing attempt: the registry decides, and its decision is committed with the fact.

use jiff::Timestamp;
use noctule_artifacts::{AliasName, AttemptNumber, Digest, Manifest, ModelName, StepName, VersionNumber};
use noctule_engine::{ArtifactRef, Event, Evidence, Publication, Role};
use noctule_registry::{Decision, Held, PassedGate, Version};
use noctule_store::{Change, Effects, NewArtifact, Publishing, StoreError};
use serde_json::Value;

use crate::drive::{Drive, released};
use crate::error::ControllerError;
use crate::outbox;

/// Facts of a gate's artifact that a publication rests on.
const JUDGED: &str = "judged";
const COMPARED: &str = "compared";

/// What a passed gate says.
struct GateWord {
    passed: PassedGate,
    compared: Option<VersionNumber>,
}

impl Drive {
    /// Records that a publishing attempt has committed, with what becomes of the alias.
    pub(crate) async fn publish(
        &mut self,
        step: &StepName,
        attempt: AttemptNumber,
        path: &str,
        manifest: &Manifest,
    ) -> Result<(), ControllerError> {
        let Some(Role::Publish { gate, model, alias }) =
            self.run().step(step).map(|step| step.plan().role.clone())
        else {
            return Ok(());
        };
        let launch = self.launch_document(step, attempt).await?;
        let number = launch.version.as_ref().map(|reserved| reserved.version);
        let word = self.gate_word(&gate, &model, &alias).await?;
        let (word, number) = match (word, number) {
            (Ok(word), Some(number)) => (word, number),
            (Err(message), _) => return self.refuse(step, attempt, message).await,
            (_, None) => {
                return self.refuse(step, attempt, "no version number was reserved for it".to_owned()).await;
            }
        };
        let candidate = Version::of_manifest(&self.controller().depot.version(&model, number).await?);
        let artifact = ArtifactRef { manifest: path.to_owned(), digest: manifest.digest() };
        if self.definition().register_only {
            return self.register(step, attempt, candidate, artifact, manifest).await;
        }
        let publishing = Publishing {
            candidate: candidate.clone(),
            alias,
            gate: word.passed,
            compared: word.compared,
            at: Timestamp::now(),
        };
        let fact = |publication: Publication| Event::AttemptSucceeded {
            step: step.clone(),
            attempt,
            artifact: artifact.clone(),
            outcome: manifest.identity.outcome,
            publication: Some(publication),
        };
        let at = Timestamp::now();
        let before = self.run().clone();
        let mut after = None;
        let (mut next, position) = (self.run().clone(), self.position().clone());
        let published = self
            .controller()
            .store
            .publish(&position, &publishing, |decision| {
                let event = fact(publication(decision, &candidate));
                let applied = next.apply(at, &event);
                let is_legal = applied.is_ok();
                after = Some(applied);
                let outbox = match decision {
                    Decision::Promoted(row) => outbox::announce(row, &candidate),
                    _ => Vec::new(),
                };
                let effects = Effects {
                    artifacts: vec![NewArtifact::of(path, manifest)],
                    outbox,
                    release: released(&before, &next),
                    ..Effects::default()
                };
                is_legal.then(|| Change { at, events: vec![event], status: next.status(), effects })
            })
            .await;
        match (published, after) {
            (Ok((last, _)), Some(Ok(commands))) => {
                self.advance(next, commands, last);
                self.deliver().await;
                Ok(())
            }
            (_, Some(Err(cause))) => Err(ControllerError::Illegal { run: position.run.clone(), cause }),
            (Err(StoreError::Registry(refusal)), _) => self.refuse(step, attempt, refusal.to_string()).await,
            (Err(error), _) => Err(error.into()),
            (Ok(_), None) => unreachable!("the store calls back before it commits"),
        }
    }

    /// Records that a publishing attempt has committed whose run moves no alias.
    async fn register(
        &mut self,
        step: &StepName,
        attempt: AttemptNumber,
        candidate: Version,
        artifact: ArtifactRef,
        manifest: &Manifest,
    ) -> Result<(), ControllerError> {
        let at = Timestamp::now();
        let path = artifact.manifest.clone();
        let event = Event::AttemptSucceeded {
            step: step.clone(),
            attempt,
            artifact,
            outcome: manifest.identity.outcome,
            publication: Some(Publication::Registered { version: candidate.number }),
        };
        let (mut next, position) = (self.run().clone(), self.position().clone());
        let commands = next
            .apply(at, &event)
            .map_err(|cause| ControllerError::Illegal { run: position.run.clone(), cause })?;
        let effects = Effects {
            artifacts: vec![NewArtifact::of(&path, manifest)],
            release: released(self.run(), &next),
            ..Effects::default()
        };
        let change = Change { at, events: vec![event], status: next.status(), effects };
        match self.controller().store.register(&position, &candidate, &change).await {
            Ok(last) => {
                self.advance(next, commands, last);
                Ok(())
            }
            Err(StoreError::Registry(refusal)) => self.refuse(step, attempt, refusal.to_string()).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn refuse(
        &mut self,
        step: &StepName,
        attempt: AttemptNumber,
        message: String,
    ) -> Result<(), ControllerError> {
        let evidence = Evidence::Rejected { message: message.clone() };
        let event = Event::AttemptFailed { step: step.clone(), attempt, evidence, message: Some(message) };
        self.record(event, Effects::default()).await
    }

    /// What the gate's artifact says of model and alias; `Err` is a reason to publish nothing.
    async fn gate_word(
        &self,
        gate: &StepName,
        model: &ModelName,
        alias: &AliasName,
    ) -> Result<Result<GateWord, String>, ControllerError> {
        let Some(artifact) = self.run().step(gate).and_then(|step| step.artifact().cloned()) else {
            return Ok(Err(format!("the gate `{gate}` has left no report")));
        };
        let manifest = self.controller().depot.manifest_with(&artifact.manifest, artifact.digest).await?;
        let facts = &manifest.identity.facts;
        let judged = facts.get(JUDGED).and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
        let Some(judged) = judged else {
            return Ok(Err(format!("the report of the gate `{gate}` does not say which model it judged")));
        };
        let passed = match PassedGate::new(artifact.digest, manifest.identity.outcome, judged) {
            Ok(passed) => passed,
            Err(refusal) => return Ok(Err(refusal.to_string())),
        };
        let reference = format!("{model}@{alias}");
        let compared = facts.get(COMPARED).and_then(|compared| compared.get(&reference));
        let compared = match compared {
            Some(version) => {
                version.as_u64().and_then(|number| u32::try_from(number).ok()).map(VersionNumber)
            }
            // The gate did not compare with this alias: the candidate takes the place of whatever is there now.
            None => self.controller().store.alias(model, alias).await?.map(|(_, version)| version.number),
        };
        Ok(Ok(GateWord { passed, compared }))
    }
}

fn publication(decision: &Decision, candidate: &Version) -> Publication {
    let version = candidate.number;
    match decision {
        Decision::Promoted(row) => {
            Publication::Promoted { version: row.to, from: row.from, sequence: row.sequence }
        }
        Decision::AlreadyChampion { version } => Publication::Unchanged { version: *version },
        Decision::Held(Held::Pinned { at }) => Publication::Pinned { version, to: *at },
        Decision::Held(Held::Moved { expected, found }) => {
            Publication::Moved { version, expected: *expected, found: *found }
        }
    }
}

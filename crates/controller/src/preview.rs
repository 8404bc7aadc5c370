//! What a run would do, without doing it.

use std::collections::BTreeMap;

use noctule_artifacts::launch::{Input, Interval};
use noctule_artifacts::{Digest, RunId, StepName};
use noctule_spec::{Pipeline, Step, StepKind};

use crate::Controller;
use crate::error::ControllerError;
use crate::prepare::Unprepared;
use crate::reuse::{self, Reads};

/// What is to be expected of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// An artifact of this run stands for it.
    Reuse {
        from: RunId,
    },
    Run {
        why: String,
    },
    /// It reads what another step has yet to make; it is reused if that comes out as before.
    Depends {
        on: StepName,
    },
    Skip {
        why: String,
    },
    Impossible {
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    pub steps: Vec<(StepName, Expected)>,
}

impl Controller {
    /// Looks what a run for this interval would reuse.
    pub async fn preview(&self, pipeline: &Pipeline, interval: Interval) -> Result<Preview, ControllerError> {
        let mut known: BTreeMap<StepName, (String, Digest)> = BTreeMap::new();
        let mut steps = Vec::new();
        for step in &pipeline.steps {
            let expected = match self.expect(pipeline, step, interval, &mut known).await {
                Ok(expected) => expected,
                Err(Unprepared::Attempt(_, why)) => Expected::Impossible { why },
                Err(Unprepared::Loop(error)) => return Err(error),
            };
            steps.push((step.name.clone(), expected));
        }
        Ok(Preview { steps })
    }

    async fn expect(
        &self,
        pipeline: &Pipeline,
        step: &Step,
        interval: Interval,
        known: &mut BTreeMap<StepName, (String, Digest)>,
    ) -> Result<Expected, Unprepared> {
        if let Some(why) = &step.disabled {
            return Ok(Expected::Skip { why: why.clone() });
        }
        let mut reads = Reads::default();
        for input in &step.inputs {
            let Some((manifest, digest)) = known.get(&input.step) else {
                return Ok(Expected::Depends { on: input.step.clone() });
            };
            let fixed = Input {
                step: input.step.clone(),
                output: input.output.clone(),
                manifest: manifest.clone(),
                digest: *digest,
            };
            reads.inputs.insert(input.reference.clone(), fixed);
        }
        self.read_outside(interval, pipeline, step, &mut reads).await?;
        if let StepKind::Publish(_) = step.kind {
            return Ok(Expected::Run { why: "publishing is decided anew each time".to_owned() });
        }
        let fingerprint = reuse::fingerprint(step, &reads, interval, &pipeline.data.timezone);
        if let Some(found) = self.reusable(step, &fingerprint, reads.last_good.as_ref()).await? {
            known.insert(step.name.clone(), (found.manifest, found.digest));
            return Ok(Expected::Reuse { from: found.run });
        }
        if !reuse::may_reuse(step) {
            let why = "a command is only reused when it lists `reuse: {files: [...]}`".to_owned();
            return Ok(Expected::Run { why });
        }
        let why = match self.store.earlier(&pipeline.name, &step.name, 1).await?.first() {
            None => "it has not run before".to_owned(),
            Some(last) => match self.depot.committed(&last.manifest).await? {
                Some(manifest) => changed(&fingerprint.differences(&manifest.record.fingerprint)),
                None => "its last artifact is gone".to_owned(),
            },
        };
        Ok(Expected::Run { why })
    }
}

/// The sentence about ingredients that differ.
pub fn changed(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    match names.len() {
        0 => "its last artifact is not whole, or was judged by another expectation".to_owned(),
        1..=SHOWN => format!("changed: {}", names.join(", ")),
        more => format!("changed: {}, and {} more", names[..SHOWN].join(", "), more - SHOWN),
    }
}

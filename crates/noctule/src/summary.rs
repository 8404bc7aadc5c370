//! A run as a page for people and as a document for programs.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use noctule_artifacts::Manifest;
use noctule_controller::{Controller, words};
use noctule_depot::Depot;
use noctule_engine::{AttemptResult, Publication, Rejection, Run, RunStatus, StepRun, StepState};
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::report::Trouble;
use crate::terminal::amounts;
use crate::terminal::style::{self, paint};
use crate::terminal::table;

/// A run with the manifests of its steps.
pub struct Summary {
    pub run: Run,
    manifests: BTreeMap<String, Manifest>,
    /// Where the alias points after the run, for a publishing step that was held or not reached.
    champion: Option<String>,
}

impl Summary {
    pub async fn of(controller: &Controller, run: Run) -> Result<Self, Trouble> {
        let mut manifests = BTreeMap::new();
        for step in run.steps() {
            if let Some(artifact) = step.artifact()
                && let Some(manifest) = look(&controller.depot, &artifact.manifest).await?
            {
                manifests.insert(step.plan().name.to_string(), manifest);
            }
        }
        let champion = champion(controller, &run).await?;
        Ok(Self { run, manifests, champion })
    }

    /// The exit code of a command that waited for the run.
    pub fn exit(&self) -> Exit {
        match self.run.status() {
            RunStatus::Succeeded => Exit::Done,
            RunStatus::Failed => Exit::StepFailed,
            RunStatus::DataStop => Exit::DataStop,
            RunStatus::GateRejected(Rejection::Fail) => Exit::GateFailed,
            RunStatus::GateRejected(Rejection::Inconclusive) => Exit::GateInconclusive,
            RunStatus::Held(_) => Exit::Held,
            RunStatus::Cancelled => Exit::Interrupted,
            RunStatus::Queued | RunStatus::Running | RunStatus::Stopping => Exit::OwnTrouble,
        }
    }

    /// The document that `--json` prints.
    pub fn to_json(&self) -> Value {
        let plan = self.run.plan();
        json!({
            "run": plan.run,
            "pipeline": plan.pipeline,
            "interval": {"start": plan.interval.start, "end": plan.interval.end},
            "status": self.run.status().word(),
            "exit_code": self.exit().code(),
            "created": self.run.created(),
            "ended": self.run.ended(),
            "steps": self.run.steps().iter().map(|step| self.step_json(step)).collect::<Vec<_>>(),
            "verdict": self.verdict(),
            "published": self.published(),
        })
    }

    fn step_json(&self, step: &StepRun) -> Value {
        let manifest = self.manifests.get(step.plan().name.as_str());
        let attempts: Vec<Value> = step.attempts().iter().map(attempt_json).collect();
        json!({
            "step": step.plan().name,
            "kind": step.plan().kind,
            "state": step.state().word(),
            "why": words::of_step(step),
            "reused_from": step.reused_from(),
            "artifact": step.artifact().map(|artifact| artifact.digest),
            "manifest": step.artifact().map(|artifact| &artifact.manifest),
            "attempts": attempts,
            "seconds": busy(step).map(|span| span.as_secs_f64()),
            "rows": manifest.and_then(rows),
            "metrics": manifest.map(|manifest| &manifest.record.metrics),
            "notes": manifest.map(|manifest| &manifest.record.notes),
        })
    }

    /// What the gate said: its verdict, and the sentence that decided.
    fn verdict(&self) -> Option<Value> {
        let gate = self.run.steps().iter().find(|step| step.plan().kind == "gate")?;
        let facts = &self.manifests.get(gate.plan().name.as_str())?.identity.facts;
        let mut verdict = Map::new();
        for (name, value) in facts {
            verdict.insert(name.clone(), value.clone());
        }
        Some(Value::Object(verdict))
    }

    fn published(&self) -> Option<Value> {
        let step = self.run.steps().iter().find(|step| step.publication().is_some())?;
        let noctule_engine::Role::Publish { model, alias, .. } = &step.plan().role else { return None };
        let (version, promoted) = match step.publication()? {
            Publication::Promoted { version, .. } => (version, true),
            Publication::Unchanged { version } => (version, false),
            Publication::Registered { version }
            | Publication::Pinned { version, .. }
            | Publication::Moved { version, .. } => (version, false),
        };
        Some(json!({"model": model, "alias": alias, "version": version, "promoted": promoted}))
    }

    /// The closing page: every step, then what the run came to.
    pub fn to_text(&self) -> String {
        let mut steps =
            table::table(&["STEP", "KIND", "STATE", ">TRIES", ">TIME", ">ROWS", "WHAT IT CAME TO"]);
        for step in self.run.steps() {
            let word = step.state().word();
            steps.add_row(vec![
                step.plan().name.to_string(),
                step.plan().kind.clone(),
                word.to_owned(),
                if step.attempts().is_empty() { String::new() } else { step.attempts().len().to_string() },
                busy(step).map(amounts::duration).unwrap_or_default(),
                self.manifests
                    .get(step.plan().name.as_str())
                    .and_then(rows)
                    .map(amounts::count)
                    .unwrap_or_default(),
                self.remark(step),
            ]);
        }
        format!("{}\n\n{}", table::text(&steps), self.ending())
    }

    /// What is most worth knowing about a step in half a line.
    fn remark(&self, step: &StepRun) -> String {
        if let Some(sentence) = words::of_step(step) {
            return sentence.lines().next().unwrap_or_default().to_owned();
        }
        let Some(manifest) = self.manifests.get(step.plan().name.as_str()) else { return String::new() };
        if let Some(Value::String(sentence)) = manifest.identity.facts.get("decided") {
            return sentence.clone();
        }
        let wanted = |name: &&String| !name.starts_with("rows") && !name.contains("seconds");
        let shown: Vec<String> = manifest
            .record
            .metrics
            .keys()
            .filter(wanted)
            .take(3)
            .map(|name| format!("{name} {}", amounts::metric(manifest.record.metrics[name])))
            .collect();
        shown.join("  ")
    }

    /// One or two sentences that say how the run ended, and what to do.
    pub fn ending(&self) -> String {
        let status = self.run.status();
        let run = &self.run.plan().run;
        let head = paint(style::of_state(status.word()), status.word());
        let mut text = format!("Run {run} of {}: {head}", self.run.plan().pipeline);
        if let Some(ended) = self.run.ended() {
            text += &format!(" after {}", amounts::duration(since(self.run.created(), ended)));
        }
        text += ".";
        if let Some(published) = self.published()
            && status == RunStatus::Succeeded
        {
            let promoted = published["promoted"] == true;
            text += &format!(
                " {}@{} {} version {}.",
                published["model"].as_str().unwrap_or_default(),
                published["alias"].as_str().unwrap_or_default(),
                if promoted { "now is" } else { "still is" },
                published["version"]
            );
        }
        if let Some(verdict) = self.verdict()
            && let Some(sentence) = verdict.get("decided").and_then(Value::as_str)
        {
            text += &format!("\nGate: {sentence}");
        }
        if !matches!(status, RunStatus::Succeeded)
            && let Some(champion) = &self.champion
        {
            text += &format!("\n{champion}");
        }
        text + &self.advice()
    }

    fn advice(&self) -> String {
        let run = &self.run.plan().run;
        let stopped = self.run.steps().iter().find(|step| match step.state() {
            StepState::Ended(end) => matches!(end.word(), "failed" | "stopped"),
            _ => false,
        });
        let notes: String = stopped
            .and_then(|step| self.manifests.get(step.plan().name.as_str()))
            .map(|manifest| manifest.record.notes.iter().map(|note| format!("\n  {note}")).collect())
            .unwrap_or_default();
        match self.run.status() {
            RunStatus::Failed => {
                let step = stopped.map(|step| step.plan().name.to_string()).unwrap_or_default();
                let message = stopped.and_then(words::of_step).map(|text| format!("\n  {text}")).unwrap_or_default();
                format!("{message}\nNext: `noctule logs {run} {step}`, mend it, then `noctule resume {run}`.")
            }
            RunStatus::DataStop => {
                format!("{notes}\nNothing was trained. Next: when the data are right, `noctule run` again.")
            }
            RunStatus::GateRejected(_) => format!("\nNothing was published. Next: `noctule show {run}` has the numbers."),
            RunStatus::Held(_) => {
                "\nNext: look at `noctule models history`, then `noctule models promote` or `noctule models unpin`."
                    .to_owned()
            }
            RunStatus::Cancelled => format!("\nNext: `noctule resume {run}` goes on where it ended."),
            _ => String::new(),
        }
    }

    /// The report of the run's gate, in Markdown.
    pub async fn gate_report(&self, controller: &Controller) -> Result<Option<String>, Trouble> {
        let Some(gate) = self.run.steps().iter().find(|step| step.plan().kind == "gate") else {
            return Ok(None);
        };
        let (Some(artifact), Some(manifest)) =
            (gate.artifact(), self.manifests.get(gate.plan().name.as_str()))
        else {
            return Ok(None);
        };
        let Some(entry) = manifest.identity.files.iter().find(|file| file.name.ends_with("gate.md")) else {
            return Ok(None);
        };
        let path = controller.depot.fetch(manifest, &artifact.manifest, entry).await?;
        let text = std::fs::read_to_string(&path).map_err(|error| Trouble::file("read", &path, error))?;
        Ok(Some(text))
    }
}

async fn look(depot: &Depot, path: &str) -> Result<Option<Manifest>, Trouble> {
    Ok(depot.committed(path).await?)
}

async fn champion(controller: &Controller, run: &Run) -> Result<Option<String>, Trouble> {
    for step in run.steps() {
        if let noctule_engine::Role::Publish { model, alias, .. } = &step.plan().role {
            return Ok(Some(match controller.store.alias(model, alias).await? {
                Some((state, _)) => format!("{model}@{alias} stays at version {}.", state.version),
                None => format!("{model}@{alias} points nowhere yet."),
            }));
        }
    }
    Ok(None)
}

fn attempt_json(attempt: &noctule_engine::Attempt) -> Value {
    let (result, class, evidence, message) = match &attempt.result {
        None => ("live", None, None, None),
        Some(AttemptResult::Succeeded) => ("succeeded", None, None, None),
        Some(AttemptResult::Cancelled) => ("cancelled", None, None, None),
        Some(AttemptResult::Failed { class, evidence, message }) => {
            ("failed", Some(class.word()), Some(words::of_evidence(evidence)), message.clone())
        }
    };
    json!({
        "attempt": attempt.number,
        "intended": attempt.intended,
        "running": attempt.running,
        "ended": attempt.ended,
        "result": result,
        "class": class,
        "evidence": evidence,
        "message": message,
        "abandoned": attempt.abandoned,
    })
}

/// The time that the step's attempts took in all.
fn busy(step: &StepRun) -> Option<SignedDuration> {
    let spans = step.attempts().iter().filter_map(|attempt| Some(since(attempt.intended, attempt.ended?)));
    spans.reduce(|a, b| a + b)
}

fn since(start: Timestamp, end: Timestamp) -> SignedDuration {
    start.duration_until(end)
}

/// Rows of the step's own table, without what it set aside.
fn rows(manifest: &Manifest) -> Option<u64> {
    manifest.identity.outputs.get(&noctule_artifacts::OutputName::main()).and_then(|output| output.rows)
}

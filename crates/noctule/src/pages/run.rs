//! A run as a page: every step, what the run came to, and what to do next.

use jiff::SignedDuration;
use serde_json::Value;

use crate::documents::run::{RunDocument, StepDocument};
use crate::terminal::amounts;
use crate::terminal::style::{self, paint};
use crate::terminal::table;

/// The closing page: every step, then what the run came to.
pub fn page(run: &RunDocument) -> String {
    let mut steps = table::table(&["STEP", "KIND", "STATE", ">TRIES", ">TIME", ">ROWS", "WHAT IT CAME TO"]);
    for step in &run.steps {
        steps.add_row(vec![
            step.step.to_string(),
            step.kind.clone(),
            step.state.clone(),
            if step.attempts.is_empty() { String::new() } else { step.attempts.len().to_string() },
            step.seconds.map(SignedDuration::from_secs_f64).map(amounts::duration).unwrap_or_default(),
            step.rows.map(amounts::count).unwrap_or_default(),
            remark(step),
        ]);
    }
    format!("{}\n\n{}", table::text(&steps), ending(run))
}

/// Who drives it, and what was noted about it: what `show` says below the page.
pub fn below(run: &RunDocument) -> Vec<String> {
    let mut lines = Vec::new();
    if run.ended.is_none() {
        lines.push(match &run.driven_by {
            Some(driver) => format!("Driven by {driver}."),
            None => format!("Nobody drives it: `noctule resume {}` goes on with it.", run.run),
        });
    }
    lines.extend(run.notes.iter().map(|note| note.text.clone()));
    lines
}

/// What is most worth knowing about a step in half a line.
fn remark(step: &StepDocument) -> String {
    if let Some(sentence) = &step.why {
        return sentence.lines().next().unwrap_or_default().to_owned();
    }
    if let Some(sentence) = &step.decided {
        return sentence.clone();
    }
    let wanted = |name: &str| !name.starts_with("rows") && !name.contains("seconds");
    let metrics = step.metrics.iter().flatten();
    let shown: Vec<String> = metrics
        .filter(|(name, _)| wanted(name))
        .take(3)
        .map(|(name, value)| format!("{name} {}", amounts::metric(value.unwrap_or(f64::NAN))))
        .collect();
    shown.join("  ")
}

/// One or two sentences that say how the run ended, and what to do.
fn ending(run: &RunDocument) -> String {
    let head = paint(style::of_state(&run.status), &run.status);
    let mut text = format!("Run {} of {}: {head}", run.run, run.pipeline);
    if let Some(ended) = run.ended {
        text += &format!(" after {}", amounts::duration(run.created.duration_until(ended)));
    }
    text += ".";
    let succeeded = run.status == "succeeded";
    if let Some(published) = run.published.as_ref().filter(|_| succeeded) {
        text += &format!(
            " {}@{} {} version {}.",
            published.model,
            published.alias,
            if published.promoted { "now is" } else { "still is" },
            published.version
        );
    }
    let decided = run.verdict.as_ref().and_then(|verdict| verdict.get("decided"));
    if let Some(sentence) = decided.and_then(Value::as_str) {
        text += &format!("\nGate: {sentence}");
    }
    if let Some(champion) = run.champion.as_ref().filter(|_| !succeeded) {
        text += &match champion.version {
            Some(version) => format!("\n{}@{} stays at version {version}.", champion.model, champion.alias),
            None => format!("\n{}@{} points nowhere yet.", champion.model, champion.alias),
        };
    }
    text + &advice(run)
}

fn advice(run: &RunDocument) -> String {
    let id = &run.run;
    let stopped = run.steps.iter().find(|step| matches!(&*step.state, "failed" | "stopped"));
    let notes: String = stopped
        .and_then(|step| step.notes.as_ref())
        .map(|notes| notes.iter().map(|note| format!("\n  {note}")).collect())
        .unwrap_or_default();
    match &*run.status {
        "failed" => {
            let step = stopped.map(|step| step.step.to_string()).unwrap_or_default();
            let message =
                stopped.and_then(|step| step.why.as_ref()).map(|text| format!("\n  {text}")).unwrap_or_default();
            // A run goes on by the text that it began with: what is mended in the pipeline needs a new one.
            format!(
                "{message}\nNext: `noctule logs {id} {step}`. If the cause lies outside of the pipeline file, mend it, \
                 then `noctule resume {id}`; after a change to the file, `noctule run` it again: what is done is reused."
            )
        }
        "data-stop" => {
            format!("{notes}\nNothing was trained. Next: when the data are right, `noctule run` again.")
        }
        "gate-rejected" => format!("\nNothing was published. Next: `noctule show {id}` has the numbers."),
        "held" => {
            "\nNext: look at `noctule models history MODEL`, then `noctule models promote` or `noctule models unpin`, \
             each with a `--reason`."
                .to_owned()
        }
        "cancelled" => format!("\nNext: `noctule resume {id}` goes on where it ended."),
        _ => String::new(),
    }
}

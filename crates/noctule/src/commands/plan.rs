//! `noctule plan`: the steps, which would run or be reused and why, and what an evaluation would cost.

use noctule_controller::Expected;
use serde_json::json;

use crate::cli::{Global, Plan};
use crate::estimate::{self, Estimate};
use crate::exit::Exit;
use crate::home::Home;
use crate::pipeline::Ready;
use crate::report::Trouble;
use crate::terminal::table;

/// A step as it is shown.
struct Row {
    step: String,
    kind: &'static str,
    needs: Vec<String>,
    word: &'static str,
    why: String,
    estimate: Option<Estimate>,
}

pub async fn run(arguments: &Plan, global: &Global) -> Result<Exit, Trouble> {
    let ready = Ready::load(&arguments.pipeline)?;
    ready.warn();
    let open = Home::find(global.config.as_deref())?.open().await?;
    let preview = open.controller.preview(&ready.pipeline, ready.interval).await?;
    let mut rows = Vec::new();
    for (name, expected) in &preview.steps {
        let step = ready.pipeline.step(name).expect("the preview is of this pipeline");
        let (word, why) = words(expected);
        let estimate = match expected {
            Expected::Run { .. } | Expected::Depends { .. } => {
                estimate::of_step(&open.controller, &ready.pipeline, step).await?
            }
            _ => None,
        };
        rows.push(Row {
            step: name.to_string(),
            kind: step.kind.name(),
            needs: step.needs.iter().map(ToString::to_string).collect(),
            word,
            why,
            estimate,
        });
    }
    if global.json {
        let steps: Vec<_> = rows
            .iter()
            .map(|row| {
                let estimate = row.estimate.as_ref().map(Estimate::to_json);
                json!({
                    "step": row.step, "kind": row.kind, "needs": row.needs, "expected": row.word,
                    "why": row.why, "estimate": estimate,
                })
            })
            .collect();
        let interval = json!({"start": ready.interval.start, "end": ready.interval.end});
        super::print_json(&json!({"pipeline": ready.pipeline.name, "interval": interval, "steps": steps}));
        return Ok(Exit::Done);
    }
    println!("{}, for {} to {}\n", ready.pipeline.name, ready.interval.start, ready.interval.end);
    let mut page = table::table(&["STEP", "KIND", "AFTER", "WOULD", "WHY"]);
    for Row { step, kind, needs, word, why, .. } in &rows {
        page.add_row(vec![step, *kind, &needs.join(", "), *word, why]);
    }
    println!("{}", table::text(&page));
    for (row, estimate) in rows.iter().filter_map(|row| Some((row, row.estimate.as_ref()?))) {
        println!("\n{} {}: {}", row.kind, row.step, estimate.sentence());
    }
    Ok(Exit::Done)
}

fn words(expected: &Expected) -> (&'static str, String) {
    match expected {
        Expected::Reuse { from } => ("be reused", format!("unchanged since run {from}")),
        Expected::Run { why } => ("run", why.clone()),
        Expected::Depends { on } => ("depend", format!("reused if `{on}` comes out as before")),
        Expected::Skip { why } => ("be skipped", why.clone()),
        Expected::Impossible { why } => ("fail", why.clone()),
    }
}

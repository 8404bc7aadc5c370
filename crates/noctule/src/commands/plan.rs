//! `noctule plan`: the steps, and which would run or be reused, and why.

use noctule_controller::Expected;
use serde_json::json;

use crate::cli::{Global, Plan};
use crate::exit::Exit;
use crate::home::Home;
use crate::pipeline::Ready;
use crate::report::Trouble;
use crate::terminal::table;

pub async fn run(arguments: &Plan, global: &Global) -> Result<Exit, Trouble> {
    let ready = Ready::load(&arguments.pipeline)?;
    ready.warn();
    let open = Home::find(global.config.as_deref())?.open().await?;
    let preview = open.controller.preview(&ready.pipeline, ready.interval).await?;
    let mut rows = Vec::new();
    for (name, expected) in &preview.steps {
        let step = ready.pipeline.step(name).expect("the preview is of this pipeline");
        let (word, why) = words(expected);
        rows.push((
            name,
            step.kind.name(),
            step.needs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            word,
            why,
        ));
    }
    if global.json {
        let steps: Vec<_> = rows
            .iter()
            .map(|(step, kind, needs, expected, why)| {
                json!({"step": step, "kind": kind, "needs": needs, "expected": expected, "why": why})
            })
            .collect();
        let interval = json!({"start": ready.interval.start, "end": ready.interval.end});
        super::print_json(&json!({"pipeline": ready.pipeline.name, "interval": interval, "steps": steps}));
        return Ok(Exit::Done);
    }
    println!("{}, for {} to {}\n", ready.pipeline.name, ready.interval.start, ready.interval.end);
    let mut page = table::table(&["STEP", "KIND", "AFTER", "WOULD", "WHY"]);
    for (step, kind, needs, word, why) in rows {
        page.add_row(vec![step.to_string(), kind.to_owned(), needs.join(", "), word.to_owned(), why]);
    }
    println!("{}", table::text(&page));
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

//! `noctule runs`: the list, newest first.

use crate::cli::{Global, Runs};
use crate::documents::runs::{self, RunListed, RunsDocument, RunsWanted};
use crate::exit::Exit;
use crate::place::Place;
use crate::remote::{Ask, Remote};
use crate::report::Trouble;
use crate::terminal::{amounts, table};

pub async fn run(arguments: &Runs, global: &Global) -> Result<Exit, Trouble> {
    let mut statuses = Vec::new();
    for word in &arguments.statuses {
        let known = runs::statuses(word);
        statuses.extend(known.ok_or_else(|| Trouble::usage(format!("`--status {word}`: no run stands so")))?);
    }
    let runs = match Place::of(global).await? {
        Place::Here(open) => {
            let wanted = RunsWanted {
                pipeline: arguments.pipeline.clone(),
                statuses,
                limit: arguments.limit,
                ..RunsWanted::default()
            };
            runs::gather(&open.controller, &wanted).await?.runs
        }
        Place::There(remote) => fetch(&remote, arguments).await?,
    };
    match global.json {
        true => super::print_json(&runs),
        false => println!("{}", page(&runs)),
    }
    Ok(Exit::Done)
}

/// As many pages as are wanted.
async fn fetch(remote: &Remote, arguments: &Runs) -> Result<Vec<RunListed>, Trouble> {
    const PAGE: u32 = 1000;
    let status = (!arguments.statuses.is_empty()).then(|| arguments.statuses.join(","));
    let (mut runs, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let left = arguments.limit.saturating_sub(u32::try_from(runs.len()).unwrap_or(u32::MAX));
        if left == 0 {
            return Ok(runs);
        }
        let ask = Ask::at(&["runs"])
            .with("limit", left.min(PAGE))
            .with_some("pipeline", arguments.pipeline.as_ref())
            .with_some("status", status.as_ref())
            .with_some("cursor", cursor.as_ref());
        let page: RunsDocument = remote.get(ask).await?;
        runs.extend(page.runs);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(runs),
        }
    }
}

fn page(runs: &[RunListed]) -> String {
    let mut page = table::table(&["RUN", "PIPELINE", "INTERVAL", "STATUS", "BEGAN", ">TOOK"]);
    for run in runs {
        let took =
            run.ended.map(|ended| amounts::duration(run.created.duration_until(ended))).unwrap_or_default();
        page.add_row(vec![
            run.run.to_string(),
            run.pipeline.to_string(),
            run.interval.start.to_string(),
            run.status.clone(),
            run.created.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
            took,
        ]);
    }
    table::text(&page)
}

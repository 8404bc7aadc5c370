//! `noctule prune`: sweeps what no model, run or pipeline needs, in two steps a day apart.

use jiff::{SignedDuration, Timestamp};
use noctule_controller::sweep::{Sweep, Swept, sweep};
use noctule_spec::Span;
use serde_json::json;

use crate::cli::{Global, Prune};
use crate::exit::Exit;
use crate::report::Trouble;

pub async fn run(arguments: &Prune, global: &Global) -> Result<Exit, Trouble> {
    let keep: Span = arguments
        .keep
        .parse()
        .map_err(|error| Trouble::usage(format!("`--keep {}` is no span: {error}", arguments.keep)))?;
    let open = crate::place::open_existing(global).await?;
    let now = Timestamp::now();
    let keep = SignedDuration::from_secs(i64::try_from(keep.seconds()).unwrap_or(i64::MAX / 4));
    let unused_since = now.checked_sub(keep).unwrap_or(Timestamp::MIN);
    let wish = Sweep { unused_since, now, dry_run: arguments.dry_run };
    let Swept { marked, kept, deleted, scratch } = sweep(&open.controller, wish).await?;
    if global.json {
        super::print_json(&json!({
            "dry_run": arguments.dry_run,
            "marked": marked,
            "kept": kept,
            "deleted": deleted,
            "scratch": scratch,
        }));
    } else {
        let would = if arguments.dry_run { "would be " } else { "" };
        anstream::eprintln!(
            "{} artifacts {would}marked, to be deleted after 24 hours unless a run uses them; {} {would}deleted; {kept} kept for a model or a run",
            marked.len(),
            deleted.len()
        );
    }
    Ok(Exit::Done)
}

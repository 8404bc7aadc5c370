//! What the keys of `schedule` demand of each other, and of the rest of the pipeline.

use serde_json::Value as Json;

use super::file::{OnFile, ScheduleFile};
use super::{DataWait, Misfire, Overlap, PromotionOf, Schedule, Timetable, Trigger};
use crate::diagnostic::{Code, Diagnostic};
use crate::draft::Draft;
use crate::kinds::Settling;
use crate::pipeline::StepKind;
use crate::tree::{Entry, Node};
use crate::words::quoted;

/// Makes a schedule of canonical JSON that fits its form. `entry` is where it stands, with `on.data` rendered.
pub(crate) fn settle(canonical: Json, entry: &Entry, findings: &mut Vec<Diagnostic>) -> Option<Schedule> {
    let mut settling =
        Settling { with: &entry.value, step_at: entry.key_at.clone(), findings, refused: false };
    let file: ScheduleFile = settling.read(canonical)?;
    let trigger = match file.on {
        Some(OnFile { promotion: Some(model), alias, .. }) => {
            check_promotion(&mut settling);
            Some(Trigger::Promotion(PromotionOf { model, alias }))
        }
        on => by_clock(file.cron, file.timezone, on, &mut settling),
    };
    warn_of_overlap(file.misfire, file.overlap, &mut settling);
    let schedule =
        Schedule { trigger: trigger?, misfire: file.misfire, overlap: file.overlap, deadline: file.deadline };
    (!settling.refused).then_some(schedule)
}

fn by_clock(
    cron: Option<crate::CronLine>,
    timezone: String,
    on: Option<OnFile>,
    settling: &mut Settling<'_>,
) -> Option<Trigger> {
    let waits = on.is_some();
    let wait = on.and_then(|on| check_wait(on, cron.is_some(), settling));
    let Some(cron) = cron else {
        if !waits {
            let missing = Diagnostic::error(Code::MissingKey, "`schedule` says neither `cron` nor `on`")
                .at(settling.step_at.clone(), "")
                .help("write `cron: \"15 2 * * *\"`, or `on: {promotion: <model>}`");
            settling.push(missing);
        }
        return None;
    };
    Some(Trigger::Clock { timetable: Timetable { cron, timezone }, wait })
}

fn check_wait(on: OnFile, has_cron: bool, settling: &mut Settling<'_>) -> Option<DataWait> {
    let Some(rendered) = on.data else {
        let neither = Diagnostic::error(Code::MissingKey, "`on` says neither `data` nor `promotion`")
            .at(settling.key_place(&["on"]), "")
            .help("write `data:` with the object to wait for, or `promotion:` with a model");
        settling.push(neither);
        return None;
    };
    if !has_cron {
        let opened = Diagnostic::error(Code::MissingKey, "`on.data` needs a `cron`, which opens the wait")
            .at(settling.key_place(&["on", "data"]), "")
            .help("add `cron` with the time from which the data are looked for");
        settling.push(opened);
    }
    if settling.with.at_path(&["on", "alias"]).is_some() {
        settling.conflict(
            &["on", "alias"],
            &["on", "data"],
            "`on.alias` belongs to `promotion`, and this waits for data",
            "remove it",
        );
    }
    if on.poll > on.give_up {
        settling.conflict(
            &["on", "poll"],
            &["on", "give_up"],
            format!("the data are looked for every {}, and given up after {}", on.poll, on.give_up),
            "raise `give_up`, or lower `poll`",
        );
    }
    check_object(&rendered, settling);
    let node = settling.with.at_path(&["on", "data"])?;
    let data = node.template.clone().unwrap_or(rendered);
    Some(DataWait { data, poll: on.poll, give_up: on.give_up })
}

/// What is awaited is one object, and another one for every interval.
fn check_object(rendered: &str, settling: &mut Settling<'_>) {
    let path: &[&str] = &["on", "data"];
    let help =
        "name the object that is written last, such as `.../date={{ interval.start | date }}/_SUCCESS`";
    if rendered.starts_with("demo://") {
        let message = "`on.data` is of the synthetic product, whose data are always there";
        return settling.refuse(
            path,
            Code::BadValue,
            message,
            "remove it, or name an object of a real store",
        );
    }
    if rendered.contains(['*', '?', '[']) {
        let message = format!("`on.data` is a pattern, {}, and one object is waited for", quoted(rendered));
        return settling.refuse(path, Code::BadValue, message, help);
    }
    if rendered.ends_with(['/', '\\']) {
        let message = format!("`on.data` is a folder, {}, and one object is waited for", quoted(rendered));
        return settling.refuse(path, Code::BadValue, message, help);
    }
    let template = settling.with.at_path(path).and_then(|node| node.template.as_deref());
    if !template.is_some_and(|template| template.contains("interval")) {
        settling.warn(path, "`on.data` is the same for every interval: it is there once and for all", help);
    }
}

fn check_promotion(settling: &mut Settling<'_>) {
    let other = ["on", "promotion"];
    let only_with_cron = [
        (&["cron"][..], "a pipeline is due by `cron` or after a promotion, and this says both"),
        (&["timezone"][..], "`timezone` is that of `cron`, and this is due after a promotion"),
        (&["on", "data"][..], "a run waits for data or for a promotion, and this says both"),
        (&["on", "poll"][..], "`poll` is how often data are looked for, and a promotion is told"),
        (&["on", "give_up"][..], "`give_up` is for data that do not land, and this waits for a promotion"),
    ];
    for (path, message) in only_with_cron {
        if settling.with.at_path(path).is_some() {
            settling.conflict(path, &other, message, "remove one of them");
        }
    }
}

/// Of `run-all` none is left out, so that `overlap` has nothing to say.
fn warn_of_overlap(misfire: Misfire, overlap: Overlap, settling: &mut Settling<'_>) {
    if misfire == Misfire::RunAll && overlap != Overlap::Queue && settling.is_written("overlap") {
        settling.warn(
            &["overlap"],
            "`overlap` never applies with `misfire: run-all`: every occurrence runs, one after the other",
            "write `overlap: queue`, or remove it",
        );
    }
}

/// A pipeline that waits for its own promotion would wait for ever, or never stop.
pub(crate) fn refuse_own_promotion(
    schedule: &Schedule,
    node: &Node,
    drafts: &[Draft],
    findings: &mut Vec<Diagnostic>,
) {
    let Some(of) = schedule.promotion() else {
        return;
    };
    for draft in drafts {
        let Some(StepKind::Publish(settings)) = &draft.kind else {
            continue;
        };
        if settings.name != of.model || settings.alias != of.alias {
            continue;
        }
        let at = node.at_path(&["on", "promotion"]).map_or_else(|| node.at.clone(), |node| node.at.clone());
        findings.push(
            Diagnostic::error(
                Code::Cycle,
                format!(
                    "the pipeline publishes `{}@{}` itself, and would be due after each of its own runs",
                    of.model, of.alias
                ),
            )
            .at(at, "due after this")
            .also(draft.name_at.clone(), "published here")
            .help("wait for another pipeline's model, or write a `cron`"),
        );
    }
}

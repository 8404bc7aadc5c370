//! Figures about the server, as OpenMetrics: what a dashboard shows and an alarm looks at.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use jiff::Timestamp;
use noctule_controller::serve::{Leadership, Status};
use noctule_store::{RunFilter, SlotRow};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::Api;
use crate::report::{Code, Trouble};

pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long the store may take to answer a probe.
const PATIENCE: Duration = Duration::from_secs(3);

type Labels = Vec<(&'static str, String)>;
type Number = Gauge<f64, AtomicU64>;

/// What is counted while the server answers. Clones share it.
#[derive(Debug, Clone)]
pub struct Requests {
    answered: Family<Labels, Counter>,
    seconds: Histogram,
}

impl Default for Requests {
    fn default() -> Self {
        let bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        Self { answered: Family::default(), seconds: Histogram::new(bounds) }
    }
}

/// Counts a request when it is answered.
pub async fn count(
    State(api): State<Api>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    // What clients make up may not become a label.
    let path = path.map_or("other".to_owned(), |path| path.as_str().to_owned());
    let method = match request.method().as_str() {
        known @ ("GET" | "POST" | "HEAD") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    let labels = vec![("method", method), ("path", path), ("status", status)];
    api.requests.answered.get_or_create(&labels).inc();
    api.requests.seconds.observe(begun.elapsed().as_secs_f64());
    response
}

/// All figures, as text.
pub async fn text(api: &Api) -> Result<String, Trouble> {
    let status = api.handle.status();
    let begun = Instant::now();
    let probed = tokio::time::timeout(PATIENCE, api.controller.store.slots()).await;
    let slots = match probed {
        Ok(Ok(slots)) => Some((slots, begun.elapsed())),
        Ok(Err(_)) | Err(_) => None,
    };
    // Figures that are not there say that the store is away; the others come all the same.
    let last = tokio::time::timeout(PATIENCE, newest(api, &status)).await.unwrap_or_default();
    let mut registry = Registry::with_prefix("noctule");
    server(&mut registry, &status);
    runs(&mut registry, &status);
    schedules(&mut registry, &status);
    numbers(&mut registry, "pipeline_last_run_seconds", "When the pipeline's newest run began", last);
    store(&mut registry, slots.as_ref());
    registry.register("api_requests", "Requests that were answered", api.requests.answered.clone());
    registry.register("api_request_seconds", "How long answers took", api.requests.seconds.clone());
    let mut text = String::new();
    encode(&mut text, &registry)
        .map_err(|_| Trouble::coded(Code::Own, "the figures could not be written"))?;
    Ok(text)
}

/// When each pipeline's newest run began.
async fn newest(api: &Api, status: &Status) -> Vec<(Labels, f64)> {
    let mut last = Vec::new();
    for pipeline in &status.pipelines {
        let filter =
            RunFilter { pipeline: Some(pipeline.name.clone()), limit: Some(1), ..RunFilter::default() };
        let Ok(runs) = api.controller.store.runs(&filter).await else { break };
        let runs = runs.into_iter().map(|run| seconds(run.created));
        last.extend(runs.map(|at| (vec![("pipeline", pipeline.name.to_string())], at)));
    }
    last
}

fn number(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Number::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn total(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn numbers(registry: &mut Registry, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
    let family = Family::<Labels, Number>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn totals(registry: &mut Registry, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, u64)>) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

fn server(registry: &mut Registry, status: &Status) {
    let leads = matches!(status.leadership, Leadership::Leading { .. });
    number(registry, "leader", "1 if this server leads", f64::from(u8::from(leads)));
    number(registry, "start_time_seconds", "When the server started", seconds(status.since));
    let turn = status.last_turn.map_or(0.0, seconds);
    number(registry, "last_turn_seconds", "When the server's loop last went round", turn);
    total(registry, "turns", "How often the server's loop went round", status.tally.turns);
    total(registry, "elections", "How often this server became the leader", status.tally.elections);
    total(registry, "reloads", "How often the folder of pipelines had changed", status.tally.reloads);
    let folder = f64::from(u8::from(status.folder.is_some()));
    number(registry, "folder_unreadable", "1 if the folder of pipelines cannot be read", folder);
}

fn runs(registry: &mut Registry, status: &Status) {
    let of = |pipeline: &noctule_artifacts::PipelineName| ("pipeline", pipeline.to_string());
    let live = status.live.iter().map(|live| (vec![of(&live.pipeline)], 1.0));
    numbers(registry, "runs_live", "Runs that this server drives", live);
    let begun = status.tally.runs_begun.iter().map(|(pipeline, number)| (vec![of(pipeline)], *number));
    totals(registry, "runs_begun", "Runs that this server began", begun);
    let ended = status.tally.runs_ended.iter();
    let ended =
        ended.map(|((pipeline, word), number)| (vec![of(pipeline), ("status", (*word).to_owned())], *number));
    totals(registry, "runs_ended", "Runs that ended, by how", ended);
    let steps = status.tally.steps_ended.iter();
    let steps =
        steps.map(|((pipeline, word), number)| (vec![of(pipeline), ("state", (*word).to_owned())], *number));
    totals(registry, "steps_ended", "Steps that ended, by how", steps);
    let troubled = status.troubled.len() as f64;
    number(registry, "runs_troubled", "Runs that cannot be driven for now", troubled);
}

fn schedules(registry: &mut Registry, status: &Status) {
    let each = |value: fn(&noctule_controller::serve::PipelineStatus) -> Option<f64>| {
        let known = status.pipelines.iter().filter_map(move |pipeline| Some((pipeline, value(pipeline)?)));
        known
            .map(|(pipeline, value)| (vec![("pipeline", pipeline.name.to_string())], value))
            .collect::<Vec<_>>()
    };
    numbers(
        registry,
        "schedule_next_seconds",
        "When the clock next makes the pipeline due",
        each(|pipeline| pipeline.next.map(|next| seconds(next.at))),
    );
    numbers(
        registry,
        "schedule_paused",
        "1 if the schedule is paused",
        each(|pipeline| Some(f64::from(u8::from(pipeline.paused)))),
    );
    numbers(
        registry,
        "pipeline_broken",
        "1 if the pipeline's file as it is now cannot be run, or is gone",
        each(|pipeline| Some(f64::from(u8::from(pipeline.problem.is_some() || pipeline.gone)))),
    );
    numbers(
        registry,
        "occurrences_waiting",
        "Occurrences that wait for their data",
        each(|pipeline| Some(pipeline.waiting as f64)),
    );
    numbers(
        registry,
        "occurrences_queued",
        "Occurrences that wait for their turn",
        each(|pipeline| Some(pipeline.queued as f64)),
    );
    let skipped = status.tally.skipped.iter().map(|((pipeline, reason), number)| {
        (vec![("pipeline", pipeline.to_string()), ("reason", (*reason).to_owned())], *number)
    });
    totals(registry, "occurrences_skipped", "Occurrences that did not run, by reason", skipped);
    number(registry, "files_broken", "Files that give no pipeline", status.problems.len() as f64);
    total(registry, "store_failures", "Failures of the store that the loop met", status.tally.store_failures);
}

fn store(registry: &mut Registry, probed: Option<&(Vec<SlotRow>, Duration)>) {
    number(registry, "store_up", "1 if the store answers", f64::from(u8::from(probed.is_some())));
    let Some((slots, took)) = probed else { return };
    number(registry, "store_seconds", "How long the store took to answer just now", took.as_secs_f64());
    let pools = slots.iter().map(|slot| {
        let pool = slot.pool.clone().unwrap_or_default();
        (vec![("pipeline", slot.pipeline.to_string()), ("pool", pool)], 1.0)
    });
    numbers(registry, "slots_taken", "Live attempts, by pool", pools);
}

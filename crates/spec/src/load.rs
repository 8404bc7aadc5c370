//! From text to a checked pipeline.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use noctule_artifacts::RunId;
use noctule_artifacts::launch::Interval;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Severity};
use crate::draft::{Defaults, Draft, StepReader, refuse_templates};
use crate::file::{GRAMMAR, pipeline_form, step_form};
use crate::form::Reader;
use crate::graph::Graph;
use crate::pipeline::{Pipeline, Step};
use crate::schedule::{self, Schedule};
use crate::source::SourceText;
use crate::template::{Renderer, RunNames, Scope};
use crate::tree::{self, Entry, Node, Value};
use crate::words::quoted;
use crate::{judged, limits, params};

/// What a pipeline is read for.
#[derive(Debug, Clone)]
pub struct Context {
    /// Values given over the parameters' own, as the command line has them.
    pub params: BTreeMap<String, String>,
    /// The span of data time of the run.
    pub interval: Interval,
    /// The run; `None` when there is none yet, as in a check.
    pub run: Option<RunId>,
    /// The run's occurrence, which templates see as `run.at`.
    pub now: Timestamp,
    /// The pools that the configuration declares; a step in another one is an error. `None` where it is not known.
    pub pools: Option<BTreeSet<String>>,
}

/// A pipeline that may be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub pipeline: Pipeline,
    /// What is probably not meant as it is written.
    pub warnings: Vec<Diagnostic>,
}

/// Reads a pipeline and checks all of it.
///
/// # Errors
///
/// Everything that is wrong with it, and warnings beside.
pub fn load(source: &SourceText, context: &Context) -> Result<Loaded, Diagnostics> {
    let mut findings = Vec::new();
    let pipeline = match source.checked() {
        Ok(text) => read(text, context, &mut findings),
        Err(refusal) => {
            findings.push(refusal);
            None
        }
    };
    if pipeline.is_none() && !findings.iter().any(|finding| finding.severity == Severity::Error) {
        findings.push(
            Diagnostic::error(Code::Internal, "the pipeline passed its checks and cannot be put together")
                .help("this is a fault of noctule; please report it with the pipeline"),
        );
    }
    let diagnostics = Diagnostics::new(findings);
    match pipeline {
        Some(pipeline) if !diagnostics.has_errors() => {
            Ok(Loaded { pipeline, warnings: diagnostics.into_iter().collect() })
        }
        _ => Err(diagnostics),
    }
}

fn read(text: &str, context: &Context, findings: &mut Vec<Diagnostic>) -> Option<Pipeline> {
    let root = match tree::read(text, findings) {
        Ok(root) => root,
        Err(refusal) => {
            findings.push(refusal);
            return None;
        }
    };
    if !check_root(&root, findings) {
        return None;
    }
    let mut file = File::new(text, &root, findings)?;
    let params =
        params::read(root.entry("params").map(|entry| &entry.value), &context.params, text, file.findings);
    let run = context.run.as_ref().map_or("<run id>", |run| run.as_str());
    let pipeline = file.text("pipeline").unwrap_or_default().to_owned();
    let data: crate::schedule::DataSpan = file.part("data").unwrap_or_default();
    let scope = Scope {
        pipeline: &pipeline,
        params: &params,
        interval: context.interval,
        timezone: &data.timezone,
        run,
        at: context.now,
    };
    let mut renderer = Renderer::new(&scope);
    let alerts = file.rendered_part("alerts", &mut renderer);
    let schedule = file.schedule(&mut renderer);
    let defaults = file.defaults(&mut renderer);
    let (drafts, undrafted) = file.steps(&mut renderer, &defaults);
    if let (Some(schedule), Some(entry)) = (&schedule, root.entry("schedule")) {
        schedule::check::refuse_own_promotion(schedule, &entry.value, &drafts, file.findings);
    }
    if let Some(pools) = &context.pools {
        limits::check_pools(&drafts, pools, file.findings);
    }
    let steps = connect(drafts, &undrafted, file.findings);
    warn_of_unused_params(&root, &renderer, file.findings);
    Some(Pipeline {
        name: pipeline.parse().ok()?,
        description: file.text("description").map(str::to_owned),
        owner: file.text("owner").map(str::to_owned),
        schedule,
        priority: file.part("priority").unwrap_or_default(),
        limits: file.part("limits").unwrap_or_default(),
        data: data.clone(),
        alerts: alerts.unwrap_or_default(),
        steps: steps?,
        params: params.clone(),
    })
}

/// Whether there is a mapping at all.
fn check_root(root: &Node, findings: &mut Vec<Diagnostic>) -> bool {
    let diagnostic = match &root.value {
        Value::Mapping(_) => return true,
        Value::Null => Diagnostic::error(Code::Empty, "there is no pipeline in this file: it is empty").help(
            "start with `noctule: 1`, `pipeline: <name>` and `steps:`; dags/nightly.yaml is an example",
        ),
        Value::Text(text) if text.contains(':') => {
            Diagnostic::error(Code::WrongType, "a pipeline is a mapping, and this is one text")
                .at(root.at.clone(), "")
                .help("write a space after the `:` of each key")
        }
        _ => Diagnostic::error(
            Code::WrongType,
            format!("a pipeline is a mapping, and this is {}", root.described()),
        )
        .at(root.at.clone(), "")
        .help("start with `noctule: 1`, `pipeline: <name>` and `steps:`"),
    };
    findings.push(diagnostic);
    false
}

/// The file's own keys, read.
struct File<'a, 'f> {
    source: &'a str,
    root: &'a Node,
    read: Json,
    findings: &'f mut Vec<Diagnostic>,
}

/// Keys that hold what is not a template.
const PLAIN: [&str; 7] = ["noctule", "pipeline", "description", "owner", "data", "priority", "limits"];

impl<'a, 'f> File<'a, 'f> {
    fn new(source: &'a str, root: &'a Node, findings: &'f mut Vec<Diagnostic>) -> Option<Self> {
        let form = pipeline_form();
        let step_keys = step_form();
        let misplaced = |key: &str| {
            step_keys
                .field(key)
                .map(|_| format!("`{key}` belongs to a step: put it below the step's name under `steps`"))
        };
        // What is rendered is read once it is rendered; keys that begin with `x-` are places for anchors.
        let own = root.entries().iter().filter(|entry| {
            let later = matches!(entry.key.as_str(), "alerts" | "defaults" | "params" | "schedule");
            !entry.key.starts_with("x-") && (!later || entry.value.value == Value::Null)
        });
        let mut own: Vec<Entry> = own.cloned().collect();
        for entry in own.iter_mut().filter(|entry| PLAIN.contains(&entry.key.as_str())) {
            let before = findings.len();
            refuse_templates(&entry.value, &entry.key, findings);
            if findings.len() > before {
                entry.value.value = Value::Unknown;
            }
        }
        let own = Node { value: Value::Mapping(own), ..root.clone() };
        let read =
            Reader::new(source, findings).partial_record(&own, "a pipeline", form.fields(), &misplaced)?;
        let mut file = Self { source, root, read, findings };
        file.check_grammar();
        Some(file)
    }

    fn check_grammar(&mut self) {
        let version = self.read.get("noctule").and_then(Json::as_u64);
        if let (Some(version), Some(entry)) = (version, self.root.entry("noctule"))
            && version != GRAMMAR
        {
            let help = if version > GRAMMAR {
                "use a newer noctule, or write `noctule: 1`"
            } else {
                "write `noctule: 1`"
            };
            self.findings.push(
                Diagnostic::error(
                    Code::BadValue,
                    format!("the file is written in grammar {version}, and grammar {GRAMMAR} is read"),
                )
                .at(entry.value.at.clone(), "")
                .help(help),
            );
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.read.get(key)?.as_str()
    }

    fn part<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_value(self.read.get(key)?.clone()).ok()
    }

    fn rendered(&mut self, key: &str, renderer: &mut Renderer<'_>) -> Option<Json> {
        let entry = self.root.entry(key)?;
        let node = renderer.render(&entry.value, RunNames::Hidden, self.findings);
        let form = pipeline_form();
        let field = form.field(key)?;
        if node.value == Value::Null {
            return None;
        }
        Reader::new(self.source, self.findings).read(&field.form, &node, key)
    }

    fn rendered_part<T: DeserializeOwned>(&mut self, key: &str, renderer: &mut Renderer<'_>) -> Option<T> {
        let read = self.rendered(key, renderer)?;
        serde_json::from_value(read).ok()
    }

    /// The one template in a schedule is the name of the data that are waited for.
    fn schedule(&mut self, renderer: &mut Renderer<'_>) -> Option<Schedule> {
        let entry = self.root.entry("schedule").filter(|entry| entry.value.value != Value::Null)?;
        let awaited = entry.value.at_path(&["on", "data"]).map(|node| node.at.clone());
        let node = entry.value.map_texts(&mut |node| match &awaited {
            Some(at) if *at == node.at => renderer.render(node, RunNames::Hidden, self.findings),
            _ => {
                let before = self.findings.len();
                refuse_templates(node, "schedule", self.findings);
                let refused = self.findings.len() > before;
                if refused { Node { value: Value::Unknown, ..node.clone() } } else { node.clone() }
            }
        });
        let entry = Entry { value: node, ..entry.clone() };
        let form = pipeline_form();
        let field = form.field("schedule").expect("the form of the file declares it");
        let read = Reader::new(self.source, self.findings).read(&field.form, &entry.value, "schedule")?;
        schedule::check::settle(read, &entry, self.findings)
    }

    fn defaults(&mut self, renderer: &mut Renderer<'_>) -> Defaults {
        let read = self.rendered("defaults", renderer).unwrap_or_default();
        let part = |key: &str| read.get(key).cloned().unwrap_or_default();
        Defaults { retry: part("retry"), timeouts: part("timeouts"), resources: part("resources") }
    }

    /// The steps that could be drafted, and the names of the others.
    fn steps(&mut self, renderer: &mut Renderer<'a>, defaults: &Defaults) -> (Vec<Draft>, BTreeSet<String>) {
        let Some(entry) = self.root.entry("steps") else {
            return Default::default();
        };
        if entry.value.entries().is_empty() {
            let message = match entry.value.value {
                Value::List(_) => "`steps` is a list; expected a mapping of names to steps".to_owned(),
                Value::Mapping(_) | Value::Null => "`steps` is empty: a pipeline has at least one".to_owned(),
                _ => format!("`steps` is {}; expected a mapping of names to steps", entry.value.described()),
            };
            self.findings.push(
                Diagnostic::error(Code::WrongType, message)
                    .at(entry.key_at.clone(), "")
                    .help("write the step's name as a key, and `uses:` and `with:` below it"),
            );
        }
        let form = step_form();
        let mut reader = StepReader {
            text: self.source,
            renderer,
            defaults,
            form: &form,
            forms: BTreeMap::new(),
            findings: self.findings,
        };
        let mut drafts = Vec::new();
        let mut undrafted = BTreeSet::new();
        for entry in entry.value.entries() {
            match reader.read(entry) {
                Some(draft) => drafts.push(draft),
                None => {
                    undrafted.insert(entry.key.clone());
                }
            }
        }
        (drafts, undrafted)
    }
}

/// Resolves references, and puts the steps in order.
fn connect(
    drafts: Vec<Draft>,
    undrafted: &BTreeSet<String>,
    findings: &mut Vec<Diagnostic>,
) -> Option<Vec<Step>> {
    let graph = Graph::new(&drafts, undrafted);
    let links = graph.links(findings);
    judged::check(&drafts, &graph, findings);
    let order = graph.order(&links, findings)?;
    let mut steps: Vec<Option<Step>> = drafts
        .into_iter()
        .zip(links)
        .map(|(draft, links)| {
            Some(Step {
                name: draft.name,
                kind: draft.kind?,
                inputs: links.inputs,
                models: links.models,
                needs: links.needs.into_iter().collect(),
                retry: draft.retry,
                timeouts: draft.timeouts,
                resources: draft.resources,
                disabled: draft.disabled,
                always: draft.always,
                exclusive: draft.exclusive,
                pool: draft.pool,
                env: draft.env,
                labels: draft.labels,
            })
        })
        .collect();
    order.into_iter().map(|index| steps[index].take()).collect()
}

fn warn_of_unused_params(root: &Node, renderer: &Renderer<'_>, findings: &mut Vec<Diagnostic>) {
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return;
    }
    for entry in root.entry("params").map(|entry| entry.value.entries()).unwrap_or_default() {
        if !renderer.used_params().contains(&entry.key) {
            findings.push(
                Diagnostic::warning(
                    Code::Unused,
                    format!("no template uses the parameter {}", quoted(&entry.key)),
                )
                .at(entry.key_at.clone(), "")
                .help(format!("write `\"{{{{ params.{} }}}}\"` where it is meant, or remove it", entry.key)),
            );
        }
    }
}

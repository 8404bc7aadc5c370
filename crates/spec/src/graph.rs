//! How steps hang together: references are resolved to edges, and edges to an order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use noctule_artifacts::manifest::OutputForm;
use noctule_artifacts::{OutputName, StepName};

use crate::diagnostic::{Code, Diagnostic};
use crate::draft::Draft;
use crate::form::{Role, Use, Used};
use crate::pipeline::{InputReference, StepKind};
use crate::reference::{ModelReference, Reference};
use crate::words::{meant_or_listed, nearest, quoted};

/// What one step takes from others.
#[derive(Default)]
pub(crate) struct Links {
    pub(crate) inputs: Vec<InputReference>,
    pub(crate) models: Vec<String>,
    pub(crate) needs: BTreeSet<StepName>,
    /// Each needed step, by its place among the drafts, and where it is named.
    edges: Vec<(usize, Range<usize>)>,
}

/// The drafts by name.
pub(crate) struct Graph<'a> {
    drafts: &'a [Draft],
    by_name: BTreeMap<&'a str, usize>,
    /// Steps that could not even be drafted, so that naming one is no second error.
    undrafted: &'a BTreeSet<String>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(drafts: &'a [Draft], undrafted: &'a BTreeSet<String>) -> Self {
        let by_name = drafts.iter().enumerate().map(|(index, draft)| (draft.name.as_str(), index)).collect();
        Self { drafts, by_name, undrafted }
    }

    pub(crate) fn draft(&self, name: &StepName) -> Option<&'a Draft> {
        self.by_name.get(name.as_str()).map(|index| &self.drafts[*index])
    }

    /// Resolves everything that every step names.
    pub(crate) fn links(&self, findings: &mut Vec<Diagnostic>) -> Vec<Links> {
        self.drafts.iter().map(|draft| self.links_of(draft, findings)).collect()
    }

    fn links_of(&self, draft: &Draft, findings: &mut Vec<Diagnostic>) -> Links {
        let mut links = Links::default();
        let mut inputs = BTreeMap::new();
        let mut models = BTreeSet::new();
        for used in &draft.uses {
            let reference = match &used.what {
                Used::Output(reference) | Used::Model(ModelReference::Trained(reference)) => reference,
                Used::Model(model @ ModelReference::Published { .. }) => {
                    models.insert(model.to_string());
                    continue;
                }
                Used::Model(ModelReference::Popularity) => continue,
            };
            let Some(index) = self.find(draft, reference.step().as_str(), used, findings) else {
                continue;
            };
            links.edges.push((index, used.at.clone()));
            if let Some(output) = self.output(&self.drafts[index], reference, used, findings) {
                let input = InputReference {
                    reference: reference.to_string(),
                    step: reference.step().clone(),
                    output,
                };
                inputs.insert(input.reference.clone(), input);
            }
        }
        for (name, at) in &draft.needs {
            if let Some(index) = self.find_named(draft, name, at, findings) {
                links.edges.push((index, at.clone()));
            }
        }
        links.inputs = inputs.into_values().collect();
        links.models = models.into_iter().collect();
        links.needs = links.edges.iter().map(|(index, _)| self.drafts[*index].name.clone()).collect();
        links
    }

    fn find(&self, from: &Draft, name: &str, used: &Use, findings: &mut Vec<Diagnostic>) -> Option<usize> {
        let before = findings.len();
        let found = self.find_named(from, name, &used.at, findings);
        if used.role == Role::Model
            && let Some(finding) = findings.get_mut(before)
            && finding.code == Code::UnknownStep
        {
            finding.help.push(format!("a published model is written `{name}@champion` or `{name}@3`"));
        }
        found
    }

    fn find_named(
        &self,
        from: &Draft,
        name: &str,
        at: &Range<usize>,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<usize> {
        if name == from.name.as_str() {
            findings.push(
                Diagnostic::error(Code::Cycle, format!("the step `{name}` waits for itself"))
                    .at(at.clone(), "")
                    .also(from.name_at.clone(), "the step"),
            );
            return None;
        }
        if let Some(index) = self.by_name.get(name) {
            return Some(*index);
        }
        if !self.undrafted.contains(name) {
            let names = self
                .drafts
                .iter()
                .map(|draft| draft.name.as_str())
                .filter(|known| *known != from.name.as_str());
            let names: Vec<&str> = names.collect();
            findings.push(
                Diagnostic::error(Code::UnknownStep, format!("there is no step {}", quoted(name)))
                    .at(at.clone(), "")
                    .maybe_help(meant_or_listed(name, &names)),
            );
        }
        None
    }

    /// The output that a reference means, if it is there and of the form that is wanted.
    fn output(
        &self,
        target: &Draft,
        reference: &Reference,
        used: &Use,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<OutputName> {
        match used.role {
            Role::Gate => return self.judgement(target, "gate", reference, used, findings),
            Role::Evaluation => return self.judgement(target, "evaluate", reference, used, findings),
            Role::Any | Role::Table | Role::Model => {}
        }
        let kind = target.kind.as_ref()?;
        let output = reference.output();
        let outputs = kind.outputs();
        let Some((_, form)) = outputs.iter().find(|(name, _)| *name == output.as_str()) else {
            findings.push(unknown_output(target, kind, reference, used));
            return None;
        };
        let wanted = match used.role {
            Role::Table => Some((OutputForm::Table, "a table")),
            Role::Model => Some((OutputForm::Model, "a model")),
            _ => None,
        };
        if let Some((wanted, described)) = wanted.filter(|(wanted, _)| wanted != form) {
            findings.push(wrong_form(target, kind, reference, used, *form, wanted, described));
            return None;
        }
        Some(output)
    }

    /// A gate or an evaluation is meant as a whole; its report is what is read.
    fn judgement(
        &self,
        target: &Draft,
        wanted: &str,
        reference: &Reference,
        used: &Use,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<OutputName> {
        let found = target.declaration?.name;
        let whole = matches!(reference.output().as_str(), "main" | "report");
        if found == wanted && whole {
            return Some("report".parse().expect("`report` is a name"));
        }
        let others =
            self.drafts.iter().filter(|draft| draft.declaration.is_some_and(|kind| kind.name == wanted));
        let others: Vec<&str> = others.map(|draft| draft.name.as_str()).collect();
        let article = if wanted == "evaluate" { "an" } else { "a" };
        let message = if found == wanted {
            format!(
                "{} is one output of a step; the step itself is meant here",
                quoted(&reference.to_string())
            )
        } else {
            format!(
                "`{}` is a step of kind `{found}`; {article} `{wanted}` step is expected here",
                target.name
            )
        };
        let help = match (found == wanted, nearest(target.name.as_str(), others.iter().copied())) {
            (true, _) => Some(format!("write `{}`", target.name)),
            (false, Some(near)) => Some(format!("did you mean `{near}`?")),
            (false, None) => meant_or_listed(target.name.as_str(), &others),
        };
        findings.push(
            Diagnostic::error(Code::WrongStep, message)
                .at(used.at.clone(), "")
                .also(target.name_at.clone(), "")
                .maybe_help(help),
        );
        None
    }

    /// Indices of the drafts in an order in which each comes after all it needs; otherwise the file's order. Cycles
    /// are reported.
    pub(crate) fn order(&self, links: &[Links], findings: &mut Vec<Diagnostic>) -> Option<Vec<usize>> {
        let mut waits: Vec<BTreeSet<usize>> =
            links.iter().map(|links| links.edges.iter().map(|(index, _)| *index).collect()).collect();
        let mut followers: Vec<Vec<usize>> = vec![Vec::new(); waits.len()];
        for (index, needed) in waits.iter().enumerate() {
            needed.iter().for_each(|needed| followers[*needed].push(index));
        }
        let mut ready: BTreeSet<usize> = (0..waits.len()).filter(|index| waits[*index].is_empty()).collect();
        let mut order = Vec::with_capacity(waits.len());
        while let Some(index) = ready.pop_first() {
            order.push(index);
            for follower in &followers[index] {
                waits[*follower].remove(&index);
                if waits[*follower].is_empty() {
                    ready.insert(*follower);
                }
            }
        }
        if order.len() == waits.len() {
            return Some(order);
        }
        let mut left: BTreeSet<usize> = (0..waits.len()).filter(|index| !order.contains(index)).collect();
        while let Some(cycle) = cycle_in(&waits, &mut left) {
            findings.push(self.cycle(links, &cycle));
        }
        None
    }

    fn cycle(&self, links: &[Links], cycle: &[usize]) -> Diagnostic {
        let mut names: Vec<&str> = cycle.iter().map(|index| self.drafts[*index].name.as_str()).collect();
        names.push(names[0]);
        let path = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" -> ");
        let mut diagnostic =
            Diagnostic::error(Code::Cycle, format!("steps wait for each other in a circle: {path}"));
        for (position, index) in cycle.iter().enumerate() {
            let next = cycle[(position + 1) % cycle.len()];
            let edge = links[*index].edges.iter().find(|(needed, _)| *needed == next);
            let at = edge.map_or_else(|| self.drafts[*index].name_at.clone(), |(_, at)| at.clone());
            let label = format!("`{}` waits for `{}`", self.drafts[*index].name, self.drafts[next].name);
            diagnostic = if position == 0 { diagnostic.at(at, label) } else { diagnostic.also(at, label) };
        }
        diagnostic.help("one of these references must go")
    }
}

/// Follows what steps wait for until one comes up again. The steps walked over are taken out of `left`.
fn cycle_in(waits: &[BTreeSet<usize>], left: &mut BTreeSet<usize>) -> Option<Vec<usize>> {
    loop {
        let mut path: Vec<usize> = Vec::new();
        let mut at = *left.first()?;
        loop {
            if let Some(start) = path.iter().position(|index| *index == at) {
                path.iter().for_each(|index| {
                    left.remove(index);
                });
                return Some(path.split_off(start));
            }
            path.push(at);
            match waits[at].iter().find(|needed| left.contains(needed)) {
                Some(needed) => at = *needed,
                None => break,
            }
        }
        // It only waits for a circle that was reported.
        path.iter().for_each(|index| {
            left.remove(index);
        });
    }
}

fn unknown_output(target: &Draft, kind: &StepKind, reference: &Reference, used: &Use) -> Diagnostic {
    let outputs = kind.outputs();
    let names: Vec<String> = outputs.iter().map(|(name, _)| format!("{}.{name}", target.name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let output = reference.output();
    let conditional = target
        .declaration
        .and_then(|declaration| declaration.outputs.iter().find(|known| known.name == output.as_str()));
    let written = reference.to_string();
    let (message, help) = match conditional {
        Some(known) => (
            format!("`{}` does not have the output `{output}` as it is set", target.name),
            Some(format!("`{output}`: {}", known.prose)),
        ),
        None if outputs.is_empty() => (
            format!("`{}` is a step of kind `{}`, which has no output to read", target.name, kind.name()),
            Some("to run after it, use `needs`".to_owned()),
        ),
        None if !written.contains('.') => (
            format!("`{}` has no single output", target.name),
            Some(format!(
                "name one of {}",
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )),
        ),
        None => (format!("`{}` has no output `{output}`", target.name), meant_or_listed(&written, &names)),
    };
    Diagnostic::error(Code::UnknownOutput, message)
        .at(used.at.clone(), "")
        .also(target.name_at.clone(), "")
        .maybe_help(help)
}

fn wrong_form(
    target: &Draft,
    kind: &StepKind,
    reference: &Reference,
    used: &Use,
    found: OutputForm,
    wanted: OutputForm,
    described: &str,
) -> Diagnostic {
    let found = match found {
        OutputForm::Table => "a table",
        OutputForm::Model => "a model",
        OutputForm::Report => "a report",
        OutputForm::Files => "files",
    };
    let help = match (kind, wanted) {
        (StepKind::Shell(_), OutputForm::Table) => Some("let it write Parquet, and say `output: table`"),
        (StepKind::Shell(_), OutputForm::Model) => {
            Some("let it write the documented model layout, and say `output: model`")
        }
        (_, OutputForm::Model) => Some("models come from `train`, or from `shell` with `output: model`"),
        _ => None,
    };
    let message = format!("{} is {found}; {described} is expected here", quoted(&reference.to_string()));
    Diagnostic::error(Code::WrongStep, message)
        .at(used.at.clone(), "")
        .also(target.name_at.clone(), "")
        .maybe_help(help.map(str::to_owned))
}

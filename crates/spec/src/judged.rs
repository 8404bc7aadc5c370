//! What only the whole pipeline shows about evaluation, gate and publish.

use std::ops::Range;

use crate::diagnostic::{Code, Diagnostic};
use crate::draft::Draft;
use crate::graph::Graph;
use crate::kinds::{evaluate, gate, publish, split};
use crate::pipeline::StepKind;
use crate::reference::{ModelReference, Reference};
use crate::tree::Node;
use crate::words::{meant_or_listed, nearest};

/// Checks every gate and every publish of a pipeline.
pub(crate) fn check(drafts: &[Draft], graph: &Graph<'_>, findings: &mut Vec<Diagnostic>) {
    for draft in drafts {
        if let Some(StepKind::Gate(settings)) = &draft.kind {
            Judged { draft, graph, findings }.gate(settings);
        }
    }
    let mut published: Vec<(&publish::Settings, &Draft)> = Vec::new();
    for draft in drafts {
        let Some(StepKind::Publish(settings)) = &draft.kind else {
            continue;
        };
        Judged { draft, graph, findings }.publish(settings);
        let earlier =
            published.iter().find(|(other, _)| other.name == settings.name && other.alias == settings.alias);
        if let Some((_, first)) = earlier {
            findings.push(
                Diagnostic::error(
                    Code::Publish,
                    format!("a second `publish` of `{}@{}`", settings.name, settings.alias),
                )
                .at(draft.name_at.clone(), "again here")
                .also(first.name_at.clone(), "first here")
                .help("one alias is moved by one step; use another alias, or another name"),
            );
        }
        published.push((settings, draft));
    }
}

struct Judged<'a, 'f> {
    draft: &'a Draft,
    graph: &'a Graph<'a>,
    findings: &'f mut Vec<Diagnostic>,
}

impl<'a> Judged<'a, '_> {
    fn evaluation(&self, reference: &Reference) -> Option<(&'a Draft, &'a evaluate::Settings)> {
        let draft = self.graph.draft(reference.step())?;
        match &draft.kind {
            Some(StepKind::Evaluate(settings)) => Some((draft, settings)),
            _ => None,
        }
    }

    fn gate(&mut self, settings: &gate::Settings) {
        let Some((evaluation, evaluated)) = self.evaluation(&settings.evaluation) else {
            return;
        };
        let rules = self.draft.with.entry("require").map(|entry| entry.value.items()).unwrap_or_default();
        let split = self.split_behind(&evaluated.test);
        for (rule, node) in settings.require.iter().zip(rules) {
            self.metric(rule, node, evaluation, evaluated);
            self.against(rule, node, evaluation, evaluated, split);
            self.slice(rule, node, evaluation, evaluated);
        }
        self.warn_of_a_first_night(settings);
    }

    fn metric(&mut self, rule: &gate::Rule, node: &Node, evaluation: &Draft, evaluated: &evaluate::Settings) {
        if evaluated.metrics.contains(&rule.metric) {
            return;
        }
        let known: Vec<String> = evaluated.metrics.iter().map(ToString::to_string).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let wanted = rule.metric.to_string();
        let help = match nearest(&wanted, known.iter().copied()) {
            Some(near) => format!(
                "did you mean `{near}`? Otherwise add `{wanted}` to the `metrics` of `{}`",
                evaluation.name
            ),
            None => format!("add it to the `metrics` of `{}`", evaluation.name),
        };
        self.findings.push(
            Diagnostic::error(Code::Gate, format!("`{}` does not compute `{wanted}`", evaluation.name))
                .at(place(node, "metric"), "")
                .also(place(&evaluation.with, "metrics"), "what it computes")
                .help(help),
        );
    }

    fn against(
        &mut self,
        rule: &gate::Rule,
        node: &Node,
        evaluation: &Draft,
        evaluated: &evaluate::Settings,
        split: Option<(&Draft, split::By)>,
    ) {
        let Some(against) = rule.bar.against() else {
            return;
        };
        if *against == evaluated.model {
            self.findings.push(
                Diagnostic::error(Code::Gate, format!("`{against}` is the candidate itself"))
                    .at(place(node, "against"), "")
                    .help("compare with `popularity`, another model, or a published one such as `name@champion`"),
            );
            return;
        }
        if !evaluated.compare.contains(against) {
            let known: Vec<String> = evaluated.compare.iter().map(ToString::to_string).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let add = format!("add it to the `compare` of `{}`", evaluation.name);
            let help = meant_or_listed(&against.to_string(), &known)
                .map_or_else(|| add.clone(), |help| format!("{help} Otherwise {add}"));
            self.findings.push(
                Diagnostic::error(Code::Gate, format!("`{}` does not score `{against}`", evaluation.name))
                    .at(place(node, "against"), "")
                    .also(key_place(&evaluation.with, "compare", &evaluation.name_at), "")
                    .help(help),
            );
        }
        if let (ModelReference::Published { .. }, Some((split, by))) = (against, split)
            && by != split::By::Time
        {
            self.findings.push(
                Diagnostic::error(
                    Code::Gate,
                    format!("`{against}` was trained on other rows, and may have seen tonight's test rows"),
                )
                .at(place(node, "against"), "")
                .also(place(&split.with, "by"), "this split is not by time")
                .help("split `by: time`, or compare with models of this run and with `popularity`"),
            );
        }
    }

    fn slice(&mut self, rule: &gate::Rule, node: &Node, evaluation: &Draft, evaluated: &evaluate::Settings) {
        let Some(slice) = &rule.slice else {
            return;
        };
        let columns: Vec<&str> =
            evaluated.slices.iter().flat_map(|slices| &slices.columns).map(String::as_str).collect();
        if columns.contains(&slice.column.as_str()) {
            return;
        }
        let help = meant_or_listed(&slice.column, &columns)
            .unwrap_or_else(|| format!("add `slices` with this column to `{}`", evaluation.name));
        self.findings.push(
            Diagnostic::error(
                Code::Gate,
                format!("`{}` has no slices by `{}`", evaluation.name, slice.column),
            )
            .at(place(node, "slice"), "")
            .help(help),
        );
    }

    /// Without a champion the rules against it are skipped, and a gate that judged no rule does not pass.
    fn warn_of_a_first_night(&mut self, settings: &gate::Settings) {
        let published = |rule: &gate::Rule| rule.bar.against().is_some_and(ModelReference::is_published);
        if settings.require.iter().all(published) {
            self.findings.push(
                Diagnostic::warning(
                    Code::Gate,
                    format!(
                        "`{}` has only rules against published models, so a first version can never pass",
                        self.draft.name
                    ),
                )
                .at(self.draft.name_at.clone(), "")
                .help("add an absolute rule (`min`), or one `against: popularity`"),
            );
        }
    }

    /// The split that test rows come from, through steps that pass rows on.
    fn split_behind(&self, test: &Reference) -> Option<(&'a Draft, split::By)> {
        let mut at = test;
        // Circles are reported elsewhere; here they only must not be followed for ever.
        for _ in 0..64 {
            let draft = self.graph.draft(at.step())?;
            at = match draft.kind.as_ref()? {
                StepKind::Split(settings) => return Some((draft, settings.by)),
                StepKind::Filter(settings) => &settings.input,
                StepKind::Dedup(settings) => &settings.input,
                _ => return None,
            };
        }
        None
    }

    /// What is published is what was judged.
    fn publish(&mut self, settings: &publish::Settings) {
        let Some(gate) = self.graph.draft(settings.gate.step()) else {
            return;
        };
        let Some(StepKind::Gate(gated)) = &gate.kind else {
            return;
        };
        let Some((evaluation, evaluated)) = self.evaluation(&gated.evaluation) else {
            return;
        };
        let same = evaluated.model.trained().is_some_and(|judged| {
            judged.step() == settings.model.step() && judged.output() == settings.model.output()
        });
        if same {
            return;
        }
        let help = match evaluated.model.trained() {
            Some(judged) => {
                format!("publish `{judged}`, or let `{}` evaluate `{}`", evaluation.name, settings.model)
            }
            None => format!("let `{}` evaluate `{}`", evaluation.name, settings.model),
        };
        self.findings.push(
            Diagnostic::error(
                Code::Publish,
                format!(
                    "the gate `{}` judged `{}`, and this would publish `{}`",
                    gate.name, evaluated.model, settings.model
                ),
            )
            .at(place(&self.draft.with, "model"), "published here")
            .also(place(&evaluation.with, "model"), "judged here")
            .help(help),
        );
    }
}

fn place(node: &Node, key: &str) -> Range<usize> {
    node.entry(key).map_or_else(|| node.at.clone(), |entry| entry.value.at.clone())
}

fn key_place(node: &Node, key: &str, otherwise: &Range<usize>) -> Range<usize> {
    node.entry(key).map_or_else(|| otherwise.clone(), |entry| entry.key_at.clone())
}
